"""Running sums over the stars: equations, groups of stars, rows and their covariance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from dm_map.potential import Dictionary
from dm_map.weak.blocks import StarTerms
from dm_map.weak.functions import TestFunctions
from dm_map.weak.selection_terms import SelectionTerms

__all__ = ["BLOCK", "Equations", "Groups", "Reference", "Rows", "RunningSums", "runs"]

BLOCK = 4_096
"""Stars of one cell at a time: bounds the dense block of their terms to some 30 MB."""


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


class RunningSums:
    """Sums over the stars so far, group by group; random signs are drawn in the order of the calls."""

    def __init__(self, equations: Equations, groups: Groups, reference: Reference | None) -> None:
        j, self._m = equations.functions.space.size, equations.functions.velocity.size
        self._draws, size = (0, 0) if reference is None else (reference.draws, j * self._m)
        self._signs = np.random.default_rng(0 if reference is None else reference.seed)
        self._b = np.zeros((groups.number, j, self._m))
        self._d = np.zeros((groups.number, j, self._m))
        self._A = np.zeros((groups.number, j, self._m, equations.columns))
        self._C = np.zeros((groups.folds, size, size), dtype=np.float32)
        self._wild = np.zeros((groups.folds, size, self._draws), dtype=np.float32)
        self._count = np.zeros((2, j))

    def count(self, rows: Int[np.ndarray, " r"], share: Float[np.ndarray, "n r"]) -> None:
        """Count stars by the share that each spatial function takes of them."""
        self._count[:, rows] += share.sum(axis=0), (share**2).sum(axis=0)

    def add(self, terms: StarTerms, fields: Float[np.ndarray, "n 3 k"], group: Int[np.ndarray, " n"]) -> None:
        """Add the terms of stars of one cell; stars of a group are neighbours."""
        shape = (len(terms.rows), -1)
        for g, some in runs(group):
            self._b[g, terms.rows] += terms.plain[some].sum(axis=0, dtype=np.float64).reshape(shape)
            self._d[g, terms.rows] -= terms.turned[some].sum(axis=0, dtype=np.float64).reshape(shape)
            self._A[g, terms.rows] += _columns(terms, fields, some).reshape(*shape, self._A.shape[-1])

    def add_squares(
        self, rows: Int[np.ndarray, " r"], s: Float[np.ndarray, "n t"], fold: Int[np.ndarray, " n"]
    ) -> None:
        """Add outer products of the stars' whole terms `s` in these spatial functions, and random signs."""
        at = (rows[:, None] * self._m + np.arange(self._m)).ravel()
        signs = self._signs.integers(0, 2, (len(s), self._draws), dtype=np.int8)
        order = np.argsort(fold, kind="stable")
        for f, run in runs(fold[order]):
            mine = order[run]
            self._C[f][np.ix_(at, at)] += s[mine].T @ s[mine]
            self._wild[f, at] += s[mine].T @ (2.0 * signs[mine].astype(np.float32) - 1.0)

    def rows(self) -> Rows:
        """All sums."""
        first, second = self._count
        stars = np.divide(first**2, second, out=np.zeros_like(first), where=second > 0)
        flat = self._b.shape[0], -1
        A = self._A.reshape(*flat, self._A.shape[-1])
        seen = np.repeat(stars, self._m)
        return Rows(self._b.reshape(flat), A, self._d.reshape(flat), self._C, self._wild, seen)


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


def runs(labels: Int[np.ndarray, " n"]) -> Iterator[tuple[int, slice]]:
    """Stretches of equal labels."""
    if not len(labels):
        return
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    for start, stop in pairwise(edges):
        yield int(labels[start]), slice(int(start), int(stop))
