"""The export opens in the real galstreams, and says there what is not known."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from catalog_entries import make_entry, make_track

from streams import CatalogError, StreamCatalog
from streams.catalog import export_galstreams

PLACES = [(150.0, 30.0, 40.0), (0.3, -5.0, 110.0), (359.9, 84.0, 15.0)]
# galstreams computes poles with units that astropy warns of, and its own tables lack nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def galstreams():
    return pytest.importorskip("galstreams", reason="galstreams is not installed: pip install galstreams")


def _export(tmp_path, **changes):
    catalog = StreamCatalog.of([make_entry(**changes)], {})
    return catalog, export_galstreams(catalog, tmp_path)


def _open(galstreams, files):
    track, summary = (str(path) for path in files)
    names = {"track_name": "VM-1", "stream_name": "VM-1", "stream_shortname": "VM1"}
    return galstreams.Track6D(track_file=track, summary_file=summary, **names)


@pytest.mark.parametrize("place", PLACES)
def test_galstreams_opens_a_track_and_has_it_where_it_is(galstreams, tmp_path, place):
    catalog, files = _export(tmp_path, track=make_track(*place))
    assert [path.name for path in files] == [
        "track.st.VM-1.viamachinae.ecsv",
        "track.st.VM-1.viamachinae.summary.ecsv",
    ]
    stream = _open(galstreams, files)
    track, row = catalog.track("VM-1"), catalog.candidates[0]
    ends = SkyCoord(*(track.at(np.array([-6.0, 5.0]))[:2] * u.deg))
    assert np.all(stream.end_points.separation(ends) < 1 * u.mas)
    middle = SkyCoord(row["ra"] * u.deg, row["dec"] * u.deg)
    assert stream.mid_point.separation(middle) < 1 * u.mas
    assert stream.mid_pole.separation(SkyCoord(row["pole_ra"] * u.deg, row["pole_dec"] * u.deg)) < 1 * u.mas
    assert stream.mid_point.pm_ra_cosdec.to_value(u.mas / u.yr) == pytest.approx(row["pmra"])
    assert stream.track_width["width_phi2"].to_value(u.deg) == row["width"]
    # Its frame is the same great circle, so the track is the same polynomial there, up to a shift of phi1.
    own = stream.track.transform_to(stream.stream_frame)
    reach = np.sort(own.phi1.wrap_at("180d").deg)
    assert reach[-1] - reach[0] == pytest.approx(11.0, abs=1e-6)
    latitudes = np.polyval(track.phi2[::-1], np.linspace(-6, 5, len(own)))
    assert np.allclose(np.abs(own.phi2.deg), np.abs(latitudes), atol=1e-6)


def test_members_lie_in_the_footprint_of_the_track(galstreams, tmp_path):
    catalog, files = _export(tmp_path, stars=200)
    sky = SkyCoord(catalog.members["ra"].quantity, catalog.members["dec"].quantity)
    away = SkyCoord(sky.ra, sky.dec + 8 * u.deg)
    stream = _open(galstreams, files)
    assert np.mean(stream.get_mask_in_poly_footprint(sky)) > 0.98
    assert not np.any(stream.get_mask_in_poly_footprint(away))


@pytest.mark.parametrize("distance, is_open", [(9.0, False), (9.0, True), (float("nan"), True)])
def test_what_is_not_known_is_flagged_and_not_invented(galstreams, tmp_path, distance, is_open):
    _, files = _export(tmp_path, distance=distance, distance_open=is_open)
    stream = _open(galstreams, files)
    assert stream.InfoFlags == "1010"
    told = QTable.read(files[1]).meta
    assert "placeholder" in told["radial_velocity_source"]
    assert ("placeholder" in told["distance_source"]) == is_open
    assert np.all(stream.track.distance == (1.0 if is_open else 9.0) * u.kpc)
    assert np.all(stream.track.radial_velocity == 0 * u.km / u.s)


def test_columns_and_units_are_those_of_galstreams_own_files(galstreams, tmp_path):
    from pathlib import Path

    _, files = _export(tmp_path)
    own = Path(galstreams.__file__).parent / "tracks"
    for file, name in zip(files, ("GD-1.ibata2024.ecsv", "GD-1.ibata2024.summary.ecsv"), strict=True):
        table, expected = QTable.read(file), QTable.read(own / f"track.st.{name}")
        assert table.colnames == expected.colnames
        for column in table.colnames:
            assert getattr(table[column], "unit", None) == getattr(expected[column], "unit", None)
            assert type(table[column]) is type(expected[column])


def test_those_that_pass_are_exported_unless_named(tmp_path):
    entries = [make_entry("a/0", significance=9.0), make_entry("b/0", passes=False, seed=1)]
    catalog = StreamCatalog.of(entries, {})
    assert len(export_galstreams(catalog, tmp_path)) == 2
    files = export_galstreams(catalog, tmp_path / "other", names=["VM-2"], reference="me2026")
    assert files[0].name == "track.st.VM-2.me2026.ecsv"
    assert export_galstreams(StreamCatalog.of([], {}), tmp_path) == []
    assert not list(tmp_path.rglob(".*"))


def test_a_candidate_that_cannot_be_exported_is_told(tmp_path):
    for track in (make_track(phi1_low=float("nan")), make_track(phi1_low=5.0)):
        catalog = StreamCatalog.of([make_entry(track=track)], {})
        with pytest.raises(CatalogError, match="VM-1 has no track to export"):
            export_galstreams(catalog, tmp_path / "tracks")
    with pytest.raises(CatalogError, match="no candidate 'VM-7'"):
        export_galstreams(catalog, tmp_path / "tracks", names=["VM-7"])
    assert not (tmp_path / "tracks").exists()
