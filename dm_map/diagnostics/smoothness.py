"""Are the scores smooth? Activations with corners and splines give scores that jump."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from density.seeds import child_seed
from dm_map.diagnostics.phase_space import PhaseSpace

__all__ = ["missing_order"]

_STEP = 0.02
# Second differences below this share of the scores are as good as none: rounding of single precision.
_NEGLIGIBLE = 1e-4


def missing_order(
    density: PhaseSpace, x: Float[np.ndarray, "n 3"], v: Float[np.ndarray, "n 3"], seed: int
) -> float:
    """By how many powers of the step the second differences of the scores fall short of smooth ones.

    For smooth scores s the mean of |s(+d) - 2 s(0) + s(-d)|^2 falls as d^4. Where s jumps on surfaces, a step
    crosses one with a probability in proportion to d, and the mean falls as d^1. The value is 4 less the
    exponent between steps of 2 and 1 % of the lengths over which f changes by a factor e, in random
    directions of phase
    space: 0 for smooth scores, 1 where their slopes jump, 3 where they jump themselves.

    Args:
        density: The density.
        x, v: Stars well inside the volume, shape (n, 3).
        seed: Root of the random directions.
    """
    rng = np.random.default_rng(child_seed(seed, "directions"))
    direction = rng.standard_normal((len(x), 6))
    direction *= _STEP / np.linalg.norm(direction, axis=1, keepdims=True)
    s_x, s_v = density.scores(x, v)
    # Each star has its own units: steps shrink towards a cusp or an edge, where smooth scores change faster.
    length, speed = (_length(scores) for scores in (s_x, s_v))
    middle = np.concatenate([length * s_x, speed * s_v], axis=1)

    def bend(step: float) -> float:
        ends = [
            np.concatenate([length * near_x, speed * near_v], axis=1)
            for near_x, near_v in (
                density.scores(x + side * length * direction[:, :3], v + side * speed * direction[:, 3:])
                for side in (step, -step)
            )
        ]
        return float(np.mean((ends[0] - 2.0 * middle + ends[1]) ** 2))

    whole, half = bend(1.0), bend(0.5)
    if whole < _NEGLIGIBLE**2 * np.mean(middle**2):
        return 0.0
    return float(4.0 - np.log2(whole / half))


def _length(scores: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 1"]:
    squares = np.sum(scores**2, axis=1, keepdims=True)
    return 1.0 / np.sqrt(squares + squares.mean())
