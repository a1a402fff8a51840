"""The numbers of a run: one row for each quantity and method, published values beside ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from astropy.table import Table

from dm_map.baryons import SOLAR_RADIUS, BaryonModel
from dm_map.gravity import GEV_PER_CM3
from dm_map.local import SUN_POSITION, circular_velocity, surface_density, vertical_force
from dm_map.maps import Ensemble
from dm_map.published import published_table
from via_machinae.dark_matter.products import Products, two_sided

__all__ = ["Quantity", "local_table", "quantities", "summary_table"]

_DENSITY = "Msun/pc3"
# Where the vertical force and the surface density are quoted (Kuijken & Gilmore 1991), kpc.
_KG_HEIGHT = 1.1


class Quantity(NamedTuple):
    """One number with its error.

    Attributes:
        method: Of the field.
        name: What it is.
        place: Where, in words.
        value: Median of the members.
        error: Half the interval of 68.27 per cent.
        low: Its lower end.
        high: Its upper end.
        unit: Name of the unit.
        truth: Of a mock; NaN for real stars.
    """

    method: str
    name: str
    place: str
    value: float
    error: float
    low: float
    high: float
    unit: str
    truth: float = float("nan")


def quantities(
    made: Products, truth: Products | None, other: BaryonModel | None, at: Sequence[tuple[float, ...]]
) -> list[Quantity]:
    """What is quoted of one method.

    Args:
        made: Its products.
        truth: The same of a mock's own field; None for real stars.
        other: A second baryon model, whose results are told beside; None for none.
        at: Further places, kpc.

    Raises:
        VolumeError: a place is outside the volume.
    """
    rows = _Rows(made, truth)
    grid, sun = made.grid, np.array([SUN_POSITION])
    mean = grid.both_sides(SOLAR_RADIUS, grid.height)
    for model in [made.baryons, *([] if other is None else [other])]:
        name = f"rho_dm (baryons: {model.name})"
        rows.add(name, "the Sun", _DENSITY, lambda p, m=model: p.dark_at(sun, _own(p, made, m)))
        place = f"R0, |z| = {grid.height:g} kpc"
        rows.add(name, place, _DENSITY, lambda p, m=model: _both(p, mean, _own(p, made, m)))
    rows.add("rho_dm (gNFW profile)", "R0", _DENSITY, lambda p: (
        p.profile_fits["gNFW"].local if p is made else p.dark_at(sun)))  # fmt: skip
    rows.add("rho_total", "the Sun", _DENSITY, lambda p: p.total_at(sun))
    rows.add("rho_total", f"R0, |z| = {grid.height:g} kpc", _DENSITY, lambda p: two_sided(
        p.total_at(mean), "z", np.array([grid.height])))  # fmt: skip
    rows.add("v_c", "R0, z = 0", "km/s", lambda p: circular_velocity(p.field, np.array([SOLAR_RADIUS])))
    if grid.ball.radius > _KG_HEIGHT + 0.2:
        z = np.array([_KG_HEIGHT])
        place = f"R0, z = {_KG_HEIGHT:g} kpc"
        rows.add("K_z", place, "km2/(s2 kpc)", lambda p: vertical_force(p.field, z))
        rows.add("Sigma", place.replace("z =", "|z| <"), "Msun/pc2", lambda p: surface_density(p.field, z))
    for one in at:
        place = ", ".join(f"{value:g}" for value in one) + " kpc"
        x = np.array([one])
        rows.add(f"rho_dm (baryons: {made.baryons.name})", place, _DENSITY, lambda p, x=x: p.dark_at(x))
        rows.add("rho_total", place, _DENSITY, lambda p, x=x: p.total_at(x))
    return rows.found


def summary_table(rows: Sequence[Quantity], meta: dict[str, Any]) -> Table:
    """All quantities; densities in GeV/cm^3 besides, NaN for the others."""
    table = Table(rows=list(rows), names=Quantity._fields, meta=meta)
    dense = np.array([row.unit == _DENSITY for row in rows])
    for name in ("value", "error"):
        table[f"{name}_gev"] = np.where(dense, GEV_PER_CM3 * np.asarray(table[name]), np.nan)
        table[f"{name}_gev"].unit = "GeV/cm3"
    return table


def local_table(rows: Sequence[Quantity], label: str) -> Table:
    """Published densities of dark matter near the Sun, and ours after them.

    Args:
        rows: Quantities of all methods; those of the dark matter are taken.
        label: What our stars are, in a few words.
    """
    table = published_table()
    ours = [row for row in rows if row.name.startswith("rho_dm")]
    for name in ("authors", "arxiv", "method", "stated"):
        table[name] = table[name].astype(object)
    for row in ours:
        method = f"{row.method} form, {row.name.removeprefix('rho_dm ')}, {row.place}"
        stated = f"{row.value:.4f} +- {row.error:.4f} Msun/pc3"
        values = [part for value in (row.value, row.low, row.high) for part in (value, value * GEV_PER_CM3)]
        table.add_row((f"this run ({label})", 0, "", method, *values, stated))
    for name in ("authors", "arxiv", "method", "stated"):
        table[name] = np.array([str(value) for value in table[name]])
    return table


class _Rows:
    def __init__(self, made: Products, truth: Products | None) -> None:
        self._made, self._truth = made, truth
        self.found: list[Quantity] = []

    def add(self, name: str, place: str, unit: str, of: Callable[[Products], Ensemble]) -> None:
        """One number from the first value of an ensemble."""
        found = of(self._made)
        (low, high) = found.interval(0.6827)
        known = float("nan") if self._truth is None else float(of(self._truth).value.flat[0])
        numbers = (float(part.flat[0]) for part in (found.value, found.error, low, high))
        self.found.append(Quantity(self._made.method, name, place, *numbers, unit, known))


def _own(products: Products, made: Products, model: BaryonModel) -> BaryonModel:
    """The truth's dark matter is the truth less its own baryons, whatever the fit was given."""
    return model if products is made else products.baryons


def _both(products: Products, x: np.ndarray, model: BaryonModel) -> Ensemble:
    return two_sided(products.dark_at(x, model), "z", np.abs(x[: len(x) // 2, 2]))
