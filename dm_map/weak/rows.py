"""Sums over the stars: one linear equation for each test function, with the exact covariance of all of them.

For stars in a stationary state, weighted by 1/S where the selection function S is known,

    sum_i w_i [ v . grad_x psi + dw/dt . grad_w psi ] = 0                                  (weak form)

for every psi that vanishes on the edge of the volume, with dw/dt = a(x) + geometric terms along local axes.
With a = sum_k c_k a_k the rows read b + A c = 0. Stars are independent, so the covariance of the rows is
C = sum_i s_i s_i^T with s_i the vector of the terms of star i: exact, and sparse by the support of the
splines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from dm_map.stars import StarSample
from dm_map.weak.blocks import StarTerms
from dm_map.weak.sums import BLOCK, Equations, Groups, Reference, Rows, RunningSums, runs

__all__ = ["Progress", "sum_rows"]

Progress = Callable[[int, int], None]

# Stars at a time: bounds the memory of their accelerations to 12 K bytes each, 130 MB for 80 components.
_CHUNK = 131_072


def sum_rows(
    sample: StarSample,
    equations: Equations,
    groups: Groups,
    reference: Reference | None = None,
    progress: Progress | None = None,
) -> Rows:
    """Sum the equations over the stars, in chunks: memory does not grow with their number.

    Stars outside the ball of the test functions do not count.

    Args:
        sample: The stars.
        equations: Test functions and unknowns.
        groups: Groups of the stars.
        reference: Where the covariance is taken; None for none.
        progress: Called with (stars done, stars in all).
    """
    total = _Total(equations, groups, reference)
    for start in range(0, len(sample), _CHUNK):
        stop = min(start + _CHUNK, len(sample))
        total.add_chunk(sample, slice(start, stop))
        if progress is not None:
            progress(stop, len(sample))
    return total.rows()


class _Total:
    """Running sums over the stars, cell by cell."""

    def __init__(self, equations: Equations, groups: Groups, reference: Reference | None) -> None:
        self._equations, self._groups, self._reference = equations, groups, reference
        self._sums = RunningSums(equations, groups, reference)

    def add_chunk(self, sample: StarSample, chunk: slice) -> None:
        x, v, group = sample.x[chunk], sample.v[chunk], self._groups.of_star[chunk]
        weights = None if sample.weights is None else sample.unit_weights[chunk]
        space = self._equations.functions.space
        cell = space.cell_of(x)
        order = np.lexsort((group, group % self._groups.folds, cell))
        order = order[space.volume.contains(x)[order]]
        fields = self._equations.dictionary.accelerations(x)
        for some in _blocks(order, cell[order]):
            terms = StarTerms.of(
                self._equations.functions,
                int(cell[some[0]]),
                x[some],
                v[some],
                None if weights is None else weights[some],
                self._equations.selection,
            )
            self._add(terms, fields[some], group[some])

    def rows(self) -> Rows:
        return self._sums.rows()

    def _add(self, terms: StarTerms, fields: Float[np.ndarray, "n 3 k"], group: np.ndarray) -> None:
        self._sums.count(terms.rows, terms.share)
        self._sums.add(terms, fields, group)
        if self._reference is not None:
            self._add_covariance(terms, fields, group % self._groups.folds, self._reference)

    def _add_covariance(
        self, terms: StarTerms, fields: Float[np.ndarray, "n 3 k"], fold: np.ndarray, reference: Reference
    ) -> None:
        K = fields.shape[-1]
        c, chosen = reference.coefficients[:K], reference.coefficients[K:]
        s = terms.residual(fields @ c.astype(np.float32), reference.pattern_speed, chosen)
        self._sums.add_squares(terms.rows, s, fold)


def _blocks(order: Int[np.ndarray, " n"], cell: Int[np.ndarray, " n"]) -> Iterator[np.ndarray]:
    """Runs of stars of one cell, not too long."""
    for _, run in runs(cell):
        for start in range(run.start, run.stop, BLOCK):
            yield order[start : min(start + BLOCK, run.stop)]
