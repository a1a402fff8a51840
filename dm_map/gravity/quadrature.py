"""Weighted sums of a field over steps around positions, some positions at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["sum_around"]

# Positions handed to a field at once: 20,000 vectors of a hundred members take 48 MB.
_POSITIONS_AT_ONCE = 20_000


def sum_around(
    field: Callable[[np.ndarray], np.ndarray],
    centres: Float[np.ndarray, "p 3"],
    steps: Float[np.ndarray, "k 3"],
    weights: Float[np.ndarray, "k *components"],
) -> Float[np.ndarray, "*members p"]:
    """sum_k field(centre + steps_k) . weights_k for each centre.

    Args:
        field: function from positions (n, 3) to values (n, *components), of m members (m, n, *components).
        centres: positions.
        steps: from each of them.
        weights: one per step and component of the field.
    """
    components = weights.shape[1:]
    at_once = max(1, _POSITIONS_AT_ONCE // len(steps))
    sums = []
    for start in range(0, len(centres), at_once):
        near = centres[start : start + at_once, None, :] + steps
        values = np.asarray(field(near.reshape(-1, 3)))
        members = values.shape[: values.ndim - 1 - len(components)]
        sums.append(values.reshape(*members, len(near), -1) @ weights.ravel())
    return np.concatenate(sums, axis=-1) if sums else np.empty(0)
