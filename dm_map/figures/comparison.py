"""Two methods on the same stars: where they agree, and by how much they differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dm_map.errors import DmMapError
from dm_map.figures.style import COLOURS, TRUTH, band, blank_figure, colour_bar, image, legend_above
from dm_map.maps import AccelerationMap, Curve

__all__ = ["draw_comparison"]


def draw_comparison(
    accelerations: Mapping[str, AccelerationMap],
    circular: Mapping[str, Curve],
    dark: Mapping[str, Curve],
    *,
    truth: tuple[Curve, Curve] | None = None,
    title: str = "",
) -> Figure:
    """Difference of two accelerations in the plane and in units of its error, v_c and rho_DM of both.

    Args:
        accelerations: Two maps at the same positions, by method.
        circular: v_c(R), by method.
        dark: rho_DM(|z|), by method.
        truth: v_c and rho_DM of a mock.
        title: Of the figure.

    Raises:
        DmMapError: not two maps, or maps of other positions.
    """
    if len(accelerations) != 2:
        raise DmMapError(f"a comparison is of two maps; got {sorted(accelerations)}")
    (first_name, first), (second_name, second) = accelerations.items()
    if not np.array_equal(first.x, second.x):
        raise DmMapError(f"the maps of {first_name} and {second_name} are of different positions")
    R, z = np.hypot(first.x[:, 0], first.x[:, 1]), first.x[:, 2]
    difference = second.value - first.value
    relative = np.linalg.norm(difference, axis=1) / np.linalg.norm(first.value, axis=1)
    error = np.hypot(first.error, second.error)
    pull = np.sqrt(np.mean((difference / np.maximum(error, 1e-300)) ** 2, axis=1))
    figure = blank_figure(9.0, 8.2)
    panels = figure.subplots(2, 2)
    shown = (
        (100 * relative, f"difference of a [%], median {100 * np.median(relative):.1f}"),
        (np.minimum(pull, 5.0), "difference of a / joint error, rms of components"),
    )
    for axes, (values, label), top in zip(panels[0], shown, (None, 5.0), strict=True):
        mesh = image(axes, R, z, values, cmap="magma_r", vmin=0, vmax=top)
        extend = "neither" if top is None else "max"
        colour_bar(mesh, label, extend=extend)
        axes.set(xlabel=r"$R\ [{\rm kpc}]$", ylabel=r"$z\ [{\rm kpc}]$")
    for number, (axes, curves) in enumerate(zip(panels[1], (circular, dark), strict=True)):
        for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
            band(axes, curve.at, curve, colour, name)
        if truth is not None:
            axes.plot(truth[number].at, truth[number].value, **TRUTH)
    panels[1, 0].set(xlabel=r"$R\ [{\rm kpc}]$", ylabel=r"$v_{\rm c}\ [{\rm km\,s^{-1}}]$")
    panels[1, 1].set(
        xlabel=r"$|z|\ [{\rm kpc}]$ at $R_0$",
        ylabel=r"$\rho_{\rm DM}\ [M_\odot\,{\rm pc^{-3}}]$",
        xlim=(0, None),
    )
    panels[1, 1].axhline(0.0, color="0.7", lw=0.8, zorder=0)
    legend_above(panels[1, 0])
    figure.suptitle(title)
    return figure
