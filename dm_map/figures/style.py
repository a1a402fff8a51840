"""One look for all figures: colours for the colour-blind too, bands for errors, units in labels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import Collection, QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dm_map.gravity import GEV_PER_CM3
from dm_map.maps import ONE_SIGMA, Ensemble

__all__ = [
    "COLOURS",
    "TRUTH",
    "band",
    "blank_figure",
    "colour_bar",
    "gev_axis",
    "image",
    "legend_above",
]

#: Okabe & Ito's colours: blue, vermilion, green, purple, orange, sky blue.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

#: How the truth of a mock is drawn.
TRUTH = {"color": "black", "ls": (0, (4, 2)), "lw": 1.2, "label": "truth", "zorder": 5}


def blank_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches whose panels arrange themselves."""
    return Figure(figsize=(width, height), layout="constrained")


def band(
    axes: Axes, at: Float[np.ndarray, " p"], values: Ensemble, colour: str, label: str, scale: float = 1.0
) -> None:
    """Median as a line and the 68 % interval as a band. Neighbouring points share their errors: no bars."""
    low, high = values.interval(ONE_SIGMA)
    axes.fill_between(at, scale * low, scale * high, color=colour, alpha=0.25, lw=0)
    axes.plot(at, scale * values.value, color=colour, lw=1.6, label=label)


def colour_bar(mesh: Collection, label: str, *, extend: str = "neither") -> None:
    """A colour bar above the panel, with few enough ticks that their labels never meet."""
    bar = mesh.axes.figure.colorbar(
        mesh, ax=mesh.axes, label=label, location="top", aspect=28, shrink=0.82, extend=extend
    )
    if isinstance(mesh.norm, LogNorm):
        low, high = mesh.norm.vmin, mesh.norm.vmax
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        steps = (1.0,) if high > 300 * low else (1.0, 3.0)
        ticks = [step * decade for decade in decades for step in steps if low <= step * decade <= high]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.minorticks_off()
    else:
        bar.locator = MaxNLocator(4)
        bar.update_ticks()


def gev_axis(axes: Axes, side: str = "right") -> None:
    """A second axis in GeV/cm^3 beside (or above) one in Msun/pc^3."""
    functions = (lambda rho: rho * GEV_PER_CM3, lambda rho: rho / GEV_PER_CM3)
    label = r"$\rho_{\rm DM}\ [{\rm GeV\,cm^{-3}}]$"
    if side in ("left", "right"):
        axes.secondary_yaxis(side, functions=functions).set_ylabel(label)
    else:
        axes.secondary_xaxis(side, functions=functions).set_xlabel(label)


def legend_above(axes: Axes, columns: int = 4) -> None:
    """A legend above the panel, where there are no data."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8,
        borderaxespad=0.2,
    )


def image(
    axes: Axes,
    horizontal: Float[np.ndarray, " p"],
    vertical: Float[np.ndarray, " p"],
    values: Float[np.ndarray, " p"],
    **options: object,
) -> QuadMesh:
    """Values on part of a square grid as coloured cells; where there is no position the paper stays white."""
    columns, column = np.unique(np.round(horizontal, 6), return_inverse=True)
    rows, row = np.unique(np.round(vertical, 6), return_inverse=True)
    cells = np.full((len(rows), len(columns)), np.nan)
    cells[row, column] = values
    axes.set_aspect("equal")
    return axes.pcolormesh(columns, rows, cells, shading="nearest", rasterized=True, **options)
