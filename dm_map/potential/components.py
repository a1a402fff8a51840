"""The pieces of a linear potential: frozen values, each a potential for a coefficient of one.

Units of every component: positions in kpc, potential in (km/s)^2, acceleration in (km/s)^2/kpc, mass density
in Msun/pc^3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.errors import PotentialError

if TYPE_CHECKING:
    from gala.potential import PotentialBase

__all__ = ["KINDS", "KMS_PER_KPC_MYR", "MASS_OF_ONE", "Component", "GalaComponent", "Layer"]

#: Msun of a mass component for a coefficient of one.
MASS_OF_ONE = 1e10

# A Burkert halo has no finite mass: a coefficient of one is this central density, Msun/kpc^3 (0.01
# Msun/pc^3).
_BURKERT_DENSITY_OF_ONE = 1e7

#: km/s in one kpc/Myr, the unit of velocity of gala's galactic units.
KMS_PER_KPC_MYR = 3.0856775814913673e16 / 3.15576e13

Layer = Literal["baryons", "halo", "local"]

#: Parameters of each kind of `GalaComponent`, lengths in kpc: those that must be given, those that may be.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "exponential disc": (("h_R", "h_z"), ()),
    "miyamoto-nagai": (("a", "b"), ()),
    "nfw": (("r_s",), ("b", "c", "azimuth", "tilt")),
    "bar": (("a", "b", "c"), ("azimuth",)),
    "hernquist": (("c",), ()),
    "plummer": (("b",), ()),
    "isochrone": (("b",), ()),
    "burkert": (("r0",), ()),
}


@runtime_checkable
class Component(Protocol):
    """One term of a linear potential, for a coefficient of one: a frozen, hashable, picklable value.

    Attributes:
        name: Unique in a dictionary.
        layer: What it stands for: baryons, the halo, or a local free-form correction.
        positive: Whether its coefficient cannot be negative; free-form terms take either sign.
        axisymmetric: Whether it is symmetric about the z axis and the plane z = 0, so that it can be
            tabulated.
    """

    @property
    def name(self) -> str: ...
    @property
    def layer(self) -> Layer: ...
    @property
    def positive(self) -> bool: ...
    @property
    def axisymmetric(self) -> bool: ...

    def potential(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Phi, (km/s)^2."""
        ...

    def acceleration(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """-grad Phi, (km/s)^2/kpc."""
        ...

    def density(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Mass density, Msun/pc^3."""
        ...

    def to_gala(self, coefficient: float) -> PotentialBase:
        """The same as a gala potential in gala's galactic units, times the coefficient."""
        ...


@dataclass(frozen=True)
class GalaComponent:
    """A potential of gala centred on the Galaxy, of 10^10 Msun for a coefficient of one.

    Kinds and their parameters are in `KINDS`. The mass of an NFW halo is gala's scale mass. A Burkert halo
    has a central density of 0.01 Msun/pc^3 for a coefficient of one. An exponential disc is the sum of three
    Miyamoto-Nagai discs of Smith et al. (2015, arXiv:1502.00627) in its form of positive density, exponential
    in |z|. `b` and `c` of an NFW halo are the axis ratios of its *potential*, `azimuth` turns its long axis
    about z and `tilt` then tips it about the turned y axis (degrees). A bar is Long & Murali's (1992) needle
    of half length `a`, softened by `b` and `c`, with its long axis at `azimuth` from the x axis.

    Raises:
        PotentialError: an unknown kind, or parameters that are not those of the kind.
    """

    name: str
    layer: Layer
    kind: str
    parameters: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PotentialError(
                f"there is no component of kind {self.kind!r}; the kinds are {sorted(KINDS)}"
            )
        needed, optional = KINDS[self.kind]
        given = [name for name, _ in self.parameters]
        if (
            set(needed) - set(given)
            or set(given) - set(needed) - set(optional)
            or len(set(given)) != len(given)
        ):
            raise PotentialError(
                f"component {self.name!r}: a {self.kind} takes {needed} and may take {optional}; got {given}"
            )
        for name, value in self.parameters:
            if name not in {"azimuth", "tilt"} and not (np.isfinite(value) and value > 0):
                raise PotentialError(f"component {self.name!r}: {name} is positive and finite; got {value}")

    @property
    def positive(self) -> bool:
        """Its coefficient cannot be negative."""
        return True

    @property
    def axisymmetric(self) -> bool:
        """False for bars and for haloes that are triaxial or tipped."""
        values = dict(self.parameters)
        if self.kind == "nfw":
            return values.get("b", 1.0) == 1.0 and values.get("tilt", 0.0) == 0.0
        return self.kind != "bar"

    def potential(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Phi, (km/s)^2."""
        return np.asarray(self._unit.energy(_columns(x)).value * KMS_PER_KPC_MYR**2)

    def acceleration(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """-grad Phi, (km/s)^2/kpc."""
        return np.asarray(self._unit.acceleration(_columns(x)).value.T * KMS_PER_KPC_MYR**2)

    def density(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Mass density, Msun/pc^3."""
        if self.kind == "nfw" and len(self.parameters) > 1:
            return _shaped_nfw_density(np.asarray(x, dtype=np.float64), dict(self.parameters))
        return np.asarray(self._unit.density(_columns(x)).value * 1e-9)

    def to_gala(self, coefficient: float) -> PotentialBase:
        """The gala potential of this mass, in gala's galactic units."""
        return _gala_potential(self.kind, self.parameters, float(coefficient))

    @property
    def _unit(self) -> PotentialBase:
        return _cached_gala_potential(self.kind, self.parameters)


def _columns(x: Float[np.ndarray, "n 3"]) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(x, dtype=np.float64).T)


@lru_cache(maxsize=1024)
def _cached_gala_potential(kind: str, parameters: tuple[tuple[str, float], ...]) -> PotentialBase:
    return _gala_potential(kind, parameters, 1.0)


def _gala_potential(
    kind: str, parameters: tuple[tuple[str, float], ...], coefficient: float
) -> PotentialBase:
    """Imports gala late: it takes seconds, and a dictionary can be written down without it."""
    import gala.potential as gp
    from gala.units import galactic

    values = dict(parameters)
    mass = coefficient * MASS_OF_ONE
    if kind == "exponential disc":
        return gp.MN3ExponentialDiskPotential(
            m=mass, **values, positive_density=True, sech2_z=False, units=galactic
        )
    if kind == "burkert":
        return gp.BurkertPotential(rho=coefficient * _BURKERT_DENSITY_OF_ONE, **values, units=galactic)
    if kind == "nfw":
        turned = _rotation(values.pop("azimuth", 0.0), values.pop("tilt", 0.0))
        return gp.NFWPotential(m=mass, **values, R=turned, units=galactic)
    if kind == "bar":
        turned_by = np.deg2rad(values.pop("azimuth", 0.0))
        return gp.LongMuraliBarPotential(m=mass, **values, alpha=turned_by, units=galactic)
    classes = {
        "miyamoto-nagai": gp.MiyamotoNagaiPotential,
        "hernquist": gp.HernquistPotential,
        "plummer": gp.PlummerPotential,
        "isochrone": gp.IsochronePotential,
    }
    return classes[kind](m=mass, **values, units=galactic)


def _rotation(azimuth: float, tilt: float) -> np.ndarray | None:
    """Rotation matrix from the Galactic axes to those of a turned and tipped halo; None for neither."""
    if azimuth == 0.0 and tilt == 0.0:
        return None
    a, t = np.deg2rad([azimuth, tilt])
    about_z = np.array([[np.cos(a), np.sin(a), 0.0], [-np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[np.cos(t), 0.0, -np.sin(t)], [0.0, 1.0, 0.0], [np.sin(t), 0.0, np.cos(t)]])
    return about_y @ about_z


def _shaped_nfw_density(x: Float[np.ndarray, "n 3"], values: dict[str, float]) -> Float[np.ndarray, " n"]:
    """Density of an NFW potential with axis ratios, Msun/pc^3: gala has none (it returns NaN).

    With u^2 = x^2 + y^2/b^2 + z^2/c^2 in the halo's axes, the Laplacian of Phi(u) is
    Phi'' |grad u|^2 + Phi' (tr - |grad u|^2) / u, where tr = 1 + 1/b^2 + 1/c^2.
    """
    turned = _rotation(values.get("azimuth", 0.0), values.get("tilt", 0.0))
    inverse = np.array([1.0, values.get("b", 1.0) ** -2, values.get("c", 1.0) ** -2])
    own = x if turned is None else x @ turned.T
    r_s = values["r_s"]
    u = np.sqrt(np.sum(own**2 * inverse, axis=-1))
    slope2 = np.sum((own * inverse) ** 2, axis=-1) / u**2
    # Phi = -G m ln(1 + u/r_s) / u.
    log, rest = np.log1p(u / r_s), u / (r_s + u)
    first = (log - rest) / u**2
    second = (-2 * log + 2 * rest + rest**2) / u**3
    laplacian = second * slope2 + first * (np.sum(inverse) - slope2) / u
    return np.asarray(MASS_OF_ONE * laplacian / (4 * np.pi) * 1e-9)
