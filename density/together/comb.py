"""A comb: windows far enough apart that one background flow can leave out all of them.

Between two windows of a comb lie stars that the flow is trained on, `gap` wide at the least, so that each
window is interpolated over its own width and no more, as by a flow of its own. On a grid of windows of width
w and step s a comb has every ((w + gap) / s)-th of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from density.errors import WindowError
from density.windows import Window

__all__ = ["comb_groups", "comb_sidebands"]


def comb_groups(
    windows: Sequence[Window], *, gap: float | None = None, margin: float = 0.0
) -> tuple[tuple[Window, ...], ...]:
    """Sort windows into the fewest combs.

    Args:
        windows: Any windows, in any order; equal ones count once.
        gap: Least width of the sideband between two windows of a comb; None: that of the widest window.
        margin: Strip beside each window that is left out too.

    Returns:
        Combs, each ascending; together they hold each window once.

    Raises:
        WindowError: no windows, a gap that is not positive, or a negative margin.
    """
    if not windows:
        raise WindowError("expected at least one window to sort into combs; got none")
    apart = max(window.width for window in windows) if gap is None else gap
    if not (0 < apart < float("inf") and 0 <= margin < float("inf")):
        raise WindowError(f"a comb needs a positive gap and a margin of zero or more; got {gap}, {margin}")
    combs: list[list[Window]] = []
    for window in sorted(set(windows)):
        # The first that fits, windows in ascending order: the least number of combs for intervals.
        nearest = window.low - apart - 2 * margin
        # Edges carry the rounding of the grid that made them.
        fitting = (comb for comb in combs if comb[-1].high <= nearest + 1e-9 * window.width)
        comb = next(fitting, None)
        if comb is None:
            combs.append([window])
        else:
            comb.append(window)
    return tuple(map(tuple, combs))


def comb_sidebands(
    m: Float[np.ndarray, " n"],
    comb: Sequence[Window],
    *,
    margin: float = 0.0,
    reach: float | None = None,
) -> Bool[np.ndarray, " n"]:
    """Which rows lie beside a window of the comb, and neither in one of them nor in the margin of one.

    Args:
        m: Resonant feature, shape (n,).
        comb: The windows that are left out.
        margin: See `Window.sidebands`.
        reach: See `Window.sidebands`.

    Raises:
        WindowError: as `Window.sidebands`.
    """
    m = np.asarray(m)
    beside = np.logical_or.reduce([window.sidebands(m, margin=margin, reach=reach) for window in comb])
    kept_out = [(m >= window.low - margin) & (m < window.high + margin) for window in comb]
    return beside & ~np.logical_or.reduce(kept_out)
