"""Curves: dark matter against height and radius with published values; what dynamics measures directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dm_map.figures.style import COLOURS, TRUTH, band, blank_figure, gev_axis, legend_above
from dm_map.maps import Curve
from dm_map.published import PublishedDensity

__all__ = ["draw_dark_matter", "draw_dynamics"]

_RHO = r"$\rho_{\rm DM}\ [M_\odot\,{\rm pc^{-3}}]$"


def draw_dark_matter(
    by_height: Mapping[str, Curve],
    by_radius: Mapping[str, Curve],
    published: Sequence[PublishedDensity] = (),
    *,
    height: float,
    truth: tuple[Curve, Curve] | None = None,
    title: str = "",
) -> Figure:
    """Density of the dark matter against |z| and R, and published values at the Sun, on one scale.

    Args:
        by_height: rho_DM(|z|) at the Sun's radius, by method.
        by_radius: rho_DM(R) at one height, by method.
        published: Values and ranges to show beside.
        height: Of `by_radius`, kpc.
        truth: Of a mock: against |z|, and against R.
        title: Of the figure.
    """
    figure = blank_figure(10.5 if published else 8.4, 4.4)
    widths = [1, 1, 0.75] if published else [1, 1]
    panels = figure.subplots(1, len(widths), sharey=True, width_ratios=widths)
    for number, (axes, curves) in enumerate(((panels[0], by_height), (panels[1], by_radius))):
        for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
            band(axes, curve.at, curve, colour, name)
        if truth is not None:
            axes.plot(truth[number].at, truth[number].value, **TRUTH)
    panels[0].set(xlabel=r"$|z|\ [{\rm kpc}]$ at $R_0$", ylabel=_RHO, xlim=(0, None))
    panels[1].set(xlabel=r"$R\ [{\rm kpc}]$ at $|z| =$ " + f"{height:g} kpc")
    legend_above(panels[0])
    if published:
        _published(panels[2], published)
    panels[0].set_ylim(*_limits([*by_height.values(), *by_radius.values()], published))
    for axes in panels:
        axes.axhline(0.0, color="0.7", lw=0.8, zorder=0)
    gev_axis(panels[-1])
    figure.suptitle(title)
    return figure


def draw_dynamics(
    circular: Mapping[str, Curve],
    vertical: Mapping[str, Curve],
    surface: Mapping[str, Curve],
    *,
    truth: tuple[Curve, Curve, Curve] | None = None,
    title: str = "",
) -> Figure:
    """Circular velocity, vertical force and surface density of all matter.

    Args:
        circular: v_c(R) in the plane, by method.
        vertical: K_z(z) at the Sun's radius, by method.
        surface: Sigma(|z|) there, by method.
        truth: The same of a mock.
        title: Of the figure.
    """
    figure = blank_figure(11.0, 3.9)
    panels = figure.subplots(1, 3)
    for number, (axes, curves) in enumerate(zip(panels, (circular, vertical, surface), strict=True)):
        scale = 1e-3 if number == 1 else 1.0
        for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
            band(axes, curve.at, curve, colour, name, scale)
        if truth is not None:
            axes.plot(truth[number].at, scale * truth[number].value, **TRUTH)
    panels[0].set(xlabel=r"$R\ [{\rm kpc}]$", ylabel=r"$v_{\rm c}\ [{\rm km\,s^{-1}}]$")
    panels[1].set(xlabel=r"$z\ [{\rm kpc}]$ at $R_0$", ylabel=r"$K_z\ [10^3\,{\rm km^2\,s^{-2}\,kpc^{-1}}]$")
    panels[2].set(
        xlabel=r"$z\ [{\rm kpc}]$ at $R_0$",
        ylabel=r"$\Sigma(|z^\prime| < z)\ [M_\odot\,{\rm pc^{-2}}]$",
        xlim=(0, None),
        ylim=(0, None),
    )
    legend_above(panels[0])
    figure.suptitle(title)
    return figure


def _published(axes: Axes, published: Sequence[PublishedDensity]) -> None:
    """One column for each value, in order of time; ranges without a value are bars without a marker."""
    for place, row in enumerate(published):
        if np.isnan(row.value):
            axes.plot([place, place], [row.low, row.high], color="0.65", lw=5, solid_capstyle="butt")
            continue
        errors = [[row.value - row.low], [row.high - row.value]]
        axes.errorbar(place, row.value, yerr=errors, fmt="s", ms=4, color="0.25", capsize=2, lw=1)
    labels = [_short(row) for row in published]
    axes.set_xticks(range(len(published)), labels, rotation=90, fontsize=7)
    axes.set_title("published, at the Sun (bars: ranges)", fontsize=8)
    axes.set_xlim(-0.7, len(published) - 0.3)


def _short(row: PublishedDensity) -> str:
    """First author and year; a range is of a review."""
    if np.isnan(row.value):
        return f"{row.method.split()[-2]} {row.method.split()[-1]}, review {row.year}"
    return f"{row.authors.removesuffix(' et al.').split(' & ')[0]} {row.year}"


def _limits(curves: Sequence[Curve], published: Sequence[PublishedDensity]) -> tuple[float, float]:
    """What the intervals and values need; the huge errors near the plane may leave the panel."""
    tops = [float(np.median(curve.interval(0.6827)[1])) for curve in curves]
    bottoms = [float(np.median(curve.interval(0.6827)[0])) for curve in curves]
    tops += [row.high for row in published]
    bottoms += [row.low for row in published]
    top = 1.25 * max([*tops, 0.02])
    return min(-0.15 * top, 1.25 * min(bottoms)), top
