"""What can be asked of a finished catalogue: why, what is known, its tracks; and one line where it cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from streams import COMPONENTS, StreamCatalog
from via_machinae import make_catalog

UNNAMED = 998
"""A number of the published list that has no name of its own."""


@pytest.fixture(scope="module")
def catalogue(scanned) -> StreamCatalog:
    return StreamCatalog.read(scanned.run.path / "catalog")


def test_explain_names_the_patch_and_the_regions_behind_a_candidate(command, scanned, catalogue):
    done = command("explain", "--run", scanned.run.path, "VM-1")
    assert (done.code, done.err) == (0, "")
    row = catalogue.candidates[0]
    assert f"significance {row['significance']:.1f} sigma" in done.out
    assert "protostream all/0 in patch all" in done.out
    regions = re.findall(r"region \[.*?\) x \[.*?\) mas/yr of (\w+)", done.out)
    assert len(regions) > 1 and set(regions) <= set(COMPONENTS)
    assert regions[0] in str(row["components"]).split(",")
    merged = sum(int(number) for number in re.findall(r"(\d+) regions? merged", done.out))
    assert merged >= row["regions"] > 1


def test_every_candidate_can_be_explained(command, scanned, catalogue):
    for name in catalogue.candidates["name"]:
        assert command("explain", "--run", scanned.run.path, name).code == 0


def test_an_unknown_candidate_is_one_line_that_lists_those_there_are(command, scanned, tmp_path):
    words = {"explain": ["VM-999"], "export": ["--out", tmp_path / "out", "--candidate", "VM-999"]}
    for name, more in words.items():
        line = command(name, "--run", scanned.run.path, *more).error()
        assert "no candidate 'VM-999'" in line and "VM-1" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["explain", "match", "export"])
def test_without_a_catalogue_the_line_says_how_to_make_it(command, run_copy, tmp_path, name):
    for path in (run_copy.path / "catalog").glob("*.*"):
        path.unlink()
    line = command(name, "--run", run_copy.path, *_more(name, tmp_path)).error()
    assert "catalog" in line and str(run_copy.path) in line


def _more(name: str, directory: Path) -> list[object]:
    """What a command needs beside the run."""
    if name == "match":
        return ["--no-galstreams", "--streamfinder", _list(directory, np.arange(1, 31))]
    return {"explain": ["VM-1"], "export": ["--out", directory / "out"]}.get(name, [])


def _damages(text: str) -> dict[str, str]:
    values = json.loads(text)
    record = {**values["candidates"]["VM-1"]}
    record.pop("best")
    return {
        "cut short": text[: len(text) // 2],
        "empty": "",
        "a list": "[]",
        "nothing in it": "{}",
        "no decisions": json.dumps({**values, "decisions": None}),
        "a record without its best part": json.dumps({**values, "candidates": {"VM-1": record}}),
        "a text for a record": json.dumps({**values, "candidates": {"VM-1": "all/0"}}),
        "no logs": json.dumps({**values, "logs": {}}),
        "nothing for logs": json.dumps({**values, "logs": None}),
        "numbers for logs": json.dumps({**values, "logs": {"all/0": 3}}),
        "no text": "\ufffd",
    }


DAMAGES = (
    "cut short", "empty", "a list", "nothing in it", "no decisions", "a record without its best part",
    "a text for a record", "no logs", "nothing for logs", "numbers for logs", "no text",
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_log_of_merges_is_one_line_that_says_how_to_make_it_anew(command, run_copy, damage):
    path = run_copy.path / "catalog" / "merging.json"
    path.write_text(_damages(path.read_text())[damage])
    line = command("explain", "--run", run_copy.path, "VM-1").error()
    assert str(path) in line and f"via-machinae catalog --run {run_copy.path}" in line


def test_the_list_of_damages_is_complete(scanned):
    assert set(_damages((scanned.run.path / "catalog" / "merging.json").read_text())) == set(DAMAGES)


def test_a_damaged_log_is_mended_by_the_command_that_the_line_names(command, run_copy):
    path = run_copy.path / "catalog" / "merging.json"
    before = path.read_text()
    path.write_text("{")
    make_catalog(run_copy, run_copy.config)
    assert path.read_text() == before
    assert command("explain", "--run", run_copy.path, "VM-1").code == 0


def _list(directory: Path, ids: np.ndarray) -> Path:
    """A published member list of one stream, without positions that matter."""
    path = directory / "published.fits"
    table = Table({"Gaia": ids.astype(np.int64), "Stream": np.full(len(ids), UNNAMED)})
    for name in ("RAdeg", "DEdeg", "pmRA", "pmDE"):
        table[name] = np.linspace(0.0, 10.0, len(ids))
    table.write(path)
    return path


def test_match_tells_the_known_stream_and_keeps_it(command, run_copy, scanned, sky, tmp_path):
    own = sky[np.isin(sky["source_id"], scanned.stream_ids)]
    columns = {"Gaia": "source_id", "RAdeg": "ra", "DEdeg": "dec", "pmRA": "pmra", "pmDE": "pmdec"}
    published = Table({new: own[old] for new, old in columns.items()})
    published["Stream"] = UNNAMED
    published.write(tmp_path / "published.fits")
    words = ("--no-galstreams", "--streamfinder", tmp_path / "published.fits")
    done = command("match", "--run", run_copy.path, *words)
    assert (done.code, done.err) == (0, "")
    assert "1 rediscovered" in done.out and "0 missed" in done.out
    row = StreamCatalog.read(run_copy.path / "catalog").candidates[0]
    assert (str(row["verdict"]), str(row["match"])) == ("rediscovered", f"STREAMFINDER-{UNNAMED}")


@pytest.mark.parametrize(
    ("words", "told"), [([], "--streamfinder"), (["--streamfinder", "absent.fits"], "absent.fits")]
)
def test_match_without_known_streams_is_one_line(command, scanned, words, told):
    assert told in command("match", "--run", scanned.run.path, "--no-galstreams", *words).error()


def test_export_writes_a_track_and_a_summary_of_each_passing_candidate(command, scanned, catalogue, tmp_path):
    done = command("export", "--run", scanned.run.path, "--out", tmp_path / "tracks")
    passing = [str(row["name"]) for row in catalogue.candidates if row["passes"]]
    assert (done.code, done.err) == (0, "") and f"{2 * len(passing)} files in" in done.out
    written = {path.name for path in (tmp_path / "tracks").iterdir()}
    stems = [f"track.st.{name}.viamachinae" for name in passing]
    assert written == {f"{stem}{ending}" for stem in stems for ending in (".ecsv", ".summary.ecsv")}
    track = Table.read(tmp_path / "tracks" / f"{stems[0]}.ecsv")
    ra, dec, pmra, pmdec = (np.array(track[name]) for name in ("ra", "dec", "pm_ra_cosdec", "pm_dec"))
    row = catalogue.candidates[0]
    nearest = np.hypot(ra - row["ra"], dec - row["dec"]).argmin()
    assert np.hypot(ra[nearest] - row["ra"], dec[nearest] - row["dec"]) < 0.2
    assert abs(pmra[nearest] - row["pmra"]) < 0.05 and abs(pmdec[nearest] - row["pmdec"]) < 0.05


def test_export_into_a_file_is_one_line(command, scanned, tmp_path):
    (tmp_path / "letter").write_text("dear")
    assert "letter" in command("export", "--run", scanned.run.path, "--out", tmp_path / "letter").error()
    assert (tmp_path / "letter").read_text() == "dear"


@pytest.mark.parametrize("name", ["status", "export", "match"])
def test_a_catalogue_of_an_older_layout_is_refused_with_the_way_out(command, run_copy, tmp_path, name):
    path = run_copy.path / "catalog" / "candidates.ecsv"
    text = path.read_text()
    assert text.count("schema: 2") == 1
    path.write_text(text.replace("schema: 2", "schema: 1"))
    line = command(name, "--run", run_copy.path, *_more(name, tmp_path)).error()
    assert "layout" in line and "make it anew from the run with 'catalog'" in line


def test_the_way_out_of_an_older_layout_leads_out(command, run_copy, catalogue, differences):
    path = run_copy.path / "catalog" / "candidates.ecsv"
    path.write_text(path.read_text().replace("schema: 2", "schema: 1"))
    make_catalog(run_copy, run_copy.config)
    assert differences(catalogue, StreamCatalog.read(path.parent)) == []
    assert "pass the threshold" in command("status", "--run", run_copy.path).out
