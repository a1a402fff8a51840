"""Two methods on the same stars, in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from via_machinae.dark_matter.products import Products

__all__ = ["comparison_table"]


def comparison_table(made: Mapping[str, Products], truth: Products | None) -> Table:
    """One row for each pair of fields: accelerations and dark matter on the grid, relative to the second.

    Columns: median and 90th percentile of |da|/|a| in the meridional plane, rms of the difference over the
    joint error per component, median of |d rho_DM|/rho_DM at the Sun's radius above the reference height.
    """
    names = [*made, *([] if truth is None else ["truth"])]
    fields = {**made, **({} if truth is None else {"truth": truth})}
    rows = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            rows.append((first, second, *_differences(fields[first], fields[second])))
    columns = ("first", "second", "a_median", "a_p90", "a_pull", "rho_dm_median", "rho_dm_pull")
    return Table(rows=rows, names=columns)


def _differences(one: Products, other: Products) -> tuple[float, float, float, float, float]:
    a, b = one.acceleration, other.acceleration
    apart = a.value - b.value
    relative = np.linalg.norm(apart, axis=1) / np.linalg.norm(b.value, axis=1)
    high = one.grid.heights >= one.grid.height
    rho, sigma = one.dark_by_height, other.dark_by_height
    dark = rho.value[high] - sigma.value[high]
    return (
        float(np.median(relative)),
        float(np.quantile(relative, 0.9)),
        _pull(apart, np.hypot(a.error, b.error)),
        float(np.median(np.abs(dark) / np.abs(sigma.value[high]))),
        _pull(dark, np.hypot(rho.error[high], sigma.error[high])),
    )


def _pull(difference: np.ndarray, error: np.ndarray) -> float:
    """Root mean square of a difference over its error, where there is one."""
    known = error > 0
    return float(np.sqrt(np.mean((difference[known] / error[known]) ** 2))) if np.any(known) else float("nan")
