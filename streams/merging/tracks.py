"""Tracks of streams in a frame that two streams have in common: place, direction, motion, with errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sky_patches.frames import tangent_axes, unit_vectors
from streams.members import MemberStars

__all__ = ["CommonFrame", "Polynomial", "SkyStars", "Track", "fit_track"]

QUADRATIC_FROM = 20.0
"""Stars (effective number) from which a track may bend; with fewer its curvature would be noise."""
ENDS = (0.025, 0.975)
"""Weighted quantiles along the track that are its ends: a few stray members do not lengthen a stream."""
LEAST_SPREAD = 0.1
"""Floor of the intrinsic spread in proper motion, mas/yr: no star of tiny error may dictate a fit."""


@dataclass(frozen=True, eq=False)
class SkyStars:
    """Weighted stars as vectors, which belong to no frame.

    Args:
        vectors: unit vectors of the positions.
        motions: proper motions as tangent vectors, mas/yr.
        variance: of one component of the proper motion, mas^2/yr^2; 0 where no error is known.
        weight: membership probabilities.
    """

    vectors: Float[np.ndarray, "n 3"]
    motions: Float[np.ndarray, "n 3"]
    variance: Float[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        position: Float[np.ndarray, "n 2"],
        motion: Float[np.ndarray, "n 2"],
        error: Float[np.ndarray, "n 2"],
        weight: Float[np.ndarray, " n"],
    ) -> SkyStars:
        """Stars of any spherical frame: (longitude, latitude) in deg, motions (with cos) in mas/yr."""
        east, north = tangent_axes(*position.T)
        motions = motion[:, :1] * east + motion[:, 1:] * north
        return cls(unit_vectors(*position.T), motions, (np.nan_to_num(error) ** 2).mean(axis=1), weight)

    @classmethod
    def of_members(cls, members: MemberStars) -> SkyStars:
        """Members in ICRS, in order of source_id."""
        members = members.take(np.argsort(members.source_id, kind="stable"))
        return cls.of(
            np.column_stack([members.ra, members.dec]),
            np.column_stack([members.pmra, members.pmdec]),
            np.column_stack([members.pmra_error, members.pmdec_error]),
            members.probability,
        )

    @property
    def centre(self) -> Float[np.ndarray, "3"]:
        """Unit vector of the weighted mean position."""
        return _unit(self.weight @ self.vectors)

    @property
    def reach_deg(self) -> float:
        """Angle around the centre that holds 95 % of the weight, deg."""
        angle = np.degrees(np.arccos(np.clip(self.vectors @ self.centre, -1.0, 1.0)))
        return float(_quantile(angle, self.weight, (0.95,))[0])


@dataclass(frozen=True, eq=False)
class CommonFrame:
    """A tangent plane whose first axis runs along one stream, or midway between the directions of several.

    Great circles are straight lines in it (gnomonic projection).

    Args:
        centre, along, across: orthonormal right-handed vectors.
    """

    centre: Float[np.ndarray, "3"]
    along: Float[np.ndarray, "3"]
    across: Float[np.ndarray, "3"]

    @classmethod
    def of(cls, *streams: SkyStars) -> CommonFrame:
        """The frame between streams; it does not depend on their order, and turns with the sky."""
        centre = _unit(np.sum([stream.centre for stream in streams], axis=0))
        spreads = [_spread(stream, centre) for stream in streams]
        # The middle of several directions is the principal axis of their normalised spreads: each counts
        # alike, whatever its length. The sign of an axis says nothing: it is fixed to be repeatable.
        along = np.linalg.eigh(np.sum(spreads, axis=0))[1][:, -1]
        along = _unit(along - (along @ centre) * centre)
        along = along * np.sign(along[np.argmax(np.abs(along))])
        return cls(centre, along, np.cross(centre, along))

    def positions(
        self, vectors: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """(s along, t across), deg in the plane; NaN for the half of the sky that has no place in it."""
        depth = vectors @ self.centre
        depth = np.where(depth > 0.1, depth, np.nan)
        return np.degrees(vectors @ self.along / depth), np.degrees(vectors @ self.across / depth)

    def vectors(self, s: Float[np.ndarray, " n"], t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Unit vectors of places in the plane (deg); inverse of `positions`."""
        point = self.centre + np.radians(s)[:, None] * self.along + np.radians(t)[:, None] * self.across
        return point / np.linalg.norm(point, axis=1, keepdims=True)

    def axes(
        self, vectors: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Tangent unit vectors at each place: along the parallels of the great circle, and across."""
        first = np.cross(self.across, vectors)
        first = first / np.linalg.norm(first, axis=1, keepdims=True)
        return first, np.cross(vectors, first)

    def motions(self, stars: SkyStars) -> Float[np.ndarray, "n 2"]:
        """Proper motions (along, across), mas/yr."""
        return np.column_stack([(stars.motions * axis).sum(axis=1) for axis in self.axes(stars.vectors)])


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Coefficients, constant first, with their covariance."""

    coefficients: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]

    def at(self, s: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Values at s, and their errors."""
        return self._linear(np.vander(s, len(self.coefficients), increasing=True))

    def slope(self, s: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Derivatives at s, and their errors."""
        power = np.arange(len(self.coefficients))
        return self._linear(power * s[:, None] ** np.maximum(power - 1, 0))

    def _linear(self, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        variance = ((design @ self.covariance) * design).sum(axis=1)
        return design @ self.coefficients, np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True, eq=False)
class Track:
    """A stream in a common frame.

    Args:
        frame: the frame.
        start, end: along it, deg.
        offset: t of the track as a polynomial in s, deg.
        motion: proper motion (along, across) as polynomials in s, mas/yr.
        width: Gaussian sigma across the track, deg.
    """

    frame: CommonFrame
    start: float
    end: float
    offset: Polynomial
    motion: tuple[Polynomial, Polynomial]
    width: float

    def angle(self, s: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Direction of the track against the first axis, deg, and its error."""
        slope, error = self.offset.slope(s)
        return np.degrees(np.arctan(slope)), np.degrees(error / (1 + slope**2))

    def holds(
        self, vectors: Float[np.ndarray, "n 3"], *, sigmas: float, reach: float, max_error: float
    ) -> Bool[np.ndarray, " n"]:
        """Places within `sigmas` of the track, its width and its own error together.

        Beyond its ends a track is followed for `reach` deg, while its error is below `max_error` deg.
        """
        s, t = self.frame.positions(vectors)
        known = np.isfinite(s) & (s > self.start - reach) & (s < self.end + reach)
        value, error = self.offset.at(np.where(known, s, 0.0))
        near = np.abs(np.where(known, t, np.inf) - value) <= sigmas * np.hypot(self.width, error)
        return near & known & (error <= max_error)


def fit_track(stars: SkyStars, frame: CommonFrame) -> Track:
    """Track of weighted stars: place quadratic, motion linear along it.

    Weighted least squares; errors by the sandwich estimator (White 1980), which asks the scatter of the stars
    themselves and stays honest when the weights are probabilities and the errors are incomplete.
    """
    s, t = frame.positions(stars.vectors)
    use = np.isfinite(s)
    s, t, weight = s[use], t[use], stars.weight[use]
    motions, variance = frame.motions(stars)[use], stars.variance[use]
    offset = _weighted(s, t, weight, 2 if _effective(weight) >= QUADRATIC_FROM else 1)
    width = np.sqrt((weight * (t - offset.at(s)[0]) ** 2).sum() / weight.sum())
    start, end = _quantile(s, weight, ENDS)
    along, across = (_motion(s, component, variance, weight) for component in motions.T)
    return Track(frame, float(start), float(end), offset, (along, across), float(width))


def _motion(s: np.ndarray, motion: np.ndarray, variance: np.ndarray, weight: np.ndarray) -> Polynomial:
    """Linear fit; a star counts by its error and the intrinsic spread, which the residuals tell."""
    first = _weighted(s, motion, weight, 1)
    scatter = (weight * ((motion - first.at(s)[0]) ** 2 - variance)).sum() / weight.sum()
    return _weighted(s, motion, weight / (variance + max(scatter, LEAST_SPREAD**2)), 1)


def _weighted(s: np.ndarray, value: np.ndarray, weight: np.ndarray, degree: int) -> Polynomial:
    scale = max(float(np.abs(s).max()), 1e-6) ** np.arange(degree + 1)
    design = np.vander(s, degree + 1, increasing=True) / scale
    weight = weight / weight.sum()
    inverse = np.linalg.pinv((design * weight[:, None]).T @ design, hermitian=True)
    coefficients = inverse @ (design.T @ (weight * value))
    pulled = design * (weight * (value - design @ coefficients))[:, None]
    stars = _effective(weight)
    # Residuals of a fit are smaller than errors: the usual correction for its parameters.
    inflation = stars / max(stars - degree - 1, 1.0)
    covariance = inverse @ (pulled.T @ pulled) @ inverse * inflation
    return Polynomial(coefficients / scale, covariance / np.outer(scale, scale))


def _effective(weight: np.ndarray) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())


def _quantile(values: np.ndarray, weight: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    # Each star at the middle of its own weight: the quantiles are the same from either end.
    cumulative = np.cumsum(weight[order]) - weight[order] / 2
    return np.interp(shares, cumulative / weight.sum(), values[order])


def _spread(stars: SkyStars, centre: np.ndarray) -> np.ndarray:
    """Covariance of the stars about their mean, normalised, in the tangent plane at `centre`."""
    depth = np.maximum(stars.vectors @ centre, 0.1)
    points = stars.vectors / depth[:, None] - centre
    points = points - stars.weight @ points / stars.weight.sum()
    covariance = (points * stars.weight[:, None]).T @ points
    return covariance / max(float(np.trace(covariance)), 1e-300)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
