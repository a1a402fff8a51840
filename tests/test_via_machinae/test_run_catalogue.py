"""The catalogue of a run: it finds the hidden stream, says what made it, and is made again in seconds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from streams import StreamCatalog
from streams.compact import CompactCatalog
from via_machinae import RunError, __version__, compare, make_catalog
from via_machinae.cataloguing import compact_finder_of, finder_of

KINDS = ("ecsv", "fits", "parquet")
PRODUCTS = tuple(f"{part}.{kind}" for part in ("candidates", "members") for kind in KINDS)
NOTICEABLE = 0.01


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
    assert abs(row["pmra"] - 7) < 0.3 and abs(row["pmdec"] - 5) < 0.3
    assert abs(row["width"] - 0.1) < 0.05
    # The hidden line leans 0.5 rad from East to North.
    assert abs(row["position_angle"] % 180 - (90 - np.degrees(0.5))) < 2
    assert abs(row["length"] - 0.9 * 8.4) < 1.0
    assert abs(row["ra"] - 150) < 1 and abs(row["dec"] - 30) < 1


def test_members_are_stars_of_the_sky_named_once(catalogue, sky):
    ids = np.asarray(catalogue.members["source_id"])
    assert np.isin(ids, sky["source_id"]).all()
    for name in catalogue.candidates["name"]:
        own = ids[catalogue.members["candidate"] == name]
        assert len(np.unique(own)) == len(own)


def test_all_stars_of_noticeable_probability_are_listed_and_members_are_flagged(catalogue, scanned):
    stars = catalogue.members
    assert NOTICEABLE < stars["probability"].min() < scanned.config.membership.threshold
    assert np.array_equal(stars["member"], stars["probability"] > scanned.config.membership.threshold)
    for row in catalogue.candidates:
        own = stars[stars["candidate"] == row["name"]]
        assert np.isin(catalogue.member_ids(str(row["name"])), own["source_id"]).all()
        assert len(catalogue.member_ids(str(row["name"]))) == row["members"] == own["member"].sum()
        # What lies below the list's threshold is hundredths of a star each.
        assert own["probability"].sum() <= row["stars"] * (1 + 1e-9)
        assert row["stars"] - own["probability"].sum() < 0.05 * row["stars"] + 1


def test_the_patch_rows_and_the_catalogue_tell_of_one_stream(scanned, catalogue):
    """What the patch's frame said of the best candidate is where its great circle runs."""
    patch = Table.read(scanned.run.path / "catalog" / "patches" / "all" / "streams.ecsv")[0]
    (geometry,), row = scanned.run.geometries, catalogue.candidates[0]
    ra, dec = geometry.frame.unproject(np.array([patch["phi1"]]), np.array([patch["phi2"]]))
    track = catalogue.track("VM-1")
    phi1, phi2 = track.frame.project_positions(ra, dec)
    assert abs(phi2[0] - np.polyval(track.phi2[::-1], phi1[0])) < row["width"]
    assert np.hypot(patch["pmra"] - row["pmra"], patch["pmdec"] - row["pmdec"]) < 0.1
    assert patch["significance"] == row["significance"]


def test_all_products_are_there(scanned):
    for name in PRODUCTS:
        assert len(Table.read(scanned.run.path / "catalog" / name)) > 0
    figures = {path.name: path.read_bytes() for path in (scanned.run.path / "figures").iterdir()}
    assert {"sky_all.png", "VM-1.png"} <= set(figures)
    assert all(content.startswith(b"\x89PNG") and len(content) > 10_000 for content in figures.values())


@pytest.mark.parametrize("kind", KINDS[1:])
def test_all_kinds_of_file_hold_the_same(catalogue, scanned, differences, kind):
    other = StreamCatalog.read(scanned.run.path / "catalog", kind)
    assert differences(catalogue, other) == []
    assert other.provenance == catalogue.provenance


def test_the_comparison_of_catalogues_sees_a_changed_bit(catalogue, differences):
    """Negative control."""
    changed = replace(catalogue, candidates=catalogue.candidates.copy())
    changed.candidates["width"][0] = np.nextafter(changed.candidates["width"][0], 1)
    assert differences(catalogue, changed) == ["candidates.width"]
    assert differences(catalogue, replace(catalogue, members=catalogue.members[1:])) != []


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


def test_a_field_without_clusters_has_an_empty_second_catalogue(scanned):
    assert not CompactCatalog.read(scanned.run.path / "catalog").objects["passes"].any()


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
    stars = old.members
    assert stars["probability"][stars["member"]].min() > 0.9
    assert np.array_equal(stars["member"], stars["probability"] > 0.9)


def test_the_same_thresholds_give_the_same_catalogue(run_copy, catalogue, differences):
    assert differences(catalogue, make_catalog(run_copy, run_copy.config)) == []


def test_scores_of_another_configuration_are_refused(run_copy):
    other = run_copy.config.model_copy(
        update={"flow": run_copy.config.flow.model_copy(update={"hidden": 32})}
    )
    with pytest.raises(RunError, match=r"changed: flow\.hidden \(16 -> 32\)"):
        make_catalog(run_copy, other)


def test_a_patch_is_searched_once_and_again_when_anything_changed(run_copy, monkeypatch):
    from via_machinae.cataloguing import patch_search

    searched = []
    search = patch_search._search
    monkeypatch.setattr(patch_search, "_search", lambda *given: searched.append(1) or search(*given))
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


def test_the_compact_finder_is_told_every_key_of_its_sections():
    from via_machinae.config import config_from

    config = config_from(
        {
            "regions": {"width": 5.0, "step": 2.5, "min_stars": 70, "exclude_below": 1.5},
            "compact": {"scales": [3.0, 33.0], "min_axis_ratio": 0.45, "max_radius": 1.25},
            "significance": {"null_skies": 31, "report_below": 0.35, "max_candidates": 9},
        },
        "test",
    )
    told = str(compact_finder_of(config))
    for value in ("5.0", "2.5", "70", "1.5", "(3.0, 33.0)", "0.45", "1.25", "31", "0.35", "9"):
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
