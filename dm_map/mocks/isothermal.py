"""Isothermal tracers in any potential: exact solutions of the Boltzmann equation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from dm_map.errors import MockError
from dm_map.gravity import GALACTIC, GravityUnits
from dm_map.mocks.base import SOLAR_BALL, Numbers, Positions, require_count
from dm_map.mocks.cells import draw_positions, log_integral
from dm_map.mocks.gala_field import GalaField, GalaPotential
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["Component", "IsothermalMixture"]


class Component(NamedTuple):
    """One isothermal population.

    Attributes:
        sigma: Velocity dispersion in each direction, km/s.
        share: Its share of the stars in the volume.
        rotation: Angular speed of its mean motion about z, km/s/kpc.
    """

    sigma: float
    share: float
    rotation: float


@dataclass(frozen=True, eq=False)
class IsothermalMixture:
    """Isothermal populations in a gala potential, cut to a ball.

    Component k is f_k ~ exp(-E_J / sigma_k^2) with Jacobi's energy E_J = v^2/2 + Phi - Omega_k L_z (Binney
    & Tremaine 2008, section 4.4): n_k ~ exp(-(Phi - Omega_k^2 R^2/2) / sigma_k^2), v ~ N(Omega_k z x x,
    sigma_k^2). Any function of an integral of motion is stationary, and so is a sum of them; the mixture's
    p(v | x) is not normal. In an axisymmetric potential each component may stream at its own Omega_k;
    otherwise all turn with the potential. Negative is the Milky Way's sense in astropy's Galactocentric
    frame.

    Attributes:
        gala_potential: The field, as it stands at time zero.
        components: (sigma km/s, share of the stars in the volume) or (sigma, share, rotation km/s/kpc);
            without its own rotation a component turns with the pattern.
        volume: The ball that holds the tracers.
        name: For tables and file names.
        pattern_speed: Angular speed about z with which the potential turns, km/s/kpc.

    Raises:
        MockError: a dispersion or share is not positive, the shares do not add up to one, or a component
            does not turn with a potential that is not axisymmetric.
    """

    units: ClassVar[GravityUnits] = GALACTIC
    stationary: ClassVar[bool] = True

    gala_potential: GalaPotential
    components: tuple[tuple[float, ...], ...] = ((60.0, 0.5), (90.0, 0.3), (140.0, 0.2))
    volume: Ball = SOLAR_BALL
    name: str = "isothermal-mixture"
    pattern_speed: float = 0.0

    def __post_init__(self) -> None:
        if not self.components or any(len(given) not in (2, 3) for given in self.components):
            raise MockError(
                f"components are (sigma, share) or (sigma, share, rotation); got {self.components}"
            )
        for part in self.populations:
            if not (part.sigma > 0 and part.share > 0 and math.isfinite(sum(part))):
                raise MockError(f"dispersion and share of a component are positive and finite; got {part}")
        total = math.fsum(part.share for part in self.populations)
        if abs(total - 1.0) > 1e-9:
            raise MockError(f"the shares of the components add up to one; got {total:g}")
        if any(part.rotation != self.pattern_speed for part in self.populations):
            self._require_axisymmetry()

    def _require_axisymmetry(self) -> None:
        x = self.volume.uniform(64, seed=0)
        a = self.acceleration(x)
        torque = np.abs(x[:, 0] * a[:, 1] - x[:, 1] * a[:, 0])
        relative = float(np.max(torque / (np.linalg.norm(x, axis=1) * np.linalg.norm(a, axis=1))))
        if relative > 1e-9:
            raise MockError(
                f"the potential is not axisymmetric (torque about z up to {relative:.2g} of r |a|), so every "
                f"component turns with it, at {self.pattern_speed:g} km/s/kpc; got {self.components}"
            )

    @property
    def populations(self) -> tuple[Component, ...]:
        """The components with their rotation filled in."""
        return tuple(Component(*given[:2], *given[2:] or (self.pattern_speed,)) for given in self.components)

    @cached_property
    def _field(self) -> GalaField:
        return GalaField(self.gala_potential)

    def potential(self, x: Positions) -> Numbers:
        """Phi in (km/s)^2."""
        return self._field.potential(x)

    def acceleration(self, x: Positions) -> Positions:
        """a in (km/s)^2/kpc."""
        return self._field.acceleration(x)

    def density(self, x: Positions) -> Numbers:
        """Mass density rho of the field in Msun/pc^3; the tracers' own is `tracer_density`."""
        return self._field.density(x)

    def _log_numbers(self, part: Component, x: np.ndarray) -> np.ndarray:
        """ln n_k without its normalisation."""
        lift = 0.5 * part.rotation**2 * np.sum(x[..., :2] ** 2, axis=-1)
        return np.asarray((lift - self.potential(x)) / part.sigma**2)

    @cached_property
    def _log_norms(self) -> tuple[float, ...]:
        return tuple(
            log_integral(lambda x, p=p: self._log_numbers(p, x), self.volume) for p in self.populations
        )

    def tracer_density(self, x: Positions) -> Numbers:
        """Probability density of a tracer's position, 1/kpc^3, inside the volume."""
        parts = [
            np.log(part.share) - norm + self._log_numbers(part, x)
            for part, norm in zip(self.populations, self._log_norms, strict=True)
        ]
        return np.asarray(np.exp(logsumexp(parts, axis=0)))

    def _log_parts(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """ln of each component's share of f, first axis over components."""
        phi, momentum = self.potential(x), x[..., 0] * v[..., 1] - x[..., 1] * v[..., 0]
        energy = 0.5 * np.sum(v**2, axis=-1) + phi
        return np.stack(
            [
                math.log(part.share)
                - norm
                - 1.5 * math.log(2 * math.pi * part.sigma**2)
                - (energy - part.rotation * momentum) / part.sigma**2
                for part, norm in zip(self.populations, self._log_norms, strict=True)
            ]
        )

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f(x, v), normalised over the volume and all velocities."""
        return np.asarray(logsumexp(self._log_parts(x, v), axis=0))

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """(grad_x ln f, grad_v ln f): -grad E_J / sigma_k^2, averaged over the components at (x, v)."""
        parts = self._log_parts(x, v)
        share = np.exp(parts - logsumexp(parts, axis=0))
        cold = np.array([1.0 / part.sigma**2 for part in self.populations])
        turning = np.array([part.rotation for part in self.populations]) * cold
        slope = np.tensordot(cold, share, axes=1)[..., None]
        spin = np.tensordot(turning, share, axes=1)[..., None]
        return slope * self.acceleration(x) - spin * _about_z(v), -slope * v + spin * _about_z(x)

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        """One velocity at each position, of a component drawn by its share of the stars there."""
        rng = np.random.default_rng(seed)
        logs = np.stack(
            [
                np.log(part.share) - norm + self._log_numbers(part, x)
                for part, norm in zip(self.populations, self._log_norms, strict=True)
            ]
        )
        cumulative = np.cumsum(np.exp(logs - logsumexp(logs, axis=0)), axis=0)
        chosen = np.minimum(np.sum(cumulative < rng.random(len(x)), axis=0), len(logs) - 1)
        sigma = np.array([part.sigma for part in self.populations])[chosen, None]
        rotation = np.array([part.rotation for part in self.populations])[chosen, None]
        return rotation * _about_z(x) + sigma * rng.standard_normal(x.shape)

    def sample(self, n: int, seed: int) -> StarSample:
        """n tracers; the number of each component is drawn from its share.

        Raises:
            MockError: n is negative, or the potential varies too fast for the cells of the sampler (a cusp).
        """
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(require_count(n), [part.share for part in self.populations])
        x, v = [], []
        for part, count in zip(self.populations, counts, strict=True):
            at = draw_positions(lambda x, p=part: self._log_numbers(p, x), self.volume, int(count), rng)
            x.append(at)
            v.append(part.rotation * _about_z(at) + part.sigma * rng.standard_normal(at.shape))
        order = rng.permutation(n)
        return StarSample(np.concatenate(x)[order], np.concatenate(v)[order], self.volume)


def _about_z(x: np.ndarray) -> np.ndarray:
    """z x x: the motion of a body that turns about z with unit angular speed."""
    return np.stack([-x[..., 1], x[..., 0], np.zeros_like(x[..., 0])], axis=-1)
