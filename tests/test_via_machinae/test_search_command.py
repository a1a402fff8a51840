"""`via-machinae search`: a faint stream found end to end, kept, continued, and every mistake in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from searched_sky import DISTANCE_KPC, SEARCH_SETTINGS, STREAM_STARS, sky_with_a_stream

from streams import StreamCatalog
from via_machinae import Config, Run, RunError, load_config
from via_machinae.ingest import import_files
from via_machinae.searching import (
    conductor,
    kept_result,
    plan_search,
    ridges_of,
    search_run,
    searched_stars,
    units,
)

BACKGROUND = "patches/all/background.npz"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store, settings and a searched run; nobody may change it."""
    root = tmp_path_factory.mktemp("searched")
    sky_with_a_stream().write(root / "stars.csv")
    (root / "settings.toml").write_text(SEARCH_SETTINGS)
    import_files([root / "stars.csv"], root / "store")
    from via_machinae.searching.job import search_job

    search_job(root / "store", root / "run", load_config(root / "settings.toml"))
    return root


@pytest.fixture(autouse=True)
def _no_figures(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds, and the first search has drawn them."""
    monkeypatch.setattr("via_machinae.jobs._draw", lambda *given: None)


@pytest.fixture
def copy(searched: Path, tmp_path: Path) -> Path:
    """The finished run again, to be damaged."""
    import shutil

    return Path(shutil.copytree(searched / "run", tmp_path / "run"))


def words(root: Path, run: Path, **options: object) -> list[object]:
    more = [part for name, value in options.items() for part in (f"--{name}", value)]
    return ["search", "--store", root / "store", "--run", run, *more]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the settings with lines replaced."""

    def write(**replaced: str) -> Path:
        text = SEARCH_SETTINGS
        for name, value in replaced.items():
            (line,) = [line for line in text.splitlines() if line.startswith(f"{name} =")]
            text = text.replace(line, f"{name} = {value}")
        path = tmp_path / "changed.toml"
        path.write_text(text)
        return path

    return write


def test_sixty_stars_are_found_with_their_distance(searched):
    catalog = StreamCatalog.read(searched / "run" / "catalog")
    first = catalog.candidates[0]
    assert first["search"] == "likelihood" and first["passes"]
    assert first["distance_low"] < DISTANCE_KPC < first["distance_high"]
    assert not first["distance_open"] and "distance_open" not in first["flags"]
    true = np.asarray(sky_with_a_stream()["source_id"][-STREAM_STARS:])
    found = catalog.member_ids("VM-1")
    common = len(np.intersect1d(found, true))
    assert common / len(found) > 0.85 and common / len(true) > 0.85
    assert {"VM-1.png", "sky_all.png"} <= {path.name for path in (searched / "run" / "figures").iterdir()}


def test_without_the_stream_nothing_is_as_significant(searched, tmp_path):
    """Negative control: the same field."""
    sky = sky_with_a_stream()[:-STREAM_STARS]
    sky.write(tmp_path / "field.csv")
    import_files([tmp_path / "field.csv"], tmp_path / "store")
    config = load_config(searched / "settings.toml")
    from via_machinae.scan import plan_run

    run = plan_run(tmp_path / "store", tmp_path / "run", config, scored=False)
    search_run(run, config)
    field, stream = (
        kept_result(searched_stars(path, config, "all")) for path in (run.path, searched / "run")
    )
    assert max(field.hypotheses["significance"]) < 0.6 * stream.hypotheses["significance"][0]


def test_everything_a_report_needs_is_on_disk(searched):
    run = Run.open(searched / "run")
    kept = kept_result(searched_stars(run.path, run.config, "all"))
    assert np.all(np.diff(kept.hypotheses["significance"]) <= 0)
    assert len(kept.hypotheses) > len(kept.streams) >= 1
    row, own = kept.streams[0], kept.hypotheses[kept.streams["hypothesis"][0]]
    assert own["candidate"] == 0 and own["contrast"] == row["contrast"]
    assert kept.calibration["null"] == [] and kept.calibration["law"]
    arrays = kept.arrays
    assert arrays["parameters"].shape == (len(kept.streams), len(arrays["names"]))
    modulus = list(arrays["names"]).index("modulus")
    assert arrays["covariance"][0, modulus, modulus] == pytest.approx(row["modulus_error"] ** 2)
    assert (
        arrays["hypothesis_stars"].sum() == len(arrays["hypothesis_id"]) == len(arrays["hypothesis_weight"])
    )
    assert row["hypothesis"] == 0 and own["observed"] == pytest.approx(
        arrays["hypothesis_weight"][: arrays["hypothesis_stars"][0]].sum(), rel=0.2
    )
    assert arrays["maxima"].shape[0] == len(kept.calibration["populations"]) == 3


def test_a_second_call_does_nothing_again(command, searched, copy, monkeypatch, tree):
    monkeypatch.setattr(conductor, "search_patch", lambda *given, **more: pytest.fail("searched again"))
    monkeypatch.setattr(conductor, "learn_patch", lambda *given, **more: pytest.fail("learned again"))
    before = tree(copy / "search")
    done = command(*words(searched, copy, config=searched / "settings.toml"))
    assert (done.code, done.err) == (0, "")
    assert "1 patches are done already" in done.out
    assert tree(copy / "search") == before


def test_an_interrupted_search_keeps_its_background_and_continues(command, searched, copy, monkeypatch, tree):
    (copy / "search" / "patches" / "all" / "log.json").unlink()
    learned = (copy / BACKGROUND).read_bytes()

    def interrupted(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(conductor, "search_patch", interrupted)
        stopped = command(*words(searched, copy, config=searched / "settings.toml"))
    assert stopped.code == 130
    assert "interrupted; what was finished is kept" in stopped.err
    monkeypatch.setattr(
        "via_machinae.background.storage.fit_background", lambda *a, **b: pytest.fail("learned again")
    )
    done = command(*words(searched, copy, config=searched / "settings.toml"))
    assert (done.code, done.err) == (0, "")
    assert (copy / BACKGROUND).read_bytes() == learned
    one, two = (tree(path / "search") for path in (copy, searched / "run"))
    assert {name for name in one if not name.endswith(".npz")} == {n for n in two if not n.endswith(".npz")}
    assert all(one[name] == two[name] for name in one if not name.endswith(".npz"))


@pytest.mark.parametrize("name", ["streams.ecsv", "hypotheses.ecsv", "search.npz", "log.json"])
def test_a_damaged_result_is_searched_again(searched, copy, name):
    (copy / "search" / "patches" / "all" / name).write_bytes(b"half a fi")
    run = Run.open(copy)
    assert plan_search(run, run.config).patches == ("all",)
    assert plan_search(Run.open(searched / "run"), run.config).patches == ()


def test_other_settings_are_another_search_and_the_old_candidates_are_left_out(command, copy, settings):
    other = load_config(settings(angle_step="9.0"))
    assert plan_search(Run.open(copy), other).patches == ("all",)
    line = command("catalog", "--run", copy, "--config", settings(angle_step="9.0")).error()
    assert "windows still to score" in line and "by likelihood" in line and "search --store" in line


def test_thresholds_of_the_other_search_do_not_matter(copy, tmp_path):
    (tmp_path / "c.toml").write_text(SEARCH_SETTINGS + "[lines]\nwidths = [0.7]\n")
    assert plan_search(Run.open(copy), load_config(tmp_path / "c.toml")).patches == ()


def test_the_catalogue_of_a_search_alone_is_made_again(command, searched, copy, differences):
    before = StreamCatalog.read(copy / "catalog")
    done = command("catalog", "--run", copy)
    assert (done.code, done.err) == (0, "")
    assert differences(before, StreamCatalog.read(copy / "catalog")) == []
    assert before.provenance["searched"] == {"anomaly": [], "likelihood": ["all"]}


def test_explain_tells_how_it_came_about(command, searched):
    told = command("explain", "--run", searched / "run", "VM-1").out
    assert "found by the likelihood search: a line at" in told and "proper motion (" in told
    assert "distance modulus 15." in told and "stars add up to" in told
    assert "without streams holds one as good" in told and "refined over a background" in told
    assert "The members" in told


def test_match_and_export_work_on_a_search_alone(command, copy, tmp_path):
    assert command("export", "--run", copy, "--out", tmp_path / "tracks", "--candidate", "VM-1").code == 0
    assert list((tmp_path / "tracks").iterdir())
    assert "likelihood search: 1 of 1 patches" in command("status", "--run", copy).out


def test_null_skies_are_units_of_their_own(searched, copy, settings, monkeypatch):
    """A run stopped between two skies has kept the first, and the patch takes what is there."""
    config = load_config(settings(motion_limit="7.0\nnull_skies = 5"))
    run = Run.open(copy)
    plan = plan_search(run, config)
    assert plan.skies == tuple(("all", number) for number in range(5))
    first = units.search_null_sky(run.path, config, ("all", 0))
    assert 0 < first < 8
    assert plan_search(run, config).skies == plan.skies[1:]
    assert plan_search(run, load_config(settings(motion_limit="3.0\nnull_skies = 5"))).skies == plan.skies
    monkeypatch.setattr(units, "search_null_sky", lambda run, config, sky, **more: 4.0 + 0.1 * sky[1])
    result = units.search_patch(run.path, config, "all")
    assert result.calibration["null"] == [first, 4.1, 4.2, 4.3, 4.4]
    assert "by 5 searched skies without streams" in "".join(result.told[0])


def test_a_table_without_colours_is_searched_without_ridges_and_told(command, searched, tmp_path, settings):
    sky_with_a_stream(colours=False).write(tmp_path / "stars.csv")
    import_files([tmp_path / "stars.csv"], tmp_path / "store")
    line = command(*words(tmp_path, tmp_path / "run", config=searched / "settings.toml")).error()
    assert "search.ridges = 'old' needs the columns bp_rp and phot_g_mean_mag" in line
    done = command(*words(tmp_path, tmp_path / "run", config=settings(ridges='"auto"')))
    assert (done.code, done.err) == (0, "")
    assert "searched by proper motion and position alone: all" in done.out
    first = StreamCatalog.read(tmp_path / "run" / "catalog").candidates[0]
    assert first["passes"] and first["distance_open"]


def test_the_ridges_of_a_configuration(searched):
    coloured = ("bp_rp", "phot_g_mean_mag")
    config = load_config(searched / "settings.toml")

    def ridges(value: object, features: tuple[str, ...] = coloured) -> int:
        search = config.search.model_copy(update={"ridges": value})
        return len(ridges_of(config.model_copy(update={"search": search}), features))

    assert (ridges("auto"), ridges("old"), ridges("fine"), ridges("none")) == (3, 3, 5, 0)
    assert ridges("auto", ()) == ridges("none", ()) == 0
    with pytest.raises(RunError, match=r"names no file: absent\.dat"):
        ridges(("absent.dat",))
    with pytest.raises(RunError, match="these stars have bp_rp"):
        ridges("fine", ("bp_rp",))


def test_a_damaged_background_says_how_to_redo_it(command, searched, copy):
    (copy / "search" / "patches" / "all" / "log.json").unlink()
    (copy / BACKGROUND).write_bytes(b"PK\x03\x04")
    line = command(*words(searched, copy, config=searched / "settings.toml")).error()
    assert "patch 'all': " in line and "background.npz" in line and "search again" in line


def test_a_run_of_other_stars_or_settings_is_refused(command, searched, copy, settings, tmp_path):
    assert "run.seed (3 -> 4)" in command(*words(searched, copy, config=settings(seed="4"))).error()
    sky_with_a_stream(seed=6).write(tmp_path / "others.csv")
    import_files([tmp_path / "others.csv"], tmp_path / "store")
    line = command(*words(tmp_path, copy, config=searched / "settings.toml")).error()
    assert "other stars" in line


def test_no_store_and_a_patch_without_stars_are_one_line(command, searched, tmp_path, settings):
    assert "absent" in command(*words(tmp_path / "absent", tmp_path / "run")).error()
    few = Table(sky_with_a_stream()[:150])
    few.write(tmp_path / "few.csv")
    import_files([tmp_path / "few.csv"], tmp_path / "store")
    (tmp_path / "few.toml").write_text(
        SEARCH_SETTINGS + '[[patches]]\nname = "thin"\nra = 150.0\ndec = 30.0\nradius = 4.0\n'
    )
    line = command(*words(tmp_path, tmp_path / "run", config=tmp_path / "few.toml")).error()
    assert "has the 200 stars that a background needs" in line


def test_the_finder_is_told_every_key_of_its_section():
    from via_machinae.background import BackgroundRecipe
    from via_machinae.searching import background_recipe, likelihood_search_of, search_recipe

    assert search_recipe(Config()) == type(search_recipe(Config()))()
    assert background_recipe(Config(), photometry=True) == BackgroundRecipe()
    from via_machinae.config import config_from

    values = {
        "moduli": [15.1], "motion_limit": 8.1, "motion_step": 0.41, "spread": 0.21, "widths": [0.51],
        "angle_step": 5.1, "offset_step": 0.22, "gradients": [0.07], "expected_stars": 61.0, "clump": 0.9,
    }  # fmt: skip
    finding = {"report_below": 0.31, "max_candidates": 7}
    config = config_from({"search": values, "significance": finding}, "test")
    finder = likelihood_search_of(config, (), 2)
    told = json.loads(json.dumps({name: getattr(finder.recipe, name) for name in values}))
    assert told == values
    assert (finder.report_below, finder.max_candidates, finder.threads) == (0.31, 7, 2)
