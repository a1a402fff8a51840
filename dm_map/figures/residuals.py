"""Where the stars do not obey the fitted equations: tests of the weak form's residuals, region by region."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from scipy.stats import norm

from dm_map.errors import DmMapError
from dm_map.figures.style import COLOURS, blank_figure, colour_bar

__all__ = ["draw_residuals"]

_FAR = 5.0
# Regions on either side of the line from the Sun to the centre, and those that hold it.
_MARKS = {-1: "<", 0: "o", 1: ">"}


def draw_residuals(tests: Table, title: str = "") -> Figure:
    """Regions coloured by how unlikely their residuals are, and all p-values against their expectation.

    Args:
        tests: A table of `GoodnessOfFit.to_table`: kind, name, parity, p_value, and the place of regions.
        title: Of the figure.

    Raises:
        DmMapError: the table has no region.
    """
    regions = tests[np.asarray(tests["kind"]) == "region"]
    if not len(regions):
        raise DmMapError("the table of tests has no region to draw")
    parities = sorted(set(map(str, regions["parity"])))
    figure = blank_figure(4.0 * len(parities) + 4.6, 4.6)
    panels = figure.subplots(1, len(parities) + 1, width_ratios=[1.0] * len(parities) + [1.15])
    for axes, parity in zip(panels[:-1], parities, strict=True):
        _regions(axes, regions[np.asarray(regions["parity"]) == parity], parity)
    _ordered(panels[-1], tests)
    figure.suptitle(title)
    return figure


def _regions(axes: Axes, regions: Table, parity: str) -> None:
    """One mark for each region; its shape says on which side of the volume's middle it lies."""
    horizontal, across = ("R", "across") if "R" in regions.colnames else ("x", "y")
    deviate = np.clip(norm.isf(np.clip(np.asarray(regions["p_value"]), 1e-300, 1.0)), -_FAR, _FAR)
    stars, aside = np.asarray(regions["stars"]), np.asarray(regions[across])
    from_middle = aside - 0.5 * (aside.min() + aside.max())
    side = np.where(np.abs(from_middle) <= 0.25 * np.ptp(aside), 0, np.sign(from_middle)).astype(int)
    for key, marker in _MARKS.items():
        own = side == key
        if np.any(own):
            # Both sides have the same place in this plane: drawn beside each other.
            beside = ScaledTranslation(key * 0.08, 0.0, axes.figure.dpi_scale_trans)
            points = axes.scatter(
                np.asarray(regions[horizontal])[own], np.asarray(regions["z"])[own], c=deviate[own],
                cmap="PuOr_r", vmin=-_FAR, vmax=_FAR, s=(50 + 150 * stars / stars.max())[own], marker=marker,
                edgecolors="black", linewidths=0.8, transform=axes.transData + beside,
            )  # fmt: skip
    colour_bar(points, f"residuals, {parity} in $v$ [$\\sigma$]", extend="both")
    if np.any(side):
        axes.text(0.02, 0.02, f"< and >: either side in {'azimuth' if across == 'across' else 'y'}",
                  fontsize=7, color="0.35", transform=axes.transAxes)  # fmt: skip
    axes.set(xlabel=rf"${horizontal}\ [{{\rm kpc}}]$", ylabel=r"$z\ [{\rm kpc}]$")
    for limits, values in ((axes.set_xlim, regions[horizontal]), (axes.set_ylim, regions["z"])):
        low, high = float(np.min(values)), float(np.max(values))
        room = max(0.16 * (high - low), 0.3)
        limits(low - room, high + room)


def _ordered(axes: Axes, tests: Table) -> None:
    """p-values in order against uniform ones: on the line where nothing is wrong."""
    kinds = list(dict.fromkeys(str(kind) for kind in tests["kind"]))
    order = np.argsort(np.asarray(tests["p_value"]))
    expected = (np.arange(len(order)) + 0.5) / len(order)
    sorted_kind = np.asarray(tests["kind"])[order]
    sorted_p = np.maximum(np.asarray(tests["p_value"])[order], 1e-12)
    for kind, colour, marker in zip(kinds, COLOURS, "sD^ov<", strict=False):
        own = sorted_kind == kind
        axes.plot(expected[own], sorted_p[own], ls="none", marker=marker, ms=5, color=colour, label=kind)
    span = np.array([0.5 / len(order), 1.0])
    axes.plot(span, span, color="0.4", lw=1, zorder=0)
    axes.set(
        xscale="log", yscale="log", xlabel="expected p-value of that rank", ylabel="p-value of the test",
        ylim=(min(0.3 * float(sorted_p.min()), 0.5 / len(order)), 1.5),
    )  # fmt: skip
    overall = tests.meta.get("p_value")
    if overall is not None:
        told = f"p = {float(overall):.2g}" if float(overall) > 1e-12 else "p < 1e-12"
        axes.set_title(f"all tests together: {told}", fontsize=10)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
