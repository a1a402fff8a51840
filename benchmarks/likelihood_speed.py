"""What a blind search by likelihood costs: background, search, fits of one patch on all cores, and memory.

A patch of the mock Galaxy of 10 deg with as many stars as asked; three ridges, all distances, the whole range
of proper motions, as the command does it by default. "background" learns the flow and evaluates it at every
star, "search" is everything from there to candidates with members. Each row is a process of its own, so that
"peak_gb" is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

from _likelihood_skies import CENTRE, Field
from reporting import Cell, arguments, report

from streams.likelihood.finder import LikelihoodSearch
from streams.ridges import old_ridges
from via_machinae.background import fit_stars

STARS = (100_000, 1_000_000)
QUICK_STARS = 5_000


def row_of(stars: int, seed: int, threads: int) -> dict[str, Cell]:
    """Search one patch from nothing."""
    field = Field.of(CENTRE, stars, seed)
    patch, footprint = field.stars, field.geometry.footprint
    LikelihoodSearch(ridges=old_ridges()[:1])  # imports are no part of the search
    wall, cpu = time.perf_counter(), time.process_time()
    background = fit_stars(patch, footprint, seed=seed)
    learned = time.perf_counter()
    found = LikelihoodSearch(ridges=old_ridges(), threads=threads).find(
        patch, footprint, background.log_density
    )
    done = time.perf_counter()
    return {
        "stars": len(patch),
        "threads": threads,
        "background_seconds": learned - wall,
        "search_seconds": done - learned,
        "seconds": done - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "best_significance": found.result.maximum,
    }


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stars", type=int, nargs="+", default=STARS, help="of each patch")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument("--row", type=int, default=None, help=argparse.SUPPRESS)


def main() -> None:
    """Search patches of growing size, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if options.row is not None:
        print(json.dumps(row_of(options.row, options.seed, options.threads)))
        return
    rows = []
    for stars in (QUICK_STARS,) if options.quick else options.stars:
        command = [sys.executable, __file__, "--row", str(stars), "--seed", str(options.seed)]
        command += ["--threads", str(options.threads)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(told.splitlines()[-1]))
        print("done:", rows[-1], flush=True)
    report("likelihood_speed", options, rows=rows, figures={})


if __name__ == "__main__":
    main()
