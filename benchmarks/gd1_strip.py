"""Blind scan of a 10 x 2 deg strip of real Gaia DR2 stars on the GD-1 stream, and of the same strip shuffled.

The strip: Gaia DR2 stars with parallax < 1 mas and -0.75 < BP-RP < 2 in the stream frame of Koposov et al.
(2010), -55 < phi1 < -45 deg, |phi2| < 1 deg. To get it from the archive: take the corners of that box in ICRS
(gala.coordinates.GD1Koposov10) and ask

    SELECT source_id, ra, dec, pmra, pmdec, parallax, parallax_error, radial_velocity
    FROM gaiadr2.gaia_source
    WHERE parallax < 1 AND bp_rp BETWEEN -0.75 AND 2
      AND 1 = CONTAINS(POINT(ra, dec), POLYGON(<the four corners, ra and dec>))

then keep the stars inside the box. The reference column marks members in the STREAMFINDER list (Ibata et al.
2024, 2311.17202): another algorithm's list, incomplete. It is read after the catalogue is written. The null
skies shuffle the proper motions among the stars and are scanned the same way; of each, the best line is shown
whether it passes or not, so that one can see that the false-alarm probabilities are spread out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from reporting import arguments, report

from sky_patches import CatalogStore, read_stars
from streams import StreamCatalog, agreement
from via_machinae import Config, load_config, make_catalog, plan_run, score_run
from via_machinae.workers import workers_of

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


def scan(stars: Table, directory: Path, config: Config) -> StreamCatalog:
    """Import, scan and catalogue, as the command line does."""
    store = CatalogStore.create(directory / "store", name="strip")
    store.append(stars, provenance={"origin": "benchmark"})
    run = plan_run(directory / "store", directory / "run", config)
    score_run(run, workers_of(config))
    return make_catalog(run, config)


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


def real_row(strip: Strip, config: Config, tracks: Path | None) -> tuple[dict[str, float], dict[str, float]]:
    """Scan the real strip; then, and only then, compare with the labels. Returns (figures, table row)."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        catalog = scan(strip.stars, Path(directory), config)
    seconds = time.perf_counter() - start
    names = [str(name) for name in catalog.candidates["name"]]
    scores = {name: agreement(catalog.member_ids(name), strip.members) for name in names}
    best = max(scores, key=lambda name: scores[name].f1, default=None)
    if best is None:
        return {
            "purity": 0.0,
            "completeness": 0.0,
            "f1": 0.0,
            "rank": 0,
            "false_candidates": 0,
            "seconds": seconds,
        }, {}
    row = catalog.candidates[catalog.candidates["name"] == best][0]
    passing = int(np.sum(catalog.candidates["passes"]))
    figures = {
        "purity": scores[best].purity,
        "completeness": scores[best].completeness,
        "f1": scores[best].f1,
        "rank": int(row["rank"]),
        "false_candidates": passing - int(row["passes"]),
        "seconds": seconds,
    }
    if tracks is not None:
        figures |= offsets_from_tracks(strip.stars, catalog.member_ids(best), tracks)
    return figures, _summary("real", catalog)


def _summary(sky: str, catalog: StreamCatalog) -> dict[str, float | str]:
    candidates = catalog.candidates
    return {
        "sky": sky,
        "candidates": len(candidates),
        "passing": int(np.sum(candidates["passes"])),
        "best_significance": float(candidates["significance"].max()) if len(candidates) else 0.0,
        "least_false_alarm": float(candidates["false_alarm_probability"].min()) if len(candidates) else 1.0,
    }


def null_row(strip: Strip, config: Config, seed: int) -> dict[str, float | str]:
    """Scan one shuffled strip and report its best line, however unlikely to be real."""
    everything = {"report_below": 1.0, "max_candidates": 1}
    config = config.model_copy(update={"significance": config.significance.model_copy(update=everything)})
    with tempfile.TemporaryDirectory() as directory:
        catalog = scan(shuffled(strip.stars, seed), Path(directory), config)
    return _summary(f"shuffle {seed}", catalog)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=Path, default=DATA / "gd1_strip_gaia_dr2.csv.gz", help="the strip")
    parser.add_argument(
        "--tracks", type=Path, default=DATA / "gd1_dr3_tracks", help="GD-1 tracks; skipped if absent"
    )
    parser.add_argument("--detector", choices=("cathode", "anode"), default="cathode")
    parser.add_argument("--shuffles", type=int, default=10, help="null skies (default 10; --quick: 1)")


def main() -> None:
    """Scan the strip and its shuffles, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if not options.table.is_file():
        raise SystemExit(
            f"{options.table} is missing: get the stars with the archive query in {__file__}, use --table"
        )
    config = load_config(CONFIG)
    chosen = {
        "run": config.run.model_copy(update={"seed": options.seed}),
        "detector": config.detector.model_copy(update={"name": options.detector}),
    }
    config = config.model_copy(update=chosen)
    strip = read_strip(options.table)
    figures, row = real_row(strip, config, options.tracks if options.tracks.is_dir() else None)
    rows = [row]
    for seed in range(1 if options.quick else options.shuffles):
        rows.append(null_row(strip, config, seed))
        print("null sky done:", rows[-1], flush=True)
    figures["nulls"], figures["nulls_passing"] = len(rows) - 1, sum(row["passing"] > 0 for row in rows[1:])
    report("gd1_strip", options, rows=rows, figures={"detector": options.detector, **figures})


if __name__ == "__main__":
    main()
