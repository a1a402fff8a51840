"""Stars and gas: the census of McKee et al. (2015), McMillan (2017) as the alternative; and the dark rest."""

from __future__ import annotations

from dm_map.baryons.census import CensusBaryons
from dm_map.baryons.layers import SOLAR_RADIUS, Bulge, Disc, Layered
from dm_map.baryons.mcmillan import McMillanBaryons
from dm_map.baryons.subtraction import BaryonModel, baryon_error, baryon_model, dark_matter

__all__ = [
    "SOLAR_RADIUS",
    "BaryonModel",
    "Bulge",
    "CensusBaryons",
    "Disc",
    "Layered",
    "McMillanBaryons",
    "baryon_error",
    "baryon_model",
    "dark_matter",
]
