"""What is dark: the total mass density less that of the baryons, with the errors of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.baryons.census import CensusBaryons
from dm_map.baryons.mcmillan import McMillanBaryons
from dm_map.errors import BaryonError
from dm_map.gravity import GALACTIC
from dm_map.maps import DensityMap

__all__ = ["BaryonModel", "baryon_error", "baryon_model", "dark_matter"]


@runtime_checkable
class BaryonModel(Protocol):
    """A model of stars and gas with errors."""

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def reference(self) -> str:
        """Where it was published."""

    def density(self, x: np.ndarray) -> np.ndarray:
        """Mass density at Galactocentric positions (..., 3) in kpc, Msun/pc^3."""

    def surface_density(self, z_max: float) -> float:
        """Surface density at the Sun within |z| < z_max (kpc), Msun/pc^2."""

    def draw(self, seed: int) -> BaryonModel:
        """The model with its parameters drawn within their errors."""


_MODELS = {model.name: model for model in (CensusBaryons, McMillanBaryons)}


def baryon_model(name: str) -> BaryonModel:
    """The model of that name: "census" (McKee et al. 2015) or "mcmillan2017".

    Raises:
        BaryonError: no such model.
    """
    if name not in _MODELS:
        raise BaryonError(f"baryon models are {sorted(_MODELS)}; got {name!r}")
    return _MODELS[name]()


def dark_matter(total: DensityMap, baryons: BaryonModel, *, draws: int = 64, seed: int = 0) -> DensityMap:
    """Density of the dark matter: each member of the total less a draw of the baryons, smoothed alike.

    Every member of the total appears equally often, paired with the draws at random, so that the scatter of
    the result holds both errors. `in_gev()` of it is in GeV/cm^3.

    Args:
        total: Total mass density, Msun/pc^3.
        baryons: Stars and gas.
        draws: Number of draws of the baryons.
        seed: Seed of the draws.

    Raises:
        BaryonError: no draw, or the map is not of the total density in Msun/pc^3.
    """
    drawn = _drawn(total, baryons, draws, seed)
    repeats = -(-draws // len(total.members))
    members = np.tile(total.members, (repeats, 1))
    order = np.random.default_rng([seed, draws]).permutation(len(members)) % draws
    sources = tuple(f"{source}+baryons" for source in total.sources) * repeats
    return _dark(total, members - drawn[order], sources, baryons, draws, seed)


def baryon_error(total: DensityMap, baryons: BaryonModel, *, draws: int = 64, seed: int = 0) -> DensityMap:
    """Density of the dark matter by the median of the total, less draws of the baryons: their error alone.

    Args:
        total: Total mass density, Msun/pc^3.
        baryons: Stars and gas.
        draws: Number of draws of the baryons, two or more.
        seed: Seed of the draws.

    Raises:
        BaryonError: no draw, or the map is not of the total density in Msun/pc^3.
    """
    drawn = _drawn(total, baryons, draws, seed)
    return _dark(total, total.value - drawn, ("baryons",) * draws, baryons, draws, seed)


def _drawn(total: DensityMap, baryons: BaryonModel, draws: int, seed: int) -> Float[np.ndarray, "d p"]:
    if draws < 1:
        raise BaryonError(f"one draw of the baryons is the least; got {draws}")
    if total.units.rho != GALACTIC.rho or total.matter != "total":
        raise BaryonError(
            f"baryons are taken from a map of the total density in {GALACTIC.rho}; got {total.matter} in "
            f"{total.units.rho!r}"
        )
    seeds = np.random.SeedSequence(seed).generate_state(draws)
    return np.array([total.smoothing.smooth(baryons.draw(int(one)).density, total.x) for one in seeds])


def _dark(
    total: DensityMap,
    members: np.ndarray,
    sources: tuple[str, ...],
    baryons: BaryonModel,
    draws: int,
    seed: int,
) -> DensityMap:
    taken = {"model": baryons.name, "reference": baryons.reference, "draws": draws, "seed": seed}
    provenance = {**total.provenance, "baryons": taken}
    return replace(total, members=members, sources=sources, matter="dark matter", provenance=provenance)
