"""Laws of the recipe: what is tried, and settings that make no sense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streams.likelihood import LikelihoodError, SearchRecipe, StreamRidge
from streams.ridges import old_ridges


def test_the_grid_of_proper_motions_is_symmetric_and_holds_zero():
    motions = SearchRecipe(motion_limit=3.2, motion_step=0.5).motions
    assert np.array_equal(motions, -motions[::-1]) and 0.0 in motions and motions.max() == 3.0


def test_all_pairs_of_gradients_are_tried_the_flat_one_first():
    pairs = SearchRecipe(gradients=(-0.1, 0.0, 0.2)).gradient_pairs
    assert np.array_equal(pairs[0], [0.0, 0.0]) and len(np.unique(pairs, axis=0)) == 9


@pytest.mark.parametrize("name", ["motion_step", "spread", "angle_step", "expected_stars", "least_weight"])
def test_a_quantity_that_is_not_positive_is_refused_with_its_value(name):
    with pytest.raises(LikelihoodError, match=f"{name} must be positive, got -1.5"):
        replace(SearchRecipe(), **{name: -1.5})


def test_strips_narrower_than_a_bin_and_empty_lists_are_refused():
    with pytest.raises(LikelihoodError, match="lower offset_step"):
        SearchRecipe(widths=(0.1, 0.5))
    with pytest.raises(LikelihoodError, match="moduli"):
        SearchRecipe(moduli=())


def test_the_built_in_ridges_are_ridges():
    assert all(isinstance(ridge, StreamRidge) for ridge in old_ridges())
