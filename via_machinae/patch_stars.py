"""From a store and a configuration to patches, and from a patch to the stars that a scan uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from sky_patches import (
    Box,
    CatalogStore,
    Circle,
    ColourBetween,
    Cut,
    MagnitudeBetween,
    ParallaxBelow,
    Patch,
    PatchFrame,
    PatchGeometry,
    RuweBelow,
    apply_cuts,
    natural_patch,
)
from streams import StreamStars
from via_machinae.config import Config, CutsConfig, PatchConfig
from via_machinae.errors import RunError

__all__ = ["PatchStars", "geometries", "load_patch"]

_MOTION = ("pm_phi1_cosphi2", "pm_phi2")


@dataclass(frozen=True, eq=False)
class PatchStars:
    """The stars of a patch after the cuts, ordered by source_id.

    Args:
        geometry: the patch.
        table: patch coordinates and the columns that a scan may read.
        features: names of the photometric features that the table really has.
        cuts: what each cut removed, for the report.
    """

    geometry: PatchGeometry
    table: Table
    features: tuple[str, ...]
    cuts: list[dict[str, Any]]

    @property
    def source_id(self) -> np.ndarray:
        """Source identifiers, ascending."""
        return np.asarray(self.table["source_id"], dtype=np.int64)

    def values(self, name: str) -> np.ndarray:
        """A column as float64."""
        return np.asarray(self.table[name], dtype=float)

    def stream_stars(self) -> StreamStars:
        """The same stars as the line finder takes them."""
        return StreamStars.from_table(self.table, self.features)


def geometries(store: CatalogStore, config: Config) -> list[PatchGeometry]:
    """The configured patches, or the one that the store's stars fill.

    Raises:
        SkyPatchesError: a frame or footprint is wrong, or the stars fill no simple shape.
    """
    if config.patches:
        return [_geometry(patch) for patch in config.patches]
    return [natural_patch(store, name="all")]


def _geometry(patch: PatchConfig) -> PatchGeometry:
    if patch.frame == "offset":
        frame = PatchFrame.offset(patch.ra, patch.dec, patch.rotation)
    elif patch.frame == "galactic":
        frame = PatchFrame.galactic()
    else:
        frame = PatchFrame.gala(patch.frame)
    footprint = Circle(patch.radius) if patch.box is None else Box(*patch.box)
    return PatchGeometry(patch.name, frame, footprint)


def load_patch(store: CatalogStore, geometry: PatchGeometry, config: Config) -> PatchStars:
    """Read a patch and apply the cuts; stars without a finite feature are counted and left out.

    Raises:
        RunError: no star is left.
    """
    photometry = [name for name in config.detector.features if name in store.columns]
    helpful = {"parallax", "parallax_error", "ruwe", "phot_g_mean_mag", "bp_rp"}
    wanted = sorted({"source_id", *photometry} | (helpful & set(store.columns)))
    stars = Patch(store, geometry).stars(wanted)
    stars = stars[np.argsort(np.asarray(stars["source_id"]), kind="stable")]
    stars, log = apply_cuts(stars, _cuts(config.cuts))
    features = tuple(name for name in photometry if np.isfinite(np.asarray(stars[name], dtype=float)).any())
    finite = np.all(
        [np.isfinite(np.asarray(stars[name], dtype=float)) for name in (*_MOTION, *features)], axis=0
    )
    records = [asdict(record) for record in log.records]
    records.append(
        {"name": " and ".join(("finite proper motion", *features)), "removed": int((~finite).sum())}
    )
    if not finite.any():
        raise RunError(
            f"patch {geometry.name!r} has no star left of {len(stars)} after the cuts; removed: "
            f"{ {record['name']: record['removed'] for record in records} }: check the cuts and the patch"
        )
    return PatchStars(geometry, stars[finite], features, records)


def _cuts(config: CutsConfig) -> list[Cut]:
    cuts: list[Cut] = []
    if config.parallax_below is not None:
        cuts.append(ParallaxBelow(config.parallax_below))
    if config.ruwe_below is not None:
        cuts.append(RuweBelow(config.ruwe_below))
    if config.magnitude is not None:
        cuts.append(MagnitudeBetween(*config.magnitude))
    if config.colour is not None:
        cuts.append(ColourBetween(*config.colour))
    return cuts
