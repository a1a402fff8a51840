"""Laws of the candidates of single patches: rows, and the stars that belong to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from stream_skies import PLANE, Injected, make_sky

from sky_patches import PatchGeometry
from streams import (
    Candidate,
    CatalogError,
    LineDetection,
    MembershipRecipe,
    Region,
    StreamModel,
    candidate_rows,
    fit_membership,
)
from streams.members import MemberStars

THETA = np.radians(40.0)
STREAM = Injected(150, THETA, 1.0, proper_motion=((4.0, 0.1), (-3.0, 0.0)))
PROVENANCE = {"version": "0.1.0", "seed": 3, "data": "a mock sky; " * 20}


@pytest.fixture(scope="module")
def sky():
    return make_sky(1, 2000, (STREAM,))


@pytest.fixture(scope="module")
def membership(sky):
    start = StreamModel(THETA, (1.0, 0.0, 0.0), 0.25, ((4.0, 0.0), (-3.0, 0.0)), 0.5, 0.1)
    return fit_membership(sky.stars, PLANE, start, MembershipRecipe())


def _candidate(membership, significance, probability):
    region = Region("pm_phi2", ((1.0, 7.0), (-6.0, 0.0)), membership.rows)
    line = LineDetection(region, significance, THETA, 1.0, 0.5, 100, 80, 10.5)
    return Candidate(line, membership, probability, 7, ("pm_phi1_cosphi2", "pm_phi2"))


def _patch(sky, membership, name, values, ra=150.0):
    candidates = [_candidate(membership, *pair) for pair in values]
    geometry = PatchGeometry.circle(name, ra, 20.0, 6.0)
    return candidate_rows(candidates, sky.stars, geometry, threshold=0.01, member_threshold=0.5)


def test_rows_come_in_order_and_say_what_passes(sky, membership):
    rows, members = _patch(sky, membership, "north", [(9.0, 1e-6), (5.0, 0.2)])
    assert list(rows["significance"]) == [9.0, 5.0]
    assert list(rows["passes"]) == [True, False]
    assert set(rows["patch"]) == {"north"}
    assert set(members["candidate"]) == {"0", "1"}


def test_a_patch_without_candidates_has_empty_tables_with_all_columns(sky, membership):
    empty, full = (_patch(sky, membership, "north", values) for values in ([], [(9.0, 1e-6)]))
    for one, other in zip(empty, full, strict=True):
        assert len(one) == 0 and one.colnames == other.colnames


def test_a_row_describes_the_stream_that_was_injected(sky, membership):
    """Track, motion and length are those of the stream, within errors."""
    row = _patch(sky, membership, "north", [(9.0, 1e-6)])[0][0]
    x, y = PLANE.project(np.array([row["phi1"]]), np.array([row["phi2"]]))
    assert abs(float(x[0] * np.sin(THETA) - y[0] * np.cos(THETA)) - STREAM.offset) < 0.1
    assert row["position_angle"] == pytest.approx(40.0, abs=2.0)
    assert row["width"] == pytest.approx(STREAM.width, rel=0.3)
    assert row["length"] == pytest.approx(0.9 * 2 * np.sqrt(5.5**2 - 1), rel=0.1)
    s = float(x[0] * np.cos(THETA) + y[0] * np.sin(THETA))
    assert row["pm_phi1_cosphi2"] == pytest.approx(4.0 + 0.1 * s, abs=0.1)
    assert row["pm_phi1_cosphi2_gradient"] == pytest.approx(0.1, abs=0.03)
    assert row["stars"] == pytest.approx(150, abs=3 * np.sqrt(150))


@pytest.fixture(scope="module")
def patch_table(sky):
    """The sky's stars as a patch table with Gaia's columns, some of them missing."""
    geometry = PatchGeometry.circle("north", 150.0, 20.0, 6.0)
    stars, rng = sky.stars, np.random.default_rng(5)
    ra, dec = geometry.frame.unproject(*stars.position.T)
    pmra, pmdec = geometry.frame.unproject_motions(*stars.position.T, *stars.proper_motion.T)
    parallax = MaskedColumn(rng.normal(size=len(stars)), mask=rng.random(len(stars)) < 0.1, unit="mas")
    values = {
        "source_id": stars.source_id, "ra": ra * u.deg, "dec": dec * u.deg, "pmra": pmra * u.mas / u.yr,
        "pmdec": pmdec * u.mas / u.yr, "bp_rp": rng.normal(size=len(stars)), "parallax": parallax,
        "pmra_error": rng.random(len(stars)) * u.arcsec / u.yr,
    }  # fmt: skip
    return Table(values)


def _listed(sky, membership, table, **settings):
    geometry = PatchGeometry.circle("north", 150.0, 20.0, 6.0)
    chosen = {"threshold": 0.01, "member_threshold": 0.5, **settings}
    candidates = [_candidate(membership, 9.0, 1e-6), _candidate(membership, 5.0, 0.2)]
    return candidate_rows(candidates, sky.stars, geometry, table, **chosen)


def test_every_star_of_noticeable_probability_is_listed_and_the_members_are_marked(sky, membership):
    _, stars = _listed(sky, membership, None)
    expected = sky.stars.source_id[membership.rows[membership.probability > 0.01]]
    for label in ("0", "1"):
        own = stars[stars["candidate"] == label]
        assert set(own["source_id"].tolist()) == set(expected.tolist())
        assert set(own["source_id"][own["member"]].tolist()) == set(
            sky.stars.source_id[membership.members(0.5)].tolist()
        )
        assert own["probability"].sum() == pytest.approx(membership.stars, rel=0.02)
    assert len(expected) > len(membership.members(0.5))


def test_the_stars_carry_gaias_columns_in_gaias_units(sky, membership, patch_table):
    _, stars = _listed(sky, membership, patch_table)
    rows = np.searchsorted(patch_table["source_id"], stars["source_id"])
    assert np.array_equal(patch_table["source_id"][rows], stars["source_id"])
    for name in ("ra", "dec", "pmra", "pmdec", "bp_rp"):
        assert np.array_equal(stars[name], patch_table[name][rows])
    assert np.allclose(stars["pmra_error"], 1000 * np.asarray(patch_table["pmra_error"][rows]))
    assert np.array_equal(np.isnan(stars["parallax"]), patch_table["parallax"].mask[rows])
    assert np.isnan(stars["phot_g_mean_mag"]).all()
    members = MemberStars.from_table(stars[stars["candidate"] == "1"])
    assert members.stars == pytest.approx(membership.stars, rel=0.02)


def test_without_a_table_the_sky_positions_come_from_the_patch(sky, membership, patch_table):
    (rows, with_table), (other, without) = (_listed(sky, membership, t) for t in (patch_table, None))
    assert rows.colnames == other.colnames
    for name in ("ra", "dec", "pmra", "pmdec", "phi1", "pm_phi2", "probability"):
        assert np.allclose(with_table[name], without[name], atol=1e-9)
    assert np.isnan(without["bp_rp"]).all()


def test_a_table_of_other_stars_is_refused(sky, membership, patch_table):
    for wrong in (patch_table[:-1], patch_table[::-1]):
        with pytest.raises(CatalogError, match=r"rows\) and the stars .* of patch 'north' differ"):
            _listed(sky, membership, wrong)


def test_a_row_tells_its_line_and_its_motion_in_both_frames(sky, membership):
    row = _listed(sky, membership, None)[0][0]
    assert (row["line_theta"], row["line_offset"], row["line_width"], row["line_rank"]) == (
        THETA,
        1.0,
        0.5,
        100,
    )
    assert row["contrast"] == pytest.approx((80 - 10.5) / np.sqrt(10.5))
    frame = PatchGeometry.circle("north", 150.0, 20.0, 6.0).frame
    motion = frame.project_motions(row["ra"], row["dec"], row["pmra"], row["pmdec"])
    assert np.allclose(motion, (row["pm_phi1_cosphi2"], row["pm_phi2"]), atol=1e-9)


def test_the_middle_of_the_track_is_the_same_place_in_both_frames(sky, membership):
    for ra in (150.0, 200.0):
        row = _patch(sky, membership, "any", [(9.0, 1e-6)], ra=ra)[0][0]
        frame = PatchGeometry.circle("any", ra, 20.0, 6.0).frame
        phi1, phi2 = frame.project_positions(row["ra"], row["dec"])
        assert (float(phi1), float(phi2)) == pytest.approx((row["phi1"], row["phi2"]), abs=1e-9)


def test_a_candidate_without_members_is_kept(sky, membership):
    geometry = PatchGeometry.circle("north", 150.0, 20.0, 6.0)
    rows, members = candidate_rows(
        [_candidate(membership, 4.0, 0.3)], sky.stars, geometry, threshold=0.01, member_threshold=1.0
    )
    assert rows["members"].tolist() == [0] and not members["member"].any()


def test_a_candidate_whose_fit_found_no_stars_is_kept(sky, membership):
    nothing = replace(membership, rows=membership.rows[:0], probability=membership.probability[:0])
    geometry = PatchGeometry.circle("north", 150.0, 20.0, 6.0)
    line = replace(_candidate(membership, 4.0, 0.3), membership=nothing)
    rows, members = candidate_rows([line], sky.stars, geometry, threshold=0.01, member_threshold=0.5)
    assert (rows["length"][0], rows["stars"][0], len(members)) == (0.0, 0.0, 0)
    real = [name for name in rows.colnames if rows[name].dtype.kind == "f" and name != "stability"]
    assert all(np.isfinite(rows[name]).all() for name in real)
