"""The recipe of one mock stream: plain numbers, checked, and nothing that takes time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

from sky_patches.errors import MockError

__all__ = ["MockStream"]


@dataclass(frozen=True, slots=True)
class MockStream:
    """Recipe of one tidal stream.

    The phase-space point is a point of the progenitor's orbit, given where it is convenient (in the middle of
    the patch, say); the progenitor itself is `progenitor_offset_myr` further along that orbit today, so that
    it need not lie within the patch.

    Attributes:
        name: unique name.
        stars: number of its stars in the catalogue (in the cone, brighter than the limit, all cuts passed).
        ra_deg: right ascension of the orbit's point, ICRS degrees.
        dec_deg: its declination.
        distance_kpc: its heliocentric distance.
        pm_ra_cosdec: its proper motion in right ascension times cos(dec), mas/yr.
        pm_dec: its proper motion in declination, mas/yr.
        radial_velocity: its heliocentric radial velocity, km/s.
        progenitor_mass: mass in solar masses; sets the width and the length of the stream.
        age_gyr: time since the first star was stripped.
        dissolved_gyr: time since the last star was stripped; the progenitor leaves no cluster behind.
        progenitor_offset_myr: where on the orbit the progenitor is today (positive: ahead of the given
            point).
        progenitor_scale_pc: scale radius of the progenitor's Plummer potential.
        release_step_myr: time between two releases.
        release_particles: particles released into each tail at each step.
        tails: "both", or only the "leading" or "trailing" tail; with the progenitor outside the cone only one
            tail is seen, and the other need not be computed.
        metallicity: [Fe/H], one value for all stars.

    Raises:
        MockError: a value is out of range; the message names it.
    """

    name: str
    stars: int
    ra_deg: float
    dec_deg: float
    distance_kpc: float
    pm_ra_cosdec: float
    pm_dec: float
    radial_velocity: float
    progenitor_mass: float = 2.0e4
    age_gyr: float = 3.0
    dissolved_gyr: float = 0.3
    progenitor_offset_myr: float = 0.0
    progenitor_scale_pc: float = 10.0
    release_step_myr: float = 2.0
    release_particles: int = 1
    tails: Literal["both", "leading", "trailing"] = "both"
    metallicity: float = -1.8

    def __post_init__(self) -> None:
        if not self.name:
            raise MockError("a mock stream needs a name, got an empty one")
        numbers = {name: value for name, value in asdict(self).items() if not isinstance(value, str)}
        for attribute, value in numbers.items():
            if not math.isfinite(value):
                raise MockError(f"stream {self.name!r}: {attribute} must be finite, got {value}")
        positive = ("stars", "distance_kpc", "progenitor_mass", "age_gyr", "progenitor_scale_pc")
        for attribute in (*positive, "release_step_myr", "release_particles"):
            if not numbers[attribute] > 0:
                raise MockError(
                    f"stream {self.name!r}: {attribute} must be positive, got {numbers[attribute]}"
                )
        if not 0.0 <= self.dissolved_gyr < self.age_gyr:
            raise MockError(
                f"stream {self.name!r}: dissolved_gyr must lie in [0, age_gyr = {self.age_gyr}), "
                f"got {self.dissolved_gyr}"
            )
        if self.tails not in ("both", "leading", "trailing"):
            raise MockError(
                f"stream {self.name!r}: tails must be 'both', 'leading' or 'trailing', got {self.tails!r}"
            )
