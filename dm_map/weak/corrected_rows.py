"""Sums over stars that were measured with errors: shifted copies of each star, counted as one star."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from dm_map.stars import StarSample
from dm_map.weak.blocks import StarTerms
from dm_map.weak.measurement import ErrorCorrection, Shifts
from dm_map.weak.rows import Progress
from dm_map.weak.sums import BLOCK, Equations, Groups, Reference, Rows, RunningSums, runs

__all__ = ["sum_corrected_rows"]

# Stars whose copies are held at a time: their accelerations take 12 K bytes each.
_CHUNK = 131_072
# Stars whose copies' terms are added up at a time: more would see more different rows.
_TOGETHER = 1_024


def sum_corrected_rows(
    sample: StarSample,
    equations: Equations,
    groups: Groups,
    correction: ErrorCorrection,
    reference: Reference | None = None,
    progress: Progress | None = None,
) -> Rows:
    """`sum_rows` for stars with errors of measurement, which are taken out.

    Args:
        sample: Stars with a covariance, in a ball larger than that of the test functions
            (`ErrorCorrection.ball`).
        equations: Test functions and unknowns.
        groups: Groups of the stars.
        correction: The recipe.
        reference: Where the covariance is taken; None for none.
        progress: Called with (stars done, stars in all).

    Raises:
        WeakFormError: the stars have no covariance.
    """
    total = _Total(equations, groups, reference)
    weights = sample.unit_weights
    for start in range(0, len(sample), _CHUNK):
        chunk = np.arange(start, min(start + _CHUNK, len(sample)))
        own = replace(correction, seed=correction.seed + start)
        shifts = Shifts(sample.take(chunk), own)
        total.add_chunk(shifts, weights[chunk], groups.of_star[chunk])
        if progress is not None:
            progress(int(chunk[-1]) + 1, len(sample))
    return total.rows()


@dataclass(frozen=True, eq=False)
class _Copy:
    """One shifted copy of the stars of a chunk; arrays of the copies inside the ball have length s.

    Attributes:
        x: Positions.
        v: Velocities.
        weights: Of both signs.
        cell: Cell of each; -1 outside the ball.
        inside: Numbers of those inside.
        fields: Accelerations of the components inside.
    """

    x: Float[np.ndarray, "n 3"]
    v: Float[np.ndarray, "n 3"]
    weights: Float[np.ndarray, " n"]
    cell: Int[np.ndarray, " n"]
    inside: Int[np.ndarray, " s"]
    fields: Float[np.ndarray, "s 3 k"]

    @classmethod
    def of(
        cls,
        equations: Equations,
        x: Float[np.ndarray, "n 3"],
        v: Float[np.ndarray, "n 3"],
        weights: Float[np.ndarray, " n"],
    ) -> _Copy:
        space = equations.functions.space
        within = space.volume.contains(x)
        inside = np.flatnonzero(within)
        cell = np.where(within, space.cell_of(x), -1)
        return cls(x, v, weights, cell, inside, equations.dictionary.accelerations(x[inside]))

    def terms(self, equations: Equations, cell: int, some: Int[np.ndarray, " s"]) -> StarTerms:
        """Terms of copies in one cell."""
        x, v, weights = self.x[some], self.v[some], self.weights[some]
        return StarTerms.of(equations.functions, cell, x, v, weights, equations.selection)

    def field(self, coefficients: Float[np.ndarray, " k"]) -> Float[np.ndarray, "n 3"]:
        """Acceleration; zero outside the ball."""
        out = np.zeros(self.x.shape, dtype=np.float32)
        out[self.inside] = self.fields @ coefficients.astype(np.float32)
        return out


class _Total:
    """Running sums over the stars and their copies."""

    def __init__(self, equations: Equations, groups: Groups, reference: Reference | None) -> None:
        self._equations, self._groups, self._reference = equations, groups, reference
        self._sums = RunningSums(equations, groups, reference)

    def add_chunk(
        self, shifts: Shifts, weights: Float[np.ndarray, " n"], group: Int[np.ndarray, " n"]
    ) -> None:
        """Add stars and their copies; the first copy is the star itself."""
        copies = [_Copy.of(self._equations, x, v, w * weights) for w, x, v in shifts.copies()]
        for copy in copies:
            self._add_sums(copy, group)
        self._count_stars(copies[0], weights)
        if self._reference is not None:
            fields = [copy.field(self._reference.coefficients[: copy.fields.shape[-1]]) for copy in copies]
            for some in _alike(np.stack([copy.cell for copy in copies])):
                self._add_covariance(copies, fields, some, group[some] % self._groups.folds, self._reference)

    def rows(self) -> Rows:
        """All sums."""
        return self._sums.rows()

    def _add_sums(self, copy: _Copy, group: Int[np.ndarray, " n"]) -> None:
        order = np.lexsort((group[copy.inside], copy.cell[copy.inside]))
        for cell, run in runs(copy.cell[copy.inside[order]]):
            for start in range(run.start, run.stop, BLOCK):
                place = order[start : min(start + BLOCK, run.stop)]
                terms = copy.terms(self._equations, cell, copy.inside[place])
                self._sums.add(terms, copy.fields[place], group[copy.inside[place]])

    def _count_stars(self, own: _Copy, weights: Float[np.ndarray, " n"]) -> None:
        space = self._equations.functions.space
        for cell, some in _by_label(own.cell):
            share = space.evaluate(cell, own.x[some])[0] * weights[some, None]
            self._sums.count(space.active(cell), share)

    def _add_covariance(
        self,
        copies: list[_Copy],
        fields: list[Float[np.ndarray, "n 3"]],
        some: Int[np.ndarray, " b"],
        fold: Int[np.ndarray, " b"],
        reference: Reference,
    ) -> None:
        """Stars whose copies see nearly the same rows; the terms of a star add up before they are squared."""
        space, m = self._equations.functions.space, self._equations.functions.velocity.size
        parts = [
            (c, cell, here) for c, copy in enumerate(copies) for cell, here in _by_label(copy.cell[some])
        ]
        seen = np.unique(np.concatenate([space.active(cell) for _, cell, _ in parts]))
        s = np.zeros((len(some), len(seen), m), dtype=np.float32)
        chosen = reference.coefficients[len(self._equations.dictionary) :]
        for c, cell, here in parts:
            terms = copies[c].terms(self._equations, cell, some[here])
            found = terms.residual(fields[c][some[here]], reference.pattern_speed, chosen)
            where = np.searchsorted(seen, terms.rows)
            s[here[:, None], where] += found.reshape(len(here), len(where), m)
        self._sums.add_squares(seen, s.reshape(len(some), -1), fold)


def _alike(cells: Int[np.ndarray, "c n"]) -> Iterator[Int[np.ndarray, " b"]]:
    """Blocks of stars of one cell with a copy inside, in the order of the cells of their copies."""
    seen = np.flatnonzero(np.any(cells >= 0, axis=0))
    order = seen[np.lexsort(cells[::-1, seen])]
    for _, run in runs(cells[0, order]):
        for start in range(run.start, run.stop, _TOGETHER):
            yield order[start : min(start + _TOGETHER, run.stop)]


def _by_label(labels: Int[np.ndarray, " n"]) -> Iterator[tuple[int, Int[np.ndarray, " s"]]]:
    """(label, where it is) of labels that are not negative."""
    order = np.argsort(labels, kind="stable")
    for label, run in runs(labels[order]):
        if label >= 0:
            yield label, order[run]
