"""Blind search of a real Gaia DR2 field around the open cluster Blanco 1, and of the same field shuffled.

The field: 14,785 stars of Gaia DR2 with G < 18, no cut in proper motion or parallax, within 2.5 deg of
(ra, dec) = (0.88, -30.00) deg; a label marks 262 members that another algorithm found. To get the stars from
the archive, ask

    SELECT source_id, ra, dec, parallax, parallax_error, pmra, pmra_error, pmdec, pmdec_error,
           phot_g_mean_mag, phot_bp_mean_mag, phot_rp_mean_mag, ruwe
    FROM gaiadr2.gaia_source JOIN gaiadr2.ruwe USING (source_id)
    WHERE phot_g_mean_mag < 18 AND 1 = CONTAINS(POINT(ra, dec), CIRCLE(0.8849, -30.0, 2.5))

The windows are scored as for streams, and compact over-densities are looked for in the scores; neither knows
of a cluster, and the label is read after the catalogue is made. The labelled stars end 0.94 deg from the
cluster's middle, the cluster does not. So there are three rows for it: the members within the largest disc
(1 deg), which is what the catalogue calls the over-density, all members, and all that lie where the labels
do. The null skies shuffle the positions among the stars and are scanned the same way; of each, the best disc
is shown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _blind import best_line_only
from astropy.table import Table
from reporting import arguments, report

from sky_patches import CatalogStore, read_stars
from sky_patches.footprints.shapes import angular_distance
from streams import agreement
from streams.compact import CompactCatalog
from via_machinae import Config, load_config, make_catalog, plan_run, score_run
from via_machinae.workers import workers_of

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "blanco1.toml"
DATA = Path(os.environ.get("VIA_MACHINAE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LABEL = "member"


@dataclass(frozen=True)
class Labelled:
    """The field as a scan may see it, and the labels kept aside for the end."""

    stars: Table
    members: np.ndarray


def read_field(path: Path) -> Labelled:
    """Stars without the label column, and the source_id of the labelled stars."""
    labels = Table.read(path, format="ascii.csv")
    return Labelled(
        read_stars(path).stars, np.asarray(labels["source_id"][labels[LABEL] == 1], dtype=np.int64)
    )


def shuffled(stars: Table, seed: int) -> Table:
    """A null sky: every star keeps what it is and gets another star's place."""
    null = stars.copy()
    order = np.random.default_rng(seed).permutation(len(null))
    for name in ("ra", "dec"):
        null[name] = stars[name][order]
    return null


def scan(stars: Table, directory: Path, config: Config) -> CompactCatalog:
    """Import, score and search, as the command line does; the second catalogue of the scan."""
    store = CatalogStore.create(directory / "store", name="field")
    store.append(stars, provenance={"origin": "benchmark"})
    run = plan_run(directory / "store", directory / "run", config)
    score_run(run, workers_of(config))
    make_catalog(run, config)
    return CompactCatalog.read(run.path / "catalog")


def real_rows(field: Labelled, config: Config) -> tuple[dict[str, float], list[dict[str, float | str]]]:
    """Scan the real field; then, and only then, compare with the labels. Returns (figures, table rows)."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        catalog = scan(field.stars, Path(directory), config)
    figures: dict[str, float] = {
        "rank": 0,
        "completeness": 0.0,
        "purity": 0.0,
        "f1": 0.0,
        "false_candidates": int(np.sum(catalog.objects["passes"])),
        "seconds": time.perf_counter() - start,
    }
    names = [str(name) for name in catalog.objects["name"]]
    scores = {name: agreement(catalog.member_ids(name), field.members) for name in names}
    best = max(scores, key=lambda name: scores[name].f1, default=None)
    if best is None:
        return figures, [_summary("real", catalog)]
    row = catalog.objects[catalog.objects["name"] == best][0]
    figures |= {"rank": int(row["rank"]), "passes": int(row["passes"])}
    figures |= {name: getattr(scores[best], name) for name in ("completeness", "purity", "f1")}
    figures["false_candidates"] -= int(row["passes"])
    fit = ("false_alarm_probability", "significance", "half_number_radius", "half_number_radius_error")
    fit = (*fit, "axis_ratio", "pmra", "pmdec", "pm_error", "parallax", "parallax_error", "ra", "dec")
    figures |= {name: float(row[name]) for name in fit}
    return figures, [*_member_rows(catalog, best, row, field), _summary("real", catalog)]


def _member_rows(
    catalog: CompactCatalog, name: str, row: Table.Row, field: Labelled
) -> list[dict[str, float | str]]:
    """Agreement of three lists of members: the over-density, all, and all within the labels' own reach."""
    everything = catalog.member_ids(name, outskirts=True)
    distance = angular_distance(row["ra"], row["dec"], field.stars["ra"], field.stars["dec"])
    labelled = np.isin(field.stars["source_id"], field.members)
    near = np.asarray(field.stars["source_id"])[distance <= distance[labelled].max()]
    lists = {
        "over-density": catalog.member_ids(name),
        "with outskirts": everything,
        "within the labels' reach": np.intersect1d(everything, near),
    }
    rows = []
    for title, ids in lists.items():
        score = agreement(ids, field.members)
        rows.append(
            {
                "members": title, "stars": len(ids), "labelled": score.reference, "common": score.common,
                "completeness": score.completeness, "purity": score.purity, "f1": score.f1,
            }
        )  # fmt: skip
    return rows


def _summary(sky: str, catalog: CompactCatalog) -> dict[str, float | str]:
    objects = catalog.objects
    return {
        "sky": sky,
        "candidates": len(objects),
        "passing": int(np.sum(objects["passes"])),
        "best_significance": float(objects["significance"].max()) if len(objects) else 0.0,
        "least_false_alarm": float(objects["false_alarm_probability"].min()) if len(objects) else 1.0,
    }


def null_row(field: Labelled, config: Config, seed: int) -> dict[str, float | str]:
    """Scan one shuffled field and report its best disc, however unlikely to be real."""
    with tempfile.TemporaryDirectory() as directory:
        catalog = scan(shuffled(field.stars, seed), Path(directory), best_line_only(config))
    return _summary(f"shuffle {seed}", catalog)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--table", type=Path, default=DATA / "blanco1_gaia_dr2_labelled.csv.gz", help="the field"
    )
    parser.add_argument("--shuffles", type=int, default=5, help="null skies (default 5; --quick: none)")


def main() -> None:
    """Scan the field and its shuffles, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if not options.table.is_file():
        raise SystemExit(
            f"{options.table} is missing: get the stars with the archive query in {__file__}, use --table"
        )
    config = load_config(CONFIG)
    config = config.model_copy(update={"run": config.run.model_copy(update={"seed": options.seed})})
    field = read_field(options.table)
    figures, rows = real_rows(field, config)
    for seed in range(0 if options.quick else options.shuffles):
        rows.append(null_row(field, config, seed))
        print("null sky done:", rows[-1], flush=True)
    nulls = [row for row in rows if str(row.get("sky", "")).startswith("shuffle")]
    figures |= {"nulls": len(nulls), "nulls_passing": sum(row["passing"] > 0 for row in nulls)}
    report("blanco1", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
