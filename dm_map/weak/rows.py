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
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from dm_map.potential import Dictionary
from dm_map.stars import StarSample
from dm_map.weak.blocks import StarTerms
from dm_map.weak.functions import TestFunctions
from dm_map.weak.selection_terms import SelectionTerms

__all__ = ["Equations", "Groups", "Progress", "Reference", "Rows", "sum_rows"]

Progress = Callable[[int, int], None]

# Stars at a time: bounds the memory of their accelerations to 12 K bytes each, 130 MB for 80 components.
_CHUNK = 131_072
# Stars of one cell at a time: bounds the dense block of their terms to some 30 MB.
_BLOCK = 4_096


@dataclass(frozen=True, eq=False)
class Groups:
    """Random groups of the stars, of equal size; group g is in fold g mod folds.

    Attributes:
        of_star: Group of each star.
        number: Number of groups.
        folds: Number of folds.
    """

    of_star: Int[np.ndarray, " n"]
    number: int
    folds: int

    @classmethod
    def draw(cls, n: int, number: int, folds: int, seed: int) -> Groups:
        """Groups for n stars."""
        order = np.random.default_rng(seed).permutation(n)
        return cls((order % number).astype(np.int16), number, folds)


@dataclass(frozen=True, eq=False)
class Equations:
    """What the unknowns of the equations are.

    Attributes:
        functions: Test functions: the rows.
        dictionary: Components of the potential: the columns.
        selection: Terms of an unknown selection: further columns.
    """

    functions: TestFunctions
    dictionary: Dictionary
    selection: SelectionTerms | None = None

    @property
    def columns(self) -> int:
        """Number of unknowns, the pattern speed excepted."""
        return len(self.dictionary) + (0 if self.selection is None else self.selection.size)


@dataclass(frozen=True, eq=False)
class Reference:
    """A first solution, at which the covariance of the rows is taken.

    Attributes:
        coefficients: Of all columns.
        pattern_speed: km/s/kpc.
        draws: Sums with random signs to make: noise whose covariance is exactly that of the rows.
        seed: Of the signs.
    """

    coefficients: Float[np.ndarray, " k"]
    pattern_speed: float = 0.0
    draws: int = 0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Rows:
    """The linear equations b + A c + Omega d = 0 of all test functions, as sums over groups of stars.

    Attributes:
        b: Terms without the potential, shape (g, r).
        A: Terms of each column, shape (g, r, k).
        d: Terms of a rotating frame for Omega = 1 km/s/kpc, shape (g, r).
        covariance: Sum of outer products of the terms of a star, by fold, shape (f, r, r); of no rows without
            a reference.
        wild: Sums of the terms with random signs, by fold, shape (f, r, draws).
        stars: Effective number of stars behind each row, shape (r,).
    """

    b: Float[np.ndarray, "g r"]
    A: Float[np.ndarray, "g r k"]
    d: Float[np.ndarray, "g r"]
    covariance: Float[np.ndarray, "f p p"]
    wild: Float[np.ndarray, "f p draws"]
    stars: Float[np.ndarray, " r"]


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
    """Running sums over the stars."""

    def __init__(self, equations: Equations, groups: Groups, reference: Reference | None) -> None:
        self._equations, self._groups, self._reference = equations, groups, reference
        j, m = equations.functions.space.size, equations.functions.velocity.size
        draws, size = (0, 0) if reference is None else (reference.draws, j * m)
        self._signs = np.random.default_rng(0 if reference is None else reference.seed)
        self._b = np.zeros((groups.number, j, m))
        self._d = np.zeros((groups.number, j, m))
        self._A = np.zeros((groups.number, j, m, equations.columns))
        self._C = np.zeros((groups.folds, size, size), dtype=np.float32)
        self._wild = np.zeros((groups.folds, size, draws), dtype=np.float32)
        self._count = np.zeros((2, j))

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
        m = self._equations.functions.velocity.size
        first, second = self._count
        stars = np.divide(first**2, second, out=np.zeros_like(first), where=second > 0)
        flat = self._b.shape[0], -1
        A = self._A.reshape(*flat, self._A.shape[-1])
        return Rows(self._b.reshape(flat), A, self._d.reshape(flat), self._C, self._wild, np.repeat(stars, m))

    def _add(self, terms: StarTerms, fields: Float[np.ndarray, "n 3 k"], group: np.ndarray) -> None:
        shape = (len(terms.rows), -1)
        self._count[:, terms.rows] += terms.share.sum(axis=0), (terms.share**2).sum(axis=0)
        for g, some in _runs(group):
            self._b[g, terms.rows] += terms.plain[some].sum(axis=0, dtype=np.float64).reshape(shape)
            self._d[g, terms.rows] -= terms.turned[some].sum(axis=0, dtype=np.float64).reshape(shape)
            self._A[g, terms.rows] += _columns(terms, fields, some).reshape(*shape, self._A.shape[-1])
        if self._reference is not None:
            self._add_covariance(terms, fields, group % self._groups.folds, self._reference)

    def _add_covariance(
        self, terms: StarTerms, fields: Float[np.ndarray, "n 3 k"], fold: np.ndarray, reference: Reference
    ) -> None:
        K = fields.shape[-1]
        c, chosen = reference.coefficients[:K], reference.coefficients[K:]
        s = terms.residual(fields @ c.astype(np.float32), reference.pattern_speed, chosen)
        m = self._equations.functions.velocity.size
        at = (terms.rows[:, None] * m + np.arange(m)).ravel()
        signs = self._signs.integers(0, 2, (len(s), reference.draws), dtype=np.int8)
        for f, some in _runs(fold):
            self._C[f][np.ix_(at, at)] += s[some].T @ s[some]
            self._wild[f, at] += s[some].T @ (2.0 * signs[some].astype(np.float32) - 1.0)


def _columns(
    terms: StarTerms, fields: Float[np.ndarray, "n 3 k"], some: slice
) -> Float[np.ndarray, "r columns"]:
    """Sum over stars of the terms of each component and each selection term."""
    pull = terms.pull[some]
    sums = pull.reshape(-1, pull.shape[-1]).T @ fields[some].reshape(-1, fields.shape[-1])
    if terms.slopes is None:
        return sums
    values, slopes = terms.slopes
    return np.concatenate([sums, values[some].T @ slopes[some]], axis=1)


def _blocks(order: Int[np.ndarray, " n"], cell: Int[np.ndarray, " n"]) -> Iterator[np.ndarray]:
    """Runs of stars of one cell, not too long."""
    for _, run in _runs(cell):
        for start in range(run.start, run.stop, _BLOCK):
            yield order[start : min(start + _BLOCK, run.stop)]


def _runs(labels: Int[np.ndarray, " n"]) -> Iterator[tuple[int, slice]]:
    """Stretches of equal labels."""
    if not len(labels):
        return
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    for start, stop in pairwise(edges):
        yield int(labels[start]), slice(int(start), int(stop))
