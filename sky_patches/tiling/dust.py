"""Where extinction is high: HEALPix pixels whose mean E(B-V) exceeds a limit, from a map that the user has.

Nothing is downloaded here. Maps are read as HEALPix FITS files (with healpy), whatever their ordering and
frame say in their headers; arrays are taken as they are described by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from jaxtyping import Bool, Float

from sky_patches.errors import TilingError
from sky_patches.frames import PatchFrame
from sky_patches.healpix import radec_to_pixel

__all__ = ["DustZone"]

Frame = Literal["icrs", "galactic"]
# HEALPix headers: C(elestial), equatorial as Q or CEL, G(alactic).
_FRAMES: dict[str, Frame] = {"G": "galactic", "GAL": "galactic", "GALACTIC": "galactic"}
_FRAMES |= {"C": "icrs", "Q": "icrs", "CEL": "icrs", "EQUATORIAL": "icrs", "ICRS": "icrs"}


@dataclass(frozen=True)
class DustZone:
    """Pixels of high extinction; a value that needs its map no more.

    Attributes:
        order: HEALPix order of the pixels, NESTED.
        pixels: those left out, ascending.
        frame: "icrs" or "galactic": that of the pixels.
        limit: E(B-V) in mag above which a pixel is left out.
        origin: the map.
    """

    order: int
    pixels: tuple[int, ...]
    frame: Frame
    limit: float
    origin: str

    def __post_init__(self) -> None:
        most = 12 * 4**self.order
        if self.pixels and not (min(self.pixels) >= 0 and max(self.pixels) < most):
            raise TilingError(
                f"pixels of order {self.order} are 0 to {most - 1}; got others in {self.origin}"
            )

    @classmethod
    def from_array(
        cls,
        ebv: Float[np.ndarray, " pixels"],
        *,
        limit: float,
        frame: Frame = "galactic",
        nested: bool = True,
        order: int = 6,
        origin: str = "array",
    ) -> DustZone:
        """The zone of a whole-sky HEALPix map.

        Args:
            ebv: E(B-V) in mag of every pixel; unknown ones (NaN or healpy's UNSEEN) do not count.
            limit: leave out pixels whose mean is above it, mag.
            order: pixels of the zone; a finer map is averaged to it, a coarser one is used as it is.

        Raises:
            TilingError: the array is no HEALPix map, or the frame or limit is unknown.
        """
        import healpy as hp  # late: it loads matplotlib.pyplot

        values = np.asarray(ebv, dtype=float)
        side = round((values.size / 12) ** 0.5) if values.ndim == 1 else 0
        if side < 1 or 12 * side**2 != values.size or side & (side - 1):
            raise TilingError(
                f"a HEALPix map has 12 * 4^k values in one dimension; {origin} has shape {values.shape}"
            )
        if frame not in ("icrs", "galactic") or not limit > 0:
            raise TilingError(
                "a dust zone needs a limit above 0 mag and the frame 'icrs' or 'galactic'; got "
                f"{limit}, {frame!r}"
            )
        values = values if nested else hp.reorder(values, r2n=True)
        order = min(order, side.bit_length() - 1)
        mean = _mean_of_children(np.where(values > -1e29, values, np.nan), order)
        high = np.flatnonzero(mean > limit)
        return cls(order, tuple(int(pixel) for pixel in high), frame, float(limit), origin)

    @classmethod
    def read(cls, path: Path | str, *, limit: float, frame: Frame | None = None, order: int = 6) -> DustZone:
        """The zone of a HEALPix FITS map, its first column in mag of E(B-V).

        Args:
            frame: that of the map; None: what its header (COORDSYS) says.

        Raises:
            TilingError: the file is no HEALPix map, or neither header nor caller names its frame.
        """
        import healpy as hp  # late: it loads matplotlib.pyplot

        try:
            header = fits.getheader(path, 1)
            values = hp.read_map(str(path), nest=True, dtype=np.float64)
        except (OSError, IndexError, KeyError, ValueError, TypeError) as error:
            raise TilingError(f"cannot read {path} as a HEALPix map of E(B-V): {error}") from error
        told = _FRAMES.get(str(header.get("COORDSYS", "")).strip().upper())
        if frame is None and told is None:
            raise TilingError(
                f"the header of {path} does not say its frame (COORDSYS={header.get('COORDSYS')!r}): "
                "give frame='galactic' or frame='icrs'"
            )
        known: Frame = frame or told or "galactic"
        return cls.from_array(values, limit=limit, frame=known, order=order, origin=Path(path).name)

    def contains(
        self, ra: Float[np.ndarray, "..."], dec: Float[np.ndarray, "..."]
    ) -> Bool[np.ndarray, "..."]:
        """True where a position (ICRS, deg) lies in a pixel of high extinction."""
        lon, lat = np.broadcast_arrays(np.asarray(ra, dtype=float), np.asarray(dec, dtype=float))
        shape = lon.shape
        if self.frame == "galactic":
            lon, lat = PatchFrame.galactic().project_positions(lon, lat)
        pixel = radec_to_pixel(np.ravel(lon), np.ravel(lat), self.order)
        return np.isin(pixel, np.array(self.pixels, dtype=np.int64)).reshape(shape)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` turns back into an equal zone; pixels as ranges "first-last"."""
        return {**asdict(self), "pixels": _ranges(np.array(self.pixels, dtype=np.int64))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DustZone:
        """The zone that `to_dict` described."""
        pixels = [
            pixel
            for span in str(values["pixels"]).split()
            for pixel in range(int(span.split("-")[0]), int(span.split("-")[-1]) + 1)
        ]
        return cls(**{**values, "pixels": tuple(pixels)})


def _mean_of_children(values: Float[np.ndarray, " fine"], order: int) -> Float[np.ndarray, " coarse"]:
    """Mean over the pixels that make up each pixel of `order`; NaN where all of them are unknown."""
    children = values.reshape(12 * 4**order, -1)
    known = np.isfinite(children)
    count = known.sum(axis=1)
    total = np.where(known, children, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _ranges(pixels: np.ndarray) -> str:
    starts = np.flatnonzero(np.diff(pixels, prepend=-2) != 1)
    stops = np.append(starts[1:], pixels.size) - 1
    return " ".join(f"{pixels[start]}-{pixels[stop]}" for start, stop in zip(starts, stops, strict=True))
