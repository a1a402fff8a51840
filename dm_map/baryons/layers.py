"""Axisymmetric discs and a bulge: the pieces that baryon models are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy.table import Table
from jaxtyping import Float
from scipy.special import erf

from dm_map.errors import BaryonError

__all__ = ["SOLAR_RADIUS", "Bulge", "Disc", "Layered", "positive_draw"]

#: Distance of the Sun from the Galactic centre in astropy's Galactocentric frame (v4.0), kpc.
SOLAR_RADIUS = 8.122

_PC_PER_KPC = 1000.0

VerticalProfile = Literal["exponential", "gaussian", "sech2"]


@dataclass(frozen=True)
class Disc:
    """A disc of surface density central * exp(-hole/R - R/length) and one vertical profile.

    Vertical profiles, normalised to one: exponential, exp(-|z|/h); gaussian, exp(-(z/h)^2) (no factor 2);
    sech2, sech^2(z/2h).

    Attributes:
        name: What it is.
        matter: "stars" (and their remnants) or "gas".
        central: Surface density before the exponentials, Msun/pc^2.
        length: Scale length, kpc.
        height: h of the vertical profile, kpc.
        profile: The vertical profile.
        hole: Scale of a central hole, kpc; 0 for none.

    Raises:
        BaryonError: a value is not positive, or the profile is unknown.
    """

    name: str
    matter: Literal["stars", "gas"]
    central: float
    length: float
    height: float
    profile: VerticalProfile
    hole: float = 0.0

    def __post_init__(self) -> None:
        if not (self.central >= 0 and self.length > 0 and self.height > 0 and self.hole >= 0):
            raise BaryonError(f"the disc {self.name!r} takes positive sizes and no negative mass; got {self}")
        if self.profile not in ("exponential", "gaussian", "sech2"):
            raise BaryonError(
                f"a vertical profile is 'exponential', 'gaussian' or 'sech2'; got {self.profile!r}"
            )

    def column(self, radius: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Surface density through the whole disc at Galactocentric radii (kpc), Msun/pc^2."""
        inverse = np.divide(1.0, radius, out=np.full(np.shape(radius), np.inf), where=np.asarray(radius) > 0)
        hole = self.hole * inverse if self.hole > 0 else 0.0
        return np.asarray(self.central * np.exp(-hole - radius / self.length))

    def density(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Mass density, Msun/pc^3."""
        scaled = np.abs(x[..., 2]) / self.height
        if self.profile == "exponential":
            shape = 0.5 * np.exp(-scaled)
        elif self.profile == "gaussian":
            shape = np.exp(-(scaled**2)) / np.sqrt(np.pi)
        else:
            # sech^2(s/2) by exponentials that cannot overflow.
            fall = np.exp(-scaled)
            shape = fall / (1.0 + fall) ** 2
        column = self.column(np.asarray(np.hypot(x[..., 0], x[..., 1])))
        return np.asarray(column * shape / (self.height * _PC_PER_KPC))

    def within(self, z_max: float) -> float:
        """Share of the surface density at |z| < z_max (kpc)."""
        scaled = z_max / self.height
        if self.profile == "exponential":
            return float(-np.expm1(-scaled))
        return float(erf(scaled) if self.profile == "gaussian" else np.tanh(0.5 * scaled))

    @classmethod
    def local(
        cls, name: str, matter: Literal["stars", "gas"], column: float, height: float,
        profile: VerticalProfile, length: float, hole: float = 0.0, radius: float = SOLAR_RADIUS,
    ) -> Disc:  # fmt: skip
        """A disc with the surface density `column` (Msun/pc^2) at a radius (kpc)."""
        central = column * float(np.exp(hole / radius + radius / length))
        return cls(name, matter, central, length, height, profile, hole)


@dataclass(frozen=True)
class Bulge:
    """rho0 exp(-(r'/cut)^2) / (1 + r'/r0)^slope with r' = sqrt(R^2 + (z/q)^2) (Bissantz & Gerhard 2002).

    Attributes:
        rho0: Msun/pc^3.
        r0: kpc.
        cut: kpc.
        slope: Power of the inner profile.
        q: Axis ratio.
    """

    rho0: float
    r0: float
    cut: float
    slope: float
    q: float

    def density(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Mass density, Msun/pc^3."""
        radius = np.sqrt(x[..., 0] ** 2 + x[..., 1] ** 2 + (x[..., 2] / self.q) ** 2)
        return np.asarray(
            self.rho0 * np.exp(-((radius / self.cut) ** 2)) / (1.0 + radius / self.r0) ** self.slope
        )


class Layered(ABC):
    """What a baryon model of discs and perhaps a bulge can do; the discs come from `discs`."""

    @property
    @abstractmethod
    def discs(self) -> tuple[Disc, ...]:
        """The discs."""

    @property
    def bulge(self) -> Bulge | None:
        """The bulge, where there is one."""
        return None

    def density(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Mass density of all baryons at Galactocentric positions (kpc), Msun/pc^3."""
        pieces = [*self.discs, *([self.bulge] if self.bulge is not None else [])]
        return np.asarray(sum(piece.density(x) for piece in pieces))

    def surface_density(
        self, z_max: float = np.inf, *, radius: float = SOLAR_RADIUS, matter: str | None = None
    ) -> float:
        """Surface density of the discs at |z| < z_max, Msun/pc^2; the bulge has none to speak of at the Sun.

        Args:
            z_max: kpc.
            radius: Galactocentric radius, kpc.
            matter: "stars" or "gas"; both where None.

        Raises:
            BaryonError: z_max is not positive, or the matter is unknown.
        """
        if not z_max > 0:
            raise BaryonError(f"a surface density is taken within a positive height; got z_max = {z_max}")
        if matter not in (None, "stars", "gas"):
            raise BaryonError(f"baryons are 'stars' or 'gas'; got {matter!r}")
        chosen = [disc for disc in self.discs if matter in (None, disc.matter)]
        return sum(float(disc.column(np.array(radius))) * disc.within(z_max) for disc in chosen)

    def components(self, radius: float = SOLAR_RADIUS) -> Table:
        """One row for each disc: surface density and mid-plane density at a radius (kpc), and its scales."""
        here = np.array([radius, 0.0, 0.0])
        rows = []
        for disc in self.discs:
            column, midplane = float(disc.column(np.array(radius))), float(disc.density(here))
            rows.append((disc.name, disc.matter, column, midplane, disc.profile, disc.height, disc.length))
        names = ("name", "matter", "surface_density", "midplane_density", "profile", "height", "length")
        units = (None, None, "Msun/pc2", "Msun/pc3", None, "kpc", "kpc")
        return Table(rows=rows, names=names, units=units)


def positive_draw(rng: np.random.Generator, mean: float, error: float) -> float:
    """A positive number of that mean and standard deviation: a gamma variate, Gaussian for small errors."""
    return float(rng.gamma((mean / error) ** 2, error**2 / mean))
