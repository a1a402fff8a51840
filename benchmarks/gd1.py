"""Blind scan of a 10 x 2 deg strip of real Gaia DR2 stars on the GD-1 stream, by each detector.

The strip: Gaia DR2 stars with parallax < 1 mas and -0.75 < BP-RP < 2 in the stream frame of Koposov et al.
(2010), -55 < phi1 < -45 deg, |phi2| < 1 deg. To get it from the archive: take the corners of that box in ICRS
(gala.coordinates.GD1Koposov10) and ask

    SELECT source_id, ra, dec, pmra, pmdec, parallax, parallax_error, radial_velocity
    FROM gaiadr2.gaia_source
    WHERE parallax < 1 AND bp_rp BETWEEN -0.75 AND 2
      AND 1 = CONTAINS(POINT(ra, dec), POLYGON(<the four corners, ra and dec>))

then keep the stars inside the box. The reference column marks members in the STREAMFINDER list (Ibata et al.
2024, 2311.17202): another algorithm's list, incomplete. It is read after the catalogue is written.

--shuffled scans null skies instead: the proper motions are shuffled among the stars. Of each the best line is
shown whether it passes or not, so that one can see that the false-alarm probabilities are spread out.
--contrast shows that a raw contrast is not a significance: with positions among the features the best
stream-free regions have raw contrasts like a stream's; their false-alarm probabilities, from scores that are
blind to positions, are those of chance.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _blind import (
    DETECTORS,
    EQUAL_TIME,
    BlindScan,
    best_line_only,
    regions,
    stream_rows,
    totals,
    with_detector,
    with_flow,
)
from _gd1_data import CONFIG, DATA, Strip, offsets_from_tracks, read_strip, shuffled, store_of
from _raw_contrast import RawLines
from positions_in_score import score
from reporting import Cell, arguments, report

from sky_patches import CatalogStore
from streams import Region, WindowScores
from streams.candidates import PatchSearch
from via_machinae import Config, load_config
from via_machinae.cataloguing import finder_of
from via_machinae.patch_stars import PatchStars, geometries, load_patch
from via_machinae.scoring import units_of
from via_machinae.workers import completed, workers_of

__all__ = ["main", "null_row", "real_row"]

SHOWN = 4
"""Regions of each kind in the table of --contrast."""


def real_row(strip: Strip, config: Config, tracks: Path | None) -> dict[str, Cell]:
    """Scan the real strip; then, and only then, compare with the labels."""
    with tempfile.TemporaryDirectory() as name:
        scan = BlindScan.of(store_of(strip.stars, Path(name)), Path(name) / "run", config)
        (row,) = stream_rows(scan, config.detector.name, {"GD-1": strip.members})
    if tracks is not None and row["recovered"]:
        found = scan.catalog.candidates["name"][scan.catalog.candidates["rank"] == row["rank"]][0]
        row |= offsets_from_tracks(strip.stars, scan.catalog.member_ids(str(found)), tracks)
    return row


def null_row(strip: Strip, config: Config, seed: int) -> dict[str, Cell]:
    """Scan one shuffled strip and report its best line, however unlikely to be real."""
    with tempfile.TemporaryDirectory() as name:
        store = store_of(shuffled(strip.stars, seed), Path(name))
        found = BlindScan.of(store, Path(name) / "run", best_line_only(config)).catalog.candidates
    return {
        "detector": config.detector.name,
        "shuffle": seed,
        "passing": int(np.sum(found["passes"])),
        "significance": float(found["significance"][0]) if len(found) else 0.0,
        "false_alarm_probability": float(found["false_alarm_probability"][0]) if len(found) else 1.0,
    }


def contrast_rows(strip: Strip, config: Config, seed: int) -> list[dict[str, Cell]]:
    """The regions of highest raw contrast with and without GD-1, and what calibration makes of them."""
    with tempfile.TemporaryDirectory() as name:
        store = CatalogStore.open(store_of(strip.stars, Path(name)))
        patch = load_patch(store, geometries(store, config)[0], config)
    seeing, blind = (_windows(patch, config, seed, positions) for positions in (True, False))
    raw = RawLines.of(patch.geometry.footprint, min(config.lines.widths))
    position = patch.stream_stars().position
    cut = regions(patch, blind, config)
    with_positions = [line.contrast for line in raw.best(regions(patch, seeing, config), position)]
    without = [line.contrast for line in raw.best(cut, position)]
    significance, probability = _calibrated(patch, cut, config)
    # The labels come last: they only say which of the regions hold the stream.
    member = np.isin(patch.source_id, strip.members)
    held = np.array([member[region.stars].sum() / member.sum() for region in cut])
    rows: list[dict[str, Cell]] = []
    for kind, chosen in {"GD-1": held > 0.5, "no stream": held < 0.01}.items():
        ranked = sorted(np.flatnonzero(chosen).tolist(), key=lambda k: -with_positions[k])
        rows += [
            {
                "region": kind,
                "pm_phi1_cosphi2": cut[k].centre[0],
                "pm_phi2": cut[k].centre[1],
                "raw_contrast_with_positions": with_positions[k],
                "raw_contrast": without[k],
                "significance": float(significance[k]),
                "false_alarm_probability": probability[k],
            }
            for k in ranked[:SHOWN]
        ]
    return rows


def _windows(patch: PatchStars, config: Config, seed: int, positions: bool) -> list[WindowScores]:
    units = units_of(patch, config)
    job = partial(score, patch=patch, seed=seed, positions=positions)
    scored = {unit: future.result() for unit, future in completed(job, units, workers_of(config))}
    return [scored[unit] for unit in units]


def _calibrated(patch: PatchStars, cut: list[Region], config: Config) -> tuple[np.ndarray, list[float]]:
    """Significance of each region's best line, and the chance of one as high anywhere in the patch."""
    search = PatchSearch.build(finder_of(config), patch.stream_stars(), patch.geometry.footprint, cut)
    best, null = search.best(), search.null(config.run.seed)
    return best.significance, [null.false_alarm_probability(float(value)) for value in best.significance]


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=Path, default=DATA / "gd1_strip_gaia_dr2.csv.gz", help="the strip")
    parser.add_argument(
        "--tracks", type=Path, default=DATA / "gd1_dr3_tracks", help="GD-1 tracks; skipped if absent"
    )
    parser.add_argument(
        "--detectors", nargs="+", choices=DETECTORS, default=None,
        help="default: all (with --shuffled and --quick: cathode)",
    )  # fmt: skip
    parser.add_argument("--flow", choices=tuple(EQUAL_TIME), default=None, help="kind of the flows")
    parser.add_argument("--shuffled", type=int, default=0, metavar="N", help="scan N null skies instead")
    parser.add_argument("--contrast", action="store_true", help="raw contrast and false alarms")


def _settings(options: argparse.Namespace) -> Config:
    config = with_flow(load_config(CONFIG), options.flow)
    if options.quick:
        config = config.model_copy(update={"windows": config.windows.model_copy(update={"step": 3.0})})
    return config


def main() -> None:
    """Scan the strip, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if not options.table.is_file():
        raise SystemExit(
            f"{options.table} is missing: get the stars with the archive query in {__file__}, use --table"
        )
    base, strip = _settings(options), read_strip(options.table)
    if options.contrast:
        config = with_detector(base, "cathode", options.seed)
        report("gd1_contrast", options, rows=contrast_rows(strip, config, options.seed))
        return
    few = options.quick or options.shuffled
    names = options.detectors or (("cathode",) if few else DETECTORS)
    rows: list[dict[str, Cell]] = []
    for name in names:
        config = with_detector(base, name, options.seed)
        tracks = options.tracks if options.tracks.is_dir() else None
        if options.shuffled:
            rows += [null_row(strip, config, seed) for seed in range(options.shuffled)]
        else:
            rows.append(real_row(strip, config, tracks))
        print("done:", rows[-1], flush=True)
    if options.shuffled:
        passing = sum(int(row["passing"]) > 0 for row in rows)
        report("gd1_shuffled", options, rows=rows, figures={"skies": len(rows), "skies_passing": passing})
    else:
        report("gd1", options, rows=rows, figures={"flow": base.flow.kind, **totals(rows)})


if __name__ == "__main__":
    main()
