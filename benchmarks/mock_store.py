"""Making a large mock sky: stars per second, seconds per million stars, and memory.

Each sky is the whole sky without the Galactic plane, with streams, globular clusters and dwarf galaxies and a
scanning law, written as a catalogue store by a process of its own. "recipe_s" is what it takes to count the
Galaxy's stars and to draw the hidden objects, "objects_s" what the streams' and clusters' stars take (the
same for skies of all sizes), "write_s" all that `write_sky` does, these included. "main_peak_MB" is the
largest resident memory of the process that writes, "worker_peak_MB" that of the largest that draws.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import reporting

from sky_patches.mock import all_sky, draw_objects, write_sky
from sky_patches.store import CatalogStore

__all__ = ["main"]


def peak_mb(who: int) -> float:
    """Largest resident memory so far, in MB."""
    return resource.getrusage(who).ru_maxrss * 1024 / 1e6


def make(options: argparse.Namespace, stars: int) -> dict[str, reporting.Cell]:
    """One sky, timed."""
    start = time.perf_counter()
    recipe = all_sky(stars, b_min_deg=options.b_min)
    hidden = {"streams": options.streams, "clusters": options.clusters, "dwarfs": options.dwarfs}
    recipe = recipe.with_random_objects(options.seed, **hidden)
    ready = time.perf_counter()
    draw_objects(recipe, options.seed, workers=options.workers)
    objects = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.scratch) as directory:
        written = write_sky(recipe, options.seed, Path(directory) / "store", workers=options.workers)
        done = time.perf_counter()
        store = CatalogStore.open(written.path)
        size = sum(part.stat().st_size for part in written.path.rglob("*.parquet")) / 1e6
        partitions = len(store.partitions)
    return {
        "stars": written.stars,
        "hidden": written.members + written.cluster_members,
        "workers": options.workers,
        "pixels": len(recipe.region.pixels),
        "recipe_s": ready - start,
        "objects_s": objects - ready,
        "write_s": done - objects,
        "stars_per_s": written.stars / (done - objects),
        "s_per_million": 1e6 * (done - objects) / written.stars,
        "main_peak_MB": peak_mb(resource.RUSAGE_SELF),
        "worker_peak_MB": peak_mb(resource.RUSAGE_CHILDREN),
        "partitions": partitions,
        "disk_MB": size,
    }


def in_own_process(stars: int) -> dict[str, reporting.Cell]:
    """The same in a fresh process, whose memory is its own; its last line of output is the result."""
    words = [sys.executable, __file__, *sys.argv[1:], "--one", str(stars)]
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    """Make a sky of each size, report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--stars", type=float, nargs="+", help="default 1e6 and 1e7, quick 5e4")
        parser.add_argument(
            "--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: cores"
        )
        parser.add_argument("--b-min", type=float, default=15.0, help="leave out |b| up to this, deg (15)")
        parser.add_argument("--streams", type=int, default=None, help="default 8, quick 1")
        parser.add_argument("--clusters", type=int, default=20, help="globular clusters (default 20)")
        parser.add_argument("--dwarfs", type=int, default=8, help="dwarf galaxies (default 8)")
        parser.add_argument("--scratch", type=Path, default=None, help="directory for the store (1 GB)")
        parser.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    options.streams = (1 if options.quick else 8) if options.streams is None else options.streams
    if options.one is not None:
        print(json.dumps(make(options, options.one)))
        return
    sizes = options.stars or ([5e4] if options.quick else [1e6, 1e7])
    rows = [in_own_process(round(size)) for size in sizes]
    keys = ("stars_per_s", "s_per_million", "objects_s", "main_peak_MB", "worker_peak_MB")
    figures = {
        f"{key}_{size:.0e}".replace("e+0", "e"): row[key]
        for size, row in zip(sizes, rows, strict=True)
        for key in keys
    }
    reporting.report("mock_store", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
