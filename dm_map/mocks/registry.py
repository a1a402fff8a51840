"""The mocks by name."""

from __future__ import annotations

from collections.abc import Callable

from dm_map.errors import MockError
from dm_map.mocks.base import Mock
from dm_map.mocks.galaxies import barred, disc_with_hole, milky_way, rotating_disc, triaxial
from dm_map.mocks.hernquist import Hernquist
from dm_map.mocks.kicked import kicked
from dm_map.mocks.osipkov_merritt import OsipkovMerrittPlummer
from dm_map.mocks.plummer import Plummer

__all__ = ["MOCKS", "make_mock"]

MOCKS: dict[str, Callable[[], Mock]] = {
    "plummer": Plummer,
    "plummer-om": OsipkovMerrittPlummer,
    "hernquist": Hernquist,
    "milky-way": milky_way,
    "rotating-disc": rotating_disc,
    "barred": barred,
    "triaxial": triaxial,
    "disc-with-hole": disc_with_hole,
    "kicked": kicked,
}


def make_mock(name: str) -> Mock:
    """The mock of that name, with its default parameters.

    Raises:
        MockError: there is none; the message names them all.
    """
    if name not in MOCKS:
        raise MockError(f"there is no mock {name!r}; the mocks are {', '.join(MOCKS)}")
    return MOCKS[name]()
