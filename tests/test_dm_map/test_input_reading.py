"""From tables to samples: every row is accounted for, units are converted, and wrong input is told."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given
from hypothesis import strategies as st

from dm_map.errors import SampleError
from dm_map.input import LuminosityCut, ParallaxDistances, SolarFrame, read_stars

FRAME = SolarFrame()
N = 400
UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "distance": u.kpc,
    "pmra": u.mas / u.yr,
    "pmdec": u.mas / u.yr,
    "radial_velocity": u.km / u.s,
}


def truth(n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stars within 3 kpc of the Sun."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((n, 3))
    direction *= 3 * rng.uniform(0.02, 1, (n, 1)) / np.linalg.norm(direction, axis=1, keepdims=True)
    return np.array(FRAME.position) + direction, rng.normal((0, 200, 0), 60, (n, 3))


def stars(n: int = N, seed: int = 0) -> Table:
    """Their measurements, with distances."""
    table = Table(FRAME.observables(*truth(n, seed))._asdict())
    for name, unit in UNITS.items():
        table[name].unit = unit
    return table


def gaia(n: int = N, seed: int = 0, error: float = 0.01) -> Table:
    """The same with parallaxes, errors and correlations."""
    table = stars(n, seed)
    table["parallax"] = 1 / np.asarray(table["distance"]) * u.mas
    table.remove_column("distance")
    for name, value in (
        ("ra", 0.02),
        ("dec", 0.02),
        ("pmra", 0.03),
        ("pmdec", 0.03),
        ("radial_velocity", 1.5),
    ):
        table[f"{name}_error"] = np.full(n, value)
    table["parallax_error"] = np.full(n, error)
    table["parallax_pmra_corr"] = np.random.default_rng(seed).uniform(-0.5, 0.5, n)
    return table


def read(table: object, **options: object):
    return read_stars(table, fewest=1, **options)


def test_the_stars_are_where_they_are():
    sample, report = read(stars())
    x, v = truth()
    np.testing.assert_allclose(sample.x, x, atol=1e-9)
    np.testing.assert_allclose(sample.v, v, atol=1e-7)
    assert sample.volume.centre == FRAME.position and sample.volume.radius == 4.0
    assert report.kept == report.rows == N and not report.dropped and report.units_assumed == ()
    assert "column distance" in str(report) and sample.covariance is None


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".csv", ".parquet", ".vot", ".fits.gz"])
def test_every_format_is_read(tmp_path, suffix):
    path, table = tmp_path / f"stars{suffix}", gaia()
    table["ra"] = MaskedColumn(table["ra"], mask=np.arange(N) == 7)
    table.write(path, **({"format": "votable"} if suffix == ".vot" else {}))
    sample, report = read(path)
    expected, _ = read(table)
    np.testing.assert_allclose(sample.x, expected.x, rtol=1e-12)
    np.testing.assert_allclose(sample.covariance, expected.covariance, rtol=1e-10)
    assert report.dropped == {"ra is missing": 1} and report.origin == str(path) and 7 not in report.index


def test_units_and_names_do_not_matter():
    table = QTable(stars())
    expected, _ = read(Table(table))
    table["RAJ"] = table["ra"].to(u.hourangle)
    table["distance"] = table["distance"].to(u.lyr)
    table["PMDE"] = table["pmdec"].to(u.deg / u.Myr)
    table["rv"] = table["radial_velocity"].to(u.pc / u.Myr)
    table.remove_columns(["ra", "pmdec", "radial_velocity"])
    sample, report = read(table, columns={"ra": "RAJ"})
    np.testing.assert_allclose(sample.x, expected.x, atol=1e-12)
    np.testing.assert_allclose(sample.v, expected.v, atol=1e-9)
    assert report.recognised["pmdec"] == "PMDE" and "rv as radial_velocity" in str(report)


@given(
    st.lists(st.sampled_from(["rv", "negative", "noisy", "far", "error", "good"]), min_size=1, max_size=40)
)
def test_every_row_is_accounted_for(kinds):
    table = gaia(len(kinds) + 1)
    for row, kind in enumerate(kinds):
        if kind == "rv":
            table["radial_velocity"][row] = np.nan
        elif kind == "negative":
            table["parallax"][row] = -0.5
        elif kind == "noisy":
            table["parallax_error"][row] = table["parallax"][row] / 2
        elif kind == "far":
            table["parallax"][row] = 0.1
        elif kind == "error":
            table["pmra_error"][row] = np.nan
    sample, report = read(table)
    reasons = {
        "rv": "radial_velocity is missing",
        "negative": "parallax is not positive",
        "noisy": "parallax over its error is below 5",
        "far": "farther than 4 kpc",
        "error": "pmra_error is missing or negative",
    }
    assert report.dropped == {reasons[kind]: kinds.count(kind) for kind in reasons if kind in kinds}
    assert report.rows == report.kept + sum(report.dropped.values()) and len(sample) == report.kept
    assert [kind for row, kind in enumerate([*kinds, "good"]) if row in report.index] == [
        "good"
    ] * report.kept


def test_the_index_leads_back_to_the_table():
    table = stars()
    table["radial_velocity"][:50] = np.nan
    sample, report = read(table, radius=2.0)
    np.testing.assert_allclose(sample.x, truth()[0][report.index], atol=1e-9)
    assert np.all(np.asarray(table["distance"])[report.index] < 2.0) and report.index.min() >= 50


def test_the_zero_point_shifts_distances():
    table = gaia()
    table["zero"] = np.linspace(-0.05, 0.02, N) * u.mas
    expected, _ = read(table)
    table["parallax"] = table["parallax"] + table["zero"]
    sample, report = read(table, distances=ParallaxDistances(zero_point="zero"))
    np.testing.assert_allclose(sample.x, expected.x, atol=1e-9)
    assert "zero point zero" in str(report) and not any(
        "no parallax zero point" in note for note in report.notes
    )
    table["parallax"] = table["parallax"] - table["zero"] - 0.03 * u.mas
    sample, _ = read(table, distances=ParallaxDistances(zero_point=-0.03))
    np.testing.assert_allclose(sample.x, expected.x, atol=1e-9)


@pytest.mark.statistical
def test_the_bias_of_inverse_parallaxes_is_as_told():
    """E[1/parallax] = d (1 + f^2) to leading order; the note's number is the measured one."""
    rng, fraction = np.random.default_rng(8), 0.05
    table = gaia(200_000)
    distance = 1 / np.asarray(table["parallax"])
    table["parallax_error"] = fraction / distance
    table["parallax"] = (1 + fraction * rng.standard_normal(len(table))) / distance
    sample, report = read(table, radius=10.0, errors=False)
    found = np.linalg.norm(sample.x - FRAME.position, axis=1) / distance[report.index]
    assert abs(found.mean() - 1 - fraction**2) < 5 * fraction / np.sqrt(len(found)) + 3 * fraction**4
    assert abs(found.mean() - 1) > 5 * fraction / np.sqrt(len(found))
    assert any("overestimates the distance by 0.25% on average" in note for note in report.notes)


@pytest.mark.statistical
def test_the_covariance_covers_the_errors():
    """chi^2 of true minus measured coordinates has one per degree of freedom; halved errors are seen."""
    rng, error = np.random.default_rng(9), 0.004
    table, (x, v) = gaia(3000, error=error), truth(3000)
    rho = np.asarray(table["parallax_pmra_corr"])
    first, second, third, fourth = rng.standard_normal((4, 3000))
    table["parallax"] += error * first
    table["pmra"] += 0.03 * (rho * first + np.sqrt(1 - rho**2) * second)
    table["pmdec"] += 0.03 * third
    table["radial_velocity"] += 1.5 * fourth
    sample, report = read(table, distances=ParallaxDistances(signal_to_noise=50))
    shift = np.hstack([sample.x - x[report.index], sample.v - v[report.index]])
    # Positions across the line of sight carry 1e-10 of the distance: four directions have errors that count.
    values, vectors = np.linalg.eigh(sample.covariance)
    along = np.einsum("nij,ni->nj", vectors, shift)[:, 2:] ** 2 / values[:, 2:]
    total = along.sum() / along.size
    assert abs(total - 1) < 5 * np.sqrt(2 / along.size) + 0.02
    assert abs(4 * total - 1) > 1


def test_without_errors_there_is_no_covariance():
    table = gaia()
    table.remove_column("pmdec_error")
    sample, report = read(table)
    assert sample.covariance is None and any("pmdec_error" in note for note in report.notes)
    sample, report = read(gaia(), errors=False)
    assert sample.covariance is None and report.covariance is False


def test_given_distances_come_before_parallaxes():
    table = gaia()
    table["distance"] = 1 / np.asarray(table["parallax"]) * 1.1 * u.kpc
    far, _ = read(table)
    near, _ = read(table, distances=ParallaxDistances())
    centre = np.array(FRAME.position)
    np.testing.assert_allclose(far.x - centre, 1.1 * (near.x - centre), atol=1e-9)


def _without(name: str) -> Table:
    table = stars()
    table.remove_column(name)
    return table


def _with(name: str, value: object, rows: slice | int = 3) -> Table:
    table = stars()
    table[name][rows] = value
    return table


def _renamed(old: str, new: str) -> Table:
    table = stars()
    table.rename_column(old, new)
    return table


def _in_unit(name: str, unit: u.UnitBase) -> Table:
    table = stars()
    table[name].unit = unit
    return table


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (
            lambda: _with("distance", -1.0, slice(3, 6)),
            {},
            "3 distances are not positive, the first in row 3: -1 kpc",
        ),
        (lambda: _with("radial_velocity", np.nan, slice(None)), {}, "400 radial_velocity is missing"),
        (lambda: _renamed("radial_velocity", "vrad_kms"), {}, "no column radial_velocity"),
        (lambda: _renamed("radial_velocity", "radial_vel"), {}, "near matches: radial_vel"),
        (lambda: _renamed("pmra", "pmra_cor"), {}, "near matches: pmra_cor"),
        (lambda: _without("distance"), {}, "neither a column distance nor parallax"),
        (stars, {"distances": ParallaxDistances()}, "no column parallax"),
        (lambda: _in_unit("pmra", u.km), {}, "pmra is in km; expected mas"),
        (stars, {"columns": {"ra": "RA2"}}, "near matches: ra"),
        (stars, {"columns": {"distnace": "ra"}}, "distnace is not a column that is read; .*distance"),
        (stars, {"radius": -1.0}, "radius of the ball is positive"),
        (stars, {"radius": 0.01}, "0 stars are left, at least 1 are needed"),
        (stars, {"luminosity": LuminosityCut(faint=15)}, "no column phot_g_mean_mag"),
        (lambda: Table({"ra": []}), {}, "no rows"),
        (lambda: Table({**{name: ["a"] for name in UNITS}}), {}, "not one of numbers"),
        (lambda: "nowhere/stars.fits", {}, "does not exist"),
        (lambda: ".", {}, "is a directory"),
        (lambda: __file__, {}, "unknown extension"),
    ],
)
def test_wrong_input_is_told(make, options, told):
    with pytest.raises(SampleError, match=told):
        read(make(), **options)


def test_too_few_stars_are_told():
    with pytest.raises(SampleError, match="400 stars are left, at least 1000 are needed"):
        read_stars(stars())


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "stars.fits"
    stars().write(path)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(SampleError, match=r"stars\.fits"):
        read(path)


@pytest.mark.parametrize("wrong", [{"signal_to_noise": 0.0}, {"zero_point": float("nan")}])
def test_a_wrong_recipe_is_told(wrong):
    with pytest.raises(SampleError, match="parallax"):
        ParallaxDistances(**wrong)


def test_implausible_velocities_are_told():
    _, report = read(_with("radial_velocity", 5000.0))
    assert any("1 stars are faster than 1000 km/s" in note for note in report.notes)
    assert report.to_dict()["rows"] == N and report.to_dict()["sun_source"] == FRAME.source
