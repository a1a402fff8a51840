"""Exact mocks: tracers whose potential, mass density and scores are known in closed form.

Spheres in natural units (`Plummer`, `OsipkovMerrittPlummer`, `Hernquist`); isothermal tracers in any
potential of gala, at rest, streaming or in the frame of a rotating bar (`IsothermalMixture`, and the
galaxies `milky_way`, `rotating_disc`, `barred`, `triaxial`, `disc_with_hole`); a sample out of equilibrium
(`Kicked`); what an observer would see of any of them (`with_selection`, `with_errors`). `MOCKS` names them
all.
"""

from __future__ import annotations

from dm_map.mocks.baryons import MockBaryons
from dm_map.mocks.base import SOLAR_BALL, SUN_POSITION, SUN_VELOCITY, Mock
from dm_map.mocks.galaxies import barred, disc_with_hole, milky_way, rotating_disc, triaxial
from dm_map.mocks.hernquist import Hernquist
from dm_map.mocks.isothermal import IsothermalMixture
from dm_map.mocks.kicked import Kicked, kicked
from dm_map.mocks.observe import SelectionGradient, ball_before_errors, with_errors, with_selection
from dm_map.mocks.osipkov_merritt import OsipkovMerrittPlummer
from dm_map.mocks.plummer import Plummer
from dm_map.mocks.registry import MOCKS, make_mock

__all__ = [
    "Mock",
    "MockBaryons",
    "Plummer",
    "OsipkovMerrittPlummer",
    "Hernquist",
    "IsothermalMixture",
    "Kicked",
    "milky_way",
    "rotating_disc",
    "barred",
    "triaxial",
    "disc_with_hole",
    "kicked",
    "SelectionGradient",
    "ball_before_errors",
    "with_selection",
    "with_errors",
    "MOCKS",
    "make_mock",
    "SOLAR_BALL",
    "SUN_POSITION",
    "SUN_VELOCITY",
]
