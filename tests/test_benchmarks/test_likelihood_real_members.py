"""Pieces of streams that a benchmark turns onto lines of a mock patch: what stays and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import likelihood_injection
import numpy as np
import pytest
from _likelihood_members import Piece, pieces, sky_with_pieces
from _likelihood_parts import Job, Row
from _likelihood_skies import CENTRE, Field
from astropy.table import Table

from sky_patches import PatchFrame
from streams.injection import great_circle_frame

__all__: list[str] = []

FIELD = Field.of(CENTRE, 2000, 1)
MOTION = (3.0, -2.0)


def piece(number: int = 7, count: int = 300, motion: tuple[float, float] = MOTION) -> Piece:
    """A straight stream far away on the sky, with a proper motion along and across it."""
    rng = np.random.default_rng(number)
    frame = PatchFrame.offset(20.0, -35.0, 50.0)
    along, across = rng.uniform(-10, 10, count), rng.normal(0, 0.2, count)
    ra, dec = frame.unproject(along, across)
    pmra, pmdec = frame.unproject_motions(along, across, *(np.array(motion)[:, None] + np.zeros(count)))
    members = Table(
        {
            "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec, "stream": np.full(count, number),
            "parallax": np.full(count, 0.1), "phot_g_mean_mag": rng.uniform(15.0, 19.5, count),
            "bp_rp": rng.uniform(0.6, 1.2, count),
        }
    )  # fmt: skip
    return Piece.of(members, number, f"piece {number}", 9.0)


def test_a_piece_is_measured_along_and_across_itself() -> None:
    one = piece()
    # Which way along is forwards is not told by positions.
    assert np.abs(one.motion) == pytest.approx(np.abs(MOTION), abs=0.02)
    assert np.abs(one.gradient).max() < 0.02
    assert one.width == pytest.approx(0.2, rel=0.2)


def test_turning_keeps_motion_width_colour_and_magnitude() -> None:
    one = piece()
    sky, _ = sky_with_pieces(FIELD, [one], None, (1, 2))
    member = sky.member(sky.streams[0])
    table = sky.table[member]
    ra, dec, pmra, pmdec = (np.asarray(table[name], dtype=float) for name in ("ra", "dec", "pmra", "pmdec"))
    frame = great_circle_frame(ra, dec)
    motion = np.median(frame.project_motions(ra, dec, pmra, pmdec), axis=1)
    assert np.abs(motion) == pytest.approx(np.abs(MOTION), abs=0.05)
    assert np.std(frame.project_positions(ra, dec)[1]) == pytest.approx(0.2, rel=0.25)
    # Colour and magnitude, pair by pair, are those of members.
    pairs = {tuple(pair) for pair in one.members["bp_rp", "phot_g_mean_mag"].as_array().tolist()}
    assert {tuple(pair) for pair in table["bp_rp", "phot_g_mean_mag"].as_array().tolist()} <= pairs


def test_fewer_members_are_a_part_of_more_and_all_are_in_the_patch() -> None:
    few, many = (sky_with_pieces(FIELD, [piece()], count, (1, 2))[0] for count in (20, 60))
    identifiers = [sky.streams[0].source_id for sky in (few, many)]
    assert [len(one) for one in identifiers] == [20, 60]
    assert np.isin(*identifiers).all()
    assert len(np.unique(many.stars.source_id)) == len(many.stars) == len(FIELD.stars) + 60
    member = many.member(many.streams[0])
    assert FIELD.geometry.footprint.contains(*many.stars.position[member].T).all()


def test_streams_of_a_patch_lie_on_different_lines() -> None:
    """The negative control is in the same numbers: stars of one stream do lie on one line."""
    sky, chosen = sky_with_pieces(FIELD, [piece(7), piece(8, motion=(-4.0, 1.0))], 80, (1, 0))
    first, second = (sky.stars.position[sky.member(one)] for one in sky.streams)
    assert [one.name for one in chosen] == [one.name for one in sky.streams]
    assert _narrowest(first) < 0.5 and _narrowest(second) < 0.5
    assert _narrowest(np.concatenate([first, second])) > 1.0


def _narrowest(position: np.ndarray) -> float:
    centred = position - position.mean(axis=0)
    return float(np.sqrt(np.linalg.eigvalsh(centred.T @ centred / len(centred))[0]))


def _row(stream: str, asked: str, kept: int, recovered: int, **more: object) -> Row:
    row = {"stream": stream, "distance": 9.0, "asked": asked, "kept": kept, "recovered": recovered,
           "repeat": 0, "patch": "4 19", "f1": 0.8 if recovered else None, "false_candidates": 1,
           "significance": 9.0 if recovered else None}  # fmt: skip
    return row | more  # type: ignore[return-value]


def test_figures_count_a_patch_once_and_find_where_half_are_recovered(tmp_path: Path) -> None:
    rows = [_row(name, "20", 20, 0) for name in "ab"] + [_row(name, "60", 60, 1) for name in "ab"]
    figures = likelihood_injection.figures_of(rows)
    assert (figures["recovered_20"], figures["recovered_60"]) == (0.0, 1.0)
    assert (figures["patches"], figures["false_candidates"]) == (2, 2)
    assert 20 < float(figures["half"] or 0) < 60
    assert figures["median_f1_20"] is None
    likelihood_injection.draw(rows, tmp_path / "map" / "fraction.png")
    assert [path.name for path in (tmp_path / "map").iterdir()] == ["fraction.png"]


def _job(members: Path, asked: str) -> Job:
    return {
        "streams": "4", "asked": asked, "repeat": 0, "seed": 1, "field_stars": 5000, "motion_limit": 15.0,
        "members": str(members), "quick": True,
    }  # fmt: skip


@pytest.mark.real_data
def test_a_real_stream_is_recovered_and_a_handful_of_its_members_is_not(
    shared_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    members = shared_data("streamfinder_gaiadr3.fits")
    (one,) = pieces(members, (4,))
    assert (one.name, len(one.members) >= 60) == ("AAU-ATLAS", True)
    whole, few = (likelihood_injection.rows_of_patch(_job(members, asked))[0] for asked in ("all", "4"))
    assert whole["recovered"] and float(whole["f1"] or 0) > 0.7
    assert (few["kept"], few["recovered"]) == (4, 0)
