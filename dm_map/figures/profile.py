"""The density profile of the dark matter with the fits of a cusp and a core."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dm_map.baryons import SOLAR_RADIUS
from dm_map.figures.style import COLOURS, TRUTH, band, blank_figure, gev_axis, legend_above
from dm_map.maps import Curve
from dm_map.profiles import ProfileFit, RadialProfile

__all__ = ["draw_profile"]


def draw_profile(
    points: RadialProfile,
    fits: Mapping[str, ProfileFit],
    *,
    min_height: float,
    truth: Curve | None = None,
    title: str = "",
) -> Figure:
    """Mean density in shells with 68 % bars, and the fitted families.

    Args:
        points: rho(r); its points are correlated, which the fits know and the bars do not show.
        fits: By name of the family.
        min_height: Least |z| of the shells, kpc.
        truth: The mean density of a mock's dark matter in the same shells.
        title: Of the figure.
    """
    figure = blank_figure(6.2, 4.9)
    axes = figure.subplots()
    low, high = points.interval(0.6827)
    r = np.linspace(points.r.min() - 0.2, points.r.max() + 0.2, 60)
    for (name, fit), colour in zip(fits.items(), COLOURS, strict=False):
        band(axes, r, fit.density(r), colour, _described(name, fit))
    if truth is not None:
        axes.plot(truth.at, truth.value, **TRUTH)
    bars = np.maximum([points.value - low, high - points.value], 0.0)
    axes.errorbar(
        points.r, points.value, yerr=bars, fmt="o", ms=4.5, color="black", capsize=2.5, lw=1.1, zorder=6,
        label=rf"shells, $|z| \geq {min_height:g}$ kpc (errors correlated)",
    )  # fmt: skip
    axes.axvline(SOLAR_RADIUS, color="0.6", lw=0.8, zorder=0)
    axes.text(SOLAR_RADIUS, 0.02, r" $R_0$", color="0.4", fontsize=9, transform=axes.get_xaxis_transform())
    axes.set(xlabel=r"$r\ [{\rm kpc}]$", ylabel=r"$\rho_{\rm DM}(r)\ [M_\odot\,{\rm pc^{-3}}]$")
    if np.min(low) > 0:
        axes.set_ylim(0.0, None)
    gev_axis(axes)
    legend_above(axes, columns=1)
    figure.suptitle(title)
    return figure


def _described(name: str, fit: ProfileFit) -> str:
    """The family with its local density, slope or core, and chi^2."""
    low, high = np.quantile(fit.members, [0.1587, 0.8413], axis=0)
    best = fit.values[0]
    told = [
        rf"$\rho_0 = {best:.4f}^{{+{high[0] - best:.4f}}}_{{{low[0] - best:+.4f}}}$"
        r" $M_\odot\,{\rm pc^{-3}}$"
    ]
    for k, parameter in enumerate(fit.profile.parameters):
        if parameter == "gamma":
            told.append(rf"$\gamma = {fit.values[k]:.2f}$ [{low[k]:.2f}, {high[k]:.2f}]")
        if parameter == "core":
            told.append(f"core {fit.values[k]:.0f} kpc [{low[k]:.0f}, {high[k]:.0f}]")
    return f"{name}: " + ", ".join(told) + rf", $\chi^2$ = {fit.chi2:.1f} ({fit.dof} d.o.f.)"
