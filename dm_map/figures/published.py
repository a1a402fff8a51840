"""Our local densities of dark matter below the published ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dm_map.figures.style import COLOURS, blank_figure, gev_axis
from dm_map.published import PublishedDensity

__all__ = ["draw_published"]


def draw_published(
    published: Sequence[PublishedDensity],
    ours: Sequence[tuple[str, float, float, float]],
    *,
    truth: float | None = None,
    title: str = "",
) -> Figure:
    """One line for each density near the Sun, with its 68 % interval or range.

    Args:
        published: Values and ranges.
        ours: (label, value, low, high), Msun/pc^3.
        truth: Of a mock.
        title: Of the figure.
    """
    lines = len(published) + len(ours)
    figure = blank_figure(8.2, 0.9 + 0.27 * lines + 0.5)
    axes = figure.subplots()
    for place, row in enumerate(published):
        if np.isnan(row.value):
            axes.plot([row.low, row.high], [place, place], color="0.65", lw=5, solid_capstyle="butt")
        else:
            errors = [[row.value - row.low], [row.high - row.value]]
            axes.errorbar(row.value, place, xerr=errors, fmt="s", ms=4, color="0.25", capsize=2, lw=1)
    for number, (_, value, low, high) in enumerate(ours):
        place = len(published) + number
        errors = [[max(value - low, 0.0)], [max(high - value, 0.0)]]
        axes.errorbar(value, place, xerr=errors, fmt="o", ms=5, color=COLOURS[0], capsize=2.5, lw=1.4)
    if truth is not None:
        axes.axvline(truth, color="black", ls=(0, (4, 2)), lw=1.2)
        axes.text(truth, lines, " truth of the mock at the Sun", fontsize=8, va="center")
    axes.axhline(len(published) - 0.5, color="0.6", lw=0.8)
    axes.axvline(0.0, color="0.7", lw=0.8, zorder=0)
    axes.set_yticks(range(lines), [*map(_name, published), *(row[0] for row in ours)], fontsize=8)
    axes.set_ylim(lines + (-0.3 if truth is None else 0.5), -0.8)
    axes.set_xlabel(r"$\rho_{\rm DM}\ [M_\odot\,{\rm pc^{-3}}]$")
    gev_axis(axes, "top")
    figure.suptitle(title)
    return figure


def _name(row: PublishedDensity) -> str:
    """Authors and year; of a review also what the range is of."""
    kind = f", {row.method.split(': ')[-1]}" if np.isnan(row.value) else f" ({row.arxiv})"
    return f"{row.authors} {row.year}{kind}"
