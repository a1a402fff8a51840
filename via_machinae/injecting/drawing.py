"""The figure of a campaign: recovered fraction against number of stars."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from via_machinae.figures import COLOURS
from via_machinae.injecting.summary import Summary

__all__ = ["draw_completeness"]

_MARKERS = "osD^vP*X"


def draw_completeness(summary: Summary, title: str) -> Figure:
    """Recovered fraction and bias of the track against stars, a line for each width, distance and offset.

    Args:
        summary: the campaign.
        title: of the figure.
    """
    figure = Figure(figsize=(7.5, 8.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1.0])
    labels = list(dict.fromkeys(str(row["label"]) for row in summary.cells))
    for number, label in enumerate(labels):
        rows = summary.cells[summary.cells["label"] == label]
        rows = rows[rows["trials"] > 0]
        limit = summary.limits[summary.limits["label"] == label][0]
        # Points of one number of stars stand side by side, a little apart.
        shift = 1.0 + 0.025 * (number - (len(labels) - 1) / 2)
        style = {"color": COLOURS[number % len(COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}
        _fractions(upper, rows, limit, shift, style)
        _biases(lower, rows, shift, style)
    upper.axhline(0.5, color="0.6", lw=0.8, ls=":")
    upper.set(ylabel="recovered fraction", ylim=(-0.03, 1.03), title=title)
    if labels:
        upper.legend(fontsize=8, loc="upper left", framealpha=0.85)
    lower.axhline(0.0, color="0.6", lw=0.8, ls=":")
    lower.set(
        xlabel="injected stars in the catalogue", ylabel="offset of the members\nfrom the true track [deg]"
    )
    _star_axis(lower, summary.cells)
    return figure


def _fractions(axes: Axes, rows: Table, limit: Table.Row, shift: float, style: dict[str, str]) -> None:
    stars, fraction = _plain(rows, "stars") * shift, _plain(rows, "fraction")
    errors = np.abs([fraction - _plain(rows, "fraction_low"), _plain(rows, "fraction_high") - fraction])
    half = float(limit["half_stars"])
    told = f"half at {half:.0f} stars" if np.isfinite(half) else f"half: {limit['reached']}"
    axes.errorbar(
        stars, fraction, errors, ls="none", ms=5, capsize=2, label=f"{limit['label']}; {told}", **style
    )
    if np.isfinite(half):
        x = np.geomspace(stars.min(), stars.max(), 200)
        axes.plot(x, 1 / (1 + (x / half) ** -float(limit["slope"])), color=style["color"], lw=1.2)
        axes.axvspan(
            float(limit["half_stars_low"]), float(limit["half_stars_high"]), color=style["color"], alpha=0.08
        )
    else:
        axes.plot(stars, fraction, color=style["color"], lw=0.8, ls="--")


def _biases(axes: Axes, rows: Table, shift: float, style: dict[str, str]) -> None:
    known = np.isfinite(_plain(rows, "track_bias"))
    axes.errorbar(
        _plain(rows, "stars")[known] * shift, _plain(rows, "track_bias")[known],
        _plain(rows, "track_bias_scatter")[known], ls="none", ms=4, capsize=2, **style,
    )  # fmt: skip


def _star_axis(axes: Axes, cells: Table) -> None:
    """Logarithmic, with a tick at each number that was asked for."""
    asked = sorted({int(row["asked_stars"]) for row in cells if row["asked_stars"] > 0})
    if not asked:
        return
    axes.set_xscale("log")
    axes.set_xlim(min(asked) / 1.25, max(asked) * 1.25)
    axes.set_xticks(asked)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def _plain(rows: Table, name: str) -> np.ndarray:
    return np.asarray(rows[name], dtype=float)
