"""One catalogue of both searches: the same stream is one entry, evidence is counted honestly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from oracle_runs import STREAM_MOTION, HiddenSky, make_run, two_patches

from streams import StreamCatalog, false_discovery_rates
from via_machinae import Config, Run, RunError, explain_candidate, make_catalog
from via_machinae.cataloguing import findings_of, search_patch
from via_machinae.searching import units

SEARCH = {
    "ridges": "none",
    "motion_limit": 10.0,
    "motion_step": 1.0,
    "angle_step": 6.0,
    "widths": [0.5],
    "gradients": [0.0],
    "background": {"layers": 1, "hidden": 24, "epochs": 4},
}
REPORT = {"report_below": 0.01, "max_candidates": 2}


def stream_and_field() -> HiddenSky:
    """Without the cluster, which an oracle's mask would take and the likelihood search has no mask for."""
    made = HiddenSky.make()
    kept = ~np.isin(made.stars["source_id"], made.cluster)
    return HiddenSky(made.stars[kept], made.stream, made.cluster[:0])


@pytest.fixture(scope="module")
def sky() -> HiddenSky:
    return stream_and_field()


@pytest.fixture(scope="module")
def config() -> Config:
    return two_patches(search=SEARCH, significance=REPORT, detector={"retrainings": 1})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, sky: HiddenSky, config: Config) -> Run:
    """A run of two patches, scored, searched by likelihood and in its scores; nobody may change it."""
    run = make_run(tmp_path_factory.mktemp("both"), sky, config)
    for name in ("west", "east"):
        search_patch(run.path, config, name)
        units.search_patch(run.path, config, name)
    make_catalog(run, config, search_scores=False)
    return run


@pytest.fixture
def copy(both: Run, tmp_path: Path) -> Run:
    shutil.copytree(both.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def first(run: Run):
    return StreamCatalog.read(run.path / "catalog").candidates[0]


def test_a_stream_of_both_searches_and_patches_is_one_entry(both, sky):
    catalog = StreamCatalog.read(both.path / "catalog")
    best = catalog.candidates[0]
    assert best["search"] == "anomaly,likelihood" and best["passes"]
    assert set(best["patches"].split(",")) == {"west", "east"}
    assert (best["pmra"], best["pmdec"]) == pytest.approx(STREAM_MOTION, abs=0.2)
    members = catalog.member_ids("VM-1")
    common = len(np.intersect1d(members, sky.stream))
    assert common / len(members) > 0.8 and common / len(sky.stream) > 0.8
    passing = catalog.candidates[catalog.candidates["passes"]]
    near = [abs(row["pmra"] - STREAM_MOTION[0]) + abs(row["pmdec"] - STREAM_MOTION[1]) < 1 for row in passing]
    assert sum(near) == 1


def test_found_twice_costs_a_factor_of_two(both, config):
    values = json.loads((both.path / "catalog" / "merging.json").read_text())["candidates"]["VM-1"]
    findings = findings_of(both, config, search_scores=False)
    parts = [float(findings.row(part)["false_alarm_probability"]) for part in values["parts"]]
    assert set(values["searches"]) == {"anomaly", "likelihood"}
    assert len(values["parts"]) == len(values["searches"]) == 4
    # Fisher's continuations may lower it, at the price of another factor of two.
    assert values["false_alarm_probability"] <= 4 * min(parts)


def test_every_look_counts_in_the_false_discovery_rate(both, copy, config):
    catalog = StreamCatalog.read(both.path / "catalog")
    assert catalog.provenance["searched"] == {name: ["east", "west"] for name in ("anomaly", "likelihood")}
    rates = false_discovery_rates(np.asarray(catalog.candidates["false_alarm_probability"], dtype=float), 4)
    assert np.asarray(catalog.candidates["false_discovery_rate"]) == pytest.approx(rates)
    shutil.rmtree(copy.path / "search")
    alone = make_catalog(copy, config, search_scores=False).candidates
    rates = false_discovery_rates(np.asarray(alone["false_alarm_probability"], dtype=float), 2)
    assert np.asarray(alone["false_discovery_rate"]) == pytest.approx(rates)
    assert set(alone["search"]) == {"anomaly"}


def test_the_searches_may_come_in_either_order(both, copy, config, differences):
    catalog = StreamCatalog.read(both.path / "catalog")
    shutil.rmtree(copy.path / "catalog")
    only = make_catalog(copy, config, search_scores=False)
    assert set(only.candidates["search"]) == {"likelihood"}
    for name in ("west", "east"):
        search_patch(copy.path, config, name)
    assert differences(catalog, make_catalog(copy, config, search_scores=False)) == []


def test_a_track_is_continued_over_stars_that_no_part_has_seen(copy, config):
    """The likelihood search alone: its best patch predicts, the other's own stars confirm."""
    shutil.rmtree(copy.path / "catalog")
    make_catalog(copy, config, search_scores=False)
    told = explain_candidate(copy, "VM-1")
    record = json.loads((copy.path / "catalog" / "merging.json").read_text())["candidates"]["VM-1"]
    (test,) = record["continuations"]
    assert test["component"] == "likelihood" and test["patch"] != record["best"].split("/")[0]
    assert test["count"] > 3 * test["expected"] and test["probability"] < 1e-6
    assert first(copy)["independent_stars"] > first(copy)["line_stars"]
    assert "of the best" in told and "new stars on the track" in told and "stars about (" in told


def test_candidates_of_other_settings_are_left_out_and_told(copy, config):
    lines = config.lines.model_copy(update={"widths": (0.7,)})
    changed = make_catalog(copy, config.model_copy(update={"lines": lines}), search_scores=False)
    assert set(changed.candidates["search"]) == {"likelihood"}
    (told,) = changed.provenance["left_out"]
    assert "patches west, east made with other settings from anomaly scores" in told
    search = config.search.model_copy(update={"spread": 0.5})
    changed = make_catalog(copy, config.model_copy(update={"search": search}), search_scores=False)
    assert set(changed.candidates["search"]) == {"anomaly"}
    assert "by likelihood" in changed.provenance["left_out"][0]


def test_half_a_scan_is_no_obstacle_to_the_likelihood_search(copy, config):
    unit = next(unit for unit in copy.units if unit.patch == "west")
    copy.scores_path(unit).unlink()
    kept = make_catalog(copy, config, search_scores=False)
    assert kept.provenance["searched"] == {"anomaly": ["east"], "likelihood": ["east", "west"]}
    with pytest.raises(RunError, match="windows still to score"):
        make_catalog(copy, config)


def test_explain_tells_of_both_searches(both):
    told = explain_candidate(both, "VM-1")
    for part in ("west/L0", "east/L0", "west/0", "east/0"):
        assert f"protostream {part} in patch" in told
    assert "found by the likelihood search" in told and "protocluster: line of" in told
    assert "sharing" in told
