"""An unknown smooth selection function, as further columns of the linear equations.

Stars seen with probability S(x) out of a stationary population have f_seen = S f, and then

    sum_i [ v . grad_x psi + dw/dt . grad_w psi + psi v . grad ln S ] = 0.

With ln S = sum_q s_q phi_q this is linear in s_q: each term is one more column. Populations of one dispersion
sigma cannot tell grad ln S from a force a = sigma^2 grad ln S; populations of several dispersions can, and
streaming stars can, which the error of s_q shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float

from dm_map.errors import WeakFormError
from dm_map.volume import Ball

__all__ = ["SelectionTerms"]


@dataclass(frozen=True)
class SelectionTerms:
    """phi_q: the monomials in (x - centre)/kpc of degree 1 to `degree`, without the constant.

    Attributes:
        volume: The ball about whose centre they are taken.
        degree: 1 for a constant gradient, 2 for curvature.

    Raises:
        WeakFormError: a degree other than 1 or 2.
    """

    volume: Ball
    degree: int = 1

    def __post_init__(self) -> None:
        if self.degree not in (1, 2):
            raise WeakFormError(f"a selection is linear or quadratic in position; got degree {self.degree}")

    @cached_property
    def _axes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(
            axes for n in range(1, self.degree + 1) for axes in combinations_with_replacement(range(3), n)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms: x, y, z, xx, xy, ..."""
        return tuple("".join("xyz"[axis] for axis in axes) for axes in self._axes)

    @property
    def size(self) -> int:
        """Number of terms."""
        return len(self._axes)

    def values(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n q"]:
        """phi_q, so that ln S = values @ s."""
        d = x - np.asarray(self.volume.centre)
        return np.stack([np.prod(d[:, list(axes)], axis=1) for axes in self._axes], axis=1)

    def along(self, x: Float[np.ndarray, "n 3"], v: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n q"]:
        """v . grad phi_q, km/s/kpc."""
        d = x - np.asarray(self.volume.centre)
        out = np.empty((len(x), self.size))
        for q, axes in enumerate(self._axes):
            if len(axes) == 1:
                out[:, q] = v[:, axes[0]]
            else:
                one, two = axes
                out[:, q] = v[:, one] * d[:, two] + v[:, two] * d[:, one]
        return out
