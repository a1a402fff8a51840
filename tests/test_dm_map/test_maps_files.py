"""Maps on disk: read back to the last bit, in the standards of the trade, and whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dm_map.errors import DmMapError
from dm_map.gravity import NATURAL, BallMean, GaussianKernel, Pointwise
from dm_map.maps import AccelerationMap, DensityMap, map_table, read_map

suffixes = pytest.mark.parametrize("suffix", [".fits", ".ecsv"])

PROVENANCE = {
    "version": "0.1.0",
    "seeds": [1, 2],
    "words": 'it\'s  "so" & so, at z = 1 kpc: ü ' + "x y " * 60,
}


def _acceleration(members: int = 5, positions: int = 4) -> AccelerationMap:
    rng = np.random.default_rng(0)
    sources = ("training",) * 2 + ("bootstrap",) * (members - 2)
    values = 1e3 * rng.normal(size=(members, positions, 3)) ** 7
    return AccelerationMap(
        rng.normal(size=(positions, 3)), values, sources, method="weak form", provenance=PROVENANCE
    )


def _density(members: int = 7, positions: int = 3) -> DensityMap:
    rng = np.random.default_rng(1)
    x, values = rng.normal(size=(positions, 3)), 1e-2 * rng.normal(size=(members, positions)) ** 5
    smoothing = GaussianKernel((0.3, 0.2, 0.1))
    return DensityMap(x, values, ("bootstrap",) * members, "dark matter", smoothing, provenance=PROVENANCE)


def _same(one: AccelerationMap | DensityMap, other: AccelerationMap | DensityMap) -> None:
    assert type(one) is type(other)
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.members, other.members)
    for name in ("sources", "units", "method"):
        assert getattr(one, name) == getattr(other, name)
    assert dict(one.provenance) == dict(other.provenance)


@suffixes
def test_a_map_is_read_back_exactly(tmp_path, suffix):
    acceleration, density = _acceleration(), _density()
    _same(AccelerationMap.read(acceleration.write(tmp_path / f"a{suffix}")), acceleration)
    again = DensityMap.read(density.write(tmp_path / f"rho{suffix}"))
    _same(again, density)
    assert (again.matter, again.smoothing) == (density.matter, density.smoothing)


@suffixes
@pytest.mark.parametrize("smoothing", [Pointwise(), BallMean(0.25)])
def test_natural_units_and_one_position(tmp_path, suffix, smoothing):
    found = DensityMap(np.zeros((1, 3)), np.array([[1.0], [2.0]]), ("a", "b"), "total", smoothing, NATURAL)
    again = DensityMap.read(found.write(tmp_path / f"one{suffix}"))
    _same(again, found)
    assert again.smoothing == smoothing


@suffixes
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(st.characters(codec="utf-8"), max_size=120), number=st.floats(allow_nan=False))
def test_any_provenance_survives(tmp_path, suffix, words, number):
    values = np.array([[number], [0.1]]) if np.isfinite(number) else np.array([[1.0], [0.1]])
    found = DensityMap(np.zeros((1, 3)), values, ("a", "b"), provenance={"words": words, "n": number})
    again = DensityMap.read(found.write(tmp_path / f"any{suffix}", overwrite=True))
    assert dict(again.provenance) == {"words": words, "n": number}
    _same(again, found)


@suffixes
def test_columns_have_units_descriptions_and_ucds(tmp_path, suffix):
    path = _acceleration().write(tmp_path / f"a{suffix}")
    table = Table.read(path)
    assert table["value"].unit == (u.km / u.s) ** 2 / u.kpc and table["x"].unit == u.kpc
    for column in table.itercols():
        assert column.description
        assert check_ucd(column.meta["ucd"], check_controlled_vocabulary=True, has_colon=False)
    np.testing.assert_allclose(table["value"], _acceleration().value)
    np.testing.assert_allclose(table["error"], _acceleration().error)


def test_fits_readers_other_than_astropy_find_them_too(tmp_path):
    header = fits.getheader(_density().write(tmp_path / "rho.fits"), "DMMAP")
    assert header["TUCD5"] == "stat.error;phys.density"
    assert header["TUNIT5"] == "solMass pc-3" and "68.27" in header["TCOMM5"]


@suffixes
def test_a_file_is_never_replaced_unasked(tmp_path, suffix):
    path = _density().write(tmp_path / f"rho{suffix}")
    before = path.read_bytes()
    with pytest.raises(DmMapError, match="overwrite"):
        _acceleration().write(path)
    assert path.read_bytes() == before
    _acceleration().write(path, overwrite=True)
    assert isinstance(read_map(path), AccelerationMap)


@suffixes
def test_a_failed_write_leaves_nothing(tmp_path, suffix, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("dm_map.maps.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        _density().write(tmp_path / f"rho{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(DmMapError, match=r"\.fits or \.ecsv"):
        _density().write(tmp_path / "rho.csv")
    with pytest.raises(DmMapError, match="readable"):
        read_map(tmp_path / "absent.fits")
    (tmp_path / "broken.ecsv").write_text("# %ECSV 1.0\n")
    with pytest.raises(DmMapError, match="readable"):
        read_map(tmp_path / "broken.ecsv")
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  =")
    with pytest.raises(DmMapError, match="readable"):
        read_map(tmp_path / "broken.fits")
    Table({"x": [1.0]}).write(tmp_path / "other.fits")
    with pytest.raises(DmMapError, match="readable"):
        read_map(tmp_path / "other.fits")
    path = _density().write(tmp_path / "rho.fits")
    with pytest.raises(DmMapError, match="mass density, not of the acceleration"):
        AccelerationMap.read(path)
    with pytest.raises(DmMapError, match="JSON"):
        DensityMap(np.zeros((1, 3)), np.ones((2, 1)), ("a", "b"), provenance={"x": X()}).write(
            tmp_path / "no.fits"
        )


class X:
    """Nothing that JSON could hold."""


def test_a_newer_format_is_named(tmp_path):
    table = map_table(_density())
    table.meta["DMMAP"] = table.meta["DMMAP"].replace('"format":1', '"format":2')
    table.write(tmp_path / "new.ecsv", format="ascii.ecsv")
    with pytest.raises(DmMapError, match="format 2"):
        read_map(tmp_path / "new.ecsv")
