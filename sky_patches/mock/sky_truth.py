"""The truth of a large mock sky: what is hidden in it, and files that say so, apart from the catalogue."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from sky_patches.mock.clusters import MockCluster
from sky_patches.mock.truth import Truth

__all__ = ["SkyTruth", "cluster_table", "no_cluster_members", "write_truth"]


@dataclass(frozen=True, slots=True)
class SkyTruth:
    """What is hidden in a large mock sky.

    Attributes:
        members: stream stars with true values, as `Truth.members`.
        streams: one row a stream, as `Truth.streams`.
        cluster_members: stars of globular clusters and dwarf galaxies with true values; the columns of
            `members`, with `cluster` in place of `stream`.
        clusters: one row an object, from its recipe: name, kind, stars, ra, dec, distance, pmra, pmdec,
            radial_velocity, half_light (arcmin), feh.
    """

    members: Table
    streams: Table
    cluster_members: Table
    clusters: Table


def no_cluster_members() -> Table:
    """The table of cluster members of a sky without clusters: no rows, all columns."""
    table = Truth.no_members()
    table.rename_column("stream", "cluster")
    return table


def cluster_table(clusters: Sequence[MockCluster]) -> Table:
    """`SkyTruth.clusters` of these recipes."""

    def column(attribute: str, unit: u.UnitBase) -> u.Quantity:
        return u.Quantity(np.array([getattr(one, attribute) for one in clusters], dtype=np.float64), unit)

    motion = u.mas / u.yr
    return Table(
        {
            "name": np.array([one.name for one in clusters], dtype=str),
            "kind": np.array([one.kind for one in clusters], dtype=str),
            "stars": np.array([one.stars for one in clusters], dtype=np.int64),
            "ra": column("ra_deg", u.deg),
            "dec": column("dec_deg", u.deg),
            "distance": column("distance_kpc", u.kpc),
            "pmra": column("pm_ra_cosdec", motion),
            "pmdec": column("pm_dec", motion),
            "radial_velocity": column("radial_velocity", u.km / u.s),
            "half_light": column("half_light_deg", u.deg).to(u.arcmin),
            "feh": np.array([one.metallicity for one in clusters], dtype=np.float64),
        }
    )


def write_truth(truth: SkyTruth, summary: Mapping[str, Any], directory: Path) -> None:
    """Write the truth as files into a directory, which is made.

    One ECSV file for each table; `sky.json` with the summary; `known_objects.csv` with the clusters as
    `read_known_objects` reads them, so that they can be masked as those of the real sky.
    """
    directory.mkdir()
    for name in ("members", "streams", "cluster_members", "clusters"):
        getattr(truth, name).write(directory / f"{name}.ecsv")
    (directory / "sky.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    with (directory / "known_objects.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["name", "ra", "dec", "rhalf", "kind"])
        for row in truth.clusters:
            place = (float(row[key]) for key in ("ra", "dec", "half_light"))
            rows.writerow([row["name"], *place, row["kind"]])
