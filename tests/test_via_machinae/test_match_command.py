"""The job behind `match`: tables beside the catalogue, verdicts in it, one clear error for bad input."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from sky_patches import PatchGeometry
from streams import CatalogError, StreamCatalog
from streams.catalog import CatalogEntry, EntryEvidence, EntryPopulation, EntryTrack
from streams.crossmatch import CrossMatchError, CrossMatchRecipe
from streams.members import MemberStars
from via_machinae import Config, Run
from via_machinae.errors import RunError
from via_machinae.matching import known_streams, match_job, match_run

RECIPE = CrossMatchRecipe(placements=4)


def _members(ra: float, first_id: int) -> MemberStars:
    """Sixty stars along a parallel at 20 deg, ten degrees long."""
    rng = np.random.default_rng(first_id)
    values = {field.name: np.full(60, np.nan) for field in fields(MemberStars)}
    values |= {
        "source_id": first_id + np.arange(60), "probability": rng.uniform(0.6, 1.0, 60),
        "ra": ra + np.linspace(-5.0, 5.0, 60), "dec": 20.0 + rng.normal(0.0, 0.1, 60),
        "pmra": rng.normal(-7.0, 0.2, 60), "pmdec": rng.normal(3.0, 0.2, 60),
    }  # fmt: skip
    return MemberStars(**values)


def _entry(label: str, probability: float, members: MemberStars) -> CatalogEntry:
    evidence = EntryEvidence(9.0, probability, probability, probability < 0.05)
    nothing = (float("nan"),) * 3
    track = EntryTrack(0.0, 70.0, 150.0, 20.0, -5.0, 5.0, nothing, nothing, nothing)
    population = EntryPopulation(members.stars)
    return CatalogEntry(label, ("p",), evidence, track, population, members, ("p",) * len(members))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a catalogue of two passing candidates, at ra 150 and 250."""
    needed = {"scoring_hash": "", "stars": {}, "store_checksum": ""}
    geometry = PatchGeometry.circle("p", 150.0, 20.0, 15.0, 10.0)
    run = Run.create(
        tmp_path / "run", Config(), tmp_path / "store", geometries=[geometry], units=[], provenance=needed
    )
    entries = [_entry("p/0", 0.001, _members(150.0, 1)), _entry("p/1", 0.002, _members(250.0, 1001))]
    StreamCatalog.of(entries, {}).write(run.path / "catalog")
    return run


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The stars of the first candidate as somebody's list, and a second stream in the patch."""
    lists = {998: _members(150.0, 1), 999: replace(_members(155.0, 5001), pmra=np.full(60, 9.0))}
    names = {"Gaia": "source_id", "RAdeg": "ra", "DEdeg": "dec", "pmRA": "pmra", "pmDE": "pmdec"}
    columns = {
        new: np.concatenate([getattr(stars, old) for stars in lists.values()]) for new, old in names.items()
    }
    path = tmp_path / "published.fits"
    Table({**columns, "Stream": np.repeat(list(lists), 60)}).write(path)
    return path


def test_the_known_one_is_rediscovered_the_other_is_new_and_one_is_missed(run, published):
    result = match_run(run, known_streams(published, galstreams=False), RECIPE)
    assert [match.verdict for match in result.candidates] == ["rediscovered", "new"]
    assert [known.name for known in result.missed()] == ["STREAMFINDER-999"]
    table = Table.read(run.path / "catalog" / "crossmatch.ecsv")
    assert list(table["verdict"]) == ["rediscovered", "new"]


def test_the_verdicts_stand_in_the_catalogue(run, published):
    match_run(run, known_streams(published, galstreams=False), RECIPE)
    candidates = StreamCatalog.read(run.path / "catalog").candidates
    assert list(candidates["verdict"]) == ["rediscovered", "new"]
    assert str(candidates["match"][0]) == "STREAMFINDER-998"


def test_a_second_match_replaces_the_first(run, published):
    match_run(run, known_streams(published, galstreams=False), RECIPE)
    first = (run.path / "catalog" / "crossmatch.ecsv").read_bytes()
    match_run(run, known_streams(published, galstreams=False), RECIPE)
    assert (run.path / "catalog" / "crossmatch.ecsv").read_bytes() == first
    match_run(run, (), RECIPE)
    assert list(Table.read(run.path / "catalog" / "crossmatch.ecsv")["verdict"]) == ["new", "new"]


def test_what_is_printed_names_known_new_and_missed(run, published, capsys):
    match_job(run, published, galstreams=False)
    printed = capsys.readouterr().out
    assert "1 rediscovered, 1 new, 0 ambiguous" in printed
    assert "of 2 known streams inside the footprints: 1 missed" in printed


def test_bad_input_is_one_clear_error(run, tmp_path):
    with pytest.raises(RunError, match="--streamfinder"):
        known_streams(None, galstreams=False)
    with pytest.raises(CrossMatchError, match="absent"):
        known_streams(tmp_path / "absent.fits", galstreams=False)
    for path in (run.path / "catalog").iterdir():
        path.unlink()
    with pytest.raises(CatalogError, match="catalog"):
        match_run(run, ())
