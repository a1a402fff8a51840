"""Tables and maps on disk, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from astropy.table import Table

from dm_map.maps import AccelerationMap, DensityMap
from dm_map.profiles import ProfileFit
from via_machinae.dark_matter.directory import MapRun
from via_machinae.dark_matter.products import SCALE_PRIOR, Products
from via_machinae.run import atomic_path

__all__ = ["profile_table", "write_products", "write_table"]


def write_table(table: Table, path: Path) -> Path:
    """Write a table as ECSV, or as FITS by the suffix."""
    with atomic_path(path) as temporary:
        if path.suffix == ".fits":
            table.write(temporary, format="fits", overwrite=True)
        else:
            table.write(temporary, format="ascii.ecsv", overwrite=True)
    return path


def write_products(run: MapRun, made: Products) -> None:
    """Maps as FITS and as ECSV, curves and profile as ECSV, in the directory of their method."""
    maps: dict[str, AccelerationMap | DensityMap] = {
        "acceleration": made.acceleration,
        "density_total": made.total,
        "density_dark": made.dark,
        "density_dark_horizontal": made.dark_slice,
    }
    for name, found in maps.items():
        for suffix in (".fits", ".ecsv"):
            found.write(run.file(made.method, "maps", name + suffix), overwrite=True)
    curves = {
        "dark_by_height": made.dark_by_height,
        "dark_by_radius": made.dark_by_radius,
        "circular_velocity": made.circular_velocity,
        "vertical_force": made.vertical_force,
        "surface_density": made.surface_density,
    }
    for name, curve in curves.items():
        table = curve.table(0.6827)
        table.meta |= {"height_kpc": made.grid.height} if name == "dark_by_radius" else {}
        write_table(table, run.file(made.method, "curves", f"{name}.ecsv"))
    profile = made.profile.table(0.6827)
    profile.meta["min_height_kpc"] = made.grid.height
    write_table(profile, run.file(made.method, "profile.ecsv"))
    write_table(profile_table(made.profile_fits), run.file(made.method, "profile_fits.ecsv"))


def profile_table(fits: dict[str, ProfileFit]) -> Table:
    """One row for each parameter of each family: best value, error by the curvature and by the members."""
    rows = []
    for family, fit in fits.items():
        scatter = fit.members.std(axis=0, ddof=1)
        for k, name in enumerate(fit.profile.parameters):
            unit = {"local": fit.unit, "scale": "kpc", "core": "kpc"}.get(name, "")
            numbers = (float(fit.values[k]), float(fit.errors[k]), float(scatter[k]))
            rows.append((family, name, *numbers, unit, fit.chi2, fit.dof, fit.probability))
    names = ("family", "parameter", "value", "error", "scatter", "unit", "chi2", "dof", "probability")
    meta = {"prior": f"gNFW scale {SCALE_PRIOR[0]:g} +- {SCALE_PRIOR[1]:g} kpc; no other"}
    return Table(rows=rows, names=names, meta=meta)
