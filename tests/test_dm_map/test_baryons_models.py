"""The baryon models against the numbers they were published with."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.integrate import quad

from dm_map.baryons import BaryonModel, CensusBaryons, Disc, McMillanBaryons, baryon_model
from dm_map.baryons.layers import positive_draw
from dm_map.errors import BaryonError

models = pytest.mark.parametrize("model", [CensusBaryons(), McMillanBaryons()], ids=lambda model: model.name)
PLANE = np.array([-8.122, 0.0, 0.0])


def test_the_census_has_its_published_totals():
    """McKee et al. (2015), abstract: 33.4, 13.7 and 47.1 Msun/pc^2; 0.097 - 0.013 Msun/pc^3."""
    census = CensusBaryons()
    assert census.surface_density(matter="stars") == pytest.approx(33.4, abs=0.05)
    assert census.surface_density(matter="gas") == pytest.approx(13.7, abs=0.2)
    assert census.surface_density() == pytest.approx(47.1, abs=0.2)
    assert census.density(PLANE) == pytest.approx(0.097 - 0.013, abs=0.001)


@pytest.mark.statistical
def test_draws_of_the_census_have_its_published_errors():
    """Stars 3, gas 1.6, baryons 3.4 Msun/pc^2; in the plane sqrt(0.013^2 - 0.003^2) Msun/pc^3."""
    draws = [CensusBaryons().draw(seed) for seed in range(800)]
    stars = np.array([draw.surface_density(matter="stars") for draw in draws])
    gas = np.array([draw.surface_density(matter="gas") for draw in draws])
    plane = np.array([float(draw.density(PLANE)) for draw in draws])
    assert stars.std() == pytest.approx(3.0, abs=0.2)
    assert gas.std() == pytest.approx(1.6, abs=0.1)
    assert (stars + gas).std() == pytest.approx(3.4, abs=0.2)
    assert plane.std() == pytest.approx(np.sqrt(0.013**2 - 0.003**2), abs=0.001)
    assert stars.mean() + gas.mean() == pytest.approx(CensusBaryons().surface_density(), rel=0.01)
    # Negative control: the model itself does not scatter.
    assert CensusBaryons().draw(3) == CensusBaryons().draw(3) != CensusBaryons().draw(4)


def test_mcmillan_has_its_published_totals():
    """Stellar mass (54.3 +- 5.7) 10^9 Msun; 37 per cent more stars at the Sun than the census."""
    model = McMillanBaryons()
    stars = sum(
        2.0 * np.pi * disc.central * disc.length**2 * 1e6 for disc in model.discs if disc.matter == "stars"
    )
    bulge = model.bulge

    def shell(radius: float) -> float:
        return 4.0 * np.pi * bulge.q * radius**2 * float(bulge.density(np.array([radius, 0.0, 0.0]))) * 1e9

    stars += quad(shell, 0.0, 15.0, points=[0.1, 2.0])[0]
    assert stars == pytest.approx(54.3e9, abs=0.2 * 5.7e9)
    at_its_sun = model.surface_density(radius=8.21, matter="stars")
    assert at_its_sun / CensusBaryons().surface_density(matter="stars") == pytest.approx(1.37, abs=0.005)
    assert float(bulge.density(PLANE)) < 1e-8


@models
def test_the_surface_density_is_the_integral_of_the_density(model):
    def vertical(z: float) -> float:
        return 1000.0 * float(model.density(np.array([-8.122, 0.0, z])))

    for z_max in (0.1, 1.1, 20.0):
        expected = 2.0 * quad(vertical, 0.0, z_max, points=[0.05, 0.3, 1.0], limit=200)[0]
        assert model.surface_density(z_max) == pytest.approx(expected, rel=1e-6)
    assert model.surface_density(1.1) < model.surface_density(20.0) < model.surface_density()


@models
def test_models_are_axisymmetric_symmetric_positive_and_picklable(model):
    x = np.random.default_rng(0).uniform(-10.0, 10.0, (300, 3))
    turn = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, -1.0]])
    rho = model.density(x)
    np.testing.assert_allclose(model.density(x @ turn.T), rho, rtol=1e-12)
    assert np.all(rho >= 0) and model.density(x.reshape(30, 10, 3)).shape == (30, 10)
    assert np.isfinite(model.density(np.array([[0.0, 0.0, 1.0], [1e-8, 0.0, 0.0], [9.0, 0.0, 500.0]]))).all()
    assert isinstance(model, BaryonModel)
    assert pickle.loads(pickle.dumps(model)) == model


@models
def test_the_table_of_components_adds_up(model):
    table = model.components()
    assert np.sum(table["surface_density"]) == pytest.approx(model.surface_density(), rel=1e-12)
    assert np.sum(table["midplane_density"]) == pytest.approx(float(model.density(PLANE)), rel=1e-6)


def test_drawn_numbers_are_positive_with_their_mean_and_error():
    rng = np.random.default_rng(1)
    for mean, error in ((1.5, 1.2), (17.3, 2.3)):
        drawn = np.array([positive_draw(rng, mean, error) for _ in range(20_000)])
        assert drawn.min() > 0
        assert drawn.mean() == pytest.approx(mean, rel=0.02)
        assert drawn.std() == pytest.approx(error, rel=0.03)


def test_unknown_baryons_are_refused():
    assert baryon_model("census") == CensusBaryons() and baryon_model("mcmillan2017") == McMillanBaryons()
    with pytest.raises(BaryonError, match="'bovy'"):
        baryon_model("bovy")
    with pytest.raises(BaryonError, match="z_max"):
        CensusBaryons().surface_density(0.0)
    with pytest.raises(BaryonError, match="'dust'"):
        CensusBaryons().surface_density(1.0, matter="dust")
    with pytest.raises(BaryonError, match="positive"):
        Disc("thin", "stars", 10.0, -1.0, 0.3, "exponential")
