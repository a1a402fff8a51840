"""Goodness of fit: do the stars obey the stationary Boltzmann equation in the fitted potential?

Which rows see which fault. Write f = f_0 + f_1 with f_0 stationary. A row is -integral of psi (v . grad_x f +
a . grad_v f), and psi is even or odd in the velocity about the mean of the stars.

* A mean motion u (a kick, breathing, bending) makes v . grad_x f + a . grad_v f = u . grad_x f_0 at fixed
  peculiar velocity, which is even: only rows of even degree see it, in proportion to u . grad n. Degree 0 is
  continuity. Rows of degree 1 about the moved mean are blind to it, to first order.
* A displacement, or a wrong force, leaves (a' - a) . grad_v f, which is odd: rows of odd degree see it,
  unless components of the dictionary can follow it.
* An unmodelled gradient g of ln S leaves v . g f, which is odd for stars without streaming: it acts as a
  force sigma^2 g, another one for each population. Odd rows see it where tapers tell populations apart, or
  where no component can give such a force (across the symmetry of the dictionary); with streaming u even
  rows see u . g.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import Table
from jaxtyping import Float, Int

from dm_map.weak.functions import TestFunctions
from dm_map.weak.null import Judged, Residuals, judge, judge_together
from dm_map.weak.regions import Region, local_coordinates, regions_of
from dm_map.weak.result import WeakFit
from dm_map.weak.system import Covariance

__all__ = ["FitTest", "GoodnessOfFit", "goodness_of_fit"]

# All rows at once enter the global p-value from so many stars per row: with fewer, the skewness of the stars'
# terms and a covariance from the same stars raise chi^2 of all rows by as much as its own scatter.
_STARS_PER_ROW = 100

_EVEN, _ODD = "even degrees", "odd degrees"


@dataclass(frozen=True)
class FitTest:
    """One chi^2 test of a block of rows.

    Attributes:
        kind: "all rows", "large scale", "region" or "velocity".
        name: Which one.
        parity: "even degrees", "odd degrees" or "all degrees" in velocity.
        rows: Number of equations, or of their combinations.
        stars: Effective number of stars of a region; NaN for other tests.
        place: Where a region is, kpc (see `Region`); NaN for other tests.
        chi2: Of the data.
        expected: Mean of the same over fits to noise of the same covariance.
        counted: p-value by counting these: exact, but never below 1/(draws + 1).
        p_value: p-value by their scaled chi^2 law, which has a tail.
    """

    kind: str
    name: str
    parity: str
    rows: int
    stars: float
    place: tuple[float, float, float]
    chi2: float
    expected: float
    counted: float
    p_value: float


@dataclass(frozen=True)
class GoodnessOfFit:
    """All tests, and one probability for all of them together.

    Attributes:
        tests: The tests.
        p_value: Probability that a stationary sample in the fitted potential does as badly in any test.
        independent: Number of independent tests that these are worth, by the draws.
        draws: Number of draws.
        significance: Below this p-value the fit is flagged.
        letters: Names of the axes of the regions' places.
    """

    tests: tuple[FitTest, ...]
    p_value: float
    independent: float
    draws: int
    significance: float
    letters: tuple[str, str, str]

    @property
    def passed(self) -> bool:
        """Whether the residuals are what noise explains."""
        return self.p_value >= self.significance

    @property
    def worst(self) -> FitTest:
        """The test with the smallest p-value."""
        return min(self.tests, key=lambda test: test.p_value)

    @property
    def failed(self) -> tuple[FitTest, ...]:
        """Tests that fail at the significance shared among all of them, worst first."""
        mark = -np.expm1(np.log1p(-self.significance) / max(self.independent, 1.0))
        return tuple(sorted((t for t in self.tests if t.p_value < mark), key=lambda test: test.p_value))

    def of_kind(self, kind: str) -> tuple[FitTest, ...]:
        """The tests of one kind."""
        return tuple(test for test in self.tests if test.kind == kind)

    def to_table(self) -> Table:
        """One row per test, lengths in kpc; the global p-value is in the metadata."""
        names = ("kind", "name", "parity", "rows", "stars", "chi2", "expected", "counted", "p_value")
        table = Table({name: [getattr(test, name) for test in self.tests] for name in names})
        for axis, letter in enumerate(self.letters):
            table[letter] = [test.place[axis] for test in self.tests] * u.kpc
        table.meta = {
            "p_value": self.p_value,
            "independent_tests": self.independent,
            "draws": self.draws,
            "passed": self.passed,
            "tail": "scaled chi^2 with the mean and variance of the draws",
        }
        return table

    def sentence(self) -> str:
        """The verdict; where it is bad also what that means and what to do."""
        found = (
            f"The worst of {len(self.tests)} tests of the residuals ({self.worst.kind}: {self.worst.name}, "
            f"{self.worst.parity}) has chi^2 {self.worst.chi2:.4g} where {self.worst.expected:.4g} is "
            "expected; a stationary sample in this potential does as badly in any of them with probability "
            f"{self.p_value:.2g} ({self.draws} draws, tail by a scaled chi^2 law)."
        )
        if self.passed:
            return f"{found} The stars obey the equations within the noise."
        return f"{found} {self._meaning()}"

    def _meaning(self) -> str:
        parities = {test.parity for test in (self.failed or (self.worst,))}
        even = _EVEN in parities
        if even and _ODD not in parities:
            return (
                "Only equations of even degree in velocity fail, which hardly know the potential: the stars "
                "stream in or out (a kick, a bending or breathing wave), or turn with a pattern that was not "
                "modelled. Do not trust errors that assume equilibrium; look at the map of the rates, fit "
                "the pattern speed, or leave these regions out."
            )
        first = "not in equilibrium" if even else "displaced from equilibrium"
        return (
            f"Either the stars are {first}, the selection is not the assumed one, or the dictionary is "
            "too poor. Fit again with selection_degree=1; then with "
            "free_form_layer or triaxial components added; what still fails is disequilibrium, and the "
            "intervals do not contain it."
        )


def goodness_of_fit(fit: WeakFit, *, significance: float = 0.05) -> GoodnessOfFit:
    """Test the residuals of all rows, at large scale, by region and by velocity function.

    With fewer than 100 stars per row the test of all rows is reported, but left out of the global p-value.

    Args:
        fit: A fit with 20 draws or more; with functions of `equilibrium_functions` it sees most.
        significance: Probability that a good fit is flagged.

    Raises:
        WeakFormError: the fit has too few draws.
    """
    residuals, functions = Residuals.of(fit), fit.equations.functions
    layout = _Layout.of(fit)
    regions = regions_of(functions, fit.system.keep, fit.system.rows.stars)
    judged = [
        *_whole(residuals, layout),
        *_large_scale(residuals, layout, functions),
        *_by_velocity(residuals, layout, functions),
        *_by_region(residuals, layout, regions),
    ]
    enough = fit.stars >= _STARS_PER_ROW * len(residuals.observed)
    p_value, independent = judge_together([one for test, one in judged if enough or test.kind != "all rows"])
    letters = ("x", "y", "z") if functions.velocity.frame == "cartesian" else ("R", "across", "z")
    draws = residuals.null.shape[1]
    return GoodnessOfFit(
        tuple(test for test, _ in judged), p_value, independent, draws, significance, letters
    )


@dataclass(frozen=True, eq=False)
class _Layout:
    """Function of position, function of velocity and degree of each kept row."""

    of_space: Int[np.ndarray, " r"]
    of_velocity: Int[np.ndarray, " r"]
    degree: Int[np.ndarray, " r"]

    @classmethod
    def of(cls, fit: WeakFit) -> _Layout:
        velocity = fit.equations.functions.velocity
        of_space, of_velocity = np.divmod(np.flatnonzero(fit.system.keep), velocity.size)
        return cls(of_space, of_velocity, np.asarray(velocity.degrees)[of_velocity])

    def parities(self) -> list[tuple[str, np.ndarray]]:
        """The rows of even and of odd degree, those that there are."""
        found = [(_EVEN, self.degree % 2 == 0), (_ODD, self.degree % 2 == 1)]
        return [(name, rows) for name, rows in found if np.any(rows)]


_Found = tuple[FitTest, Judged]


def _test(
    residuals: Residuals,
    combine: np.ndarray,
    kind: str,
    name: str,
    parity: str,
    region: Region | None = None,
) -> _Found:
    """chi^2 of some rows (a mask) or of combinations of them (a matrix with one combination in each line)."""
    if combine.dtype == bool:
        values = residuals.together[combine]
        covariance = residuals.covariance[np.ix_(combine, combine)]
    else:
        values = combine @ residuals.together
        covariance = combine @ residuals.covariance.astype(np.float64) @ combine.T
    one = judge(Covariance.of(covariance).chi2(values))
    stars = np.nan if region is None else region.stars
    place = (np.nan,) * 3 if region is None else tuple(float(value) for value in region.place)
    test = FitTest(
        kind, name, parity, len(values), stars, place, one.value, one.expected, one.counted, one.p_value
    )
    return test, one


def _whole(residuals: Residuals, layout: _Layout) -> list[_Found]:
    return [_test(residuals, rows, "all rows", "volume", parity) for parity, rows in layout.parities()]


def _large_scale(residuals: Residuals, layout: _Layout, functions: TestFunctions) -> list[_Found]:
    """Few combinations of many rows: splines add up to polynomials of position under the envelope."""
    modes = _polynomials(functions)[layout.of_space]
    out = []
    for name, number in (("linear in position", 4), ("quadratic in position", 10)):
        for parity, rows in layout.parities():
            kinds = np.unique(layout.of_velocity[rows])
            lines = [mode * (layout.of_velocity == m) for m in kinds for mode in modes.T[:number]]
            out.append(_test(residuals, np.stack(lines), "large scale", name, parity))
    return out


def _polynomials(functions: TestFunctions) -> Float[np.ndarray, "j 10"]:
    """1, linear and quadratic terms of the centres, scaled to the radius of the volume."""
    place = local_coordinates(functions, functions.space.centres)
    volume = functions.space.volume
    middle = local_coordinates(functions, np.asarray(volume.centre, dtype=np.float64)[None])
    d = (place - middle) / volume.radius
    squares = [d[:, a] * d[:, b] for a in range(3) for b in range(a, 3)]
    return np.column_stack([np.ones(len(d)), d, *squares])


def _by_velocity(residuals: Residuals, layout: _Layout, functions: TestFunctions) -> list[_Found]:
    """The quadratic combinations of each velocity function."""
    letters = ("x", "y", "z") if functions.velocity.frame == "cartesian" else ("R", "phi", "z")
    modes, out = _polynomials(functions)[layout.of_space], []
    for m, (scale, exponents) in enumerate(functions.velocity.monomials):
        rows = layout.of_velocity == m
        if np.any(rows):
            factors = " ".join(f"v_{n}^{e}" for n, e in zip(letters, exponents, strict=True) if e)
            name = f"{factors or '1'}, taper {scale:g}"
            parity = _ODD if sum(exponents) % 2 else _EVEN
            out.append(_test(residuals, modes.T * rows, "velocity", name, parity))
    return out


def _by_region(residuals: Residuals, layout: _Layout, regions: tuple[Region, ...]) -> list[_Found]:
    """The sum of a region's splines is one bump: one combination for each velocity function."""
    out = []
    for region in regions:
        inside = np.isin(layout.of_space, region.functions)
        for parity, rows in layout.parities():
            lines = [rows & inside & (layout.of_velocity == m) for m in np.unique(layout.of_velocity[rows])]
            combine = np.array([line for line in lines if np.any(line)], dtype=np.float64)
            out.append(_test(residuals, combine, "region", region.name, parity, region))
    return out
