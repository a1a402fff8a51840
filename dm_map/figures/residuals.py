"""Where the stars do not obey the fitted equations: tests of the weak form's residuals, region by region."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from dm_map.errors import DmMapError
from dm_map.figures.style import COLOURS, blank_figure

__all__ = ["draw_residuals"]

_FAR = 5.0


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
    horizontal = "R" if "R" in tests.colnames else "x"
    figure = blank_figure(9.6, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    deviate = np.clip(norm.isf(np.clip(np.asarray(regions["p_value"]), 1e-300, 1.0)), -_FAR, _FAR)
    stars = np.asarray(regions["stars"])
    points = left.scatter(
        np.asarray(regions[horizontal]), np.asarray(regions["z"]), c=deviate, cmap="PuOr_r", vmin=-_FAR, vmax=_FAR,
        s=40 + 260 * stars / stars.max(), edgecolors="black", linewidths=0.8,
    )  # fmt: skip
    figure.colorbar(
        points, ax=left, label=r"significance of the residuals [$\sigma$]", location="top", aspect=30, extend="both"
    )
    left.set(xlabel=rf"${horizontal}\ [{{\rm kpc}}]$", ylabel=r"$z\ [{\rm kpc}]$")
    left.margins(0.12)
    _ordered(right, tests)
    figure.suptitle(title)
    return figure


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
        axes.set_title(f"all tests together: p = {float(overall):.2g}", fontsize=10)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
