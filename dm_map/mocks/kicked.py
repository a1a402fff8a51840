"""A mock out of equilibrium: a relaxed sample, displaced and set in motion along z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.gravity import GravityUnits
from dm_map.mocks.base import SOLAR_BALL, Mock, Numbers, Positions, require_count
from dm_map.mocks.galaxies import milky_way
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["Kicked", "kicked"]

_LARGEST_BATCH = 2_000_000
_LOWEST_RATE, _TRIES = 1e-3, 100_000


@dataclass(frozen=True, eq=False)
class Kicked:
    """f(x, v) = f_0(x - dz, v - dv_z) in the field of f_0: not stationary, its scores still exact.

    The tracers come from all of `mock` and are cut after the shift, so no edge of the volume is left empty.

    Attributes:
        mock: The relaxed tracers f_0 and the field.
        volume: The ball that holds the kicked tracers; `mock` must reach beyond it by the displacement.
        dz: Displacement along z, in the mock's unit of length.
        dv_z: Velocity along z added to every tracer, in the mock's unit.
        name: For tables and file names.

    Raises:
        MockError: the relaxed tracers do not fill the volume after the shift.
    """

    stationary: ClassVar[bool] = False

    mock: Mock
    volume: Ball
    dz: float = 0.0
    dv_z: float = 0.0
    name: str = "kicked"

    def __post_init__(self) -> None:
        if self.mock.volume is not None:
            self._require_filled(self.mock.volume)

    def _require_filled(self, source: Ball) -> None:
        apart = np.subtract(self.volume.centre, np.add(source.centre, (0.0, 0.0, self.dz)))
        if float(np.linalg.norm(apart)) + self.volume.radius > source.radius * (1 + 1e-12):
            raise MockError(
                f"tracers of the ball of radius {source.radius:g} around {source.centre}, shifted by "
                f"{self.dz:g} along z, do not fill the ball of radius {self.volume.radius:g} around "
                f"{self.volume.centre}; start from a larger ball"
            )

    @property
    def units(self) -> GravityUnits:
        return self.mock.units

    @property
    def pattern_speed(self) -> float:
        return self.mock.pattern_speed

    def potential(self, x: Positions) -> Numbers:
        return self.mock.potential(x)

    def acceleration(self, x: Positions) -> Positions:
        return self.mock.acceleration(x)

    def density(self, x: Positions) -> Numbers:
        return self.mock.density(x)

    def _relaxed(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x - np.array([0.0, 0.0, self.dz]), v - np.array([0.0, 0.0, self.dv_z])

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f_0(x - dz, v - dv_z), normalised over the volume of the relaxed mock."""
        return self.mock.log_density(*self._relaxed(x, v))

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        return self.mock.scores(*self._relaxed(x, v))

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        relaxed, shift = self._relaxed(x, np.zeros_like(x))
        return self.mock.sample_velocities(relaxed, seed) - shift

    def _shifted(self, n: int, seed: int) -> StarSample:
        """Those of n relaxed tracers that are in the volume after the shift."""
        drawn = self.mock.sample(n, seed)
        self._require_filled(drawn.volume)
        x, v = drawn.x + np.array([0.0, 0.0, self.dz]), drawn.v + np.array([0.0, 0.0, self.dv_z])
        inside = np.flatnonzero(self.volume.contains(x))
        return StarSample(x[inside], v[inside], self.volume)

    def sample(self, n: int, seed: int) -> StarSample:
        """n tracers that are inside the volume after the shift.

        Raises:
            MockError: n is negative, or next to none of the relaxed tracers end in the volume.
        """
        missing, rate, tried = require_count(n), 0.9, 0
        seeds = np.random.SeedSequence(seed)
        found = [StarSample(np.empty((0, 3)), np.empty((0, 3)), self.volume)]
        while missing > 0:
            batch = min(int(1.05 * missing / rate) + 100, _LARGEST_BATCH)
            inside = self._shifted(batch, int(seeds.spawn(1)[0].generate_state(1)[0]))
            found.append(inside.take(np.arange(min(missing, len(inside)))))
            missing, tried = missing - len(found[-1]), tried + batch
            rate = max(len(inside) / batch, _LOWEST_RATE)
            if missing > 0 and tried > _TRIES and n - missing < _LOWEST_RATE * tried:
                raise MockError(
                    f"{n - missing} of {tried} relaxed tracers end in the ball of radius "
                    f"{self.volume.radius:g} around {self.volume.centre}; start from a ball closer to it"
                )
        parts = [np.concatenate([getattr(part, axis) for part in found]) for axis in ("x", "v")]
        return StarSample(*parts, self.volume)


def kicked(dz: float = 0.0, dv_z: float = 20.0) -> Kicked:
    """The `milky_way` mock, kicked by 20 km/s along z: 14 to 33 % of the dispersions of its populations."""
    source = SOLAR_BALL.within(SOLAR_BALL.radius + abs(dz))
    return Kicked(milky_way(source), SOLAR_BALL, dz, dv_z)
