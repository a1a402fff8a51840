"""What the scores of a density imply at positions, as vectors that vanish for a right and stationary one.

With r = v . s_x + a . s_v, what equation (1) leaves at the acceleration of equation (2):

* E[r | x] is <v . s_x>, the continuity equation (E[s_v] = 0 for any density): no potential enters;
* E[r (v - <v>) | x] is the acceleration of Jeans' equation less that of equation (2) (E[v s_v^T] = -1);
* the acceleration from the fast half of the velocities less that from the slow half;
* the mean tangential component of a on small circles: Stokes' theorem, the curl without derivatives;
* a(x) less the mirrored acceleration at the mirrored place; and a turned about the axis.

Taken from r, the moments have no sampling noise where equation (1) holds: with exact scores they are zero to
rounding for any number of velocities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from density.seeds import child_seed
from dm_map.diagnostics.phase_space import PhaseSpace, Pointwise, accelerations
from dm_map.diagnostics.settings import DiagnosticSettings
from dm_map.errors import DiagnosticError
from dm_map.gravity import mean_density_in_ball
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = [
    "LocalFields",
    "Places",
    "azimuthal_difference",
    "choose_places",
    "local_fields",
    "mirror_difference",
]

Acceleration = Callable[[np.ndarray], np.ndarray]

_NODES = 24
_BALL_ORDER = 9


@dataclass(frozen=True, eq=False)
class Places:
    """Where the scores are examined.

    Attributes:
        x: Positions, shape (p, 3).
        centres: Centres of loops and balls, shape (c, 3).
        radius: Their radius.
        usable: The ball that holds them all.
    """

    x: Float[np.ndarray, "p 3"]
    centres: Float[np.ndarray, "c 3"]
    radius: float
    usable: Ball


@dataclass(frozen=True, eq=False)
class LocalFields:
    """The vectors of this module's heading, for one density.

    Attributes:
        pointwise: Accelerations at the places' positions.
        continuity: Shape (p, 1), in units of the streaming term.
        jeans, speed: Shape (p, 3), accelerations.
        curl: Shape (c, 3), accelerations.
        symmetries: By name, shape (p', 3), accelerations, and the positions (p', 3).
        mass: Mean mass density in balls at the centres, up to a common factor, shape (c,).
    """

    pointwise: Pointwise
    continuity: Float[np.ndarray, "p 1"]
    jeans: Float[np.ndarray, "p 3"]
    speed: Float[np.ndarray, "p 3"]
    curl: Float[np.ndarray, "c 3"]
    symmetries: dict[str, tuple[np.ndarray, np.ndarray]]
    mass: Float[np.ndarray, " c"]


def choose_places(sample: StarSample, settings: DiagnosticSettings, seed: int) -> Places:
    """Positions of stars, well inside the volume.

    Raises:
        DiagnosticError: too few stars there.
    """
    ball = sample.volume
    usable = ball.within(settings.use_within * ball.radius)
    radius = settings.scale * min(
        usable.radius, float(np.median(ball.fraction_of_radius(sample.x))) * ball.radius
    )
    inner = ball.within(usable.radius - radius)
    rng = np.random.default_rng(child_seed(seed, "places"))
    found = []
    for volume, wanted in ((usable, settings.positions), (inner, settings.centres)):
        inside = np.flatnonzero(volume.contains(sample.x))
        if len(inside) < wanted:
            raise DiagnosticError(
                f"{wanted} stars or more are needed within {volume.radius:g} of {volume.centre}; got"
                f" {len(inside)}"
            )
        found.append(sample.x[rng.choice(inside, wanted, replace=False)])
    return Places(found[0], found[1], radius, usable)


def local_fields(density: PhaseSpace, places: Places, settings: DiagnosticSettings, seed: int) -> LocalFields:
    """All vectors at the places, for one density."""
    options = {"truncation": settings.truncation, "pattern_speed": settings.pattern_speed}
    solved = accelerations(
        density, places.x, settings.velocities, seed=child_seed(seed, "velocities"), **options
    )

    def at(x: np.ndarray) -> np.ndarray:
        few = max(32, settings.velocities // 4)
        return accelerations(density, x, few, seed=child_seed(seed, "elsewhere"), **options).a

    residual = solved.residual
    centred = solved.v - solved.v.mean(axis=1, keepdims=True)
    compare = {"north-south": mirror_difference, "azimuthal": azimuthal_difference}
    return LocalFields(
        pointwise=solved,
        continuity=residual.mean(axis=1, keepdims=True),
        jeans=np.einsum("pk,pkc->pc", residual, centred) / residual.shape[1],
        speed=_speed_difference(solved, settings.truncation),
        curl=_circulation(at, places),
        symmetries={name: compare[name](at, solved.a, places) for name in settings.symmetries},
        mass=mean_density_in_ball(at, places.centres, places.radius, order=_BALL_ORDER),
    )


def _speed_difference(solved: Pointwise, truncation: float) -> Float[np.ndarray, "p 3"]:
    """Half of the difference between the accelerations of the fast and of the slow velocities."""
    slow = solved.distance < np.median(solved.distance, axis=1, keepdims=True)
    fast = ~slow & (solved.distance < truncation)
    return 0.5 * (solved.solved(fast.astype(float)) - solved.solved(slow.astype(float)))


def _circulation(acceleration: Acceleration, places: Places) -> Float[np.ndarray, "c 3"]:
    """Mean tangential acceleration on circles about each axis: half the radius times the mean curl."""
    angle = 2.0 * np.pi * np.arange(_NODES) / _NODES
    normal, tangent = np.zeros((3, _NODES, 3)), np.zeros((3, _NODES, 3))
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        normal[axis, :, first], normal[axis, :, second] = np.cos(angle), np.sin(angle)
        tangent[axis, :, first], tangent[axis, :, second] = -np.sin(angle), np.cos(angle)
    nodes = places.centres[:, None, None, :] + places.radius * normal
    a = acceleration(nodes.reshape(-1, 3)).reshape(nodes.shape)
    return np.mean(np.sum(a * tangent, axis=-1), axis=-1)


def mirror_difference(
    acceleration: Acceleration, a: Float[np.ndarray, "p 3"], places: Places
) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
    """a(x) less the reflection of a at the place mirrored in z = 0, over sqrt(2); and the positions.

    Only positions whose mirror place is usable take part.
    """
    mirror = np.array([1.0, 1.0, -1.0])
    kept = places.usable.contains(places.x * mirror)
    x = places.x[kept]
    return (a[kept] - mirror * _where_any(acceleration, x * mirror)) / np.sqrt(2.0), x


def azimuthal_difference(
    acceleration: Acceleration, a: Float[np.ndarray, "p 3"], places: Places
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """a(x) less the turned acceleration at the place across the volume's meridian, over sqrt(2)."""
    x = places.x
    meridian = np.arctan2(places.usable.centre[1], places.usable.centre[0])
    turn = 2.0 * (meridian - np.arctan2(x[:, 1], x[:, 0]))
    there = _turned(x, turn)
    return (a - _turned(_where_any(acceleration, there), -turn)) / np.sqrt(2.0), x


def _where_any(acceleration: Acceleration, x: np.ndarray) -> np.ndarray:
    return acceleration(x) if len(x) else np.zeros((0, 3))


def _turned(y: Float[np.ndarray, "p 3"], angle: Float[np.ndarray, " p"]) -> Float[np.ndarray, "p 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([cosine * y[:, 0] - sine * y[:, 1], sine * y[:, 0] + cosine * y[:, 1], y[:, 2]], axis=1)
