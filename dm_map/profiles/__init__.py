"""rho(r): spherical averages, and fits of halo profiles to them."""

from __future__ import annotations

from dm_map.profiles.fit import ProfileFit, fit_profile
from dm_map.profiles.models import Burkert, GeneralizedNFW, HaloProfile, PseudoIsothermal
from dm_map.profiles.radial import RadialProfile, spherical_average

__all__ = [
    "Burkert",
    "GeneralizedNFW",
    "HaloProfile",
    "ProfileFit",
    "PseudoIsothermal",
    "RadialProfile",
    "fit_profile",
    "spherical_average",
]
