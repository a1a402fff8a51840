"""Laws of the subtraction: total less baryons, smoothed alike, with the errors of both."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.baryons import CensusBaryons, McMillanBaryons, baryon_error, dark_matter
from dm_map.errors import BaryonError
from dm_map.gravity import GEV_PER_CM3, NATURAL, BallMean, GaussianKernel, Pointwise
from dm_map.local import SUN_POSITION, local_dark_matter, meridional_points
from dm_map.maps import DensityMap

HALO = 0.0105
X = meridional_points(8.122, [0.0, 0.5, 1.0, 2.0])
smoothings = pytest.mark.parametrize(
    "smoothing",
    [Pointwise(), BallMean(0.3), GaussianKernel((0.3, 0.3, 0.15))],
    ids=lambda s: type(s).__name__,
)


def _total(smoothing, members: int = 40, scatter: float = 0.0, matter: str = "total") -> DensityMap:
    """A uniform halo and the census, with members that scatter."""
    truth = HALO + smoothing.smooth(CensusBaryons().density, X)
    noise = scatter * np.random.default_rng(0).normal(size=(members, 1))
    return DensityMap(X, truth + noise, ("bootstrap",) * members, matter, smoothing)


@smoothings
def test_the_halo_comes_back_within_the_error_of_the_baryons(smoothing):
    found = dark_matter(_total(smoothing), CensusBaryons(), draws=100)
    assert np.all(np.abs(found.value - HALO) < 0.5 * found.error)
    assert found.matter == "dark matter" and found.smoothing == smoothing


def test_a_smoothed_total_less_unsmoothed_baryons_is_wrong():
    """Negative control: in the plane a ball of 0.3 kpc dilutes the gas."""
    smoothed = _total(BallMean(0.3))
    careless = smoothed.value - CensusBaryons().density(X)
    assert careless[0] < -0.5 * HALO


@pytest.mark.statistical
def test_both_errors_add_in_quadrature():
    total = _total(Pointwise(), members=2000, scatter=0.004)
    both = dark_matter(total, CensusBaryons(), draws=800).deviation
    baryons = baryon_error(total, CensusBaryons(), draws=800).deviation
    np.testing.assert_allclose(both, np.hypot(0.004, baryons), rtol=0.08)


def test_the_choice_of_baryons_matters_in_the_plane_only():
    total = _total(Pointwise(), members=2)
    one, other = (dark_matter(total, model).value for model in (CensusBaryons(), McMillanBaryons()))
    relative = np.abs(one - other) / HALO
    assert relative[0] > 1.0 and np.all(relative[2:] < 0.1)


def test_every_member_counts_equally():
    total = _total(Pointwise(), members=3, scatter=1.0)
    found = dark_matter(total, CensusBaryons(), draws=10)
    assert len(found.members) == 12
    nearest = np.abs(found.members[:, 3, None] - (total.members[:, 3] - 0.001)).argmin(axis=1)
    np.testing.assert_array_equal(np.bincount(nearest), [4, 4, 4])


def test_provenance_says_what_was_taken_off():
    found = dark_matter(_total(Pointwise()), McMillanBaryons(), draws=5, seed=7)
    assert found.provenance["baryons"]["model"] == "mcmillan2017"
    assert (found.provenance["baryons"]["seed"], set(found.sources)) == (7, {"bootstrap+baryons"})
    again = dark_matter(_total(Pointwise()), McMillanBaryons(), draws=5, seed=7)
    np.testing.assert_array_equal(found.members, again.members)
    other = dark_matter(_total(Pointwise()), McMillanBaryons(), draws=5, seed=8)
    assert not np.array_equal(found.members, other.members)


def test_the_local_value_in_both_units():
    class Galaxy:
        def acceleration(self, x: np.ndarray) -> np.ndarray:
            raise NotImplementedError

        def density(self, x: np.ndarray) -> np.ndarray:
            return HALO + CensusBaryons().density(x)

    found = local_dark_matter(Galaxy(), CensusBaryons(), draws=500)
    np.testing.assert_array_equal(found.x, [SUN_POSITION])
    assert abs(found.value[0] - HALO) < 0.5 * found.error[0]
    # The error of the baryons in the plane is that of all matter, 0.013, less that of the dark matter.
    plane = local_dark_matter(Galaxy(), CensusBaryons(), at=np.array([[-8.122, 0.0, 0.0]]), draws=1000)
    assert plane.deviation[0] == pytest.approx(np.sqrt(0.013**2 - 0.003**2), rel=0.15)
    np.testing.assert_allclose(found.in_gev().value, GEV_PER_CM3 * found.value)


def test_nothing_is_taken_off_twice_or_off_other_units():
    with pytest.raises(BaryonError, match="dark matter"):
        dark_matter(_total(Pointwise(), matter="dark matter"), CensusBaryons())
    natural = DensityMap(X, np.ones((2, 4)), ("a", "b"), units=NATURAL)
    with pytest.raises(BaryonError, match="Msun"):
        dark_matter(natural, CensusBaryons())
    with pytest.raises(BaryonError, match="draw"):
        dark_matter(_total(Pointwise()), CensusBaryons(), draws=0)
