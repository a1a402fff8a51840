"""Laws of a star's weight: a density ratio that integrates to one over the background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from likelihood_formulas import weights_at
from likelihood_skies import RECIPE, background_density, likelihood_sky, small_cells
from scipy.stats import norm

from streams.likelihood import LikelihoodError
from streams.likelihood.weights import PatchFeatures, star_weights
from streams.ridges import old_ridges

LIMITS = (14.0, 20.0)


def _features(stars, log_background, recipe=RECIPE, photometric=False):
    cells = small_cells()
    density = cells.area / cells.area.sum()
    return PatchFeatures.of(stars, cells, density, log_background, recipe, photometric=photometric)


def _ratio(weights, stars, motion, recipe, length, surface):
    """r_i: the weight undone of its logarithm and of the stream's density over the stars'."""
    density = recipe.expected_stars / (recipe.expected_width * length)
    return np.expm1(weights_at(weights, motion)) * surface[weights.index] / density


def _with_photometry(sky, seed):
    """Colours and magnitudes of a uniform background, and its density of all features."""
    rng, n = np.random.default_rng(seed), len(sky.stars)
    photometry = np.column_stack([rng.uniform(0.2, 1.8, n), rng.uniform(*LIMITS, n)])
    stars = replace(sky.stars, photometry=photometry, photometry_names=("bp_rp", "phot_g_mean_mag"))
    return stars, sky.log_background - np.log(1.6 * (LIMITS[1] - LIMITS[0]))


def _mean_and_error(ratio, stars):
    return ratio.sum() / stars, np.sqrt((ratio**2).sum()) / stars


@pytest.mark.parametrize("photometric", [False, True])
def test_the_ratio_integrates_to_one_over_the_background(photometric):
    """Each star at its own errors, so the mean of the ratio over stars is one; its own error is the scale."""
    sky = likelihood_sky(1, 40_000)
    recipe = replace(RECIPE, least_weight=1e-9, limits=LIMITS, spread=1.0)
    stars, log_background = _with_photometry(sky, 2) if photometric else (sky.stars, sky.log_background)
    ridge = old_ridges()[1] if photometric else None
    features = _features(stars, log_background, recipe, photometric)
    weights = star_weights(features, recipe, ridge, 15.0, 10.0)
    ratio = _ratio(weights, stars, np.array([0.0, 0.0]), recipe, 10.0, features.surface)
    mean, error = _mean_and_error(ratio, len(stars))
    assert abs(mean - 1.0) < 4 * error and error < 0.1
    # Control: a background that ignores the stars' errors is not the density of what is observed.
    wrong = background_density(stars.proper_motion, np.zeros_like(stars.proper_motion_error) + 2.0)
    features = _features(sky.stars, wrong, recipe)
    weights = star_weights(features, recipe, None, np.nan, 10.0)
    mean, error = _mean_and_error(
        _ratio(weights, sky.stars, np.zeros(2), recipe, 10.0, features.surface), len(stars)
    )
    assert abs(mean - 1.0) > 4 * error


def test_a_weight_is_the_logarithm_of_one_plus_stream_over_background():
    sky = likelihood_sky(4, 300)
    features = _features(sky.stars, sky.log_background)
    weights = star_weights(features, replace(RECIPE, least_weight=1e-12), None, np.nan, 10.0)
    at = np.array([1.0, -1.0])
    rows = features.rows[weights.index]
    sigma = np.hypot(sky.stars.proper_motion_error[rows], RECIPE.spread)
    stream = norm.pdf(sky.stars.proper_motion[rows], at, sigma).prod(axis=1)
    density = RECIPE.expected_stars / (RECIPE.expected_width * 10.0) / features.surface[weights.index]
    wanted = np.log1p(density * stream / np.exp(sky.log_background[rows]))
    assert np.allclose(weights_at(weights, at), wanted, rtol=1e-9)


def test_stars_without_a_measurement_or_a_background_are_left_out():
    sky = likelihood_sky(5, 200)
    log_background = sky.log_background.copy()
    log_background[3], log_background[9] = np.nan, -np.inf
    motion = sky.stars.proper_motion.copy()
    motion[17, 1] = np.nan
    features = _features(replace(sky.stars, proper_motion=motion), log_background)
    assert set(range(200)) - set(features.rows.tolist()) == {3, 9, 17}


def test_arrays_that_do_not_fit_and_missing_colours_are_told():
    sky = likelihood_sky(6, 50)
    with pytest.raises(LikelihoodError, match="50 stars came with 49"):
        _features(sky.stars, sky.log_background[1:])
    with pytest.raises(LikelihoodError, match="search without ridges"):
        _features(sky.stars, sky.log_background, photometric=True)
