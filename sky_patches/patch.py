"""Patches: a named footprint in a frame, and the view of a catalogue through it. A patch copies no stars."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from astropy import units as u
from astropy.coordinates import angular_separation
from astropy.table import Table

from sky_patches.errors import FootprintError
from sky_patches.footprints import Circle, Footprint, footprint_from_dict
from sky_patches.footprints.shapes import angular_distance
from sky_patches.frames import PatchFrame

__all__ = ["Patch", "PatchGeometry", "StarSource", "TableSource"]

_POSITIONS = ("ra", "dec")
_MOTIONS = ("pmra", "pmdec", "pmra_error", "pmdec_error", "pmra_pmdec_corr")
_PROJECTED = (
    "phi1",
    "phi2",
    "pm_phi1_cosphi2",
    "pm_phi2",
    "pm_phi1_cosphi2_error",
    "pm_phi2_error",
    "pm_phi1_pm_phi2_corr",
)


@runtime_checkable
class StarSource(Protocol):
    """Where a patch takes its stars from: a catalogue store, or any object with these members."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns that can be asked for."""

    def cone(
        self, ra_deg: float, dec_deg: float, radius_deg: float, columns: Sequence[str] | None = None
    ) -> Table:
        """Stars within `radius_deg` of a position; only the named columns, or all."""

    def stars(self, columns: Sequence[str] | None = None) -> Table:
        """All stars; only the named columns, or all."""


@dataclass(frozen=True, eq=False)
class TableSource:
    """A table in memory, with ra and dec in degrees, as a source of stars."""

    table: Table

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return tuple(self.table.colnames)

    def cone(
        self, ra_deg: float, dec_deg: float, radius_deg: float, columns: Sequence[str] | None = None
    ) -> Table:
        """Stars within `radius_deg` of a position; only the named columns, or all."""
        centre = np.radians([ra_deg, dec_deg])
        ra, dec = (np.radians(np.asarray(self.table[name], dtype=float)) for name in _POSITIONS)
        near = angular_separation(*centre, ra, dec) <= np.radians(radius_deg)
        return self.stars(columns)[near]

    def stars(self, columns: Sequence[str] | None = None) -> Table:
        """All stars; only the named columns, or all."""
        return self.table if columns is None else self.table[list(columns)]


@dataclass(frozen=True)
class PatchGeometry:
    """Where a patch is and what part of it was observed; a value that can be stored as a dict.

    Attributes:
        name: what reports call the patch.
        frame: the frame in which the patch is flat.
        footprint: the observed region in that frame's (phi1, phi2).
        fiducial_deg: radius of the great-circle circle around `centre` in which candidates count, deg; None
            where the whole footprint counts. In a tiling these circles cover the sky.
    """

    name: str
    frame: PatchFrame
    footprint: Footprint
    fiducial_deg: float | None = None

    def __post_init__(self) -> None:
        if self.fiducial_deg is not None and not 0.0 < self.fiducial_deg <= 180.0:
            raise FootprintError(
                f"patch {self.name!r}: a fiducial radius lies in (0, 180] deg; got {self.fiducial_deg}"
            )

    @classmethod
    def circle(
        cls, name: str, ra_deg: float, dec_deg: float, radius_deg: float, fiducial_deg: float | None = None
    ) -> PatchGeometry:
        """The usual patch: a circle around a position, in the offset frame of its centre."""
        return cls(name, PatchFrame.offset(ra_deg, dec_deg), Circle(radius_deg), fiducial_deg)

    @property
    def centre(self) -> tuple[float, float]:
        """(ra, dec) in deg of the middle of the footprint."""
        ra, dec = self.frame.unproject(*self.footprint.centre)
        return float(ra), float(dec)

    @property
    def radius_deg(self) -> float:
        """Radius in deg of the cone around `centre` that holds the whole footprint."""
        return _bounding_radius(self)

    def contains(self, ra: Any, dec: Any) -> np.ndarray:
        """True where a sky position (deg, or Quantity) lies inside the footprint."""
        return self.footprint.contains(*self.frame.project_positions(ra, dec))

    def is_fiducial(self, phi1: Any, phi2: Any) -> np.ndarray:
        """True where patch coordinates (deg) lie in the footprint, within `fiducial_deg` of its middle."""
        inside = self.footprint.contains(phi1, phi2)
        if self.fiducial_deg is None:
            return inside
        return inside & (angular_distance(*self.footprint.centre, phi1, phi2) <= self.fiducial_deg)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` turns back into an equal geometry."""
        values = {"name": self.name, "frame": self.frame.to_dict(), "footprint": self.footprint.to_dict()}
        return values if self.fiducial_deg is None else {**values, "fiducial_deg": self.fiducial_deg}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PatchGeometry:
        """The geometry that `to_dict` described.

        Raises:
            FootprintError: a key is missing, or the footprint's description is wrong.
            FrameError: the frame's description is wrong.
        """
        missing = {"name", "frame", "footprint"} - set(values)
        if missing:
            raise FootprintError(f"a patch needs name, frame and footprint; missing {sorted(missing)}")
        frame = PatchFrame.from_dict(values["frame"])
        footprint = footprint_from_dict(values["footprint"])
        return cls(str(values["name"]), frame, footprint, values.get("fiducial_deg"))


@dataclass(frozen=True, eq=False)
class Patch:
    """A view of a source of stars through a geometry; cheap to make, reads when asked."""

    store: StarSource
    geometry: PatchGeometry

    def stars(self, columns: Sequence[str] | None = None) -> Table:
        """The stars inside the footprint, with their patch coordinates.

        Args:
            columns: Columns of the source, or projected ones, to return beside source_id; None for all.

        Returns:
            Table in the source's row order with the asked columns, then phi1, phi2 and, where the source has
            proper motions (and their errors), the projected motions (and errors): see `PatchFrame.project`.

        Raises:
            FootprintError: a column is neither in the source nor made by the projection; the nearest is
                named.
        """
        wanted, needed = self._columns(columns)
        near = self.store.cone(*self.geometry.centre, self.geometry.radius_deg, columns=needed)
        projected = self.geometry.frame.project(near)
        inside = self.geometry.footprint.contains(projected["phi1"].value, projected["phi2"].value)
        projected.meta["patch"] = self.geometry.to_dict()
        made = [name for name in _PROJECTED if name in projected.colnames]
        if columns is None:
            return projected[inside]
        return projected[[*wanted, *(name for name in made if name not in wanted)]][inside]

    def _columns(self, columns: Sequence[str] | None) -> tuple[list[str], list[str] | None]:
        """The source's columns to return, and those to read (None: all)."""
        if columns is None:
            return [], None
        present = list(self.store.columns)
        asked = [name for name in dict.fromkeys(columns) if name not in _PROJECTED]
        unknown = [name for name in asked if name not in present]
        if unknown:
            nearest = difflib.get_close_matches(unknown[0], present, n=3)
            raise FootprintError(
                f"patch {self.geometry.name!r}: the source has no column {unknown[0]!r}; nearest: "
                f"{', '.join(nearest) or ', '.join(present)}"
            )
        wanted = list(dict.fromkeys(["source_id", *asked])) if "source_id" in present else asked
        helpers = [*_POSITIONS, *(name for name in _MOTIONS if name in present)]
        return wanted, list(dict.fromkeys([*wanted, *helpers]))


@lru_cache(maxsize=1024)
def _bounding_radius(geometry: PatchGeometry) -> float:
    border = geometry.frame.unproject(*geometry.footprint.boundary(720))
    ra, dec = geometry.centre
    separation = angular_separation(ra * u.deg, dec * u.deg, *(angle * u.deg for angle in border))
    # The border is sampled: between two samples it can bulge out by a part in 10^5.
    return min(180.0, float(separation.to_value(u.deg).max()) * 1.0001)
