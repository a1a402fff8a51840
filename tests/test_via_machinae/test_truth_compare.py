"""Candidates against a truth: found, missed, false, and found twice."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from streams import StreamCatalog
from via_machinae import compare

TRUTH = {"north": np.arange(100), "south": np.arange(100, 150)}


def _catalogue(members: dict[str, np.ndarray], failing: tuple[str, ...] = ()) -> StreamCatalog:
    names = list(members)
    candidates = Table(
        {
            "name": np.array(names, dtype="U32"),
            "passes": np.array([name not in failing for name in names], dtype=bool),
            "false_alarm_probability": 0.001 * np.arange(1, len(names) + 1),
        }
    )
    ids = np.concatenate([np.asarray(values, dtype=np.int64) for values in members.values()] or [[]])
    owners = np.repeat(np.array(names, dtype="U32"), [len(values) for values in members.values()])
    stars = {"source_id": ids.astype(np.int64), "candidate": owners, "member": np.ones(len(ids), dtype=bool)}
    return StreamCatalog(candidates, Table(stars), {})


def test_a_found_stream_has_its_candidate_and_their_agreement():
    result = compare(_catalogue({"VM-1": np.r_[np.arange(80), np.arange(1000, 1020)]}), TRUTH)
    north, south = result.matches
    assert (north.stream, north.stars, north.candidate) == ("north", 100, "VM-1")
    assert north.false_alarm_probability == 0.001
    assert (north.members.purity, north.members.completeness) == (0.8, 0.8)
    assert south.candidate is None
    assert (result.false, result.duplicates) == ((), ())


def test_a_missed_stream_has_no_probability_and_no_members():
    result = compare(_catalogue({}), TRUTH)
    assert [match.candidate for match in result.matches] == [None, None]
    assert all(np.isnan(match.false_alarm_probability) for match in result.matches)
    assert [(m.members.found, m.members.completeness, m.members.f1) for m in result.matches] == [
        (0, 0, 0)
    ] * 2


def test_a_candidate_of_no_stream_is_false():
    result = compare(_catalogue({"VM-1": np.arange(500, 600)}), TRUTH)
    assert result.false == ("VM-1",)
    assert all(match.candidate is None for match in result.matches)


@pytest.mark.parametrize(("shared", "found"), [(9, False), (10, True)])
def test_a_chance_overlap_is_no_discovery(shared, found):
    result = compare(_catalogue({"VM-1": np.r_[np.arange(shared), np.arange(500, 600)]}), TRUTH)
    assert (result.matches[0].candidate == "VM-1") == found
    assert (result.false == ("VM-1",)) == (not found)


def test_a_stream_found_twice_is_told_once_as_found_and_once_as_duplicate():
    result = compare(_catalogue({"VM-1": np.arange(60), "VM-2": np.arange(60, 100)}), TRUTH)
    assert result.matches[0].candidate == "VM-1"
    assert (result.false, result.duplicates) == ((), ("VM-2",))


def test_a_candidate_belongs_to_the_stream_of_which_it_holds_most():
    result = compare(_catalogue({"VM-1": np.r_[np.arange(20), np.arange(100, 140)]}), TRUTH)
    assert [match.candidate for match in result.matches] == [None, "VM-1"]


def test_a_candidate_below_the_threshold_counts_for_nothing():
    members = {"VM-1": np.arange(100), "VM-2": np.arange(500, 600)}
    result = compare(_catalogue(members, failing=("VM-1", "VM-2")), TRUTH)
    assert result.matches[0].candidate is None
    assert (result.false, result.duplicates) == ((), ())


def test_without_a_truth_every_candidate_is_false():
    result = compare(_catalogue({"VM-1": np.arange(10)}), {})
    assert (result.matches, result.false) == ((), ("VM-1",))
