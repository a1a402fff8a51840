"""Laws of linear potentials: sums, layers, members, files, and orbits in gala."""

from __future__ import annotations

import json

import astropy.units as u
import gala.dynamics as gd
import numpy as np
import pytest

from dm_map.errors import PotentialError
from dm_map.potential import (
    LinearPotential,
    free_form_layer,
    galactic_dictionary,
    load_potential,
    save_potential,
    triaxial_haloes,
)
from dm_map.volume import Ball

SUN = Ball((-8.122, 0.0, 0.0208), 4.0)
DICTIONARY = galactic_dictionary(SUN) + triaxial_haloes(SUN) + free_form_layer(SUN, 3.0, heights=2.0)
X = SUN.uniform(30, seed=1)


def _coefficients(local=True):
    c = np.zeros(len(DICTIONARY))
    c[DICTIONARY.names.index("baryons: exponential disc h_R=2.6 h_z=0.27")] = 4.5
    c[DICTIONARY.names.index("halo: nfw r_s=15")] = 50.0
    c[DICTIONARY.names.index("halo: nfw r_s=10 b=0.92 c=0.85 azimuth=45")] = 5.0
    if local:
        free = ~DICTIONARY.positive
        c[free] = np.random.default_rng(0).normal(size=free.sum())
    return c


POTENTIAL = LinearPotential(
    DICTIONARY, _coefficients(), np.stack([_coefficients(), 2 * _coefficients(False)])
)


def test_it_is_the_sum_of_its_layers():
    layers = [POTENTIAL.layer(name) for name in ("baryons", "halo", "local")]
    for quantity in ("potential", "acceleration", "density"):
        total = sum(getattr(layer, quantity)(X) for layer in layers)
        assert np.allclose(total, getattr(POTENTIAL, quantity)(X), rtol=1e-12)


def test_shapes_follow_the_positions():
    grid = X.reshape(5, 6, 3)
    assert POTENTIAL.potential(grid).shape == (5, 6) and POTENTIAL.acceleration(X[0]).shape == (3,)
    assert POTENTIAL.member_accelerations(grid).shape == (2, 5, 6, 3)
    assert POTENTIAL.member_densities(grid).shape == (2, 5, 6)
    assert np.allclose(POTENTIAL.acceleration(grid).reshape(-1, 3), POTENTIAL.acceleration(X))


def test_members_are_potentials_of_their_own():
    second = LinearPotential(DICTIONARY, POTENTIAL.members[1])
    assert np.allclose(POTENTIAL.member_accelerations(X)[1], second.acceleration(X))
    assert np.allclose(POTENTIAL.member_densities(X)[0], POTENTIAL.density(X))


def test_total_mass_counts_the_masses():
    assert np.isclose(POTENTIAL.total_mass(), (4.5 + 50.0 + 5.0) * 1e10)


@pytest.mark.parametrize("local", [False, True], ids=["in C", "with harmonics"])
def test_gala_has_the_same_field_and_conserves_energy_in_it(local):
    ours = LinearPotential(DICTIONARY, _coefficients(local))
    theirs = ours.to_gala()
    assert np.allclose(theirs.density(X.T * u.kpc).to_value(u.Msun / u.pc**3), ours.density(X), rtol=1e-10)
    pull = theirs.acceleration(X.T * u.kpc).to_value((u.km / u.s) ** 2 / u.kpc).T
    assert np.allclose(pull, ours.acceleration(X), rtol=1e-9)
    # From the centre of the ball, where gala's own multipoles are undefined.
    start = gd.PhaseSpacePosition(pos=np.asarray(SUN.centre) * u.kpc, vel=[10.0, 220.0, 20.0] * u.km / u.s)
    orbit = theirs.integrate_orbit(start, dt=0.5, n_steps=60)
    drift = np.ptp(orbit.energy().value)
    assert drift < 1e-3 * orbit.kinetic_energy().value[0]
    # Negative control: the energy in another potential is not conserved along this orbit.
    assert np.ptp(orbit.energy(LinearPotential(DICTIONARY, _coefficients() / 2).to_gala()).value) > 10 * drift


def test_files_are_exact(tmp_path):
    path = tmp_path / "potential.json"
    save_potential(POTENTIAL, path)
    back = load_potential(path)
    assert back.dictionary == POTENTIAL.dictionary and back.pattern_speed == POTENTIAL.pattern_speed
    assert np.array_equal(back.coefficients, POTENTIAL.coefficients)
    assert np.array_equal(back.members, POTENTIAL.members)
    assert [file.name for file in tmp_path.iterdir()] == ["potential.json"]
    with pytest.raises(PotentialError, match="exists"):
        save_potential(POTENTIAL, path)
    save_potential(back.layer("halo"), path, overwrite=True)
    assert set(load_potential(path).dictionary.layers) == {"halo"}


def test_broken_files_are_refused(tmp_path):
    path = tmp_path / "potential.json"
    path.write_text("{")
    with pytest.raises(PotentialError, match="is not a linear potential"):
        load_potential(path)
    path.write_text(json.dumps({"format": "another"}))
    with pytest.raises(PotentialError, match="found 'another'"):
        load_potential(path)
    save_potential(POTENTIAL, path, overwrite=True)
    content = json.loads(path.read_text())
    del content["coefficients"]
    path.write_text(json.dumps(content))
    with pytest.raises(PotentialError, match="coefficients"):
        load_potential(path)


def test_what_does_not_fit_is_refused():
    with pytest.raises(PotentialError, match="got shape \\(3,\\)"):
        LinearPotential(DICTIONARY, np.ones(3))
    with pytest.raises(PotentialError, match=r"h_z=0\.1' is not finite"):
        LinearPotential(DICTIONARY, np.where(np.arange(len(DICTIONARY)) == 0, np.nan, 0.0))
    with pytest.raises(PotentialError, match="no members"):
        LinearPotential(DICTIONARY, _coefficients()).member_densities(X)
    with pytest.raises(PotentialError, match="no layer 'disc'"):
        POTENTIAL.layer("disc")
    with pytest.raises(PotentialError, match="all coefficients are zero"):
        LinearPotential(DICTIONARY, np.zeros(len(DICTIONARY))).to_gala()
