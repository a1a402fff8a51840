"""Patch frames: a rotation of the sky that puts a patch at (phi1, phi2) = (0, 0), and back.

Every frame of a patch is a constant 3x3 matrix applied to unit vectors, so positions, proper motions and
their covariances are transformed here by plain float64 algebra. astropy and gala define the matrices; the
tests hold the algebra to them.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal

import numpy as np
from astropy import units as u
from astropy.coordinates import (
    ICRS,
    BaseCoordinateFrame,
    CartesianRepresentation,
    Galactic,
    SkyCoord,
    SkyOffsetFrame,
)
from astropy.table import Column, MaskedColumn, Table
from jaxtyping import Float

from sky_patches.errors import FrameError

__all__ = [
    "PatchFrame",
    "Scalars",
    "gala_frame_names",
    "numbers",
    "table_column",
    "tangent_axes",
    "unit_vectors",
]

FrameKind = Literal["offset", "gala", "galactic"]
Scalars = float | int | np.ndarray | list[float] | u.Quantity

_MAS_PER_YEAR = u.mas / u.yr
_DEGREES = {"ra": u.deg, "dec": u.deg}
_MOTIONS = {"pmra": _MAS_PER_YEAR, "pmdec": _MAS_PER_YEAR}
_ERRORS = {"pmra_error": _MAS_PER_YEAR, "pmdec_error": _MAS_PER_YEAR}


@dataclass(frozen=True)
class PatchFrame:
    """A spherical frame (phi1, phi2) that is a constant rotation of ICRS; a value that turns into a dict.

    Make one with `PatchFrame.offset`, `PatchFrame.gala` or `PatchFrame.galactic`. Longitudes phi1 run over
    (-180, 180] deg, latitudes phi2 over [-90, 90] deg, whatever names the underlying frame uses.

    Attributes:
        kind: "offset" (astropy's SkyOffsetFrame), "gala" (a stream frame by name) or "galactic".
        name: gala's name of the frame where kind is "gala", else empty.
        ra_deg, dec_deg, rotation_deg: origin and rotation where kind is "offset", else zero.
    """

    kind: FrameKind
    name: str = ""
    ra_deg: float = 0.0
    dec_deg: float = 0.0
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.ra_deg, self.dec_deg, self.rotation_deg)
        if not all(math.isfinite(number) for number in numbers) or abs(self.dec_deg) > 90.0:
            raise FrameError(
                "a frame needs finite angles with |dec| <= 90 deg; got "
                f"ra={self.ra_deg}, dec={self.dec_deg}, rotation={self.rotation_deg} deg"
            )
        if self.kind == "gala" and self.name not in gala_frame_names():
            raise FrameError(_unknown_frame(self.name))

    @classmethod
    def offset(cls, ra_deg: float, dec_deg: float, rotation_deg: float = 0.0) -> PatchFrame:
        """Frame centred on a position; phi2 points North, turned East by `rotation_deg` (astropy's sense)."""
        ra, dec, rotation = float(ra_deg), float(dec_deg), float(rotation_deg)
        if math.isfinite(ra):
            ra %= 360.0
        return cls("offset", ra_deg=ra, dec_deg=dec, rotation_deg=rotation)

    @classmethod
    def gala(cls, name: str) -> PatchFrame:
        """A stream frame of gala.coordinates, for example "GD1Koposov10".

        Raises:
            FrameError: gala has no such frame; the message lists the nearest names.
        """
        return cls("gala", name=name)

    @classmethod
    def galactic(cls) -> PatchFrame:
        """Galactic coordinates: phi1 = l wrapped to (-180, 180] deg, phi2 = b."""
        return cls("galactic")

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` turns back into an equal frame."""
        if self.kind == "offset":
            origin = {"ra_deg": self.ra_deg, "dec_deg": self.dec_deg, "rotation_deg": self.rotation_deg}
            return {"kind": self.kind, **origin}
        return {"kind": self.kind, "name": self.name} if self.kind == "gala" else {"kind": self.kind}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PatchFrame:
        """The frame that `to_dict` described.

        Raises:
            FrameError: the kind is unknown, or a key is missing or unexpected.
        """
        makers = {"offset": cls.offset, "gala": cls.gala, "galactic": cls.galactic}
        arguments = dict(values)
        kind = arguments.pop("kind", None)
        if kind not in makers:
            raise FrameError(f"a frame's kind is one of {sorted(makers)}; got {kind!r} in {dict(values)}")
        try:
            return makers[kind](**arguments)
        except TypeError as error:
            raise FrameError(
                f"a frame of kind {kind!r} does not take {sorted(arguments)}: {error}"
            ) from error

    def to_astropy(self) -> BaseCoordinateFrame:
        """The same frame as an astropy object, for use with SkyCoord."""
        if self.kind == "galactic":
            return Galactic()
        if self.kind == "gala":
            return getattr(_gala_coordinates(), self.name)()
        origin = ICRS(ra=self.ra_deg * u.deg, dec=self.dec_deg * u.deg)
        return SkyOffsetFrame(origin=origin, rotation=self.rotation_deg * u.deg)

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """From ICRS unit vectors to this frame's, read-only.

        A rotation to rounding for "offset" and "galactic". Some stream frames are defined in the literature
        by matrices of seven digits or of the other handedness; these are used as published, so that phi1 and
        phi2 are what everybody else calls phi1 and phi2 (lengths then change by up to 1e-8).
        """
        return _frame_matrix(self)

    def project_positions(
        self, ra: Scalars, dec: Scalars
    ) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """(phi1, phi2) in deg of positions (ra, dec), given in deg or as Quantity; any shape, broadcast."""
        return _angles(unit_vectors(numbers(ra, u.deg), numbers(dec, u.deg)) @ self.matrix.T)

    def unproject(
        self, phi1: Scalars, phi2: Scalars
    ) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """(ra, dec) in deg, ra in [0, 360), of patch coordinates (deg or Quantity); inverse of projection."""
        vectors = unit_vectors(numbers(phi1, u.deg), numbers(phi2, u.deg))
        ra, dec = _angles(vectors @ np.linalg.inv(self.matrix).T)
        wrapped = np.asarray(ra % 360.0)
        # A tiny negative angle rounds up to 360 itself.
        return np.where(wrapped >= 360.0, 0.0, wrapped), dec

    def project_motions(
        self, ra: Scalars, dec: Scalars, pmra: Scalars, pmdec: Scalars
    ) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """(pm_phi1_cosphi2, pm_phi2) in mas/yr of proper motions (pmra includes cos(dec), as in Gaia)."""
        jacobian = self._jacobian(numbers(ra, u.deg), numbers(dec, u.deg))
        return _apply(jacobian, numbers(pmra, _MAS_PER_YEAR), numbers(pmdec, _MAS_PER_YEAR))

    def unproject_motions(
        self, phi1: Scalars, phi2: Scalars, pm_phi1_cosphi2: Scalars, pm_phi2: Scalars
    ) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """(pmra, pmdec) in mas/yr of proper motions in this frame; inverse of `project_motions`."""
        jacobian = self._jacobian(*self.unproject(phi1, phi2))
        along, across = numbers(pm_phi1_cosphi2, _MAS_PER_YEAR), numbers(pm_phi2, _MAS_PER_YEAR)
        return _apply(np.linalg.inv(jacobian), along, across)

    def project(self, stars: Table) -> Table:
        """The stars in this frame: a new table, same rows and order, all columns carried.

        Adds phi1, phi2 (deg) and, where the table has proper motions, pm_phi1_cosphi2 and pm_phi2 (mas/yr);
        where it has their errors, pm_phi1_cosphi2_error, pm_phi2_error (mas/yr) and pm_phi1_pm_phi2_corr,
        rotated with the correlation `pmra_pmdec_corr` (taken as zero where it is absent or not finite).
        Columns of these names already in the table are replaced. Columns without a unit are in Gaia's.

        Raises:
            FrameError: ra or dec is missing, one of a pair of columns is missing, or a unit does not convert.
        """
        ra, dec = (table_column(stars, name, unit) for name, unit in _DEGREES.items())
        phi1, phi2 = self.project_positions(ra, dec)
        added = {"phi1": (phi1, u.deg), "phi2": (phi2, u.deg)}
        if _has_pair(stars, _MOTIONS):
            pmra, pmdec = (table_column(stars, name, unit) for name, unit in _MOTIONS.items())
            along, across = self.project_motions(ra, dec, pmra, pmdec)
            added["pm_phi1_cosphi2"] = (along, _MAS_PER_YEAR)
            added["pm_phi2"] = (across, _MAS_PER_YEAR)
        if _has_pair(stars, _ERRORS):
            added |= self._projected_errors(stars, ra, dec)
        projected = stars.copy()
        for name, (values, unit) in added.items():
            projected[name] = Column(values, unit=unit)
        projected.meta["patch_frame"] = self.to_dict()
        return projected

    def _projected_errors(
        self, stars: Table, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
    ) -> dict[str, tuple[np.ndarray, u.UnitBase]]:
        """Errors and correlation of the projected proper motion: C' = J C J^T for each star."""
        east, north = (table_column(stars, name, unit) for name, unit in _ERRORS.items())
        has_correlation = "pmra_pmdec_corr" in stars.colnames
        correlation = (
            table_column(stars, "pmra_pmdec_corr", u.one) if has_correlation else np.zeros_like(east)
        )
        mixed = np.where(np.isfinite(correlation), correlation, 0.0) * east * north
        covariance = np.stack([np.stack([east**2, mixed], -1), np.stack([mixed, north**2], -1)], -2)
        jacobian = self._jacobian(ra, dec)
        rotated = jacobian @ covariance @ np.swapaxes(jacobian, -1, -2)
        # |correlation| = 1 can leave a variance a rounding error below zero.
        error1 = np.sqrt(np.maximum(rotated[:, 0, 0], 0.0))
        error2 = np.sqrt(np.maximum(rotated[:, 1, 1], 0.0))
        ratio = np.divide(
            rotated[:, 0, 1], error1 * error2, out=np.zeros_like(mixed), where=error1 * error2 > 0
        )
        return {
            "pm_phi1_cosphi2_error": (error1, _MAS_PER_YEAR),
            "pm_phi2_error": (error2, _MAS_PER_YEAR),
            "pm_phi1_pm_phi2_corr": (np.clip(ratio, -1.0, 1.0), u.dimensionless_unscaled),
        }

    def _jacobian(
        self, ra: Float[np.ndarray, "..."], dec: Float[np.ndarray, "..."]
    ) -> Float[np.ndarray, "... 2 2"]:
        """From (pmra, pmdec) to (pm_phi1_cosphi2, pm_phi2): between the two pairs of tangent axes."""
        vectors = unit_vectors(ra, dec) @ self.matrix.T
        sky_axes = np.stack(tangent_axes(ra, dec), axis=-2) @ self.matrix.T
        patch_axes = np.stack(tangent_axes(*_angles(vectors)), axis=-2)
        length = np.linalg.norm(vectors, axis=-1)[..., None, None]
        return patch_axes @ np.swapaxes(sky_axes, -1, -2) / length


@lru_cache(maxsize=1)
def gala_frame_names() -> tuple[str, ...]:
    """Names of the stream frames that the installed gala defines without further arguments."""
    module = _gala_coordinates()
    classes = inspect.getmembers(module, inspect.isclass)
    frames = [name for name, value in classes if issubclass(value, BaseCoordinateFrame)]
    return tuple(sorted(name for name in frames if name != "GreatCircleICRSFrame"))


def _gala_coordinates() -> ModuleType:
    # Half a second to import, and only needed by who asks for a stream's frame.
    import gala.coordinates

    return gala.coordinates


def _unknown_frame(name: str) -> str:
    nearest = difflib.get_close_matches(name, gala_frame_names(), n=3, cutoff=0.3) or gala_frame_names()
    return (
        f"gala has no stream frame {name!r}; nearest: {', '.join(nearest)}. For any other great circle use "
        "PatchFrame.offset(ra, dec, rotation)"
    )


@lru_cache(maxsize=1024)
def _frame_matrix(frame: PatchFrame) -> Float[np.ndarray, "3 3"]:
    axes = SkyCoord(CartesianRepresentation(np.eye(3)), frame=ICRS())
    matrix = np.array(axes.transform_to(frame.to_astropy()).cartesian.xyz.to_value(u.one))
    matrix.setflags(write=False)
    return matrix


def _apply(
    matrix: Float[np.ndarray, "... 2 2"], first: Float[np.ndarray, "..."], second: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    upper = matrix[..., 0, 0] * first + matrix[..., 0, 1] * second
    lower = matrix[..., 1, 0] * first + matrix[..., 1, 1] * second
    return np.asarray(upper), np.asarray(lower)


def unit_vectors(
    lon_deg: Float[np.ndarray, ...], lat_deg: Float[np.ndarray, ...]
) -> Float[np.ndarray, "... 3"]:
    """Unit vectors of positions in deg; any shape, broadcast."""
    lon, lat = np.broadcast_arrays(np.radians(lon_deg), np.radians(lat_deg))
    cos_lat = np.cos(lat)
    return np.stack([cos_lat * np.cos(lon), cos_lat * np.sin(lon), np.sin(lat)], axis=-1)


def tangent_axes(
    lon_deg: Float[np.ndarray, ...], lat_deg: Float[np.ndarray, ...]
) -> tuple[Float[np.ndarray, "... 3"], Float[np.ndarray, "... 3"]]:
    """Unit vectors of growing longitude and latitude; at a pole the given longitude decides."""
    lon, lat = np.broadcast_arrays(np.radians(lon_deg), np.radians(lat_deg))
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    return east, north


def _angles(
    vectors: Float[np.ndarray, "... 3"],
) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
    x, y, z = np.moveaxis(vectors, -1, 0)
    lon = np.degrees(np.arctan2(y, x))
    # The seam belongs to +180: -0.0, or a y that rounding left just below zero, comes out as -180.
    lon = np.where(lon <= -180.0, 180.0, lon)
    # arctan2 keeps full precision at the poles, where arcsin(z) loses half of it.
    return np.asarray(lon), np.asarray(np.degrees(np.arctan2(z, np.hypot(x, y))))


def numbers(values: Scalars, unit: u.UnitBase) -> Float[np.ndarray, ...]:
    """Values as float64 in `unit`; plain numbers are taken to be in it.

    Raises:
        FrameError: a Quantity does not convert.
    """
    if isinstance(values, u.Quantity):
        try:
            return np.asarray(values.to_value(unit), dtype=np.float64)
        except u.UnitConversionError as error:
            raise FrameError(f"expected a value in {unit}, got {values.unit}") from error
    return np.asarray(values, dtype=np.float64)


def table_column(stars: Table, name: str, unit: u.UnitBase) -> Float[np.ndarray, " n"]:
    """A column as float64 in `unit`; masked values become NaN, a column without a unit is taken to be in it.

    Raises:
        FrameError: there is no such column, or its unit does not convert.
    """
    if name not in stars.colnames:
        nearest = difflib.get_close_matches(name, stars.colnames, n=3)
        raise FrameError(f"the table lacks the column {name!r}; nearest: {nearest or stars.colnames[:20]}")
    column = stars[name]
    values = column.astype(np.float64)
    if isinstance(values, MaskedColumn):
        values = values.filled(np.nan)
    if column.unit is None:
        return np.asarray(values, dtype=np.float64)
    return numbers(u.Quantity(np.asarray(values), column.unit), unit)


def _has_pair(stars: Table, pair: Mapping[str, u.UnitBase]) -> bool:
    present = [name for name in pair if name in stars.colnames]
    if len(present) == 1:
        raise FrameError(f"a projection needs both of {list(pair)}; the table has only {present[0]!r}")
    return len(present) == 2
