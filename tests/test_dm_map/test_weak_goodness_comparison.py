"""Laws of the comparison of nested models on held-out stars."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dm_map.errors import WeakFormError
from dm_map.mocks import milky_way
from dm_map.potential import galactic_dictionary
from dm_map.stars import StarSample
from dm_map.weak import TestFunctions, WeakForm, choose_functions
from dm_map.weak.comparison import compare, nested_dictionaries

RECIPE = WeakForm(draws=40)


@pytest.fixture(scope="module")
def stars() -> tuple[StarSample, TestFunctions]:
    sample = milky_way().sample(30_000, seed=11)
    return sample, choose_functions(sample, spacing=4.0, layers=6)


@pytest.mark.statistical
def test_what_the_stars_need_gains_and_what_they_do_not_need_does_not(
    stars: tuple[StarSample, TestFunctions],
):
    sample, functions = stars
    whole = galactic_dictionary(sample.volume)
    bulges = whole.subset(np.array([name.startswith("baryons: hernquist") for name in whole.names]))
    more = nested_dictionaries(sample.volume)["+ dark disc"]
    models = {"bulge only": bulges, "discs and haloes": whole, "more": more}
    found = compare(sample, models, functions, recipe=RECIPE, draws=20, seed=12)
    _, needed, idle = found.steps
    assert needed.gain > 5 * needed.error and needed.p_value <= 1 / 21 + 1e-9
    # Negative control: a dark disc that is not there.
    assert idle.gain < 3 * idle.error + 1.0 and idle.p_value > 1 / 21 + 1e-9
    assert "does not predict" in found.sentence()
    assert list(found.to_table()["model"]) == list(models)


def test_each_nested_model_contains_the_one_before(stars: tuple[StarSample, TestFunctions]):
    models = list(nested_dictionaries(stars[0].volume).values())
    for smaller, larger in pairwise(models):
        assert set(smaller.names) < set(larger.names)
    assert set(models[0].layers) == {"baryons"}
    assert not any("c=0.85" in name or "miyamoto" in name for name in models[1].names)


def test_one_model_is_no_comparison(stars: tuple[StarSample, TestFunctions]):
    sample, functions = stars
    with pytest.raises(WeakFormError, match="1 models"):
        compare(sample, {"only": galactic_dictionary(sample.volume)}, functions, seed=1)
