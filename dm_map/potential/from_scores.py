"""The global linear form: one potential that makes learned scores stationary everywhere at once.

With s_x = grad_x ln f and s_v = grad_v ln f, the stationary Boltzmann equation in a frame that turns with
Omega about z, written with inertial positions and velocities, is

    (v - Omega z x x) . s_x + (a - Omega z x v) . s_v = 0,

because df/dt = -Omega (z x x) . grad_x f - Omega (z x v) . grad_v f for a pattern that turns rigidly. It is
linear in the coefficients of a = sum_k c_k a_k, and in Omega: both come from one least-squares problem over
all positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from dm_map.errors import PotentialError
from dm_map.potential.dictionary import Dictionary
from dm_map.potential.linear import LinearPotential
from dm_map.potential.solver import Solution, nonnegative_fit
from dm_map.volume import Ball

__all__ = [
    "PatternSpeedScan",
    "ScoreFit",
    "Scores",
    "density_points",
    "potential_from_scores",
    "scan_pattern_speed",
    "tail_weights",
]

_CHUNK = 32_768

# Below this share of the streaming term the pattern speed's column is rounding: the scores are axisymmetric.
_SMALLEST_TURNING = 1e-6


@runtime_checkable
class Scores(Protocol):
    """Scores of m members at k points of phase space, as `dm_map.flows.ScoreSample` has them."""

    @property
    def x(self) -> Float[np.ndarray, "k 3"]:
        """Positions, kpc."""
        ...

    @property
    def v(self) -> Float[np.ndarray, "k 3"]:
        """Velocities, km/s."""
        ...

    @property
    def s_x(self) -> Float[np.ndarray, "m k 3"]:
        """grad_x ln f, 1/kpc."""
        ...

    @property
    def s_v(self) -> Float[np.ndarray, "m k 3"]:
        """grad_v ln f, 1/(km/s)."""
        ...


@dataclass(frozen=True, eq=False)
class ScoreFit:
    """A potential fitted to scores.

    Attributes:
        potential: From the scores averaged over the members; its members are fits to each member's scores.
        residual: Weighted root mean square of the equation's left side over that of its part without a: 0
            where the potential explains all, 1 where it explains nothing.
        member_residuals: The same for each member, shape (m,).
        solution: The quadratic programme's answer for the mean, with its certificate.
        member_pattern_speeds: Pattern speed of each member, km/s/kpc, shape (m,): their spread is its error.
    """

    potential: LinearPotential
    residual: float
    member_residuals: Float[np.ndarray, " m"]
    solution: Solution
    member_pattern_speeds: Float[np.ndarray, " m"]


@dataclass(frozen=True, eq=False)
class PatternSpeedScan:
    """Residual against pattern speed.

    Attributes:
        speeds: km/s/kpc, ascending.
        residuals: Of each fit.
        fit: The fit of least residual.
        best: Minimum of the parabola through the three lowest neighbours, km/s/kpc.
        at_edge: The least residual is at an end of the scan: look further.
    """

    speeds: Float[np.ndarray, " n"]
    residuals: Float[np.ndarray, " n"]
    fit: ScoreFit
    best: float
    at_edge: bool


def potential_from_scores(
    scores: Scores,
    dictionary: Dictionary,
    *,
    weights: Float[np.ndarray, " k"] | None = None,
    penalty: float | Float[np.ndarray, "*K K"] = 1e-2,
    pattern_speed: float | Literal["fit"] = 0.0,
    positive_density_at: Float[np.ndarray, "p 3"] | None = None,
) -> ScoreFit:
    """Minimise the weighted mean square residual of the Boltzmann equation over all points of phase space.

    Args:
        scores: x in kpc, v in km/s, scores of one or more members.
        dictionary: The components of the potential.
        weights: Of the points; `tail_weights` of the velocities where None.
        penalty: A number: each component of either sign has this fraction of its own diagonal of the normal
            matrix added, which shrinks what the data do not ask for. An array is added as it is, of shape
            (K,) or (K, K), to the normal matrix of the weighted mean.
        pattern_speed: Omega in km/s/kpc, or "fit": a free parameter of the same linear problem.
        positive_density_at: Positions at which the total density cannot be negative. Where None,
            `density_points` of the dictionary's volume if it has components of either sign, else none.

    Returns:
        The potential and its residuals.

    Raises:
        PotentialError: fewer points than components, shapes or values that are not usable, a pattern speed
            asked of axisymmetric scores, or no solution.
    """
    w = _checked_weights(scores, dictionary, weights)
    fitted = pattern_speed == "fit"
    speed = 0.0 if fitted else float(pattern_speed)
    systems = _normal_equations(scores, dictionary, w, speed, fitted)
    constraints = _constraints(dictionary, positive_density_at)
    answers = [_solve(system, dictionary, penalty, constraints, fitted) for system in systems]
    coefficients = [answer.coefficients[: len(dictionary)] for answer in answers]
    speeds = np.array([answer.coefficients[-1] if fitted else speed for answer in answers])
    residuals = np.array([_residual(system, answer) for system, answer in zip(systems, answers, strict=True)])
    potential = LinearPotential(dictionary, coefficients[0], np.array(coefficients[1:]), float(speeds[0]))
    return ScoreFit(potential, float(residuals[0]), residuals[1:], answers[0], speeds[1:])


def tail_weights(v: Float[np.ndarray, "k 3"], truncation: float = 3.0) -> Float[np.ndarray, " k"]:
    """Weights that fall smoothly to zero where stars are too few to learn scores from: (1 - d^2/t^2)^2.

    d is the distance from the median velocity in units of the robust dispersion of each component (1.4826
    times the median absolute deviation), divided by sqrt(3): d = 1 is a typical star; t is `truncation`.

    Raises:
        PotentialError: all velocities are alike, or the truncation is not positive.
    """
    centre = np.median(v, axis=0)
    spread = 1.4826 * np.median(np.abs(v - centre), axis=0)
    if not (truncation > 0 and np.all(spread > 0)):
        raise PotentialError(
            f"weights need a positive truncation and velocities that differ; got {truncation} and "
            f"spreads {spread}"
        )
    d2 = np.mean(((v - centre) / spread) ** 2, axis=-1) / truncation**2
    return np.maximum(1.0 - d2, 0.0) ** 2


def density_points(volume: Ball, n: int = 512) -> Float[np.ndarray, "p 3"]:
    """Positions at which a density is kept positive: n quasi-random ones, half of them near z = 0."""
    cube = qmc.Halton(d=3, scramble=False).random(n + 1)[1:]
    height, angle, radius = 2 * cube[:, 0] - 1, 2 * np.pi * cube[:, 1], np.cbrt(cube[:, 2])
    ring = np.sqrt(1 - height**2)
    unit = radius[:, None] * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=-1)
    x = np.asarray(volume.centre) + 0.999 * volume.radius * unit
    x[::2, 2] = x[::2, 2] * 0.1
    return x[volume.contains(x)]


def scan_pattern_speed(fit: Callable[[float], ScoreFit], speeds: Sequence[float]) -> PatternSpeedScan:
    """Fit once for each pattern speed and find the least residual.

    Args:
        fit: From a pattern speed in km/s/kpc to a fit.
        speeds: Three or more different ones.

    Raises:
        PotentialError: fewer than three speeds.
    """
    ordered = np.unique(np.asarray(speeds, dtype=np.float64))
    if len(ordered) < 3:
        raise PotentialError(f"a scan needs three or more different pattern speeds; got {list(speeds)}")
    fits = [fit(float(speed)) for speed in ordered]
    residuals = np.array([one.residual for one in fits])
    least = int(np.argmin(residuals))
    at_edge = least in {0, len(ordered) - 1}
    best = float(ordered[least])
    if not at_edge:
        near = slice(least - 1, least + 2)
        # The mean square residual is a parabola in Omega where no bound changes.
        curve = np.polynomial.Polynomial.fit(ordered[near], residuals[near] ** 2, 2)
        best = float(curve.deriv().roots()[0].real)
    return PatternSpeedScan(ordered, residuals, fits[least], best, at_edge)


def _checked_weights(
    scores: Scores, dictionary: Dictionary, weights: np.ndarray | None
) -> Float[np.ndarray, " k"]:
    k = len(scores.x)
    shapes = {"x": scores.x, "v": scores.v}
    wrong = [name for name, value in shapes.items() if value.shape != (k, 3)]
    wrong += [
        n for n, s in (("s_x", scores.s_x), ("s_v", scores.s_v)) if s.ndim != 3 or s.shape[1:] != (k, 3)
    ]
    if wrong or len(scores.s_x) != len(scores.s_v) or not len(scores.s_x):
        raise PotentialError(
            "scores have x and v of shape (k, 3), s_x and s_v of shape (m, k, 3); got "
            f"{scores.x.shape}, {scores.v.shape}, {scores.s_x.shape} and {scores.s_v.shape}"
        )
    if k < len(dictionary):
        raise PotentialError(
            f"{len(dictionary)} components need as many points of phase space at least; got {k}"
        )
    w = tail_weights(scores.v) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (k,) or not np.all(w >= 0) or not np.sum(w) > 0:
        raise PotentialError(
            f"weights are {k} non-negative numbers that are not all zero; got shape {w.shape}"
        )
    return w / np.sum(w)


@dataclass(frozen=True, eq=False)
class _System:
    """Weighted means of D^T D, D^T t and t^2 for the residual t - D c."""

    G: np.ndarray
    h: np.ndarray
    square: float


def _normal_equations(
    scores: Scores, dictionary: Dictionary, w: np.ndarray, speed: float, fitted: bool
) -> list[_System]:
    """First for the mean scores, then for each member; the components' accelerations are computed once."""
    members = range(-1, len(scores.s_x))
    width = len(dictionary) + fitted
    G = np.zeros((len(members), width, width))
    h = np.zeros((len(members), width))
    square = np.zeros(len(members))
    for start in range(0, len(w), _CHUNK):
        rows = slice(start, start + _CHUNK)
        fields = dictionary.accelerations(scores.x[rows])
        for i, member in enumerate(members):
            s_x, s_v = _member(scores, member, rows)
            design = np.einsum("nj,njk->nk", s_v, fields)
            turning = _turn(scores.x[rows], s_x) + _turn(scores.v[rows], s_v)
            target = speed * turning - np.sum(scores.v[rows] * s_x, axis=-1)
            if fitted:
                design = np.column_stack([design, -turning])
            weighted = design * w[rows, None]
            G[i] += weighted.T @ design
            h[i] += weighted.T @ target
            square[i] += float(w[rows] @ target**2)
    return [_System(*parts) for parts in zip(G, h, square, strict=True)]


def _member(scores: Scores, member: int, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    if member < 0:
        return scores.s_x[:, rows].mean(axis=0), scores.s_v[:, rows].mean(axis=0)
    return scores.s_x[member, rows], scores.s_v[member, rows]


def _turn(x: np.ndarray, s: np.ndarray) -> Float[np.ndarray, " n"]:
    """(z x x) . s."""
    return x[:, 0] * s[:, 1] - x[:, 1] * s[:, 0]


def _constraints(dictionary: Dictionary, at: np.ndarray | None) -> Float[np.ndarray, "p K"] | None:
    if at is None:
        if np.all(dictionary.positive):
            return None
        if dictionary.volume is None:
            raise PotentialError(
                "a dictionary with components of either sign needs a volume, or positions at which density "
                "is kept positive"
            )
        at = density_points(dictionary.volume)
    return dictionary.densities(at)


def _solve(
    system: _System,
    dictionary: Dictionary,
    penalty: float | np.ndarray,
    constraints: np.ndarray | None,
    fitted: bool,
) -> Solution:
    positive = dictionary.positive
    K = len(positive)
    if isinstance(penalty, np.ndarray):
        matrix = np.diag(penalty) if penalty.ndim == 1 else penalty
    else:
        matrix = np.diag(np.where(positive, 0.0, penalty * np.diag(system.G)[:K]))
    if fitted:
        if not system.G[K, K] > _SMALLEST_TURNING**2 * _turning_scale(system):
            raise PotentialError(
                "the scores are axisymmetric about z: they say nothing about a pattern speed; leave it at 0"
            )
        positive = np.append(positive, False)
        matrix = np.pad(matrix, (0, 1))
        constraints = None if constraints is None else np.pad(constraints, ((0, 0), (0, 1)))
    return nonnegative_fit(system.G, system.h, positive, matrix, constraints)


def _turning_scale(system: _System) -> float:
    """Square of the streaming term per (100 km/s/kpc)^2: what a pattern speed that matters would leave."""
    return system.square / 100.0**2


def _residual(system: _System, answer: Solution) -> float:
    c = answer.coefficients
    left = system.square - 2 * system.h @ c + c @ system.G @ c
    return float(np.sqrt(max(left, 0.0) / system.square)) if system.square > 0 else 0.0
