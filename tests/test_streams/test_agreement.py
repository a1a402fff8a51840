"""Laws of the agreement of two member lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import agreement

lists = st.lists(st.integers(0, 30), max_size=40).map(lambda ids: np.array(ids, dtype=np.int64))


@given(lists, lists)
def test_f1_lies_between_purity_and_completeness(found, reference):
    result = agreement(found, reference)
    low, high = sorted((result.purity, result.completeness))
    assert low - 1e-12 <= result.f1 <= high + 1e-12
    assert 0.0 <= low <= high <= 1.0


@given(lists, lists)
def test_swapping_the_lists_swaps_purity_and_completeness(found, reference):
    one, two = agreement(found, reference), agreement(reference, found)
    assert (one.purity, one.completeness, one.f1) == (two.completeness, two.purity, two.f1)


@given(lists, lists, st.randoms())
def test_repeated_stars_and_their_order_do_not_matter(found, reference, random):
    again = np.concatenate([found, found[: len(found) // 2]])
    random.shuffle(again)
    assert agreement(again, reference) == agreement(found, reference)


@given(lists)
def test_a_list_agrees_with_itself(ids):
    result = agreement(ids, ids)
    assert result.f1 == result.purity == result.completeness == (1.0 if len(ids) else 0.0)


@given(lists, lists)
def test_counts_are_those_of_sets(found, reference):
    result, a, b = agreement(found, reference), set(found.tolist()), set(reference.tolist())
    assert (result.found, result.reference, result.common) == (len(a), len(b), len(a & b))


def test_a_worked_example():
    result = agreement(np.array([1, 2, 3, 4]), np.array([3, 4, 5]))
    assert result.purity == 0.5 and result.completeness == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(4 / 7)


def test_identifiers_as_long_as_those_of_gaia_are_told_apart():
    big = np.array([6917528997577384320, 6917528997577384321])
    assert agreement(big[:1], big[1:]).common == 0
