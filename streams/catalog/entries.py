"""What the catalogue says of one candidate: plain facts from the search, the merging and the description."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from sky_patches.frames import PatchFrame, tangent_axes, unit_vectors
from streams.errors import CatalogError
from streams.members import MemberStars

__all__ = ["CatalogEntry", "EntryEvidence", "EntryPopulation", "EntryTrack"]

_UNKNOWN = float("nan")
_SEARCHES = ("anomaly", "likelihood")
Coefficients = tuple[float, float, float]
_NO_ERRORS: Coefficients = (_UNKNOWN, _UNKNOWN, _UNKNOWN)


@dataclass(frozen=True)
class EntryEvidence:
    """Why it is a candidate.

    Args:
        significance: local, sigma, over independent stars.
        false_alarm_probability: of evidence as good in stream-free patches.
        false_discovery_rate: of the list down to this candidate (`streams.false_discovery_rates`).
        passes: whether it passes the run's threshold.
        contrast: local contrast of its best line; NaN: not known.
        stability: share of the retrainings in which it returns; NaN: trained once.
        independent_stars: stars that count in the evidence, each once.
        line_stars, line_expected: stars in the strip of the best line, and what the background gives.
        regions, components: regions of interest merged, and their resonant components.
        search: which searches found it, of "anomaly" and "likelihood".

    Raises:
        CatalogError: no search, or one that does not exist.
    """

    significance: float
    false_alarm_probability: float
    false_discovery_rate: float
    passes: bool
    contrast: float = _UNKNOWN
    stability: float = _UNKNOWN
    independent_stars: int = 0
    line_stars: int = 0
    line_expected: float = _UNKNOWN
    regions: int = 0
    components: tuple[str, ...] = ()
    search: tuple[str, ...] = ("anomaly",)

    def __post_init__(self) -> None:
        if not self.search or not set(self.search) <= set(_SEARCHES):
            raise CatalogError(f"a candidate comes from searches of {_SEARCHES}, got {self.search!r}")


@dataclass(frozen=True)
class EntryTrack:
    """Where it is and how it moves, in the frame of its great circle.

    Polynomials c0 + c1 phi1 + c2 phi1^2 with phi1 in deg.

    Args:
        pole_ra, pole_dec: ICRS position of phi2 = 90 deg, deg.
        ra0, dec0: ICRS position of phi1 = phi2 = 0, deg.
        phi1_low, phi1_high: ends of the track, deg.
        phi2: coefficients of the track, deg.
        pm_phi1, pm_phi2: coefficients of pm_phi1_cosphi2 and pm_phi2, mas/yr, as observed.
        phi2_error, pm_phi1_error, pm_phi2_error: standard errors of the coefficients; NaN: not known.
        phi1_middle: middle of the track, deg.
        pole_error: standard error of the pole, deg.
        width, width_error: Gaussian sigma across the track, deg.
        length: extent that holds 90 % of the members, deg.
        pm_spread: intrinsic sigma of each proper-motion component, mas/yr.
    """

    pole_ra: float
    pole_dec: float
    ra0: float
    dec0: float
    phi1_low: float
    phi1_high: float
    phi2: Coefficients
    pm_phi1: Coefficients
    pm_phi2: Coefficients
    phi2_error: Coefficients = _NO_ERRORS
    pm_phi1_error: Coefficients = _NO_ERRORS
    pm_phi2_error: Coefficients = _NO_ERRORS
    phi1_middle: float = 0.0
    pole_error: float = _UNKNOWN
    width: float = _UNKNOWN
    width_error: float = _UNKNOWN
    length: float = _UNKNOWN
    pm_spread: float = _UNKNOWN

    @property
    def frame(self) -> PatchFrame | None:
        """Frame with phi1 along the great circle; None where pole or origin are not known."""
        numbers = (self.pole_ra, self.pole_dec, self.ra0, self.dec0)
        if not np.all(np.isfinite(numbers)):
            return None
        # The great circle's North is the direction from the origin to the pole.
        east, north = tangent_axes(np.array(self.ra0), np.array(self.dec0))
        pole = unit_vectors(np.array(self.pole_ra), np.array(self.pole_dec))
        return PatchFrame.offset(
            self.ra0, self.dec0, float(np.degrees(np.arctan2(pole @ east, pole @ north)))
        )

    def at(
        self, phi1: Float[np.ndarray, " k"]
    ) -> tuple[
        Float[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]
    ]:
        """(ra, dec, pmra, pmdec) of the track, deg and mas/yr; NaN where the frame is not known."""
        if self.frame is None:
            return tuple(np.full(len(phi1), _UNKNOWN) for _ in range(4))
        phi2 = np.polyval(self.phi2[::-1], phi1)
        motion = (np.polyval(values[::-1], phi1) for values in (self.pm_phi1, self.pm_phi2))
        ra, dec = self.frame.unproject(phi1, phi2)
        pmra, pmdec = self.frame.unproject_motions(phi1, phi2, *motion)
        return ra, dec, pmra, pmdec

    def middle(self) -> dict[str, float]:
        """ra, dec, pmra, pmdec and their errors, and the position angle (0 to 180 deg), at the middle.

        The errors take those of the coefficients as independent, which is no matter at phi1 = 0.
        """
        phi1 = np.array([self.phi1_middle])
        values = dict(zip(("ra", "dec", "pmra", "pmdec"), (float(v[0]) for v in self.at(phi1)), strict=True))
        errors = [_error(numbers, self.phi1_middle) for numbers in (self.pm_phi1_error, self.pm_phi2_error)]
        angle, (pmra_error, pmdec_error) = self._turned(phi1, errors)
        return {
            **values, "position_angle": angle, "pmra_error": pmra_error, "pmdec_error": pmdec_error,
        }  # fmt: skip

    def _turned(self, phi1: np.ndarray, errors: list[float]) -> tuple[float, tuple[float, float]]:
        """Position angle of the track, and errors along phi1 and phi2 turned to East and North."""
        if self.frame is None:
            return _UNKNOWN, (_UNKNOWN, _UNKNOWN)
        phi2 = np.polyval(self.phi2[::-1], phi1)
        slope = self.phi2[1] + 2 * self.phi2[2] * phi1
        along = self.frame.unproject_motions(phi1, phi2, np.cos(np.radians(phi2)), slope)
        angle = float(np.degrees(np.arctan2(along[0][0], along[1][0])) % 180.0)
        unit = np.array([1.0]), np.array([0.0])
        first = np.array(self.frame.unproject_motions(phi1, phi2, *unit))[:, 0]
        second = np.array(self.frame.unproject_motions(phi1, phi2, *unit[::-1]))[:, 0]
        east, north = np.hypot(first * errors[0], second * errors[1])
        return angle, (float(east), float(north))


def _error(errors: Coefficients, phi1: float) -> float:
    """Standard error of a polynomial; a higher coefficient without an error was not fitted and adds none."""
    higher = np.nan_to_num(np.array(errors[1:])) * np.array([phi1, phi1**2])
    return float(np.hypot(errors[0], np.hypot(*higher)))


@dataclass(frozen=True)
class EntryPopulation:
    """How many stars of what kind and how far; NaN: not known.

    Args:
        stars, stars_error: expected number of stream stars.
        surface_density: stars per deg^2 of the track.
        surface_brightness: G, mag/arcsec^2.
        bp_rp, bp_rp_spread, phot_g_mean_mag, phot_g_mean_mag_spread: mean and standard deviation, mag.
        distance, distance_low, distance_high: by the isochrone ridge, with its 95 % range, kpc.
        distance_open: the data leave the distance open.
        ridge: name of the ridge of the best distance.
    """

    stars: float
    stars_error: float = _UNKNOWN
    surface_density: float = _UNKNOWN
    surface_brightness: float = _UNKNOWN
    bp_rp: float = _UNKNOWN
    bp_rp_spread: float = _UNKNOWN
    phot_g_mean_mag: float = _UNKNOWN
    phot_g_mean_mag_spread: float = _UNKNOWN
    distance: float = _UNKNOWN
    distance_low: float = _UNKNOWN
    distance_high: float = _UNKNOWN
    distance_open: bool = True
    ridge: str = ""


@dataclass(frozen=True, eq=False)
class CatalogEntry:
    """One candidate before it is ranked and named.

    Args:
        label: what tells it from the others of the run whatever their order, such as "north/0".
        patches: those it was found in, that of its strongest evidence first.
        evidence, track, population: the facts.
        members: its stars, all of noticeable probability.
        member_patch: for each star, the patch that its probability comes from.
        flags: artefact flags.

    Raises:
        CatalogError: no patch, or not one patch name for each star.
    """

    label: str
    patches: tuple[str, ...]
    evidence: EntryEvidence
    track: EntryTrack
    population: EntryPopulation
    members: MemberStars
    member_patch: np.ndarray | tuple[str, ...] = field(repr=False)
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patches:
            raise CatalogError(f"candidate {self.label!r} comes from no patch: name at least one")
        if len(self.member_patch) != len(self.members):
            raise CatalogError(
                f"candidate {self.label!r} has {len(self.members)} stars and {len(self.member_patch)} "
                "patch names: give one for each star"
            )
