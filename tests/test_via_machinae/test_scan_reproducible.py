"""Scores depend on stars and configuration alone: not on processes, row order, labels or the truth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from sky_patches import CatalogStore, read_stars
from via_machinae import Run, RunError, Unit, load_config, make_catalog, plan_run
from via_machinae.ingest import import_files, make_mock
from via_machinae.jobs import scan_job
from via_machinae.scoring import score_unit, unit_seed


def _some_units(run: Run) -> list[Unit]:
    """One window of each component; scored in this process, they cost no start of a pool."""
    return [run.units[0], run.units[-1]]


def _scored_here(store: Path, path: Path, scanned) -> Run:
    run = plan_run(store, path, scanned.config)
    for unit in _some_units(run):
        score_unit(run.path, unit)
    return run


@pytest.fixture
def reference(scanned, scores_by_star):
    labels = {unit.label for unit in _some_units(scanned.run)}
    return {key: bits for key, bits in scores_by_star(scanned.run).items() if key[0] in labels}


def test_both_components_are_scanned_and_every_window_is_scored(scanned):
    assert {unit.component for unit in scanned.run.units} == {"pm_phi1_cosphi2", "pm_phi2"}
    assert scanned.run.pending() == []


def test_scores_are_finite_and_of_the_stars_in_the_window(scanned, scores_by_star):
    values = np.frombuffer(b"".join(scores_by_star(scanned.run).values()), np.float32)
    assert np.isfinite(values).all()
    for unit in scanned.run.units:
        with np.load(scanned.run.scores_path(unit)) as saved:
            assert len(saved["source_id"]) >= scanned.config.windows.min_stars


def test_another_seed_gives_other_scores(scanned, tmp_path, reference, scores_by_star):
    """The negative control of the tests that ask for equal bits."""
    config = scanned.config.model_copy(update={"run": scanned.config.run.model_copy(update={"seed": 4})})
    run = plan_run(scanned.store, tmp_path / "seed", config)
    score_unit(run.path, run.units[0])
    other = scores_by_star(run)
    assert set(other) <= set(reference)
    assert sum(bits != reference[key] for key, bits in other.items()) > 0.9 * len(other)


def test_seeds_of_units_differ_and_depend_on_their_names_alone():
    units = [Unit("a", name, float(low), low + 6.0) for name in ("x", "y") for low in range(20)]
    units += [replace(unit, patch="b") for unit in units]
    seeds = [unit_seed(1, unit) for unit in units]
    assert len(set(seeds)) == len(units)
    assert seeds == [unit_seed(1, Unit(u.patch, u.component, u.low, u.high)) for u in units]


def test_scores_do_not_depend_on_the_order_of_rows(scanned, sky, tmp_path, reference, scores_by_star):
    shuffled = sky[np.random.default_rng(1).permutation(len(sky))]
    shuffled.write(tmp_path / "shuffled.csv")
    import_files([tmp_path / "shuffled.csv"], tmp_path / "store")
    assert scores_by_star(_scored_here(tmp_path / "store", tmp_path / "run", scanned)) == reference


def test_scores_do_not_depend_on_how_stars_were_imported(scanned, sky, tmp_path, reference, scores_by_star):
    """Two files that overlap make the store that one file makes."""
    sky[:3000].write(tmp_path / "first.csv")
    sky[2000:].write(tmp_path / "second.csv")
    done = import_files([tmp_path / "second.csv", tmp_path / "first.csv"], tmp_path / "store")
    assert [(item.added, item.known) for item in done] == [(len(sky) - 2000, 0), (2000, 1000)]
    assert scores_by_star(_scored_here(tmp_path / "store", tmp_path / "run", scanned)) == reference


def test_label_columns_of_a_file_are_not_read(scanned, sky, tmp_path, reference, scores_by_star):
    labelled = sky.copy()
    labelled["streamfinder_gd1"] = np.isin(sky["source_id"], scanned.stream_ids).astype(int)
    labelled.write(tmp_path / "labelled.csv")
    import_files([tmp_path / "labelled.csv"], tmp_path / "store")
    assert scores_by_star(_scored_here(tmp_path / "store", tmp_path / "run", scanned)) == reference


def test_label_columns_of_a_store_are_not_read(scanned, sky, tmp_path, reference, scores_by_star):
    """A store may hold any column; a scan reads the configured ones."""
    labelled = sky.copy()
    labelled["streamfinder_gd1"] = np.isin(sky["source_id"], scanned.stream_ids).astype(float)
    stars = read_stars(labelled, keep=["streamfinder_gd1"]).stars
    store = CatalogStore.create(tmp_path / "store", name="labelled")
    store.append(stars, provenance={"origin": "test"})
    assert "streamfinder_gd1" in store.columns
    run = _scored_here(tmp_path / "store", tmp_path / "run", scanned)
    assert scores_by_star(run) == reference
    assert run.manifest["features"] == scanned.run.manifest["features"]


def test_a_scan_of_a_mock_sky_needs_no_truth(scanned, tmp_path, monkeypatch, sky):
    """The truth lies beside the stars; neither plan, nor scores, nor catalogue open it."""

    class SmallMock:
        def generate(self, seed: int):
            truth = type("Truth", (), {"members": Table({"a": [1]}), "streams": Table({"a": [1]})})
            return type("Result", (), {"stars": read_stars(sky).stars, "truth": truth})

    monkeypatch.setattr("sky_patches.mock.demo_sky", SmallMock)
    stars, truth = make_mock(tmp_path / "mock", seed=1)
    assert stars == len(sky) and (truth / "members.ecsv").is_file()
    shutil.rmtree(truth)
    run = plan_run(tmp_path / "mock", tmp_path / "run", scanned.config)
    assert run.units == scanned.run.units
    for unit in run.units:
        run.scores_path(unit).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scanned.run.scores_path(unit), run.scores_path(unit))
    score_unit(run.path, run.units[0])
    assert len(make_catalog(run, scanned.config).candidates) > 0
    assert not truth.exists()


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("step", "2.0", None),
        ("seed", "4", r"run\.seed \(3 -> 4\)"),
        ("epochs", "4", r"flow\.epochs \(3 -> 4\)"),
        ("members", "2", r"detector\.members \(1 -> 2\)"),
    ],
)
def test_another_configuration_on_the_same_run_names_the_changed_key(
    scanned, run_copy, write_settings, tree, key, value, named
):
    before = tree(run_copy.path)
    if named is None:
        path = write_settings("[cuts]\nruwe_below = 1.2\n")
        named = r"cuts\.ruwe_below \(1\.4 -> 1\.2\)"
    else:
        path = write_settings(**{key: value})
    with pytest.raises(RunError, match=f"changed: {named}. Use the old one"):
        plan_run(scanned.store, run_copy.path, load_config(path))
    assert tree(run_copy.path) == before


def test_another_number_of_workers_or_threshold_continues(scanned, run_copy, write_settings):
    config = load_config(write_settings("threshold = 0.2\n", workers="1", null_skies="30"))
    assert plan_run(scanned.store, run_copy.path, config).pending() == []


def test_other_stars_on_the_same_run_are_refused(scanned, run_copy, store_copy, sky):
    more = sky[:1].copy()
    more["source_id"] = 17
    CatalogStore.open(store_copy).append(read_stars(more).stars, provenance={"origin": "test"})
    with pytest.raises(RunError, match=r"was begun on other stars than the store .* holds now"):
        plan_run(store_copy, run_copy.path, scanned.config)
    run = run_copy.at_store(store_copy)
    with pytest.raises(RunError, match="was begun on other stars"):
        make_catalog(run, scanned.config)


def test_a_moved_store_continues_the_run(scanned, run_copy, store_copy, scores_by_star):
    before = scores_by_star(run_copy)
    run_copy.scores_path(run_copy.units[0]).unlink()
    run = plan_run(store_copy, run_copy.path, scanned.config)
    assert run.store == store_copy
    score_unit(run.path, run.units[0])
    assert scores_by_star(run) == before


def test_windows_without_enough_stars_say_what_to_change(scanned, tmp_path, write_settings):
    config = scanned.config.model_copy(
        update={"windows": scanned.config.windows.model_copy(update={"min_stars": 10_000})}
    )
    with pytest.raises(RunError, match=r"holds 10000 stars .*lower windows\.min_stars"):
        plan_run(scanned.store, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
    assert load_config(write_settings()) == scanned.config


def test_a_feature_that_the_table_lacks_is_told(scanned, tmp_path, write_settings, monkeypatch, capsys):
    monkeypatch.setattr("via_machinae.jobs.score_run", lambda *_: None)
    config = load_config(write_settings(members='1\nfeatures = ["bp_rp", "phot_g_mean_mga"]'))
    run = scan_job(scanned.store, tmp_path / "run", config)
    assert run.manifest["features"] == {"all": ["bp_rp"]}
    assert "features not in its table, left out: phot_g_mean_mga" in capsys.readouterr().out


def test_cuts_that_leave_no_star_are_named(scanned, tmp_path):
    config = scanned.config.model_copy(
        update={"cuts": scanned.config.cuts.model_copy(update={"magnitude": (1.0, 2.0)})}
    )
    with pytest.raises(RunError, match=r"no star left .*phot_g_mean_mag"):
        plan_run(scanned.store, tmp_path / "run", config)
