"""Reading a 15 deg patch from a large catalogue store: ours, lsdb's cone search, a full pyarrow scan.

All three read the same files, in one run, all twelve columns, each measurement in a process of its own, in
turns. "cold" is the first read of a process after the store's files were dropped from the page cache (as far
as the operating system obliges), with whatever a library sets up first; "warm" is the median of the later
ones. Opening the catalogue counts, imports do not. "read_MB" is what the first read asked of the file
system, "added_MB" the peak of memory above that after the imports.

The mock catalogue has the density of a disc and a halo on the whole sky. It is made in batches along the
HEALPix curve, as an archive refresh brings them, and memory holds one batch.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import reporting

from sky_patches.healpix import MAX_ORDER
from sky_patches.schema import star_table
from sky_patches.store import CatalogStore

__all__ = ["main"]

RA, DEC, RADIUS = 150.0, 30.0, 15.0
ORDER = 5
COLUMNS = [
    *("source_id", "ra", "dec", "parallax", "parallax_error", "pmra", "pmdec", "pmra_error", "pmdec_error"),
    *("phot_g_mean_mag", "bp_rp", "ruwe"),
]
CONTESTANTS = ("ours", "lsdb", "pyarrow")

Found = tuple[int, int]


def counts(stars: int, seed: int) -> np.ndarray:
    """Number of stars in each pixel of order 5: a disc that rises to the Galactic plane, and a halo."""
    import healpy as hp
    from astropy.coordinates import SkyCoord

    ra, dec = hp.pix2ang(1 << ORDER, np.arange(12 << (2 * ORDER)), nest=True, lonlat=True)
    latitude = np.abs(SkyCoord(ra, dec, unit="deg").galactic.b.deg)
    weight = np.exp(-latitude / 12.0) + 0.05
    return np.random.default_rng(seed).multinomial(stars, weight / weight.sum())


def batches(stars: int, size: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Columns of about `size` stars at a time, pixel by pixel."""
    per_pixel = counts(stars, seed)
    edges = np.flatnonzero(np.diff(np.cumsum(per_pixel) // size, prepend=0, append=-1))
    first = 0
    for last in edges.tolist():
        last = min(last + 1, per_pixel.size)
        if per_pixel[first:last].sum():
            yield batch(np.arange(first, last), per_pixel[first:last], seed)
        first = last


def batch(pixels: np.ndarray, per_pixel: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Stars of some pixels; what Gaia keeps as 32-bit floats has their precision here too."""
    import healpy as hp

    rng = np.random.default_rng([seed, int(pixels[0])])
    n, shift = int(per_pixel.sum()), 2 * (MAX_ORDER - ORDER)
    keys = (np.repeat(pixels, per_pixel) << shift) + rng.integers(0, 1 << shift, n)
    ra, dec = hp.pix2ang(1 << MAX_ORDER, keys, nest=True, lonlat=True)

    def single(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32).astype(np.float64)

    magnitude = 20.7 - rng.exponential(1.5, n)
    error = 0.02 * 10 ** (0.2 * (magnitude - 14.0).clip(0.0))
    motions = rng.normal(0.0, 5.0, (2, n))
    return {
        "source_id": ((keys >> 34) << 35) + np.arange(n),
        "ra": ra % 360.0,
        "dec": dec,
        "parallax": rng.exponential(0.5, n) + error * rng.normal(size=n),
        "parallax_error": single(error * rng.uniform(0.8, 1.3, n)),
        "pmra": motions[0],
        "pmdec": motions[1],
        "pmra_error": single(error * rng.uniform(0.8, 1.3, n)),
        "pmdec_error": single(error * rng.uniform(0.8, 1.3, n)),
        "phot_g_mean_mag": single(magnitude),
        "bp_rp": single(rng.normal(1.0, 0.4, n)),
        "ruwe": single(rng.gamma(400.0, 0.0025, n)),
    }


def build(path: Path, options: argparse.Namespace) -> dict[str, reporting.Cell]:
    """Make the store; the time is that of the appends alone."""
    store = CatalogStore.create(path, name="benchmark")
    seconds, appends = 0.0, 0
    for columns in batches(options.stars, options.batch, options.seed):
        table = star_table(columns)
        start = time.perf_counter()
        store.append(table, provenance={"origin": "mock"})
        seconds += time.perf_counter() - start
        appends += 1
    size = sum(part.stat().st_size for part in path.rglob("*.parquet"))
    return {
        "seconds": seconds,
        "appends": appends,
        "stars": len(store),
        "partitions": len(store.partitions),
        "disk_MB": size / 1e6,
        "peak_MB": peak_mb(),
    }


def ours(path: Path) -> Found:
    """The cone as a table of stars."""
    stars = CatalogStore.open(path).cone(RA, DEC, RADIUS, COLUMNS)
    return len(stars), int(np.bitwise_xor.reduce(stars["source_id"]))


def lsdbs(path: Path) -> Found:
    """lsdb's cone search, computed to a data frame with its default scheduler (threads)."""
    import lsdb

    catalogue = lsdb.open_catalog(path, columns=COLUMNS)
    frame = catalogue.cone_search(RA, DEC, RADIUS * 3600.0).compute(progress_bar=False)
    return len(frame), int(np.bitwise_xor.reduce(frame["source_id"].to_numpy(dtype=np.int64)))


def pyarrows(path: Path) -> Found:
    """All files, with the cone as a filter on the cosine of the distance."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    ra, dec = (pc.multiply(pc.field(name), pc.scalar(np.pi / 180.0)) for name in ("ra", "dec"))
    across = pc.multiply(pc.cos(dec), pc.cos(pc.subtract(ra, pc.scalar(np.radians(RA)))))
    along = pc.multiply(pc.sin(dec), pc.scalar(np.sin(np.radians(DEC))))
    cosine = pc.add(pc.multiply(across, pc.scalar(np.cos(np.radians(DEC)))), along)
    table = ds.dataset(path / "dataset", format="parquet").to_table(
        columns=COLUMNS, filter=cosine >= pc.scalar(np.cos(np.radians(RADIUS)))
    )
    return len(table), int(np.bitwise_xor.reduce(table["source_id"].to_numpy()))


READERS: dict[str, Callable[[Path], Found]] = {"ours": ours, "lsdb": lsdbs, "pyarrow": pyarrows}
# What each loads late.
IMPORTS = {"ours": ("healpy",), "lsdb": ("lsdb",), "pyarrow": ("pyarrow.dataset", "pyarrow.compute")}


def read(path: Path, name: str, repeats: int) -> dict[str, object]:
    """Times and memory of one contestant in this process."""
    for module in IMPORTS[name]:
        importlib.import_module(module)
    drop_from_cache(path)
    before, bytes_before, seconds = peak_mb(), bytes_read(), []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        found = READERS[name](path)
        seconds.append(time.perf_counter() - start)
        if repeat == 0:
            megabytes = (bytes_read() - bytes_before) / 1e6
    return {
        "cold": seconds[0],
        "warm": seconds[1:],
        "read_MB": megabytes,
        "peak_MB": peak_mb(),
        "added_MB": peak_mb() - before,
        "found": found,
    }


def verify(path: Path) -> dict[str, object]:
    """Seconds that verification takes."""
    start = time.perf_counter()
    report = CatalogStore.open(path).verify()
    return {"seconds": time.perf_counter() - start, "ok": report.ok, "peak_MB": peak_mb()}


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def bytes_read() -> int:
    """What this process has asked of the file system, in bytes."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def drop_from_cache(path: Path) -> None:
    """Ask the operating system to forget the files of the store."""
    for file in path.rglob("*.parquet"):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def in_own_process(role: str, path: Path, options: argparse.Namespace) -> dict:
    """Play one role in a fresh process; its last line of output is the result."""
    words = [sys.executable, __file__, "--role", role, "--store", str(path), "--stars", str(options.stars)]
    words += ["--batch", str(options.batch), "--repeats", str(options.repeats), "--seed", str(options.seed)]
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def play(options: argparse.Namespace) -> None:
    """The part of a fresh process."""
    roles: dict[str, Callable[[], dict]] = {
        "build": lambda: build(options.store, options),
        "verify": lambda: verify(options.store),
        **{name: lambda name=name: read(options.store, name, options.repeats) for name in CONTESTANTS},
    }
    print(json.dumps(roles[options.role]()))


def compare(path: Path, options: argparse.Namespace) -> tuple[list[dict], dict[str, reporting.Cell]]:
    """Rounds of all contestants in turns: the table, and single figures."""
    results: dict[str, list[dict]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.rounds):
        for name in CONTESTANTS:
            results[name].append(in_own_process(name, path, options))
    answers = {tuple(result["found"]) for found in results.values() for result in found}
    if len(answers) != 1:
        raise SystemExit(f"the contestants found different stars (number, xor of identifiers): {answers}")
    rows = []
    for name, found in results.items():
        row: dict[str, reporting.Cell] = {"reader": name, "stars": found[0]["found"][0]}
        row["warm_s"] = statistics.median(second for result in found for second in result["warm"])
        row |= {
            f"{key}_s" if key == "cold" else key: statistics.median(result[key] for result in found)
            for key in ("cold", "read_MB", "peak_MB", "added_MB")
        }
        rows.append(row)
    figures: dict[str, reporting.Cell] = {"patch_stars": rows[0]["stars"]}
    for row in rows:
        figures |= {f"{row['reader']}_{key}": row[key] for key in ("warm_s", "cold_s", "read_MB", "added_MB")}
    for other in ("lsdb", "pyarrow"):
        figures[f"{other}_over_ours"] = float(figures[f"{other}_warm_s"]) / float(figures["ours_warm_s"])
    return rows, figures


def main() -> None:
    """Build the store, read it in three ways, verify it, report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--stars", type=int, default=None, help="default 20 million, quick 1 million")
        parser.add_argument("--batch", type=int, default=500_000, help="stars per append (default 500000)")
        parser.add_argument("--repeats", type=int, default=5, help="warm reads per process (default 5)")
        parser.add_argument("--rounds", type=int, default=None, help="processes per reader (3, quick 1)")
        parser.add_argument("--scratch", type=Path, default=None, help="directory for the store (1.6 GB)")
        parser.add_argument("--role", default=None, help=argparse.SUPPRESS)
        parser.add_argument("--store", type=Path, default=None, help=argparse.SUPPRESS)

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    if options.role is not None:
        play(options)
        return
    options.stars = options.stars or (1_000_000 if options.quick else 20_000_000)
    options.rounds = options.rounds or (1 if options.quick else 3)
    with tempfile.TemporaryDirectory(dir=options.scratch) as directory:
        path = Path(directory) / "store"
        built = in_own_process("build", path, options)
        rows, figures = compare(path, options)
        checked = in_own_process("verify", path, options)
    figures |= {
        "store_stars": built["stars"],
        "partitions": built["partitions"],
        "disk_MB": built["disk_MB"],
        "append_stars_s": built["stars"] / built["seconds"],
        "append_peak_MB": built["peak_MB"],
        "verify_stars_s": built["stars"] / checked["seconds"],
        "verify_peak_MB": checked["peak_MB"],
        "verify_ok": int(checked["ok"]),
    }
    reporting.report("store", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
