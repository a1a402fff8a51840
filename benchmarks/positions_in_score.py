"""Why the anomaly score may not see positions: the best line with and without them, real and shuffled stars.

The GD-1 strip (see gd1.py) is scanned by CATHODE twice: with the features of the example configuration,
then with the positions added. On the real strip the best line should be GD-1; on the strip with its proper
motions shuffled there is nothing to find, and what the line finder still sees is made by the score itself.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _gd1_data import CONFIG, DATA, read_strip, shuffled
from astropy.table import Table
from reporting import Cell, arguments, report

from density import Bounds, Cathode, ConditionalFlow, Interval, Unbounded, Window
from sky_patches import Box, CatalogStore
from streams import COMPONENTS, WindowScores, regions_of_interest
from via_machinae import Config, Unit, load_config
from via_machinae.cataloguing import finder_of
from via_machinae.patch_stars import PatchStars, geometries, load_patch
from via_machinae.scoring import units_of
from via_machinae.workers import completed, workers_of


def score(unit: Unit, patch: PatchStars, seed: int, positions: bool) -> WindowScores:
    """Scores of one window, with or without phi1 and phi2 among the features."""
    other = COMPONENTS[1 - COMPONENTS.index(unit.component)]
    names = (other, *patch.features, *(("phi1", "phi2") if positions else ()))
    box = patch.geometry.footprint
    if not isinstance(box, Box):
        raise SystemExit(f"this benchmark wants a strip, whose natural footprint is a box; got {box}")
    edges = {"phi1": Interval(box.phi1_min, box.phi1_max), "phi2": Interval(box.phi2_min, box.phi2_max)}
    bounds = Bounds(tuple(edges.get(name, Unbounded()) for name in names), names)
    x = np.column_stack([patch.values(name) for name in names])
    detector = Cathode(background=ConditionalFlow(bounds=bounds), see_resonant=True, minimum=300)
    fitted = detector.fit(x, patch.values(unit.component), Window(unit.low, unit.high), seed=seed)
    rows = np.flatnonzero(np.isfinite(fitted.out_of_fold))
    return WindowScores(unit.component, unit.low, unit.high, rows, fitted.out_of_fold[rows])


def best_line(stars: Table, config: Config, seed: int, positions: bool) -> float:
    """Significance of the best line of the whole scan, sigma."""
    with tempfile.TemporaryDirectory() as name:
        store = CatalogStore.create(Path(name) / "store", name="strip")
        store.append(stars, provenance={"origin": "benchmark"})
        patch = load_patch(store, geometries(store, config)[0], config)
    job, units = partial(score, patch=patch, seed=seed, positions=positions), units_of(patch, config)
    scored = {unit: future.result() for unit, future in completed(job, units, workers_of(config))}
    windows = [scored[unit] for unit in units]
    finder = finder_of(config)
    seen = patch.stream_stars()
    regions = regions_of_interest(windows, seen.proper_motion, np.ones(len(seen), dtype=bool), finder.regions)
    best = PatchSearch.build(finder, seen, patch.geometry.footprint, regions).best()
    return float(best.significance.max())


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=Path, default=DATA / "gd1_strip_gaia_dr2.csv.gz", help="the strip")


def main() -> None:
    """Scan the strip and its shuffle both ways, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    config = load_config(CONFIG)
    if options.quick:
        config = config.model_copy(update={"windows": config.windows.model_copy(update={"step": 3.0})})
    stars = read_strip(options.table).stars
    skies = {"real": stars, "shuffled": shuffled(stars, options.seed)}
    rows: list[dict[str, Cell]] = []
    for positions in (False, True):
        best = {f"best_{sky}": best_line(skies[sky], config, options.seed, positions) for sky in skies}
        rows.append({"positions_in_score": "yes" if positions else "no", **best})
        print("done:", rows[-1], flush=True)
    report("positions_in_score", options, rows=rows)


if __name__ == "__main__":
    main()
