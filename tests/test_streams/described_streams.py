"""Member lists with known truth for the tests of descriptions: streams on great circles, fields of stars."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from sky_patches.frames import tangent_axes, unit_vectors
from sky_patches.mock import GaiaErrors
from sky_patches.mock.streams import add_light
from streams.description import GreatCircle
from streams.members import MemberStars

__all__ = ["Stream", "members_of", "photometry", "rotated", "shuffled", "with_light"]


@dataclass(frozen=True)
class Stream:
    """phi2 and proper motions as polynomials (constant first) in phi1, in the frame of a great circle."""

    circle: GreatCircle = field(default_factory=lambda: GreatCircle(30.0, 60.0, 30.0, -30.0))
    phi2: tuple[float, ...] = (0.0, 0.0, 0.003)
    motion: tuple[tuple[float, ...], tuple[float, ...]] = ((5.0, 0.05), (-2.0, 0.03))
    width: float = 0.2
    spread: float = 0.3
    half_length: float = 8.0


def members_of(
    stream: Stream, seed: int, stars: int = 200, beside: int = 0, error: float = 0.2
) -> tuple[MemberStars, Float[np.ndarray, " n"]]:
    """Stars of a stream and of a uniform field around it, and the true values of phi1.

    The probabilities are those of a mixture (in position and proper motion) fitted to these very stars, as a
    search gives them: with those of the true stream the tracks would be better than any search can know. Cut
    at 0.01.
    """
    rng = np.random.default_rng(seed)
    n, power = stars + beside, np.polynomial.polynomial.polyval
    phi1 = rng.uniform(-stream.half_length, stream.half_length, n)
    errors = np.repeat(error * rng.uniform(0.3, 2.0, (n, 1)), 2, axis=1)
    centre = np.column_stack([power(phi1, c) for c in (stream.phi2, *stream.motion)])
    sigma = np.column_stack([np.full(n, stream.width), np.hypot(errors, stream.spread)])
    offset = rng.normal(size=(n, 3)) * sigma
    reach = np.array([2.0, 3.0, 3.0])
    offset[stars:] = rng.uniform(-reach, reach, (beside, 3))
    values = centre + offset
    known = np.column_stack([np.zeros(n), errors])
    probability = _fitted(phi1, values, known, stars, beside / (2 * reach).prod())
    ra, dec = stream.circle.sky(phi1, values[:, 0])
    pmra, pmdec = stream.circle.sky_motions(phi1, *values.T)
    nan = np.full(n, np.nan)
    every = MemberStars(
        np.arange(n) + 7,
        probability,
        ra,
        dec,
        pmra,
        pmdec,
        errors[:, 0],
        errors[:, 0],
        nan,
        nan,
        nan,
        nan,
        nan,
    )
    return every.take(probability > 0.01), phi1[probability > 0.01]


def _fitted(
    phi1: Float[np.ndarray, " n"],
    values: Float[np.ndarray, "n 3"],
    errors: Float[np.ndarray, "n 3"],
    stars: int,
    density: float,
) -> Float[np.ndarray, " n"]:
    """Expectation-maximisation of three quadratics and their spreads in a uniform field of this density."""
    if density == 0.0:
        return np.ones(len(phi1))
    probability, spread = np.where(np.arange(len(phi1)) < stars, 0.9, 0.01), np.full(3, 0.3)
    design = np.vander(phi1, 3)
    for _ in range(50):
        variance = errors**2 + spread**2
        normal = np.einsum("nk,nc,nj->ckj", design, probability[:, None] / variance, design)
        right = np.einsum("nk,nc->ck", design, probability[:, None] / variance * values)
        residual = values - design @ np.linalg.solve(normal, right[..., None])[..., 0].T
        weight = probability[:, None] / variance**2
        spread = np.sqrt((weight * (residual**2 - errors**2)).sum(axis=0) / weight.sum(axis=0))
        variance = errors**2 + spread**2
        inside = np.exp(-0.5 * (residual**2 / variance).sum(axis=1)) / np.sqrt(2 * np.pi * variance).prod(
            axis=1
        )
        probability = stars * inside / (stars * inside + density)
    return probability


def rotated(members: MemberStars, rotation: Rotation) -> MemberStars:
    """The same stars on a rotated sky; their errors must be equal in both directions."""
    matrix = rotation.as_matrix()
    vectors = unit_vectors(members.ra, members.dec) @ matrix.T
    east, north = tangent_axes(members.ra, members.dec)
    velocity = (members.pmra[:, None] * east + members.pmdec[:, None] * north) @ matrix.T
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1])))
    east, north = tangent_axes(ra, dec)
    pmra, pmdec = (velocity * east).sum(axis=1), (velocity * north).sum(axis=1)
    return replace(members, ra=ra, dec=dec, pmra=pmra, pmdec=pmdec)


def shuffled(members: MemberStars, seed: int) -> MemberStars:
    """The same stars in another order."""
    return members.take(np.random.default_rng(seed).permutation(len(members)))


def photometry(
    rng: np.random.Generator, distance: Float[np.ndarray, " n"], metallicity: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """(G, BP-RP) of stars of one old population at distances in kpc, with Gaia's errors, 12 < G < 20.2."""
    table = Table({"distance": distance * u.kpc})
    add_light(table, metallicity, (12.0, 20.2), rng)
    magnitude, colour = np.asarray(table["phot_g_mean_mag"]), np.asarray(table["bp_rp"])
    return magnitude, colour + GaiaErrors().colour(magnitude, colour) * rng.normal(size=len(colour))


def with_light(
    seed: int, stars: int, kpc: float, metallicity: float, field: int = 300, mix: bool = False
) -> MemberStars:
    """Members at a distance among field stars of all distances; `mix` shuffles the members' colours.

    Probabilities come from a score that knows nothing of the photometry, and are exact.
    """
    rng = np.random.default_rng(seed)
    own = photometry(rng, np.full(stars, kpc), metallicity)
    other = photometry(rng, rng.uniform(1.0, 20.0, field), -0.7)
    magnitude, colour = (np.concatenate(pair) for pair in zip(own, other, strict=True))
    if mix:
        colour[:stars] = rng.permutation(colour[:stars])
    score = np.concatenate([rng.normal(2.5, 1.6, stars), rng.normal(-4.0, 1.6, field)])
    odds = stars / field * np.exp((score * 6.5 + 0.5 * (4.0**2 - 2.5**2)) / 1.6**2)
    nan, zero = np.full(stars + field, np.nan), np.zeros(stars + field)
    place = np.linspace(0.0, 9.0, stars + field)
    every = MemberStars(
        np.arange(stars + field), odds / (1.0 + odds), place, zero, zero + 1.0, zero,
        nan, nan, nan, nan, nan, magnitude, colour,
    )  # fmt: skip
    return every.take(every.probability > 0.01)
