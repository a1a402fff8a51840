"""The data of benchmarks/detectors.py: a table with a resonant column, signal thinned, in three settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from density import Window, child_seed

__all__ = ["SETTINGS", "Problem", "Sample", "read_problem"]

DATA = Path(os.environ.get("VIA_MACHINAE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LHCO = DATA / "lhco_100k_features.csv.gz"
SETTINGS = ("plain", "shifted", "noise")
NOISE_FEATURES = 10


@dataclass(frozen=True, eq=False)
class Problem:
    """Labelled rows of a table.

    Args:
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        label: True for signal.
        names: Names of the features.
        window: The signal region.
        slopes: What 'shifted' adds to each feature per unit of m.
    """

    x: Float[np.ndarray, "n d"]
    m: Float[np.ndarray, " n"]
    label: Bool[np.ndarray, " n"]
    names: tuple[str, ...]
    window: Window
    slopes: tuple[float, ...]

    def in_setting(self, setting: str, seed: int) -> Problem:
        """The same rows as they are, with features shifted by m, or with features that carry nothing."""
        if setting == "shifted":
            return replace(self, x=self.x + self.m[:, None] * np.array(self.slopes))
        if setting == "noise":
            random = np.random.default_rng(child_seed(seed, "noise features"))
            noise = random.standard_normal((len(self.x), NOISE_FEATURES))
            return replace(
                self,
                x=np.column_stack([self.x, noise]),
                names=(*self.names, *(f"noise {k}" for k in range(NOISE_FEATURES))),
                slopes=(*self.slopes, *(0.0,) * NOISE_FEATURES),
            )
        return self

    def thinned(self, signal: int, seed: int) -> Sample:
        """Keep all background, and as much signal as puts `signal` rows into the window; the rest of the
        window's signal measures efficiencies."""
        random = np.random.default_rng(child_seed(seed, "thinning"))
        rows = random.permutation(np.flatnonzero(self.label))
        inside = self.window.contains(self.m[rows])
        kept = rows[: int(np.searchsorted(np.cumsum(inside), signal)) + 1]
        used = ~self.label
        used[kept] = True
        apart = self.label & ~used & self.window.contains(self.m)
        return Sample(self, used, apart)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a detector may see (`used`), and signal rows of the window kept apart (`apart`)."""

    problem: Problem
    used: Bool[np.ndarray, " n"]
    apart: Bool[np.ndarray, " n"]

    @property
    def x(self) -> Float[np.ndarray, "k d"]:
        """Features of the used rows."""
        return self.problem.x[self.used]

    @property
    def m(self) -> Float[np.ndarray, " k"]:
        """Resonant feature of the used rows."""
        return self.problem.m[self.used]

    @property
    def label(self) -> Bool[np.ndarray, " k"]:
        """Labels of the used rows, for the reference detectors and for the figure, never for the others."""
        return self.problem.label[self.used]

    def signal_halves(self, seed: int) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The signal kept apart, in two halves: to train the supervised reference, and to test it."""
        rows = np.random.default_rng(child_seed(seed, "halves")).permutation(np.flatnonzero(self.apart))
        first = np.zeros_like(self.apart)
        first[rows[: len(rows) // 2]] = True
        return first, self.apart & ~first


def read_problem(
    table: Path | None,
    resonant: str | None,
    features: tuple[str, ...],
    window: tuple[float, float] | None,
    label: str | None,
) -> Problem:
    """Any labelled table, or the LHC Olympics R&D events where none is named.

    Rows with a missing value are left out. For a table of one's own, 'shifted' moves the first half of the
    features by 0.35 of their standard deviation per standard deviation of m, which is about what +0.1 m_JJ
    does to the jet masses of the LHC Olympics (2109.00546, section V).

    Raises:
        SystemExit: the table cannot be read, or lacks a column; the message says which.
    """
    if table is None:
        columns = ("mJ1", "dmJ", "tau21_J1", "tau21_J2")
        frame = _read(LHCO, ["mJJ", *columns, "label"])
        frame = frame[(frame.mJJ > 2.0) & (frame.mJJ < 6.0)]
        return _problem(frame, "mJJ", columns, Window(3.3, 3.7), "label", slopes=(0.1, 0.1, 0.0, 0.0))
    if resonant is None or not features or window is None or label is None:
        raise SystemExit("--table needs --resonant, --features, --window and --label as well")
    frame = _read(table, [resonant, *features, label])
    spread = 0.35 * frame[list(features)].std() / frame[resonant].std()
    slopes = tuple(
        float(value) if k < len(features) / 2 else 0.0 for k, value in enumerate(spread.to_numpy())
    )
    return _problem(frame, resonant, features, Window(*window), label, slopes=slopes)


def _problem(
    frame: pd.DataFrame, resonant: str, features: tuple[str, ...], window: Window, label: str, slopes: tuple
) -> Problem:
    x, m = frame[list(features)].to_numpy(float), frame[resonant].to_numpy(float)
    return Problem(x, m, frame[label].to_numpy() == 1, tuple(features), window, slopes)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    readers = {".parquet": pd.read_parquet, ".h5": pd.read_hdf, ".hdf5": pd.read_hdf}
    try:
        frame = readers.get(path.suffix, pd.read_csv)(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read: {error}") from error
    absent = [name for name in columns if name not in frame]
    if absent:
        raise SystemExit(f"{path} has no column {', '.join(absent)}; it has {', '.join(map(str, frame))}")
    return frame[columns].dropna()
