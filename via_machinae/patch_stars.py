"""From a store and a configuration to patches, and from a patch to the stars that a scan uses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
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
from sky_patches.cuts.quality import FluxExcessDr2, FluxExcessWithin, NotNearby, five_parameter_cut
from sky_patches.footprints.holes import WithHoles
from sky_patches.masks import CircleMask
from streams import StreamStars
from streams.members import MEMBER_COLUMNS
from via_machinae.config import Config, CutsConfig, PatchConfig
from via_machinae.errors import RunError
from via_machinae.tiling import masks_of, occupied

__all__ = ["PatchStars", "cuts_of", "geometries", "load_patch"]

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
    """The configured patches, those of a tiling that the store fills, or the one that its stars fill.

    Masked circles are holes in their footprints.

    Raises:
        RunError: the store fills no patch of the tiling.
        SkyPatchesError: a frame, footprint, tiling or list of known objects is wrong, or the stars fill no
            simple shape.
    """
    masks = masks_of(config)
    return [masks.pierce(geometry) if len(masks) else geometry for geometry in _unmasked(store, config)]


def _unmasked(store: CatalogStore, config: Config) -> list[PatchGeometry]:
    if config.tiling is not None:
        return occupied(store, config.tiling)
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
    """Read a patch and apply masks and cuts; stars without a finite feature are counted and left out.

    Raises:
        RunError: no star is left.
    """
    photometry = [name for name in config.detector.features if name in store.columns]
    cuts = cuts_of(config.cuts, store.columns)
    helpful = {"ruwe", *MEMBER_COLUMNS}
    helpful |= {column for cut in cuts for column in cut.columns}
    wanted = sorted({"source_id", *photometry} | (helpful & set(store.columns)))
    whole, masks = _holes(geometry)
    stars = Patch(store, whole).stars(wanted)
    stars = stars[np.argsort(np.asarray(stars["source_id"]), kind="stable")]
    stars, log = apply_cuts(stars, [*masks, *cuts])
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


def _holes(geometry: PatchGeometry) -> tuple[PatchGeometry, list[Cut]]:
    """The patch without its holes, and the holes as cuts: so that each reports the stars in it."""
    footprint = geometry.footprint
    if not isinstance(footprint, WithHoles):
        return geometry, []
    masks: list[Cut] = [
        CircleMask(f"mask: {hole.name}", hole.phi1, hole.phi2, hole.radius, ("phi1", "phi2"))
        for hole in footprint.holes
    ]
    return replace(geometry, footprint=footprint.whole), masks


def cuts_of(config: CutsConfig, columns: Collection[str]) -> list[Cut]:
    """The cuts of a configuration, for a table with these columns."""
    cuts: list[Cut] = []
    if config.five_parameter:
        cuts.append(five_parameter_cut(columns))
    if config.nearby_snr is not None:
        cuts.append(NotNearby(config.nearby_snr))
    if config.parallax_below is not None:
        cuts.append(ParallaxBelow(config.parallax_below))
    if config.ruwe_below is not None:
        cuts.append(RuweBelow(config.ruwe_below))
    if config.magnitude is not None:
        cuts.append(MagnitudeBetween(*config.magnitude))
    if config.colour is not None:
        cuts.append(ColourBetween(*config.colour))
    if config.flux_excess_sigma is not None:
        cuts.append(FluxExcessWithin(config.flux_excess_sigma))
    if config.flux_excess_dr2:
        cuts.append(FluxExcessDr2())
    return cuts
