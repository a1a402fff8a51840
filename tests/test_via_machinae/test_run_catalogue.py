"""The catalogue of a run: it finds the hidden stream, says what made it, and is made again in seconds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import Table

from streams import StreamCatalog
from via_machinae import RunError, __version__, compare, make_catalog
from via_machinae.cataloguing import finder_of

PRODUCTS = ("candidates.ecsv", "candidates.fits", "members.ecsv", "members.fits")


@pytest.fixture(scope="module")
def catalogue(scanned) -> StreamCatalog:
    return StreamCatalog.read(scanned.run.path / "catalog")


def test_the_hidden_stream_is_found_and_nothing_else(catalogue, scanned):
    comparison = compare(catalogue, {"hidden": scanned.stream_ids})
    (match,) = comparison.matches
    assert match.candidate == "VM-1"
    assert match.false_alarm_probability < scanned.config.significance.threshold
    assert match.members.purity > 0.8 and match.members.completeness > 0.8
    assert comparison.false == ()


def test_its_parameters_are_those_that_were_hidden(catalogue):
    row = catalogue.candidates[0]
    assert abs(row["pm_phi1_cosphi2"] - 7) < 0.3 and abs(row["pm_phi2"] - 5) < 0.3
    assert abs(row["width"] - 0.1) < 0.05
    assert abs(row["length"] - 0.9 * 8.4) < 1.0
    assert abs(row["ra"] - 150) < 1 and abs(row["dec"] - 30) < 1


def test_members_are_stars_of_the_sky_named_once(catalogue, sky):
    ids = np.asarray(catalogue.members["source_id"])
    assert np.isin(ids, sky["source_id"]).all()
    for name in catalogue.candidates["name"]:
        own = catalogue.member_ids(str(name))
        assert len(np.unique(own)) == len(own)


def test_all_products_are_there(scanned):
    for name in PRODUCTS:
        assert len(Table.read(scanned.run.path / "catalog" / name)) > 0
    figures = {path.name: path.read_bytes() for path in (scanned.run.path / "figures").iterdir()}
    assert {"sky_all.png", "VM-1.png"} <= set(figures)
    assert all(content.startswith(b"\x89PNG") and len(content) > 10_000 for content in figures.values())


def test_fits_and_ecsv_hold_the_same(scanned):
    for part in ("candidates", "members"):
        first, second = (
            Table.read(scanned.run.path / "catalog" / f"{part}.{kind}") for kind in ("ecsv", "fits")
        )
        assert first.colnames == second.colnames
        for name in first.colnames:
            assert np.array_equal(np.asarray(first[name]).astype(str), np.asarray(second[name]).astype(str))
            assert first[name].unit == second[name].unit


def test_the_catalogue_says_what_made_it(catalogue, scanned):
    provenance = catalogue.provenance
    assert provenance["version"] == __version__
    assert provenance["config_hash"] == scanned.config.hash()
    assert provenance["store_checksum"] == scanned.run.manifest["store_checksum"]
    assert provenance["config"]["run"]["seed"] == 3
    assert provenance["store_provenance"][0]["origin"] == str(scanned.csv)
    assert provenance["features"] == {"all": ["bp_rp", "phot_g_mean_mag"]}


def test_the_fits_file_says_it_too(catalogue, scanned):
    told = "".join(Table.read(scanned.run.path / "catalog" / "candidates.fits").meta["comments"])
    assert json.loads(told) == catalogue.provenance


def test_an_unfinished_run_has_no_catalogue_and_says_what_to_do(command, run_copy):
    for unit in run_copy.units[:2]:
        run_copy.scores_path(unit).unlink()
    line = command("catalog", "--run", run_copy.path).error()
    assert f"2 of {len(run_copy.units)} windows still to score" in line
    assert f"via-machinae scan --store {run_copy.store} --run {run_copy.path}" in line


def test_other_thresholds_change_the_catalogue_alone(command, run_copy, write_settings, scores_by_star, tree):
    before = tree(run_copy.path)
    changed = write_settings("[membership]\nthreshold = 0.9\n", null_skies="25\nthreshold = 0.05")
    done = command("catalog", "--run", run_copy.path, "--config", changed)
    assert (done.code, done.err) == (0, "")
    after = tree(run_copy.path)
    differing = {name.split("/")[0] for name in before | after if before.get(name) != after.get(name)}
    assert {"catalog"} <= differing <= {"catalog", "figures"}
    old, new = StreamCatalog.read(run_copy.path / "catalog"), run_copy.config
    assert old.provenance["config"]["significance"]["threshold"] == 0.05
    assert old.provenance["config_hash"] != new.hash()
    assert old.members["probability"].min() > 0.9


def test_the_same_thresholds_give_the_same_catalogue(run_copy, catalogue):
    again = make_catalog(run_copy, run_copy.config)
    for part in ("candidates", "members"):
        first, second = getattr(catalogue, part), getattr(again, part)
        assert all(np.array_equal(first[name], second[name]) for name in first.colnames)


def test_scores_of_another_configuration_are_refused(run_copy):
    other = run_copy.config.model_copy(
        update={"flow": run_copy.config.flow.model_copy(update={"hidden": 32})}
    )
    with pytest.raises(RunError, match=r"changed: flow\.hidden \(16 -> 32\)"):
        make_catalog(run_copy, other)


def test_a_patch_is_searched_once_and_again_when_anything_changed(run_copy, monkeypatch):
    from via_machinae import cataloguing

    searched = []
    search = cataloguing._search
    monkeypatch.setattr(cataloguing, "_search", lambda *given: searched.append(1) or search(*given))
    make_catalog(run_copy, run_copy.config)
    assert searched == []
    for damaged in (run_copy.path / "catalog" / "patches").rglob("members.ecsv"):
        damaged.write_text("half a tab")
    make_catalog(run_copy, run_copy.config)
    assert searched == [1]
    significance = run_copy.config.significance.model_copy(update={"null_skies": 21})
    make_catalog(run_copy, run_copy.config.model_copy(update={"significance": significance}))
    assert searched == [1, 1]


def test_nothing_worth_a_row_is_an_empty_catalogue_and_says_so(command, run_copy, write_settings):
    strict = write_settings(null_skies="20\nreport_below = 1e-300")
    done = command("catalog", "--run", run_copy.path, "--config", strict)
    assert (done.code, done.err) == (0, "")
    assert "no candidate" in done.out
    empty = StreamCatalog.read(run_copy.path / "catalog")
    assert (len(empty.candidates), len(empty.members)) == (0, 0)
    assert [path.name for path in (run_copy.path / "figures").iterdir()] == ["sky_all.png"]
    assert "0 candidates" in command("status", "--run", run_copy.path).out


def test_the_comparison_with_the_truth_is_printed(command, run_copy, scanned, tmp_path):
    Table({"source_id": scanned.stream_ids, "stream": ["hidden"] * len(scanned.stream_ids)}).write(
        tmp_path / "members.ecsv"
    )
    Table({"name": ["hidden", "absent"]}).write(tmp_path / "streams.ecsv")
    done = command("catalog", "--run", run_copy.path, "--truth", tmp_path)
    assert (done.code, done.err) == (0, "")
    rows = [line for line in done.out.splitlines() if "hidden" in line or "absent" in line]
    assert any("VM-1" in row for row in rows) and any("missed" in row for row in rows)


def test_the_finder_is_told_every_key_of_its_sections(write_settings):
    from via_machinae.config import config_from

    config = config_from(
        {
            "regions": {"width": 5.0, "step": 2.0, "min_stars": 70, "exclude_below": 2.0},
            "lines": {"widths": [0.3], "ranks": [80], "angle_step": 3.0, "offset_step": 0.2, "cell": 0.2},
            "significance": {"null_skies": 30, "report_below": 0.3, "max_candidates": 7},
            "membership": {"half_box": 2.0},
        },
        "test",
    )
    told = str(finder_of(config))
    for value in ("5.0", "2.0", "70", "0.3", "80", "3.0", "0.2", "30", "7"):
        assert value in told


def test_status_of_a_finished_run(command, scanned):
    done = command("status", "--run", scanned.run.path)
    (cells,) = [line.split() for line in done.out.splitlines() if line.startswith(" all ")]
    units = str(len(scanned.run.units))
    assert cells == ["all", str(scanned.run.manifest["stars"]["all"]), units, units, "0"]
    assert "catalogue: " in done.out and "1 pass the threshold" in done.out


def test_status_of_an_unfinished_run(command, run_copy, tree):
    import shutil

    for unit in run_copy.units[:5]:
        run_copy.scores_path(unit).unlink()
    shutil.rmtree(run_copy.path / "catalog")
    before = tree(run_copy.path)
    done = command("status", "--run", run_copy.path)
    (cells,) = [line.split() for line in done.out.splitlines() if line.startswith(" all ")]
    assert cells[3:] == [str(len(run_copy.units) - 5), "5"]
    assert "catalogue: not made yet" in done.out
    assert tree(run_copy.path) == before


def test_status_with_a_damaged_catalogue(command, run_copy):
    (run_copy.path / "catalog" / "candidates.ecsv").write_text("not a table")
    assert "no readable catalogue" in command("status", "--run", run_copy.path).error()
