"""Maps in planes: the acceleration field, and slices of the mass density, each with its error."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dm_map.figures.style import COLOURS, blank_figure, colour_bar, image
from dm_map.local import SUN_POSITION
from dm_map.maps import AccelerationMap, DensityMap

__all__ = ["draw_acceleration", "draw_density"]

_R, _Z = r"$R\ [{\rm kpc}]$", r"$z\ [{\rm kpc}]$"
_A = r"$|a|\ [10^3\,{\rm km^2\,s^{-2}\,kpc^{-1}}]$"
_RHO = r"\ [M_\odot\,{\rm pc^{-3}}]$"
# Densities below this share of the largest are drawn in one colour.
_DEPTH = 100.0


def draw_acceleration(
    found: AccelerationMap, truth: Float[np.ndarray, "p 3"] | None = None, title: str = ""
) -> Figure:
    """Acceleration in the meridional plane: size and direction, statistical error, deviation from a truth.

    Args:
        found: A map on (part of) a square grid of the meridional plane.
        truth: The exact acceleration at the same positions, of a mock.
        title: Of the figure.
    """
    R, z = np.hypot(found.x[:, 0], found.x[:, 1]), found.x[:, 2]
    size = np.linalg.norm(found.value, axis=1)
    figure = blank_figure(3.5 * (2 if truth is None else 3), 4.1)
    panels = figure.subplots(1, 2 if truth is None else 3, sharey=True)
    mesh = image(panels[0], R, z, size / 1e3, cmap="cividis")
    _arrows(panels[0], found, R, z)
    colour_bar(mesh, _A)
    mesh = image(panels[1], R, z, 100 * found.relative_error, cmap="magma_r", vmin=0)
    colour_bar(mesh, "statistical error [%]")
    if truth is not None:
        off = np.linalg.norm(found.value - truth, axis=1) / np.linalg.norm(truth, axis=1)
        mesh = image(panels[2], R, z, 100 * off, cmap="magma_r", vmin=0)
        colour_bar(mesh, f"deviation from truth [%], median {100 * np.median(off):.1f}")
    for axes in panels:
        axes.set_xlabel(_R)
        _mark_sun(axes, abs(SUN_POSITION[0]), SUN_POSITION[2])
    panels[0].set_ylabel(_Z)
    figure.suptitle(title)
    return figure


def draw_density(total: DensityMap, dark: DensityMap, dark_horizontal: DensityMap, title: str = "") -> Figure:
    """Slices of the mass density: total and dark matter in the meridional plane, its error, and one height.

    Args:
        total: Total density on a square grid of the meridional plane.
        dark: The dark matter at the same positions.
        dark_horizontal: The dark matter on a square grid at one height.
        title: Of the figure.
    """
    R, z = np.hypot(total.x[:, 0], total.x[:, 1]), total.x[:, 2]
    figure = blank_figure(8.0, 8.8)
    panels = figure.subplots(2, 2)
    largest = float(total.value.max())
    norm = LogNorm(largest / _DEPTH, largest)
    _slice(
        panels[0, 0], R, z, np.maximum(total.value, norm.vmin), r"$\rho_{\rm total}" + _RHO, "min", norm=norm
    )
    most = max(float(np.quantile(dark.value[np.abs(z) > 0.4], 0.99)), 1e-4)
    limits = {"vmin": 0.0, "vmax": most}
    _slice(panels[0, 1], R, z, dark.value, r"$\rho_{\rm DM}" + _RHO, "both", **limits)
    _hatch(panels[0, 1], R, z, dark)
    errors = np.maximum(dark.error, 1e-3 * most)
    norm = LogNorm(float(errors.min()), max(float(errors.max()), 1.01 * float(errors.min())))
    _slice(panels[1, 0], R, z, errors, r"error of $\rho_{\rm DM}" + _RHO, norm=norm, cmap="magma_r")
    x, y = dark_horizontal.x[:, 0], dark_horizontal.x[:, 1]
    height = float(np.median(dark_horizontal.x[:, 2]))
    label = rf"$\rho_{{\rm DM}}(z = {height:g}\,{{\rm kpc}})" + _RHO
    _slice(panels[1, 1], x, y, dark_horizontal.value, label, "both", **limits)
    _hatch(panels[1, 1], x, y, dark_horizontal)
    for axes in panels.flat[:3]:
        axes.set(xlabel=_R, ylabel=_Z)
        _mark_sun(axes, abs(SUN_POSITION[0]), SUN_POSITION[2])
    panels[1, 1].set(xlabel=r"$x\ [{\rm kpc}]$", ylabel=r"$y\ [{\rm kpc}]$")
    _mark_sun(panels[1, 1], SUN_POSITION[0], SUN_POSITION[1])
    figure.suptitle(f"{title}\nhatched: error larger than the value")
    return figure


def _slice(
    axes: Axes, across: np.ndarray, up: np.ndarray, values: np.ndarray, label: str, extend: str = "neither",
    *, cmap: str = "viridis", **options: object,
) -> None:  # fmt: skip
    colour_bar(image(axes, across, up, values, cmap=cmap, **options), label, extend=extend)


def _hatch(axes: Axes, across: np.ndarray, up: np.ndarray, found: DensityMap) -> None:
    """Strike out the cells whose error exceeds their value: their colour is noise."""
    noise = found.error > np.abs(found.value)
    half = 0.5 * float(np.min(np.diff(np.unique(np.round(across, 6)))))
    for x, y in zip(across[noise], up[noise], strict=True):
        corner = (x - half, y - half)
        axes.add_patch(
            Rectangle(corner, 2 * half, 2 * half, hatch="xxxx", fc="0.8", ec="0.55", lw=0, zorder=3)
        )


def _arrows(axes: Axes, found: AccelerationMap, R: np.ndarray, z: np.ndarray) -> None:
    """Directions on every third grid point."""
    step = np.min(np.diff(np.unique(np.round(R, 6))))
    near = (np.round((R - R.min()) / step) % 3 == 1) & (np.round((z - z.min()) / step) % 3 == 1)
    a = found.value[near]
    outwards = np.sum(a[:, :2] * found.x[near, :2], axis=1) / R[near]
    length = np.linalg.norm(a, axis=1).max()
    axes.quiver(
        R[near], z[near], outwards / length, a[:, 2] / length, color="white", width=0.006, pivot="middle",
        scale=9.0, scale_units="width",
    )  # fmt: skip


def _mark_sun(axes: Axes, horizontal: float, vertical: float) -> None:
    axes.plot(horizontal, vertical, marker="o", ms=6, mfc="none", mec=COLOURS[1], mew=1.2)
    axes.plot(horizontal, vertical, marker=".", ms=2.5, color=COLOURS[1])
