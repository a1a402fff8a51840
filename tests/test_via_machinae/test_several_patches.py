"""Several patches in one run: searched side by side, joined where a stream crosses them, ranked together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from oracle_runs import HiddenSky, make_run, two_patches

from streams import false_discovery_rates
from streams.compact import CompactCatalog
from via_machinae import Config, Run, compare, make_catalog
from via_machinae.cataloguing import PatchResult, explain_candidate, null_skies_of, search_patch

PATCHES = {"west", "east"}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A stream that crosses two overlapping patches, and a cluster that lies in both."""
    sky, config = HiddenSky.make(), two_patches()
    run = make_run(tmp_path_factory.mktemp("joined"), sky, config)
    steps: list[int] = []
    catalog = make_catalog(run, config, lambda: steps.append(1))
    return SimpleNamespace(sky=sky, config=config, run=run, catalog=catalog, steps=len(steps))


@pytest.fixture
def joined_copy(joined, tmp_path: Path) -> Run:
    """The run again, to be changed."""
    shutil.copytree(joined.run.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def _touched(run: Run) -> dict[str, int]:
    """When each file of the searched patches was written."""
    root = run.path / "catalog" / "patches"
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*.*")}


def test_a_stream_that_crosses_both_patches_is_one_row_with_both(joined):
    comparison = compare(joined.catalog, {"hidden": joined.sky.stream})
    (match,) = comparison.matches
    assert match.candidate == "VM-1"
    assert match.members.purity > 0.8 and match.members.completeness > 0.8
    assert (comparison.false, comparison.duplicates) == ((), ())
    row = joined.catalog.candidates[0]
    assert set(str(row["patches"]).split(",")) == PATCHES
    assert str(row["patches"]).split(",")[0] == row["patch"]
    assert row["length"] > 8.0, "longer than either patch alone could show"


def test_each_patch_alone_had_found_it(joined):
    """What is joined are two candidates, so that the one row is the joining's doing."""
    alone = [search_patch(joined.run.path, joined.config, name) for name in sorted(PATCHES)]
    best = [patch.streams["false_alarm_probability"].min() for patch in alone]
    assert max(best) < joined.config.significance.threshold
    assert len(joined.catalog.candidates) < sum(len(patch.streams) for patch in alone)


def test_a_star_of_both_patches_is_a_member_once(joined):
    stars = joined.catalog.members[joined.catalog.members["candidate"] == "VM-1"]
    assert len(np.unique(stars["source_id"])) == len(stars)
    assert set(stars["patch"]) == PATCHES
    for row in joined.catalog.candidates:
        own = joined.catalog.members[joined.catalog.members["candidate"] == row["name"]]
        assert set(own["patch"]) <= set(str(row["patches"]).split(","))


def test_the_ranks_and_rates_are_those_of_all_patches_together(joined):
    table = joined.catalog.candidates
    rates = false_discovery_rates(np.asarray(table["false_alarm_probability"]), len(PATCHES))
    assert np.array_equal(np.asarray(table["false_discovery_rate"]), rates)
    assert np.all(np.diff(table["false_discovery_rate"]) >= 0)
    worst = np.maximum(table["false_discovery_rate"], table["false_alarm_probability"])
    assert np.array_equal(table["passes"], worst < joined.config.significance.threshold)
    assert list(table["rank"]) == list(range(1, len(table) + 1))


def test_the_progress_counts_every_null_sky_of_every_patch(joined):
    assert joined.steps == len(PATCHES) * null_skies_of(joined.config)
    without = two_patches(compact={"enabled": False})
    assert null_skies_of(joined.config) == 2 * null_skies_of(without) == 2 * 20


def test_the_stability_is_a_share_of_the_trainings(joined):
    stability = np.asarray(joined.catalog.candidates["stability"])
    assert np.all((stability >= 0) & (stability <= 1))
    # There were two trainings.
    assert np.all(np.isin(stability * 2, [0, 1, 2]))
    assert stability[0] == 1.0


def test_the_explanation_names_regions_and_both_patches(joined):
    text = explain_candidate(joined.run, "VM-1")
    assert all(f"in patch {name}" in text for name in PATCHES)
    assert " joined: " in text and "mas/yr of pm_phi" in text
    assert "in 2 patches: significance" in text


def test_evidence_counts_no_star_twice(joined):
    row = joined.catalog.candidates[0]
    assert row["line_stars"] <= row["independent_stars"] <= len(joined.sky.stars)
    told = json.loads((joined.run.path / "catalog" / "merging.json").read_text())["candidates"]["VM-1"]
    counts = [test["count"] for test in told["continuations"]]
    assert row["independent_stars"] == row["line_stars"] + sum(counts)


def test_a_cluster_of_both_patches_is_one_compact_object_and_no_line_runs_through_it(joined):
    objects = CompactCatalog.read(joined.run.path / "catalog")
    passing = objects.objects[objects.objects["passes"]]
    shares = [np.isin(joined.sky.cluster, objects.member_ids(str(name))).mean() for name in passing["name"]]
    assert len(passing) >= 1 and max(shares) > 0.7
    assert sum(share > 0.1 for share in shares) == 1, "the cluster is listed once"
    stars = joined.catalog.members
    for name in joined.catalog.candidates["name"]:
        own = stars["source_id"][stars["candidate"] == name]
        assert np.isin(joined.sky.cluster, own).mean() < 0.05


def test_neither_the_order_of_the_rows_nor_that_of_the_work_changes_anything(
    joined, tmp_path, monkeypatch, differences
):
    """Stars in another order, and patches one after the other instead of side by side."""
    run = make_run(tmp_path, joined.sky.shuffled(5), joined.config)
    monkeypatch.setattr("via_machinae.cataloguing.findings.completed", _one_after_the_other)
    assert differences(joined.catalog, make_catalog(run, joined.config)) == []
    first, second = (CompactCatalog.read(one.path / "catalog") for one in (joined.run, run))
    for part in ("objects", "members"):
        one, other = getattr(first, part), getattr(second, part)
        assert len(one) == len(other) > 0
        assert all(list(map(str, one[name])) == list(map(str, other[name])) for name in one.colnames)


def test_an_interruption_between_patches_keeps_those_that_are_done(
    joined, joined_copy, monkeypatch, differences
):
    shutil.rmtree(joined_copy.path / "catalog" / "patches" / "east")
    (joined_copy.path / "catalog" / "candidates.ecsv").unlink()
    before = _touched(joined_copy)
    assert before and all(name.startswith("west/") for name in before)

    def interrupted(path: Path, config: Config, name: str) -> PatchResult:
        if name == "east":
            raise KeyboardInterrupt
        return search_patch(path, config, name)

    monkeypatch.setattr("via_machinae.cataloguing.findings.completed", _one_after_the_other)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("via_machinae.cataloguing.findings.search_patch", interrupted)
        make_catalog(joined_copy, joined.config)
    assert _touched(joined_copy) == before
    assert not (joined_copy.path / "catalog" / "candidates.ecsv").exists()
    assert differences(joined.catalog, make_catalog(joined_copy, joined.config)) == []
    after = _touched(joined_copy)
    assert {name: after[name] for name in before} == before and len(after) > len(before)


def _one_after_the_other(function, jobs, _workers):
    """Stands for the pool of worker processes."""
    for job in jobs:
        value = function(job)
        yield job, SimpleNamespace(result=lambda value=value: value)


def test_without_the_compact_search_the_cluster_makes_a_line(joined, joined_copy, monkeypatch):
    """The control of what masking is for; and the second catalogue is there, but empty."""
    monkeypatch.setattr("via_machinae.cataloguing.findings.completed", _one_after_the_other)
    catalog = make_catalog(joined_copy, two_patches(compact={"enabled": False}))
    assert len(Table.read(joined_copy.path / "catalog" / "compact.ecsv")) == 0
    passing = [str(row["name"]) for row in catalog.candidates if row["passes"]]
    shares = [np.isin(joined.sky.cluster, catalog.member_ids(name)).mean() for name in passing]
    assert max(shares) > 0.1
