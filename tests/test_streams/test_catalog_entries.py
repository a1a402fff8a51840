"""Laws of the joined catalogue: an order-free ranking, and a geometry that agrees with gala and astropy."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from catalog_entries import make_entry, make_track
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches import PatchFrame
from streams import CatalogError, StreamCatalog
from streams.catalog import EntryEvidence

VALUES = {
    "false_discovery_rate": (0.01, 0.2),
    "false_alarm_probability": (1e-6, 1e-3),
    "significance": (5, 9),
}
PLACES = [
    (150.0, 30.0, 40.0),
    (0.1, -5.0, 110.0),
    (359.9, 85.0, 0.0),
    (20.0, 90.0, 33.0),
    (266.0, -29.0, 270.0),
]
places = pytest.mark.parametrize("place", PLACES)


@pytest.fixture(scope="module")
def entries():
    """Candidates in all combinations of evidence, some of it unknown, and one tie."""
    found = []
    for number in range(12):
        pick = {name: values[number // 2**power % 2] for power, (name, values) in enumerate(VALUES.items())}
        if number > 7:
            pick["false_discovery_rate"] = float("nan")
        found.append(make_entry(f"p{number % 3}/{number}", seed=number, stars=5, **pick))
    return found


@settings(max_examples=6)
@given(order=st.permutations(range(12)))
def test_the_order_of_the_entries_changes_nothing(entries, order):
    expected = StreamCatalog.of(entries, {})
    found = StreamCatalog.of([entries[number] for number in order], {})
    for part in ("candidates", "members"):
        one, two = getattr(found, part), getattr(expected, part)
        for name in one.colnames:
            assert one[name].tolist() == two[name].tolist() or np.array_equal(one[name], two[name], True)


def test_ranking_is_by_rate_then_probability_then_significance_and_the_unknown_last(entries):
    table = StreamCatalog.of(entries, {}).candidates
    keys = [
        (
            np.nan_to_num(row["false_discovery_rate"], nan=9),
            row["false_alarm_probability"],
            -row["significance"],
        )
        for row in table
    ]
    assert keys == sorted(keys)
    assert table["name"].tolist() == [f"VM-{rank}" for rank in table["rank"]]
    assert table["rank"].tolist() == list(range(1, 13))


def test_two_candidates_of_one_label_are_refused():
    with pytest.raises(CatalogError, match=r"\['a/0'\] more than once"):
        StreamCatalog.of([make_entry("a/0"), make_entry("b/0"), make_entry("a/0", seed=1)], {})


@places
def test_stars_lie_in_the_candidates_frame_as_gala_has_it(place):
    from gala.coordinates import GreatCircleICRSFrame

    track = make_track(*place)
    members = StreamCatalog.of([make_entry(track=track)], {}).members
    origin, pole = (
        SkyCoord(track.ra0 * u.deg, track.dec0 * u.deg),
        SkyCoord(track.pole_ra * u.deg, track.pole_dec * u.deg),
    )
    motion = {"pm_ra_cosdec": members["pmra"].quantity, "pm_dec": members["pmdec"].quantity}
    sky = SkyCoord(members["ra"].quantity, members["dec"].quantity, **motion)
    turned = sky.transform_to(GreatCircleICRSFrame(pole=pole, origin=origin))
    assert np.allclose(members["phi1"], turned.phi1.wrap_at("180d").deg, atol=1e-9)
    assert np.allclose(members["phi2"], turned.phi2.deg, atol=1e-9)
    assert np.allclose(members["pm_phi1_cosphi2"], turned.pm_phi1_cosphi2.value, atol=1e-9)
    assert np.allclose(members["pm_phi2"], turned.pm_phi2.value, atol=1e-9)
    # They were made on the track, and so they lie on it.
    assert np.allclose(members["phi2"], np.polyval(track.phi2[::-1], members["phi1"]), atol=1e-9)


@places
def test_the_middle_of_the_track_is_told_in_icrs_and_galactic(place):
    track = make_track(*place, phi1_middle=1.5)
    row = StreamCatalog.of([make_entry(track=track)], {}).candidates[0]
    here = SkyCoord(row["ra"] * u.deg, row["dec"] * u.deg)
    assert (row["l"], row["b"]) == pytest.approx((here.galactic.l.deg, here.galactic.b.deg), abs=1e-9)
    ra, dec, pmra, pmdec = track.at(np.array([1.5]))
    assert (row["ra"], row["dec"], row["pmra"], row["pmdec"]) == (ra[0], dec[0], pmra[0], pmdec[0])
    assert np.hypot(row["pmra"], row["pmdec"]) == pytest.approx(
        np.hypot(np.polyval(track.pm_phi1[::-1], 1.5), np.polyval(track.pm_phi2[::-1], 1.5))
    )
    ahead = SkyCoord(*(track.at(np.array([1.5 + 1e-4]))[:2] * u.deg))
    angle = here.position_angle(ahead[0]).deg
    assert np.sin(np.radians(row["position_angle"] - angle)) == pytest.approx(0, abs=1e-5)
    assert 0 <= row["position_angle"] <= 180


def test_errors_of_the_motion_turn_with_the_track():
    """Along and across the track they are those of the coefficients, whatever the position angle."""
    along = make_track(150.0, 0.0, 0.0, phi2=(0.0, 0.0, 0.0))
    row = StreamCatalog.of([make_entry(track=along)], {}).candidates[0]
    assert (row["pmra_error"], row["pmdec_error"]) == pytest.approx((0.05, 0.03))
    upright = make_track(150.0, 0.0, 90.0, phi2=(0.0, 0.0, 0.0))
    row = StreamCatalog.of([make_entry(track=upright)], {}).candidates[0]
    assert (row["pmra_error"], row["pmdec_error"]) == pytest.approx((0.03, 0.05))


def test_a_rotation_of_the_sky_leaves_the_stream_in_its_own_frame():
    tables = []
    for place in PLACES:
        catalog = StreamCatalog.of([make_entry(track=make_track(*place))], {})
        tables.append(catalog.members)
    for table in tables[1:]:
        for name in ("phi1", "phi2", "pm_phi1_cosphi2", "pm_phi2"):
            assert np.allclose(table[name], tables[0][name], atol=1e-8)


def test_the_track_comes_back_from_its_row(entries):
    track = make_track(200.0, -60.0, 12.0, phi1_middle=0.7)
    catalog = StreamCatalog.of([make_entry(track=track)], {})
    for name, value in vars(catalog.track("VM-1")).items():
        assert np.array_equal(value, getattr(track, name), equal_nan=True)


def test_a_candidate_whose_great_circle_is_unknown_is_kept():
    lost = make_track(pole_ra=float("nan"))
    entry = make_entry(stars=3)
    catalog = StreamCatalog.of([replace(entry, track=lost)], {})
    row = catalog.candidates[0]
    assert np.isnan([row["ra"], row["l"], row["pmra"], row["position_angle"], row["pmra_error"]]).all()
    assert np.isnan(catalog.members["phi1"]).all() and len(catalog.members) == 3


def test_members_are_those_above_the_threshold_and_the_rest_is_listed():
    entry = make_entry(stars=200)
    for threshold in (0.3, 0.5, 1.0):
        catalog = StreamCatalog.of([entry], {}, member_threshold=threshold)
        chosen = entry.members.source_id[entry.members.probability > threshold]
        assert set(catalog.member_ids("VM-1").tolist()) == set(chosen.tolist())
        assert catalog.candidates["members"][0] == len(chosen)
        assert len(catalog.members) == 200
        assert np.all(np.diff(catalog.members["probability"]) <= 0)


def test_every_star_keeps_the_patch_it_comes_from():
    entry = make_entry(stars=40, patches=("north", "south"))
    patch = np.where(entry.members.source_id % 2, "north", "south")
    table = StreamCatalog.of([replace(entry, member_patch=patch)], {}).members
    assert np.array_equal(table["patch"], np.where(table["source_id"] % 2, "north", "south"))


def test_texts_are_lists_by_commas():
    entry = make_entry(
        patches=("south", "north"), flags=("edge", "latitude"), search=("anomaly", "likelihood")
    )
    row = StreamCatalog.of([entry], {}).candidates[0]
    assert (row["patch"], row["patches"]) == ("south", "south,north")
    assert (row["flags"], row["search"]) == ("edge,latitude", "anomaly,likelihood")
    assert row["components"] == "pm_phi1_cosphi2,pm_phi2"


def test_known_streams_are_written_beside_the_candidates(entries):
    catalog = StreamCatalog.of(entries, {})
    assert set(catalog.candidates["verdict"]) == {""}
    told = catalog.with_matches({"VM-2": ("GD-1 and a long name", "rediscovered"), "VM-3": ("", "new")})
    assert told.candidates["match"].tolist()[:3] == ["", "GD-1 and a long name", ""]
    assert told.candidates["verdict"].tolist()[:4] == ["", "rediscovered", "new", ""]
    assert told.candidates["match"].meta == catalog.candidates["match"].meta
    again = told.with_matches({"VM-1": ("Jhelum", "ambiguous")})
    assert again.candidates["match"].tolist()[:2] == ["Jhelum", "GD-1 and a long name"]
    assert set(catalog.candidates["verdict"]) == {""}
    assert len(StreamCatalog.of([], {}).with_matches({}).candidates) == 0
    with pytest.raises(CatalogError, match="no candidate 'VM-99'"):
        catalog.with_matches({"VM-99": ("GD-1", "new")})


@pytest.mark.parametrize("search", [(), ("guess",), ("anomaly", "guess")])
def test_an_unknown_search_is_refused(search):
    with pytest.raises(CatalogError, match="searches of"):
        EntryEvidence(5.0, 0.1, 0.1, False, search=search)


def test_an_entry_that_does_not_fit_together_is_refused():
    with pytest.raises(CatalogError, match="50 stars and 2 patch names"):
        replace(make_entry(), member_patch=("a", "b"))
    with pytest.raises(CatalogError, match="comes from no patch"):
        replace(make_entry(), patches=())


def test_the_frame_is_that_of_the_pole_even_where_the_pole_is_rounded():
    exact, rough = make_track(), make_track(pole_ra=round(make_track().pole_ra, 4))
    difference = np.abs(exact.frame.matrix - rough.frame.matrix).max()
    assert isinstance(rough.frame, PatchFrame) and 0 < difference < 1e-5
