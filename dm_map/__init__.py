"""From stars with positions and velocities to accelerations, the potential and the density of dark matter.

Two routes that share stars, mocks, potentials, baryons and result types: the weak form, which needs no
density estimate and takes seconds (`dm_map.weak`), and phase-space flows (`dm_map.flows`, which loads torch).

from dm_map import WeakForm, galactic_dictionary, make_mock

mock = make_mock("milky-way")
stars = mock.sample(100_000, seed=1)
fit = WeakForm().fit(stars, galactic_dictionary(stars.volume), seed=1)
fit.potential.density(sun)
"""

from __future__ import annotations

from dm_map.baryons import baryon_model, dark_matter
from dm_map.boltzmann import PointwiseAcceleration, acceleration_from_scores
from dm_map.errors import (
    AccelerationError,
    BaryonError,
    DmMapError,
    FlowError,
    MockError,
    PotentialError,
    SampleError,
    VolumeError,
    WeakFormError,
)
from dm_map.gravity import (
    GALACTIC,
    GEV_PER_CM3,
    GRAVITATIONAL_CONSTANT,
    NATURAL,
    BallMean,
    GaussianKernel,
    GravityUnits,
    Pointwise,
    kernel_density,
    mass_density,
    mean_density_in_ball,
)
from dm_map.input import (
    LuminosityCut,
    ParallaxDistances,
    SolarFrame,
    read_stars,
    resample,
    select_weights,
)
from dm_map.local import (
    circular_velocity,
    grid_RZ,
    local_dark_matter,
    meridional_points,
    surface_density,
    vertical_force,
)
from dm_map.maps import AccelerationMap, DensityMap, acceleration_map, combine, coverage, density_map
from dm_map.mocks import MOCKS, Mock, Plummer, make_mock
from dm_map.potential import (
    LinearPotential,
    free_form_layer,
    galactic_dictionary,
    load_potential,
    potential_from_scores,
    save_potential,
)
from dm_map.profiles import fit_profile, spherical_average
from dm_map.published import published_table
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak import WeakFit, WeakForm, choose_functions

__all__ = [
    "AccelerationError",
    "AccelerationMap",
    "Ball",
    "BallMean",
    "BaryonError",
    "DensityMap",
    "DmMapError",
    "FlowError",
    "GALACTIC",
    "GEV_PER_CM3",
    "GRAVITATIONAL_CONSTANT",
    "GaussianKernel",
    "GravityUnits",
    "LinearPotential",
    "LuminosityCut",
    "MOCKS",
    "Mock",
    "MockError",
    "NATURAL",
    "ParallaxDistances",
    "Plummer",
    "Pointwise",
    "PointwiseAcceleration",
    "PotentialError",
    "SampleError",
    "SolarFrame",
    "StarSample",
    "VolumeError",
    "WeakFit",
    "WeakForm",
    "WeakFormError",
    "acceleration_from_scores",
    "acceleration_map",
    "baryon_model",
    "choose_functions",
    "circular_velocity",
    "combine",
    "coverage",
    "dark_matter",
    "density_map",
    "fit_profile",
    "free_form_layer",
    "galactic_dictionary",
    "grid_RZ",
    "kernel_density",
    "load_potential",
    "local_dark_matter",
    "make_mock",
    "mass_density",
    "mean_density_in_ball",
    "meridional_points",
    "potential_from_scores",
    "published_table",
    "read_stars",
    "resample",
    "save_potential",
    "select_weights",
    "spherical_average",
    "surface_density",
    "vertical_force",
]
