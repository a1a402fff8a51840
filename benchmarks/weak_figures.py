"""The figure of the weak form: its test functions, the vertical force that it finds, and what residuals tell.

Left: the stars of a mock Milky Way in a vertical slice through the Sun, with half-maximum contours of some
functions of position, and the functions along the vertical line through the Sun. Middle: the vertical force
there, found and true. Right: for each region of the test of equilibrium, the rate at which the number of its
stars would have to change to explain the residuals, in standard deviations, for a relaxed and a kicked mock.
Writes docs/weak_form.png; --quick writes a small version to a temporary directory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import reporting
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from density import child_seed
from dm_map import WeakFit, WeakForm, galactic_dictionary, vertical_force
from dm_map.figures.style import COLOURS, TRUTH, band, blank_figure, legend_above
from dm_map.maps import ONE_SIGMA, Curve
from dm_map.mocks import Mock, kicked, milky_way
from dm_map.stars import StarSample
from dm_map.weak.equilibrium import EquilibriumMap, equilibrium_map
from dm_map.weak.equilibrium_check import equilibrium_functions, refit
from dm_map.weak.goodness import goodness_of_fit
from dm_map.weak.splines import EnvelopedSplines

__all__ = ["main"]

_TARGET = Path(__file__).resolve().parents[1] / "docs" / "weak_form.png"
_HALF_SLICE, _PIXELS, _GRID = 0.5, 64, 161
_RELAXED, _KICKED = COLOURS[0], COLOURS[1]
_KICK = 20.0  # km/s
# One layer of functions in three: all of them would hide the stars.
_SHOWN_STEP = 3


@dataclass(frozen=True, eq=False)
class Run:
    """One mock, fitted and tested."""

    mock: Mock
    sample: StarSample
    fit: WeakFit
    p_value: float
    rates: EquilibriumMap
    seconds: float

    @classmethod
    def of(cls, mock: Mock, stars: int, seed: int) -> Run:
        """Draw, fit, test; the seconds are those of the fit."""
        name = mock.name
        sample = mock.sample(stars, child_seed(seed, name, "stars"))
        started = time.perf_counter()
        fit = WeakForm().fit(sample, galactic_dictionary(sample.volume), seed=child_seed(seed, name, "fit"))
        seconds = time.perf_counter() - started
        again = refit(fit, sample, equilibrium_functions(sample), seed=child_seed(seed, name, "check"))
        p_value = goodness_of_fit(again).p_value
        return cls(mock, sample, fit, p_value, equilibrium_map(again, sample), seconds)


def values_of(
    space: EnvelopedSplines, functions: list[int], x: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n f"]:
    """Some functions of position at positions of the ball."""
    out = np.zeros((len(x), space.size))
    cells = space.cell_of(x)
    for cell in np.unique(cells):
        rows = np.flatnonzero(cells == cell)
        out[np.ix_(rows, space.active(int(cell)))] = space.evaluate(int(cell), x[rows])[0]
    return out[:, functions]


def draw_functions(axes: Axes, run: Run) -> None:
    """Stars of a slice with contours of functions; beside it the functions along the vertical line."""
    space, x = run.fit.equations.functions.space, run.sample.x
    (cx, cy, cz), radius = space.volume.centre, space.volume.radius
    near = np.abs(x[:, 1] - cy) < _HALF_SLICE
    edges = [np.linspace(middle - radius, middle + radius, _PIXELS + 1) for middle in (-cx, cz)]
    counts, *_ = np.histogram2d(-x[near, 0], x[near, 2], bins=edges)
    cell = 2 * _HALF_SLICE * (2 * radius / _PIXELS) ** 2
    shown = np.where(counts > 0, counts / cell, np.nan).T
    mesh = axes.pcolormesh(*edges, shown, cmap="Greys", norm=LogNorm(), rasterized=True, alpha=0.9)
    axes.figure.colorbar(mesh, ax=axes, location="top", label=r"stars per kpc$^3$", aspect=28, shrink=0.8)

    across, up = (np.linspace(middle - radius, middle + radius, _GRID) for middle in (-cx, cz))
    plane = np.stack(np.broadcast_arrays(-across[None, :], cy, up[:, None]), axis=-1).reshape(-1, 3)
    inside = space.volume.contains(plane)
    nx, ny, nz = space.shape
    layers = range(nz // 2 % _SHOWN_STEP, nz, _SHOWN_STEP)
    for number, k in enumerate(layers):
        colour = COLOURS[number % len(COLOURS)]
        for i in range(1, nx - 1):
            function = int(np.ravel_multi_index((i, ny // 2, k), space.shape))
            height = np.zeros(len(plane))
            height[inside] = values_of(space, [function], plane[inside])[:, 0]
            levels = [0.5 * height.max()]
            axes.contour(across, up, height.reshape(_GRID, _GRID), levels, colors=[colour], linewidths=1.5)
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(-cx + radius * np.cos(angle), cz + radius * np.sin(angle), color="0.3", lw=0.9, ls=":")
    axes.plot(-cx, cz, marker="*", ms=9, color="white", mec="black", mew=0.8)
    axes.set(xlabel=r"$-x\ [{\rm kpc}]$", ylabel=r"$z\ [{\rm kpc}]$", aspect="equal")
    _draw_profiles(axes.inset_axes((1.05, 0.0, 0.27, 1.0), sharey=axes), space, layers)


def _draw_profiles(axes: Axes, space: EnvelopedSplines, layers: range) -> None:
    (cx, cy, cz), radius = space.volume.centre, space.volume.radius
    up = cz + radius * np.linspace(-1, 1, 801)[1:-1]
    line = np.stack([np.full_like(up, cx), np.full_like(up, cy), up], axis=-1)
    nx, ny, nz = space.shape
    column = [int(np.ravel_multi_index((nx // 2, ny // 2, k), space.shape)) for k in range(nz)]
    for k, values in enumerate(values_of(space, column, line).T):
        chosen = k in layers
        colour = COLOURS[layers.index(k) % len(COLOURS)] if chosen else "0.75"
        axes.plot(values, up, color=colour, lw=1.5 if chosen else 0.8, zorder=3 if chosen else 2)
    axes.set(xlim=(0, None), xticks=[], xlabel=r"$B_j(z)$")
    axes.tick_params(labelleft=False)


def draw_force(axes: Axes, below: Axes, run: Run) -> tuple[Curve, Curve]:
    """K_z at the Sun's place, found and true, and the difference."""
    reach = 0.75 * run.sample.volume.radius
    z = np.linspace(-reach, reach, 121)
    found, truth = vertical_force(run.fit.potential, z), vertical_force(run.mock, z)
    scale = 1e-3
    band(axes, z, found, _RELAXED, f"weak form, {run.fit.stars:,} stars", scale)
    axes.plot(z, scale * truth.value, **TRUTH)
    axes.set(ylabel=r"$K_z\ [10^3\,{\rm km^2\,s^{-2}\,kpc^{-1}}]$")
    axes.tick_params(labelbottom=False)
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    for level in (ONE_SIGMA, 0.95):
        low, high = (scale * (edge - truth.value) for edge in found.interval(level))
        below.fill_between(z, low, high, color=_RELAXED, alpha=0.2, lw=0)
    below.plot(z, scale * (found.value - truth.value), color=_RELAXED, lw=1.6)
    below.axhline(0.0, **{**TRUTH, "label": None})
    below.set(xlabel=r"$z\ [{\rm kpc}]$ at $R_0$", ylabel="found $-$ true\n(68, 95 %)", xlim=(-reach, reach))
    return found, truth


def draw_rates(axes: Axes, relaxed: Run, moved: Run) -> None:
    """Rates of regions in standard deviations, against their height."""
    for level in (2.0, 1.0):
        axes.axhspan(-level, level, color="0.5", alpha=0.13, lw=0)
    axes.axhline(0.0, color="0.4", lw=0.8)
    for run, colour, marker, name in (
        (moved, _KICKED, "D", f"kicked by {_KICK:g} km/s"),
        (relaxed, _RELAXED, "o", "relaxed"),
    ):
        height = [region.place[2] for region in run.rates.regions]
        label = f"{name}: {_probability(run.p_value)}"
        axes.plot(
            height,
            run.rates.significance[:, 3],
            marker,
            color=colour,
            mec="white",
            mew=0.6,
            ms=7,
            label=label,
        )
    axes.set(
        xlabel=r"$z$ of the region $[{\rm kpc}]$", ylabel=r"residual rate $\dot n/n$, in standard deviations"
    )
    legend_above(axes, columns=2)


def _probability(p_value: float) -> str:
    # The tail is a fitted law: nothing below one in a million is quoted.
    return f"$p = {p_value:.2g}$" if p_value >= 1e-6 else "$p < 10^{-6}$"


def draw(relaxed: Run, moved: Run) -> tuple[Figure, tuple[Curve, Curve]]:
    """The figure, and the vertical force found and true."""
    figure = blank_figure(14.4, 4.9)
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1.05, 1.0, 0.95])
    space = left.subplots()
    force, below = middle.subplots(2, 1, sharex=True, height_ratios=[1.0, 0.42])
    draw_functions(space, relaxed)
    curves = draw_force(force, below, relaxed)
    draw_rates(right.subplots(), relaxed, moved)
    titles = (
        "some of the test functions of position",
        "vertical force at the Sun",
        "is the mock in equilibrium?",
    )
    for part, title in zip((left, middle, right), titles, strict=True):
        part.suptitle(title, fontsize=11)
    return figure, curves


def write(figure: Figure, path: Path) -> Path:
    """The figure as PNG; a reader never sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".png")
    os.close(handle)
    figure.savefig(temporary, dpi=160, bbox_inches="tight", metadata={"Software": None})
    Path(temporary).chmod(0o644)
    os.replace(temporary, path)
    return path


def main() -> None:
    """Fit, draw, write and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--stars", type=int, default=100_000, help="stars of each mock (default 10^5)")
        parser.add_argument("--output", type=Path, default=None, metavar="PNG", help=f"default {_TARGET}")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    stars = 20_000 if options.quick else options.stars
    relaxed, moved = (Run.of(mock, stars, options.seed) for mock in (milky_way(), kicked(dv_z=_KICK)))
    figure, (found, truth) = draw(relaxed, moved)
    temporary = Path(tempfile.mkdtemp()) / _TARGET.name if options.quick else _TARGET
    print("wrote", write(figure, options.output or temporary))
    rows = [
        {"mock": run.mock.name, "region": region.name, "rate_sigmas": float(sigmas)}
        for run in (relaxed, moved)
        for region, sigmas in zip(run.rates.regions, run.rates.significance[:, 3], strict=True)
    ]
    off = np.abs(found.value - truth.value)
    figures = {
        "stars": stars,
        "K_z_off_over_largest": float(np.max(off) / np.max(np.abs(truth.value))),
        "K_z_inside": float(np.mean(_inside(found, truth))),
        "p_relaxed": relaxed.p_value,
        "p_kicked": moved.p_value,
        "seconds": relaxed.seconds,
    }
    reporting.report("weak_figures", options, rows=rows, figures=figures)


def _inside(found: Curve, truth: Curve) -> np.ndarray:
    low, high = found.interval(ONE_SIGMA)
    return (low <= truth.value) & (truth.value <= high)


if __name__ == "__main__":
    main()
