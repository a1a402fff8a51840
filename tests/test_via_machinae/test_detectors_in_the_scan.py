"""Every detector scores a window: cross-fitted, blind to positions and row order, with seeds of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from density import Cwola, Window
from sky_patches import PatchGeometry
from streams import COMPONENTS, WindowScores
from via_machinae import Config, ConfigError, Run, RunError, Unit
from via_machinae.config import config_from
from via_machinae.detectors import DETECTOR_NAMES, detector_of
from via_machinae.patch_stars import PatchStars
from via_machinae.scoring import score_unit, scores_of, unit_seed

UNIT = Unit("field", "pm_phi1_cosphi2", 2.0, 8.0)
FIELD, SIGNAL = 1500, 120
SMALL = {"flow": {"layers": 2, "hidden": 16, "epochs": 3, "batch_size": 256}, "windows": {"min_stars": 150}}


def _config(name: str, **detector: object) -> Config:
    return config_from({**SMALL, "detector": {"name": name, "folds": 3, "members": 1, **detector}}, "test")


def _field(seed: int = 5, number: int = FIELD) -> PatchStars:
    """Field stars and, as the last rows, a group that is narrow in every feature; positions at random."""
    rng = np.random.default_rng(seed)
    table = Table(
        {
            "source_id": np.arange(number + SIGNAL, dtype=np.int64),
            "phi1": rng.uniform(-5, 5, number + SIGNAL),
            "phi2": rng.uniform(-5, 5, number + SIGNAL),
            "pm_phi1_cosphi2": np.r_[rng.normal(0, 4, number), rng.normal(5, 0.3, SIGNAL)],
            "pm_phi2": np.r_[rng.normal(0, 4, number), rng.normal(5, 0.3, SIGNAL)],
            "bp_rp": np.r_[rng.normal(1.0, 0.35, number), rng.normal(0.7, 0.05, SIGNAL)],
            "phot_g_mean_mag": np.r_[20 - rng.exponential(1.5, number), rng.uniform(17, 20, SIGNAL)],
        }
    )
    geometry = PatchGeometry.circle("field", 150.0, 30.0, 8.0)
    return PatchStars(geometry, table, ("bp_rp", "phot_g_mean_mag"), [])


def _auc(scores: WindowScores) -> float:
    signal = scores.rows >= FIELD
    order = np.argsort(np.argsort(scores.log_ratio)) + 1.0
    pairs = signal.sum() * (~signal).sum()
    return float((order[signal].sum() - signal.sum() * (signal.sum() + 1) / 2) / pairs)


@pytest.fixture(scope="module")
def scored() -> dict[str, WindowScores]:
    return {name: scores_of(_field(), UNIT, _config(name)) for name in DETECTOR_NAMES}


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_every_star_of_the_window_has_a_finite_score(scored, name):
    scores, m = scored[name], _field().values(UNIT.component)
    assert np.array_equal(scores.rows, np.flatnonzero((m >= UNIT.low) & (m < UNIT.high)))
    assert np.isfinite(scores.log_ratio).all()
    assert (scores.component, scores.low, scores.high) == (UNIT.component, UNIT.low, UNIT.high)


@pytest.mark.parametrize("name", sorted(set(DETECTOR_NAMES) - {"anode", "lacathode", "autoencoder"}))
def test_a_strong_group_stands_out(scored, name):
    """Of the others, two need more training than a test has, and the autoencoder sees outliers only."""
    assert _auc(scored[name]) > 0.8


def test_without_a_group_nothing_stands_out():
    """Negative control: the same stars with the group's features taken from the field."""
    patch = _field()
    table = patch.table.copy()
    for name in ("pm_phi2", "bp_rp", "phot_g_mean_mag"):
        table[name][-SIGNAL:] = table[name][:SIGNAL]
    assert 0.35 < _auc(scores_of(replace(patch, table=table), UNIT, _config("cathode"))) < 0.65


@pytest.mark.parametrize("name", ["cwola", "cathode"])
def test_scores_are_blind_to_positions_and_to_the_order_of_the_stars(scored, name):
    patch, rng = _field(), np.random.default_rng(1)
    order = rng.permutation(len(patch.table))
    moved = patch.table[order]
    moved["phi1"], moved["phi2"] = rng.permutation(moved["phi1"]), 0.0
    again = scores_of(replace(patch, table=moved), UNIT, _config(name))
    back = np.argsort(order[again.rows])
    assert np.array_equal(order[again.rows][back], scored[name].rows)
    assert np.array_equal(again.log_ratio[back], scored[name].log_ratio)


@pytest.mark.parametrize("feature", ["ra", "phi1", "PHI2", "source_id", "l"])
def test_a_position_among_the_features_is_refused(feature):
    with pytest.raises(ConfigError, match=rf"detector\.features: {feature} tells positions"):
        config_from({"detector": {"features": ["bp_rp", feature]}}, "test")


@pytest.mark.parametrize("name", ["r-anode", "cathode+r-anode"])
def test_too_few_folds_are_refused_before_a_scan_begins(name):
    with pytest.raises(ConfigError, match="needs 3 folds or more"):
        config_from({"detector": {"name": name, "folds": 2}}, "test")


@pytest.mark.parametrize(
    ("near", "far", "reach"), [(1000, 1000, 1.0), (50, 1000, 8.0), (50, 30, None)], ids=["near", "far", "all"]
)
def test_cwola_takes_wider_sidebands_until_they_hold_enough_stars(near, far, reach):
    """Two sidebands of 1 mas/yr hold `near` stars; all others lie more than 4 mas/yr away."""
    rng = np.random.default_rng(2)
    beside = np.r_[rng.uniform(-1, 0, near), rng.uniform(2, 3, near)]
    m = np.r_[rng.uniform(0, 2, 500), beside, rng.uniform(-8, -6, far), 12.0]
    detector = detector_of(_config("cwola"), ("pm_phi2",), m, Window(0.0, 2.0))
    assert isinstance(detector, Cwola)
    assert detector.reach == reach


def test_retrainings_have_seeds_of_their_own_and_the_first_is_that_of_old_runs():
    seeds = [unit_seed(1, UNIT, number) for number in range(50)]
    assert len(set(seeds)) == 50
    assert seeds[0] == unit_seed(1, UNIT)
    assert seeds[1] != unit_seed(2, UNIT, 1)


def _run(tmp_path, patch: PatchStars, retrainings: int) -> Run:
    config = _config("cwola", retrainings=retrainings)
    return Run.create(
        tmp_path / f"run{retrainings}", config, tmp_path / "store",
        geometries=[patch.geometry], units=[UNIT],
        provenance={"store_checksum": "abc", "stars": {"field": len(patch.table)}},
    )  # fmt: skip


@pytest.fixture
def retrained(tmp_path, monkeypatch) -> tuple[PatchStars, dict[int, Run]]:
    """Runs with one and with three trainings of the same window."""
    patch = _field()
    runs = {number: _run(tmp_path, patch, number) for number in (1, 3)}
    monkeypatch.setattr("via_machinae.scoring._patch", lambda path, name: (Run.open(Path(path)), patch))
    for run in runs.values():
        score_unit(run.path, UNIT)
    return patch, runs


def test_retrained_scores_lie_beside_the_first_which_stay_as_they_are(retrained):
    patch, runs = retrained
    (first,), (same,) = (run.scores("field", patch.source_id) for run in runs.values())
    assert np.array_equal(first.log_ratio, same.log_ratio)
    more = runs[3].retrained_scores("field", patch.source_id)
    assert [len(windows) for windows in more] == [1, 1]
    for number, (scores,) in enumerate(more, start=1):
        direct = scores_of(patch, UNIT, runs[3].config, retraining=number)
        assert np.array_equal(scores.rows, direct.rows)
        assert np.array_equal(scores.log_ratio, direct.log_ratio)
        assert not np.array_equal(scores.log_ratio, first.log_ratio)
    assert runs[1].retrained_scores("field", patch.source_id) == []


def test_a_file_without_its_retrainings_says_how_to_redo_it(retrained):
    patch, runs = retrained
    path = runs[3].scores_path(UNIT)
    path.write_bytes(runs[1].scores_path(UNIT).read_bytes())
    with pytest.raises(RunError, match="delete it and scan again"):
        runs[3].retrained_scores("field", patch.source_id)
    with np.load(path) as saved:
        np.savez(path, **saved, retrained=np.zeros((1, len(saved["source_id"])), np.float32))
    with pytest.raises(RunError, match=r"holds 2 of 3 trainings"):
        runs[3].scores("field", patch.source_id)


def test_a_run_of_a_version_that_knew_fewer_keys_continues(retrained):
    run = retrained[1][1]
    old = dict(run.manifest["config"])
    old["detector"] = {key: value for key, value in old["detector"].items() if key != "retrainings"}
    opened = replace(
        run, config=config_from(old, "old"), manifest={**run.manifest, "config": old, "scoring_hash": "old"}
    )
    opened.require(run.config, "abc")
    with pytest.raises(RunError, match=r"detector\.retrainings \(1 -> 2\)"):
        opened.require(_config("cwola", retrainings=2), "abc")


def test_both_components_can_be_resonant():
    units = [Unit("field", component, 2.0, 8.0) for component in COMPONENTS]
    first, second = (scores_of(_field(), unit, _config("cwola")) for unit in units)
    assert first.component != second.component
    assert not np.array_equal(first.rows, second.rows)
