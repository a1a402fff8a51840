"""Laws of single components: forces are gradients, densities solve Poisson's equation, and gala agrees."""

from __future__ import annotations

import pickle

import astropy.units as u
import numpy as np
import pytest

from dm_map.errors import PotentialError
from dm_map.gravity import GALACTIC
from dm_map.potential import (
    Blob,
    Dictionary,
    GalaComponent,
    Harmonic,
    bars,
    free_form_layer,
    galactic_dictionary,
    triaxial_haloes,
)
from dm_map.volume import Ball

SUN = Ball((-8.122, 0.0, 0.0208), 4.0)
EVERYTHING = (
    galactic_dictionary(SUN)
    + triaxial_haloes(SUN)
    + bars(SUN)
    + free_form_layer(SUN, 3.0, heights=2.0, degree=4)
)


def _derivative(function, x, axis, step=1e-4):
    shift = step * np.eye(3)[axis]
    return (function(x + shift) - function(x - shift)) / (2 * step)


def test_accelerations_are_minus_the_gradients_of_the_potentials():
    x = SUN.uniform(200, seed=1)
    exact = EVERYTHING.accelerations(x, dtype=np.float64)
    numeric = np.stack([-_derivative(EVERYTHING.potentials, x, axis) for axis in range(3)], axis=1)
    largest = np.abs(exact).max(axis=(0, 1))
    assert np.all(np.abs(exact - numeric).max(axis=(0, 1)) < 1e-5 * largest)


def test_densities_solve_poissons_equation():
    x = SUN.uniform(200, seed=2)

    def acceleration(at):
        return EVERYTHING.accelerations(at, dtype=np.float64)

    divergence = sum(_derivative(acceleration, x, axis)[:, axis] for axis in range(3))
    rho = EVERYTHING.densities(x)
    error = np.abs(GALACTIC.rho_per_divergence * divergence - rho).max(axis=0)
    assert np.all(error < 1e-5 * np.abs(rho).max(axis=0) + 1e-9)
    # Negative control: with another unit of mass density the same check fails.
    assert not np.all(np.abs(2 * GALACTIC.rho_per_divergence * divergence - rho).max(axis=0) < 1e-5)


def test_components_that_cannot_be_negative_have_positive_density_in_the_volume():
    rho = EVERYTHING.subset(EVERYTHING.positive).densities(SUN.uniform(2000, seed=3))
    assert np.all(rho > 0)


def test_harmonics_have_unit_acceleration_at_the_edge_and_no_mass():
    layer = free_form_layer(SUN, 10.0, heights=10.0)
    harmonics = layer.subset([k for k, c in enumerate(layer.components) if isinstance(c, Harmonic)])
    assert len(harmonics) == 24
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((20_000, 3))
    edge = np.asarray(SUN.centre) + SUN.radius * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    squared = np.sum(harmonics.accelerations(edge, dtype=np.float64) ** 2, axis=1)
    scatter = squared.std(axis=0) / np.sqrt(len(edge))
    assert np.all(np.abs(squared.mean(axis=0) - 1.0) < 5 * scatter + 1e-9)
    assert not np.any(harmonics.densities(edge))


def test_a_blob_has_its_density_at_its_centre_and_flattens():
    blob = Blob("b", (1.0, 2.0, 3.0), a=1.0, b=0.3)
    centre, along, up = np.array([[1.0, 2.0, 3.0], [1.5, 2.0, 3.0], [1.0, 2.0, 3.5]])
    rho = blob.density(np.stack([centre, along, up]))
    assert np.isclose(rho[0], 0.01) and rho[2] < 0.5 * rho[1] < 0.5 * rho[0]


@pytest.mark.parametrize("index", [0, 50, 60, 70, 80, 90, 100, 120, 140], ids=lambda k: EVERYTHING.names[k])
def test_gala_has_the_same_potential_and_acceleration(index):
    component = EVERYTHING.components[index]
    x = SUN.uniform(20, seed=4)
    theirs = component.to_gala(2.5)
    potential = theirs.energy(x.T * u.kpc).to_value((u.km / u.s) ** 2)
    pull = theirs.acceleration(x.T * u.kpc).to_value((u.km / u.s) ** 2 / u.kpc).T
    assert np.allclose(potential, 2.5 * component.potential(x), rtol=1e-9)
    assert np.allclose(pull, 2.5 * component.acceleration(x), rtol=1e-9, atol=1e-12)


def test_components_are_values():
    for component in (EVERYTHING.components[0], EVERYTHING.components[110], EVERYTHING.components[-1]):
        copy = pickle.loads(pickle.dumps(component))
        assert copy == component and hash(copy) == hash(component)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GalaComponent("a", "halo", "nwf", (("r_s", 1.0),)), "no component of kind 'nwf'"),
        (lambda: GalaComponent("a", "halo", "nfw", (("rs", 1.0),)), "takes \\('r_s',\\)"),
        (lambda: GalaComponent("a", "halo", "nfw", (("r_s", -1.0),)), "r_s is positive and finite; got -1"),
        (lambda: Harmonic("h", SUN, 2, 3, "cosine"), "l = 2, m = 3"),
        (lambda: Harmonic("h", SUN, 2, 0, "sine"), "m >= 1 for a sine"),
        (lambda: Blob("b", (0.0, 0.0, 0.0), 1.0, 0.0), "b = 0"),
        (lambda: Dictionary(()), "at least one component"),
        (lambda: EVERYTHING + EVERYTHING, "repeated"),
        (lambda: galactic_dictionary(SUN, ("gas",)), "got \\('gas',\\)"),
        (lambda: free_form_layer(SUN, -1.0), "got -1"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(PotentialError, match=message):
        make()
