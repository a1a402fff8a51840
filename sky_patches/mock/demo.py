"""The embedded default sky of the demo, and its stream-free twin."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
from astropy.coordinates import SkyCoord

from sky_patches.mock.recipe import MockStream
from sky_patches.mock.sky import MockSky

__all__ = ["demo_sky", "empty_sky"]

_STREAMS = (
    MockStream(
        "Arachne", 400, 153.5, 31.0, 7.7, 4.2, -6.7, 135.0,
        progenitor_mass=1.5e4, progenitor_offset_myr=14.0, tails="trailing",
    ),
    MockStream(
        "Penelope", 500, 150.5, 27.5, 7.9, -7.5, -4.5, 49.0,
        progenitor_mass=2.0e4, progenitor_offset_myr=-14.0, release_step_myr=1.5, tails="leading",
    ),
    MockStream(
        "Clotho", 600, 157.0, 27.0, 9.1, -4.2, -8.1, 56.0,
        progenitor_mass=3.0e4, progenitor_offset_myr=-14.0, release_step_myr=1.5, tails="leading",
    ),
    MockStream(
        "Atropos", 60, 151.0, 32.0, 11.0, -3.5, -2.5, 0.0,
        progenitor_mass=1.0e4, progenitor_offset_myr=12.0, release_step_myr=5.0, tails="trailing",
    ),
)  # fmt: skip


def empty_sky() -> MockSky:
    """The demo's cone without streams: 40,000 background stars, for null tests.

    Ten degrees around (l, b) = (200, 55) deg, G < 20.2, parallax < 1 mas. The background is thinned to about
    a sixth of the Galaxy's (`Truth.thinning`), so that a demo takes minutes.
    """
    centre = SkyCoord(l=200.0 * u.deg, b=55.0 * u.deg, frame="galactic")
    return MockSky.around(centre, 10.0 * u.deg, stars=40_000)


def demo_sky() -> MockSky:
    """The embedded default: the cone of `empty_sky` with three streams to find and a faint one.

    Arachne (polar), Penelope (retrograde) and Clotho (prograde) are old, metal-poor streams 8 to 9 kpc away
    in the sparse parts of the proper-motion plane. Atropos has 60 stars in a dense part and is expected to be
    missed by searches that are free of a stream model. Because the background is thinned, the streams stand
    out as streams of about six times as many stars would over the whole Galaxy.
    """
    return replace(empty_sky(), streams=_STREAMS)
