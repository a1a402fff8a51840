"""Mock galaxies: isothermal tracers within 4 kpc of the Sun in potentials made of gala's parts.

They differ in what a fit may take for granted: tracers at rest, axial symmetry, a frame at rest, discs that
brighten to the centre. The dispersions are large because an isothermal tracer colder than 60 km/s would
live at the inner edge of the ball alone.
"""

from __future__ import annotations

import math
from typing import Any

from astropy import units as u

from dm_map.mocks.base import SOLAR_BALL
from dm_map.mocks.isothermal import IsothermalMixture
from dm_map.volume import Ball

__all__ = ["barred", "disc_with_hole", "milky_way", "rotating_disc", "triaxial"]

_BAR_MASS = 2.5e10
_BAR_ANGLE = math.radians(-28.0)


def milky_way(volume: Ball = SOLAR_BALL) -> IsothermalMixture:
    """Populations of 60, 90 and 140 km/s (50, 30 and 20 % of the stars) at rest in gala's Milky Way.

    The potential is `MilkyWayPotential(version="v2")`, known as MilkyWayPotential2022: a disc, a bulge, a
    nucleus and a spherical NFW halo.
    """
    return IsothermalMixture(_milky_way_parts(), volume=volume, name="milky-way")


def rotating_disc(volume: Ball = SOLAR_BALL) -> IsothermalMixture:
    """Populations that stream about z in the same potential, the colder the faster: a phase-mixed disc.

    Each turns like a solid body (f is a function of E - Omega L_z), at -20, -16 and -6 km/s/kpc: v_y > 0 at
    the Sun, as in the Milky Way.
    """
    components = ((60.0, 0.5, -20.0), (80.0, 0.3, -16.0), (120.0, 0.2, -6.0))
    return IsothermalMixture(_milky_way_parts(), components, volume, "rotating-disc")


def barred(volume: Ball = SOLAR_BALL) -> IsothermalMixture:
    """A bar of 2.5 x 10^10 Msun, taken out of the disc, that turns at -25 km/s/kpc with its stars.

    The softened needle of Long & Murali (1992) has a half length of 5 kpc; its near end lies at positive
    Galactic longitude, 28 degrees from the line to the Sun. In the ball it makes 20 to 59 % of |a| (30 % at
    the Sun), and the force across the direction to the axis, which no axisymmetric model has, reaches 37 %
    of |a|. Who ignores the rotation finds a residual of 14 % (median) in equation (1) but nearly the right
    acceleration: the missing term, Omega times the torque times d ln f / dE_J, hardly depends on the
    velocity.
    """
    import gala.potential as gp
    from gala.units import galactic

    parts = _milky_way_parts(disc_mass=-_BAR_MASS)
    parts["bar"] = gp.LongMuraliBarPotential(
        m=_BAR_MASS * u.Msun,
        a=5.0 * u.kpc,
        b=0.5 * u.kpc,
        c=0.5 * u.kpc,
        alpha=_BAR_ANGLE * u.rad,
        units=galactic,
    )
    return IsothermalMixture(parts, ((70.0, 0.6), (120.0, 0.4)), volume, "barred", pattern_speed=-25.0)


def triaxial(volume: Ball = SOLAR_BALL) -> IsothermalMixture:
    """The disc and bulge in a logarithmic halo with potential axes of 1 : 0.9 : 0.8, tilted by 20 degrees.

    Logarithmic, because gala has no density of a triaxial NFW halo.
    """
    import gala.potential as gp
    from gala.units import galactic
    from scipy.spatial.transform import Rotation

    parts = _milky_way_parts(halo=False)
    parts["halo"] = gp.LogarithmicPotential(
        v_c=185.0 * u.km / u.s,
        r_h=10.0 * u.kpc,
        q1=1.0,
        q2=0.9,
        q3=0.8,
        units=galactic,
        R=Rotation.from_euler("zx", [30.0, 20.0], degrees=True),
    )
    return IsothermalMixture(parts, volume=volume, name="triaxial")


def disc_with_hole(volume: Ball = SOLAR_BALL) -> IsothermalMixture:
    """A thin disc with an empty centre and a thick one without, in the same bulge and halo.

    The thin disc is an exponential of 2.6 kpc minus one of 1.8 kpc with the same surface density at the
    centre (as for gas in Dehnen & Binney 1998), so no sum of exponential discs of positive mass makes it; the
    mass density of the whole is positive.
    """
    import gala.potential as gp
    from gala.units import galactic

    def disc(mass: float, length: float, height: float) -> Any:
        return gp.MN3ExponentialDiskPotential(
            m=mass * u.Msun, h_R=length * u.kpc, h_z=height * u.kpc, units=galactic
        )

    outer, inner, mass = 2.6, 1.8, 6.0e10
    parts = _milky_way_parts(disc_mass=None)
    parts["thin"] = disc(mass, outer, 0.3)
    parts["hole"] = disc(-mass * (inner / outer) ** 2, inner, 0.3)
    parts["thick"] = disc(1.0e10, 2.5, 0.9)
    return IsothermalMixture(parts, volume=volume, name="disc-with-hole")


def _milky_way_parts(disc_mass: float | None = 0.0, halo: bool = True) -> Any:
    """gala's Milky Way with `disc_mass` added to its disc, without the disc for None, or without its halo."""
    import gala.potential as gp
    from gala.units import galactic

    whole = gp.MilkyWayPotential(version="v2")
    parts = gp.CCompositePotential()
    for name, part in whole.items():
        if (name == "disk" and disc_mass is None) or (name == "halo" and not halo):
            continue
        parts[name] = part
    if disc_mass:
        found = whole["disk"].parameters
        parts["disk"] = gp.MN3ExponentialDiskPotential(
            m=found["m"] + disc_mass * u.Msun, h_R=found["h_R"], h_z=found["h_z"], units=galactic
        )
    return parts
