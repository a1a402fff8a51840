"""Circles of the sky that are left out of a search, and the sky that is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sky_patches.errors import TilingError
from sky_patches.footprints.shapes import angular_distance
from sky_patches.frames import PatchFrame
from sky_patches.tiling.dust import DustZone

__all__ = ["MAGELLANIC_CLOUDS", "KeptSky", "Zone", "from_galactic"]


@dataclass(frozen=True)
class Zone:
    """A circle to leave out.

    Attributes:
        name: what is there.
        ra, dec: its centre, ICRS, deg.
        radius: great-circle radius, deg.
        source: where the numbers come from.
    """

    name: str
    ra: float
    dec: float
    radius: float
    source: str = ""

    def __post_init__(self) -> None:
        place = math.isfinite(self.ra) and abs(self.dec) <= 90.0
        if not (place and 0.0 < self.radius <= 180.0):
            raise TilingError(
                f"a zone needs a centre on the sky and a radius in (0, 180] deg; got {self.name!r} at "
                f"ra={self.ra}, dec={self.dec}, radius={self.radius}"
            )

    def distance(self, ra: Float[np.ndarray, "..."], dec: Float[np.ndarray, "..."]) -> np.ndarray:
        """Distance (deg) of positions (deg) from the centre."""
        return angular_distance(self.ra, self.dec, ra, dec)


_SOURCE = (
    "centre: McConnachie 2012; radius: 1.5 times the semi-major axis at 25 mag/arcsec^2 in B ({} deg), RC3"
)
MAGELLANIC_CLOUDS: tuple[Zone, ...] = (
    Zone("LMC", 80.894, -69.756, 8.0, _SOURCE.format(5.4)),
    Zone("SMC", 13.187, -72.829, 4.0, _SOURCE.format(2.6)),
)
"""The default zones: the bright bodies of both clouds (RC3: de Vaucouleurs et al. 1991). Their stellar haloes
reach further; a search for faint streams near them may want larger circles."""


@dataclass(frozen=True)
class KeptSky:
    """The sky that a tiling has to cover: away from the Galactic plane, and outside all zones.

    Attributes:
        min_abs_b: least |b|, deg.
        zones: circles left out.
        dust: pixels of high extinction left out, if any.
    """

    min_abs_b: float
    zones: tuple[Zone, ...] = MAGELLANIC_CLOUDS
    dust: DustZone | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_abs_b < 90.0:
            raise TilingError(f"min_abs_b lies in [0, 90) deg; got {self.min_abs_b}")

    def contains(
        self, ra: Float[np.ndarray, "..."], dec: Float[np.ndarray, "..."]
    ) -> Bool[np.ndarray, "..."]:
        """True where a position (ICRS, deg) is kept."""
        return self.possible(ra, dec, 0.0)

    def possible(
        self, ra: Float[np.ndarray, "..."], dec: Float[np.ndarray, "..."], within_deg: float
    ) -> Bool[np.ndarray, "..."]:
        """False only where no kept position lies within a distance (deg) of the given ones.

        Dust is judged at the positions themselves: a distance of less than its pixels cannot see it.
        """
        _, latitude = PatchFrame.galactic().project_positions(ra, dec)
        kept = np.abs(latitude) >= self.min_abs_b - within_deg
        for zone in self.zones:
            kept &= zone.distance(ra, dec) > zone.radius - within_deg
        if self.dust is not None and within_deg == 0.0:
            kept &= ~self.dust.contains(ra, dec)
        return np.asarray(kept)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` turns back into an equal region."""
        dust = None if self.dust is None else self.dust.to_dict()
        zones = [asdict(zone) for zone in self.zones]
        return {"min_abs_b": self.min_abs_b, "zones": zones, "dust": dust}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KeptSky:
        """The region that `to_dict` described.

        Raises:
            TilingError: a key is missing or unexpected, or a value is impossible.
        """
        try:
            zones = tuple(Zone(**zone) for zone in values["zones"])
            dust = None if values["dust"] is None else DustZone.from_dict(values["dust"])
            return cls(float(values["min_abs_b"]), zones, dust)
        except (KeyError, TypeError, ValueError) as error:
            raise TilingError(f"no description of a kept sky: {dict(values)} ({error!r})") from error


def from_galactic(
    longitude: Float[np.ndarray, " n"], latitude: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """(ra, dec), ICRS, of Galactic positions; all in deg."""
    return PatchFrame.galactic().unproject(longitude, latitude)
