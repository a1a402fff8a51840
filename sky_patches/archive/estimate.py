"""What a refresh would ask and how much would come, before it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from jaxtyping import Float

from sky_patches.archive.client import TapClient
from sky_patches.archive.fetching import Archive
from sky_patches.archive.pixel import DEEPEST_ORDER, SkyPixel
from sky_patches.archive.query import ArchiveCuts, ArchiveQuery
from sky_patches.archive.refresh import query_of, region_of
from sky_patches.archive.refresh_values import GAIA_TAP, RefreshSettings
from sky_patches.archive.regions import Region
from sky_patches.archive.releases import Release
from sky_patches.archive.retry import ClientPolicy
from sky_patches.archive.situation import Situation, situation

__all__ = ["RefreshEstimate", "estimate_refresh"]

_SAMPLE = 32
_BYTES = 8
# (|sin b| + _SOFTENING)^-2 falls by a hundred from the plane to the poles, as Gaia's counts do roughly.
_SOFTENING = 0.11
_MODEL_ORDER = 5


@dataclass(frozen=True)
class RefreshEstimate:
    """What a refresh would do.

    Attributes:
        queries: ADQL of the first pixels.
        pixels: pixels to be fetched, before any split.
        present: wanted pixels that are there already, or were fetched by an interrupted run.
        rows: stars to be fetched.
        bytes: their size in memory; on disk they take less.
        counted: pixels whose stars the service has counted; 0 where a model of the sky was used.
        old_pixels, old_rows: what would be replaced, because it comes from another query.
    """

    queries: tuple[str, ...]
    pixels: int
    present: int
    rows: int
    bytes: int
    counted: int
    old_pixels: int
    old_rows: int

    @property
    def exact(self) -> bool:
        """Whether every pixel was counted."""
        return self.counted == self.pixels


def estimate_refresh(
    store: Path | str,
    region: Region | str | None,
    release: Release | str = "dr3",
    *,
    url: str = GAIA_TAP,
    cuts: ArchiveCuts | None = None,
    columns: Iterable[str] | None = None,
    settings: RefreshSettings | None = None,
    policy: ClientPolicy | None = None,
    archive: Archive | None = None,
    log: Callable[[str], None] | None = None,
    offline: bool = False,
    queries: int = 3,
) -> RefreshEstimate:
    """The queries of a refresh, and how many stars and bytes it would fetch; nothing is written.

    The service counts the stars of each pixel, of 32 pixels spread over the region where there are more.
    Offline, the release's number of stars is spread over the sky as a function of Galactic latitude alone,
    and without the cuts: good to a factor of a few for the whole sky, and worse near the plane.

    Raises:
        RegionError, ReleaseError, CutError, RefreshError: wrong input.
        ArchiveUnreachableError, QueryRejectedError: as the service says.
    """
    query, chosen = query_of(release, columns, cuts), settings or RefreshSettings()
    root = Path(store).absolute()
    found = situation(root, query, region_of(region), chosen.order, chosen.older_than_days)
    sample: Sequence[SkyPixel] = ()
    if found.missing and not offline:
        client = archive or TapClient(
            url, policy=policy, login=chosen.login, credentials_file=chosen.credentials, log=log
        )
        client.check()
        sample = _spread(found.missing)
        counted = sum(client.count(query.count(pixel)) for pixel in sample)
        rows = round(counted * _area(found.missing) / _area(sample))
    else:
        rows = round(_modelled(found.missing, query.release.stars))
    return _estimate(found, query, rows, len(sample), queries)


def _estimate(
    found: Situation, query: ArchiveQuery, rows: int, counted: int, queries: int
) -> RefreshEstimate:
    return RefreshEstimate(
        queries=tuple(query.select(pixel) for pixel in found.missing[:queries]),
        pixels=len(found.missing),
        present=max(0, len(found.wanted) - len(found.missing)),
        rows=rows,
        bytes=rows * len(query.columns) * _BYTES,
        counted=counted,
        old_pixels=len(found.old),
        old_rows=sum(fetched.rows for fetched in found.old),
    )


def _spread(pixels: Sequence[SkyPixel]) -> list[SkyPixel]:
    """All pixels, or some at equal steps."""
    if len(pixels) <= _SAMPLE:
        return list(pixels)
    return [pixels[(2 * k + 1) * len(pixels) // (2 * _SAMPLE)] for k in range(_SAMPLE)]


def _area(pixels: Sequence[SkyPixel]) -> float:
    """Part of the sky."""
    return sum(1.0 / (12 << (2 * pixel.order)) for pixel in pixels)


def _modelled(pixels: Sequence[SkyPixel], stars: int) -> float:
    """Stars in pixels of a Galaxy that knows latitude only; over the whole sky they are the release's."""
    density = _density()
    shares = []
    for pixel in pixels:
        low, stop = (edge >> (2 * (DEEPEST_ORDER - _MODEL_ORDER)) for edge in pixel.span)
        shares.append(float(np.mean(density[low : max(stop, low + 1)])) * _area([pixel]))
    return stars * sum(shares)


def _density() -> Float[np.ndarray, " p"]:
    """Stars per area over the mean of the sky, in each pixel of the model's order (NESTED)."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    nside = 1 << _MODEL_ORDER
    ra, dec = hp.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    latitude = SkyCoord(ra * u.deg, dec * u.deg).galactic.b.rad
    density = (np.abs(np.sin(latitude)) + _SOFTENING) ** -2.0
    return np.asarray(density / density.mean(), dtype=float)
