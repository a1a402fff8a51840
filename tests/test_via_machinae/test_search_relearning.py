"""The search fits what it found over a background without it; a compact group is told, no candidate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from searched_sky import SEARCH_SETTINGS, STREAM_STARS, sky_with_a_stream

from streams import StreamCatalog
from via_machinae import Config, Run
from via_machinae.background import background_folder, read_background
from via_machinae.config import config_from
from via_machinae.ingest import import_files
from via_machinae.scan import plan_run
from via_machinae.searching import (
    kept_result,
    likelihood_search_of,
    plan_search,
    relearned_folder,
    search_patch,
    searched_stars,
)
from via_machinae.searching.patch_result import LikelihoodPatch
from via_machinae.searching.relearning import SharedBar, learned_anew

CLUSTER = (151.5, 31.2)
QUICK = {
    "ridges": "none", "motion_limit": 7.0, "motion_step": 1.0, "angle_step": 9.0, "widths": [1.0],
    "gradients": [0.0], "background": {"layers": 1, "hidden": 24, "epochs": 4},
}  # fmt: skip


def config_of(**search: object) -> Config:
    significance = {"report_below": 0.01, "max_candidates": 1}
    return config_from({"run": {"seed": 3}, "search": QUICK | search, "significance": significance}, "test")


def run_of(sky: Table, root: Path) -> Run:
    sky.write(root / "stars.csv")
    import_files([root / "stars.csv"], root / "store")
    return plan_run(root / "store", root / "run", config_of(), scored=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A sky with a stream, planned; searches go on in it one after the other."""
    return run_of(sky_with_a_stream(stream=150, colours=False), tmp_path_factory.mktemp("relearning"))


@pytest.fixture(scope="module")
def once(run: Run) -> LikelihoodPatch:
    return search_patch(run.path, config_of(relearn=0), "all")


@pytest.fixture(scope="module")
def again(run: Run, once: LikelihoodPatch) -> LikelihoodPatch:
    return search_patch(run.path, config_of(relearn=1), "all")


def test_the_search_stays_and_the_fit_is_new(once: LikelihoodPatch, again: LikelihoodPatch):
    assert once.left == 0 and 50 < again.left < 300
    for name in ("significance", "false_alarm_probability", "hypothesis", "contrast"):
        assert once.streams[name][0] == again.streams[name][0]
    assert list(once.hypotheses["significance"]) == list(again.hypotheses["significance"])
    assert once.streams["stars"][0] != again.streams["stars"][0]
    assert f"over a background learned without {again.left} stars" in "".join(again.told[0])
    assert "over a background" not in "".join(once.told[0])


def test_the_background_of_the_fits_lies_beside_the_first(run: Run, again: LikelihoodPatch):
    first = read_background(background_folder(run, "all"))
    second = read_background(relearned_folder(run, "all"))
    np.testing.assert_array_equal(second.source_id, first.source_id)
    rich = np.isin(second.source_id, again.members["source_id"][again.members["probability"] > 0.9])
    # What left is rarer in it, by more than other stars are.
    change = second.log_density - first.log_density
    assert change[rich].mean() < change[~rich].mean() - 0.1


def test_another_number_of_rounds_is_another_result_over_the_same_null(run: Run, again: LikelihoodPatch):
    assert plan_search(run, config_of(relearn=1)).patches == ()
    assert plan_search(run, config_of(relearn=2)).patches == ("all",)
    assert kept_result(searched_stars(run.path, config_of(relearn=1), "all")).left == again.left


def test_without_rounds_no_other_background_is_left(tmp_path: Path):
    run = run_of(sky_with_a_stream(stream=0, colours=False)[:1500], tmp_path)
    folder = relearned_folder(run, "all")
    folder.mkdir(parents=True)
    (folder / "background.npz").write_bytes(b"of an earlier search")
    search_patch(run.path, config_of(relearn=1), "all")
    assert list(folder.glob("*")) == []


def test_a_patch_too_thin_to_lose_stars_keeps_its_candidates(run: Run, monkeypatch: pytest.MonkeyPatch):
    here = searched_stars(run.path, config_of(), "all")
    stars, footprint = here.patch.stream_stars(), here.patch.geometry.footprint
    background, finder = here.background(), likelihood_search_of(here.config, (), 1)
    found = finder.find(stars, footprint, background.log_density)
    monkeypatch.setattr("via_machinae.searching.relearning.FEWEST_STARS", len(stars))
    better = learned_anew(finder, found, background, stars, footprint, seed=1, rounds=2)
    assert better.found is found and better.background is background and better.left == 0


@given(
    st.integers(1, 40), st.integers(0, 5), st.integers(1, 30), st.data()
)  # fmt: skip
def test_one_bar_for_search_and_learning_never_goes_back_and_ends_full(steps, rounds, epochs, data):
    seen: list[tuple[int, int]] = []
    bar = SharedBar(lambda done, total: seen.append((done, total)), rounds, epochs)
    for done in range(1, steps + 1):
        bar.searched(done, steps)
    for _ in range(data.draw(st.integers(0, rounds * epochs))):
        bar.learned_one()
    bar.finish()
    done = [one for one, _ in seen]
    assert done == sorted(done) and done[-1] == steps * (1 + rounds)
    assert {total for _, total in seen} == {steps * (1 + rounds)}


@dataclass(frozen=True)
class Clustered:
    """A run of a sky whose stream was drawn together to a cluster, and what `search` printed."""

    run: Run
    out: str


@pytest.fixture
def clustered(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clustered]:
    monkeypatch.setattr("via_machinae.jobs._draw", lambda *given: None)
    sky, rng = sky_with_a_stream(), np.random.default_rng(1)
    ra, dec = (centre + rng.normal(0, 0.05, STREAM_STARS) for centre in CLUSTER)
    sky["ra"][-STREAM_STARS:], sky["dec"][-STREAM_STARS:] = ra, dec
    sky.write(tmp_path / "stars.csv")
    import_files([tmp_path / "stars.csv"], tmp_path / "store")
    (tmp_path / "settings.toml").write_text(SEARCH_SETTINGS)
    words = ("search", "--store", tmp_path / "store", "--run", tmp_path / "run")
    done = command(*words, "--config", tmp_path / "settings.toml")
    assert (done.code, done.err) == (0, "")
    yield Clustered(Run.open(tmp_path / "run"), done.out)


def test_a_cluster_is_told_with_its_place_and_is_no_candidate(clustered: Clustered):
    run = clustered.run
    kept = kept_result(searched_stars(run.path, run.config, "all"))
    row = kept.hypotheses[0]
    assert row["clump"] and (row["clump_ra"], row["clump_dec"]) == pytest.approx(CLUSTER, abs=0.1)
    lines = kept.hypotheses[~np.asarray(kept.hypotheses["clump"])]
    assert len(lines) and np.isnan(lines["clump_ra"]).all() and np.isnan(lines["clump_dec"]).all()
    assert len(kept.clumps) == 1 and f"  patch all: {kept.clumps[0]}" in clustered.out
    assert kept.clumps[0].startswith("a compact group, no stream: at RA 151.")
    assert kept.clumps[0].endswith("mask it")
    assert not StreamCatalog.read(run.path / "catalog").candidates["passes"].any()
