"""The real GD-1 strip: its stars as a scan may see them, and the labels and tracks kept apart for the end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from sky_patches import CatalogStore, read_stars

__all__ = ["CONFIG", "DATA", "LABEL", "Strip", "offsets_from_tracks", "read_strip", "shuffled", "store_of"]

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "gd1_strip.toml"
DATA = Path(os.environ.get("VIA_MACHINAE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LABEL = "streamfinder_gd1"


@dataclass(frozen=True)
class Strip:
    """The strip as a scan may see it, and the labels kept aside for the end."""

    stars: Table
    members: np.ndarray


def read_strip(path: Path) -> Strip:
    """Stars without the label column, and the source_id of the labelled stars."""
    stars = read_stars(path).stars
    labels = Table.read(path, format="ascii.csv")
    return Strip(stars, np.asarray(labels["source_id"][labels[LABEL] == 1], dtype=np.int64))


def shuffled(stars: Table, seed: int) -> Table:
    """A null sky: every star keeps its place and gets another star's proper motion."""
    null = stars.copy()
    order = np.random.default_rng(seed).permutation(len(null))
    for name in ("pmra", "pmdec"):
        null[name] = stars[name][order]
    return null


def store_of(stars: Table, directory: Path) -> Path:
    """A store of these stars in a new directory."""
    store = CatalogStore.create(directory / "store", name="strip")
    store.append(stars, provenance={"origin": "benchmark"})
    return directory / "store"


def offsets_from_tracks(stars: Table, ids: np.ndarray, tracks: Path) -> dict[str, float]:
    """Mean offset of members from the GD-1 tracks of Tavangar & Price-Whelan (2025, 2502.13236)."""
    from gala.coordinates import GD1Koposov10

    member = stars[np.isin(stars["source_id"], ids)]
    sky = SkyCoord(
        ra=member["ra"], dec=member["dec"], pm_ra_cosdec=member["pmra"], pm_dec=member["pmdec"], frame="icrs"
    ).transform_to(GD1Koposov10())
    phi1 = sky.phi1.wrap_at(180 * u.deg).deg
    values = {
        "phi2": sky.phi2.deg,
        "pm1": sky.pm_phi1_cosphi2.to_value(u.mas / u.yr),
        "pm2": sky.pm_phi2.to_value(u.mas / u.yr),
    }
    offsets = {}
    for name, value in values.items():
        track = Table.read(tracks / f"{name}_track.fits")
        offsets[f"{name}_offset"] = float(np.mean(value - np.interp(phi1, track["phi1"], track[name])))
    return offsets
