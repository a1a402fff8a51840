"""The figures of a run, from its products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astropy.table import Table
from matplotlib.figure import Figure

from dm_map.figures import (
    draw_acceleration,
    draw_comparison,
    draw_dark_matter,
    draw_density,
    draw_dynamics,
    draw_profile,
    draw_published,
    draw_residuals,
)
from dm_map.maps import Curve
from dm_map.published import published_densities
from via_machinae.dark_matter.directory import MapRun
from via_machinae.dark_matter.products import Products
from via_machinae.dark_matter.summary import Quantity
from via_machinae.run import atomic_path

__all__ = ["draw_run"]


def draw_run(
    run: MapRun, made: Mapping[str, Products], truth: Products | None, rows: Sequence[Quantity], label: str
) -> list[str]:
    """Draw everything anew and say which figures there are.

    Args:
        run: Where.
        made: Products by method.
        truth: Those of a mock's own field.
        rows: The quantities of the summary.
        label: What the stars are, for titles.
    """
    figures: dict[str, Figure] = {}
    for method, one in made.items():
        title = f"{label}, {method} form" if method == "weak" else f"{label}, {method}s"
        figures |= {f"{name}_{method}": figure for name, figure in _of_method(one, truth, title).items()}
    figures |= _of_all(made, truth, label)
    figures["published"] = _published(rows, label)
    for name, what in (("goodness", "residuals of the fit"), ("equilibrium", "test of equilibrium")):
        tests = run.path / "weak" / f"{name}.ecsv"
        if "weak" in made and tests.is_file():
            table = Table.read(tests, format="ascii.ecsv")
            figures[f"{name}_weak"] = draw_residuals(table, f"{label}: {what}")
    for name, figure in figures.items():
        with atomic_path(run.file("figures", f"{name}.png")) as temporary:
            figure.savefig(temporary, dpi=160)
    return sorted(figures)


def _of_method(one: Products, truth: Products | None, title: str) -> dict[str, Figure]:
    exact = None if truth is None else truth.acceleration.value
    profile = None
    if truth is not None:
        shells = truth.profile
        profile = Curve("rho_dm", "r", shells.r, shells.members, "kpc", shells.unit)
    return {
        "acceleration": draw_acceleration(one.acceleration, exact, title),
        "density": draw_density(one.total, one.dark, one.dark_slice, f"{title}; baryons: {one.baryons.name}"),
        "profile": draw_profile(
            one.profile, one.profile_fits, min_height=one.grid.height, truth=profile, title=title
        ),
    }


def _of_all(made: Mapping[str, Products], truth: Products | None, label: str) -> dict[str, Figure]:
    by_height = {method: one.dark_by_height for method, one in made.items()}
    circular = {method: one.circular_velocity for method, one in made.items()}
    first = next(iter(made.values()))
    figures = {
        # Published values are of the Galaxy: beside a mock they would mean nothing.
        "dark_matter": draw_dark_matter(
            by_height,
            {method: one.dark_by_radius for method, one in made.items()},
            published_densities() if truth is None else (),
            height=first.grid.height,
            truth=None if truth is None else (truth.dark_by_height, truth.dark_by_radius),
            title=f"{label}; baryons: {first.baryons.name}",
        ),
        "dynamics": draw_dynamics(
            circular,
            {method: one.vertical_force for method, one in made.items()},
            {method: one.surface_density for method, one in made.items()},
            truth=_dynamics(truth),
            title=label,
        ),
    }
    if len(made) == 2:
        known = None if truth is None else (truth.circular_velocity, truth.dark_by_height)
        figures["comparison"] = draw_comparison(
            {method: one.acceleration for method, one in made.items()},
            circular,
            by_height,
            truth=known,
            title=label,
        )
    return figures


def _dynamics(truth: Products | None) -> tuple[Curve, Curve, Curve] | None:
    if truth is None:
        return None
    return truth.circular_velocity, truth.vertical_force, truth.surface_density


def _published(rows: Sequence[Quantity], label: str) -> Figure:
    dark = [row for row in rows if row.name.startswith("rho_dm")]
    ours = [
        (
            f"{row.method}, {row.name.removeprefix('rho_dm ').strip('()')}, {row.place}",
            row.value,
            row.low,
            row.high,
        )
        for row in dark
    ]
    known = [row.truth for row in dark if row.place == "the Sun" and row.truth == row.truth]
    return draw_published(published_densities(), ours, truth=known[0] if known else None, title=label)
