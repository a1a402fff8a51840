"""Where known streams come from: galstreams' tracks, STREAMFINDER's members; one stream of several names."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from known_skies import KNOWN, known_stream, members_on

from sky_patches.frames import unit_vectors
from streams.crossmatch import (
    CrossMatchError,
    KnownStream,
    galstreams_library,
    galstreams_streams,
    group_streams,
    streamfinder_streams,
)
from streams.crossmatch.track_line import motion_vectors

NORTH, WRAP, POLAR, STILL = KNOWN


def _member_table(stream: KnownStream, number: int, stars: int = 300) -> Table:
    members = members_on(stream, stars, seed=number)
    columns = {"Gaia": "source_id", "RAdeg": "ra", "DEdeg": "dec", "pmRA": "pmra", "pmDE": "pmdec"}
    table = Table({new: getattr(members, old) for new, old in columns.items()})
    table["RAdeg"] %= 360.0
    table["Stream"] = number
    return table


@pytest.mark.parametrize("stream", [NORTH, WRAP, POLAR], ids=lambda stream: stream.name)
def test_a_track_through_members_is_the_track_they_were_made_on(stream, tmp_path):
    path = tmp_path / "members.fits"
    _member_table(stream, 999).write(path)
    (again,) = streamfinder_streams(path)
    assert (again.name, again.source, len(again.members)) == ("STREAMFINDER-999", "STREAMFINDER 999", 300)
    assert again.width == pytest.approx(stream.width, rel=0.2)
    assert again.line.length == pytest.approx(40.0, abs=1.5)
    beside = again.line.beside(
        unit_vectors(stream.ra, stream.dec), motion_vectors(stream.ra, stream.dec, stream.pmra, stream.pmdec)
    )
    assert np.median(np.abs(beside.separation)) < 0.1
    assert np.median(np.linalg.norm(beside.motion, axis=1)) < 0.15


def test_numbers_have_names(tmp_path):
    path = tmp_path / "members.fits"
    _member_table(NORTH, 53).write(path)
    assert streamfinder_streams(path)[0].name == "GD-1"


def test_what_is_wrong_with_a_member_table_is_told(tmp_path):
    with pytest.raises(CrossMatchError, match=r"absent\.fits"):
        streamfinder_streams(tmp_path / "absent.fits")
    broken = tmp_path / "broken.fits"
    broken.write_bytes(b"no table")
    with pytest.raises(CrossMatchError, match=r"broken\.fits"):
        streamfinder_streams(broken)
    table = _member_table(NORTH, 1)
    table.remove_column("pmRA")
    table.write(tmp_path / "less.fits")
    with pytest.raises(CrossMatchError, match="pmRA"):
        streamfinder_streams(tmp_path / "less.fits")


def test_a_line_knows_both_sides_and_both_ends():
    line = known_stream("Equator", 0.0, 0.0, 0.0, (1.0, 2.0), half_length=10.0).line
    ra, dec = np.array([5.0, 5.0, 13.0, 350.0]), np.array([2.0, -2.0, 0.0, 1.0])
    beside = line.beside(unit_vectors(ra, dec), motion_vectors(ra, dec, ra * 0 + 1.5, ra * 0 + 2.0))
    np.testing.assert_allclose(np.abs(beside.separation), [2.0, 2.0, 3.0, 1.0], atol=1e-3)
    assert beside.separation[0] == pytest.approx(-beside.separation[1])
    np.testing.assert_allclose(beside.along, [15.0, 15.0, 20.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(beside.motion, [[0.5, 0.0]] * 4, atol=5e-3)


@pytest.mark.parametrize(
    ("first", "second"), [("GD-1", "gd1"), ("Fjorm", "M68"), ("ATLAS", "AAU-ATLAS"), ("Jhelum-a", "Jhelum")]
)
def test_one_stream_under_two_names(first, second):
    far = known_stream(second, 20.0, -60.0, 0.0, (0.0, 0.0), source="another")
    assert len(group_streams([replace(NORTH, name=first), far])) == 1


def test_one_track_and_motion_is_one_stream_and_another_motion_is_not():
    again = replace(NORTH, name="Other", source="another", dec=NORTH.dec + 0.3, members=None)
    assert len(group_streams([NORTH, again])) == 1
    assert len(group_streams([NORTH, replace(again, pmra=again.pmra + 3.0)])) == 2
    assert len(group_streams([NORTH, replace(again, dec=NORTH.dec + 3.0)])) == 2
    nobody = np.full(len(NORTH.ra), np.nan)
    assert len(group_streams([NORTH, replace(again, pmra=nobody, pmdec=nobody)])) == 2
    assert len(group_streams(KNOWN)) == len(KNOWN) and group_streams([]) == ()


def test_a_track_of_one_point_is_refused():
    with pytest.raises(CrossMatchError, match="two points"):
        replace(NORTH, ra=NORTH.ra[:1], dec=NORTH.dec[:1], pmra=NORTH.pmra[:1], pmdec=NORTH.pmdec[:1],
                distance=NORTH.distance[:1])  # fmt: skip
    with pytest.raises(CrossMatchError, match="numbers"):
        replace(NORTH, ra=NORTH.ra * np.nan)


def test_without_galstreams_the_way_out_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CrossMatchError, match="pip install galstreams"):
        galstreams_streams(tmp_path)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> tuple[tuple[KnownStream, ...], Path]:
    pytest.importorskip("galstreams", reason="galstreams is not installed")
    cache = tmp_path_factory.mktemp("cache")
    return galstreams_streams(cache), cache


def test_galstreams_tracks_come_back_from_the_compact_file(library):
    streams, cache = library
    (kept,) = cache.iterdir()
    assert kept.suffix == ".parquet"
    for old, new in zip(streams, galstreams_streams(cache), strict=True):
        assert (old.name, old.source) == (new.name, new.source)
        np.testing.assert_array_equal(old.pmra, new.pmra)


def test_a_damaged_compact_file_is_made_again(library, monkeypatch, tmp_path):
    (kept,) = library[1].iterdir()
    whole = Table.read(kept)
    (tmp_path / kept.name).write_bytes(b"damaged")
    monkeypatch.setattr(galstreams_library, "_read", lambda root: whole)
    assert len(galstreams_streams(tmp_path)) == len(library[0])
    assert (tmp_path / kept.name).stat().st_size == pytest.approx(kept.stat().st_size, rel=0.01)


def test_galstreams_quantities_nobody_measured_are_nan(library):
    by_name = {stream.name: stream for stream in library[0]}
    assert by_name["GD-1"].has_proper_motion and by_name["GD-1"].source == "galstreams GD-1-I21"
    assert np.median(by_name["GD-1"].distance) == pytest.approx(8.5, abs=1.5)
    assert not by_name["Acheron"].has_proper_motion and np.isnan(by_name["Acheron"].distance).all()
    assert np.isnan(by_name["C-20"].distance).all() and by_name["C-20"].has_proper_motion
