"""Ridges from files: what an isochrone holds comes back, and what is no isochrone is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isochrone_texts import PARSEC_HEAD, Points, mist_text, old_parsec_text, parsec_text, points_of

from streams.isochrones import stars_per_mass
from streams.ridge_files import load_ridges, read_isochrones, read_ridge, write_ridge
from streams.ridges import Ridge, RidgeError, old_ridges

RIDGE = old_ridges()[1]
INSIDE = np.arange(-2.8, 14.8, 0.1)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _shape(ridge: Ridge, at: np.ndarray) -> np.ndarray:
    """Log luminosity at magnitudes, its scale taken off."""
    values = np.interp(at, ridge.absolute, ridge.log_luminosity)
    return values - values.mean()


def _is_the_ridge(found: Ridge) -> None:
    np.testing.assert_allclose(found.colour(INSIDE), RIDGE.colour(INSIDE), atol=0.006)
    np.testing.assert_allclose(_shape(found, INSIDE), _shape(RIDGE, INSIDE), atol=0.03)


def test_parsec_gives_back_colours_and_its_own_count_of_stars(tmp_path):
    path = _written(tmp_path / "output.dat", parsec_text(points_of(RIDGE)))
    (found,) = read_isochrones(path)
    assert found.name == "PARSEC [M/H] = -1.50, 12.6 Gyr"
    _is_the_ridge(found)
    (kroupa,) = read_isochrones(path, mass_function="kroupa")
    assert np.abs(_shape(kroupa, INSIDE) - _shape(RIDGE, INSIDE)).max() > 0.3


@pytest.mark.parametrize(
    "bands",
    [
        ("Gmag", "G_BPftmag", "G_BPbrmag", "G_RPmag"),
        ("Umag", "Vmag", "Gmag", "G_BPmag", "G_RPmag", "Jmag"),
    ],
)
def test_parsec_bands_are_found_by_name_and_bp_for_faint_stars_is_taken(tmp_path, bands):
    path = _written(tmp_path / "iso.dat", parsec_text(points_of(RIDGE), bands=bands))
    (found,) = read_isochrones(path)
    assert found.name == "PARSEC [M/H] = -1.50, 12.6 Gyr"
    _is_the_ridge(found)


def test_the_older_layout_of_parsec_is_read(tmp_path):
    (found,) = read_isochrones(_written(tmp_path / "old.dat", old_parsec_text(points_of(RIDGE))))
    assert found.name == "PARSEC [M/H] = -1.49, 12.6 Gyr"
    _is_the_ridge(found)


@pytest.mark.parametrize(("release", "linear"), [("EDR3", False), ("DR2Rev", True)])
@pytest.mark.parametrize("mass_function", ["kroupa", "chabrier"])
def test_mist_has_the_numbers_of_the_mass_function(tmp_path, release, linear, mass_function):
    points = points_of(RIDGE)
    path = _written(tmp_path / "mist.iso.cmd", mist_text([(12.0, points)], release=release, linear=linear))
    (found,) = read_isochrones(path, mass_function=mass_function)
    assert found.name == "MIST [Fe/H] = -1.35, 12 Gyr"
    np.testing.assert_allclose(found.colour(INSIDE), RIDGE.colour(INSIDE), atol=0.006)
    mass = np.interp(-INSIDE, -points["g"], points["mass"])
    # log10 of the mass is linear in M_G here, so that stars per magnitude go as mass times stars per mass.
    expected = np.log(mass * stars_per_mass(mass, mass_function))
    np.testing.assert_allclose(_shape(found, INSIDE), expected - expected.mean(), atol=0.02)


def test_several_isochrones_are_read_and_the_nearest_selected(tmp_path):
    points = points_of(RIDGE, step=0.1)
    tables = [
        parsec_text(points, metallicity=metal, log_age=age, end="")
        for metal in (-2.0, -1.5, -1.0)
        for age in (9.9, 10.1)
    ]
    path = _written(tmp_path / "grid.dat", "".join(tables) + "#isochrone terminated\n")
    assert len(read_isochrones(path)) == 6
    (one,) = read_isochrones(path, age=13.0, metallicity=-1.4)
    assert one.name == "PARSEC [M/H] = -1.50, 12.6 Gyr"
    two = read_isochrones(path, age=13.0, metallicity=(-3.0, -1.1))
    assert [ridge.name.split(",")[0] for ridge in two] == ["PARSEC [M/H] = -2.00", "PARSEC [M/H] = -1.00"]
    mist = _written(tmp_path / "grid.iso.cmd", mist_text([(8.0, points), (10.0, points), (13.0, points)]))
    assert [ridge.name[-7:] for ridge in read_isochrones(mist, age=(9.0, 12.0))] == [" 10 Gyr", " 13 Gyr"]
    with pytest.raises(RidgeError, match="above zero"):
        read_isochrones(path, age=-1.0)
    with pytest.raises(RidgeError, match="number"):
        read_isochrones(path, metallicity=float("nan"))


def _with(points: Points, label: int, absolute: np.ndarray, colour: float) -> Points:
    """The points, and after them others of another phase."""
    size = len(absolute)
    count = points["count"][-1] * (1.0 + 0.1 * np.arange(size))
    more = {
        "mass": points["mass"][-1] + 1e-6 * np.arange(size), "count": count,
        "g": absolute, "bp_rp": np.full(size, colour), "label": np.full(size, label),
    }  # fmt: skip
    return {name: np.concatenate([points[name], more[name]]) for name in points}


def test_horizontal_branch_giants_of_the_second_kind_and_stand_ins_change_nothing(tmp_path):
    points = points_of(RIDGE, step=0.05)
    (plain,) = read_isochrones(_written(tmp_path / "plain.dat", parsec_text(points)))
    late = _with(_with(points, 4, np.full(8, 0.5), 0.3), 7, np.linspace(0.0, -2.0, 8), 1.6)
    young = {name: values[::-1] for name, values in _with(late, 0, np.linspace(6.0, 9.0, 8), 2.5).items()}
    none = _with(late, 3, np.full(2, 99.999), 0.0)
    for more in (late, young, none):
        (found,) = read_isochrones(_written(tmp_path / "more.dat", parsec_text(more)))
        np.testing.assert_allclose(found.bp_rp, plain.bp_rp, atol=1e-6)
        np.testing.assert_allclose(found.log_luminosity, plain.log_luminosity, atol=1e-6)
    # The control: as red giants the same stars are on the ridge.
    (wrong,) = read_isochrones(
        _written(tmp_path / "more.dat", parsec_text({**late, "label": np.minimum(late["label"], 3)}))
    )
    assert len(wrong.bp_rp) != len(plain.bp_rp) or np.abs(wrong.bp_rp - plain.bp_rp).max() > 0.1


def test_a_bump_is_passed_three_times_and_no_star_is_lost(tmp_path):
    points = points_of(RIDGE, step=0.02)
    g = points["g"].copy()
    bump = (g > 0.5) & (g < 1.1)
    g[bump] = 0.8 + 0.3 * np.sin(np.linspace(0.5 * np.pi, 3.5 * np.pi, bump.sum()))
    points = {**points, "g": g, "bp_rp": RIDGE.colour(g)}
    (found,) = read_isochrones(_written(tmp_path / "bump.dat", parsec_text(points)))
    assert (np.diff(found.absolute) > 0).all()
    np.testing.assert_allclose(found.colour(INSIDE), RIDGE.colour(INSIDE), atol=0.01)
    step = np.median(np.diff(found.absolute))
    assert np.exp(found.log_luminosity).sum() * step == pytest.approx(points["count"][-1], rel=1e-4)


def test_of_two_branches_far_apart_the_fuller_one_is_the_ridge(tmp_path):
    """A young population: a main sequence of many stars, and few giants beside it."""
    size = 200
    main = {
        "mass": np.linspace(0.5, 2.0, size), "count": np.linspace(0.0, 10.0, size),
        "g": np.linspace(8.0, 1.0, size), "bp_rp": np.linspace(1.5, 0.1, size), "label": np.full(size, 1),
    }  # fmt: skip
    giants = _with(main, 3, np.linspace(3.0, -1.0, 100), 1.3)
    giants["count"][size:] = 10.0 + np.linspace(0.0, 0.1, 100)
    (found,) = read_isochrones(_written(tmp_path / "young.dat", parsec_text(giants, log_age=9.0)))
    both = np.array([1.2, 2.0, 2.8])
    np.testing.assert_allclose(found.colour(both), np.interp(-both, -main["g"], main["bp_rp"]), atol=0.01)
    np.testing.assert_allclose(found.colour(np.array([-0.5, 0.5])), 1.3, atol=0.01)


def test_mass_functions_are_continuous_and_have_their_slopes():
    for breaks, name in (((0.08, 0.5), "kroupa"), ((1.0,), "chabrier")):
        for mass in breaks:
            below, above = stars_per_mass(mass * np.array([1 - 1e-9, 1 + 1e-9]), name)
            assert below == pytest.approx(above, rel=1e-6)
    for name, low, high, slope in (
        ("kroupa", 0.1, 0.4, -1.3), ("kroupa", 0.6, 0.9, -2.3), ("chabrier", 2.0, 9.0, -2.3),
    ):  # fmt: skip
        few, many = stars_per_mass(np.array([low, high]), name)
        assert np.log(many / few) / np.log(high / low) == pytest.approx(slope, abs=1e-9)
    with pytest.raises(RidgeError, match="salpeter"):
        stars_per_mass(np.array([1.0]), "salpeter")


def test_files_that_will_not_do_are_told_why(tmp_path):
    points = points_of(RIDGE, step=0.2)
    text = parsec_text(points)

    def refused(content: str, match: str) -> None:
        with pytest.raises(RidgeError, match=match) as error:
            read_isochrones(_written(tmp_path / "wrong.dat", content))
        assert "wrong.dat" in str(error.value)

    refused(parsec_text(points, bands=("umag", "gmag", "rmag")), "G_BPmag.* missing, got .*'gmag'")
    refused(mist_text([(12.0, points)], release="Gaia"), "Gaia_G_EDR3.* missing")
    extinct = "# Attention: photometry includes extinction of Av=0.3, with coefficients for the Sun\n"
    refused(parsec_text(points, head=PARSEC_HEAD + extinct), r"Av = 0\.3")
    refused(mist_text([(12.0, points)], extinction="# CCM89 extinction: Av =  0.100"), r"Av = 0\.100")
    refused(mist_text([(12.0, points)], extinction="# extinction:   Av, Rv =  0.100 3.1"), r"Av = 0\.100")
    refused("RA,Dec\n10,20\n", "expected isochrone tables.*got: RA,Dec | 10,20")
    refused("", "got: nothing")
    refused(text[: len(text) - 60], "cut short")
    refused(text.replace("3.7 4.5", "3.7 ****", 1), "no number")
    refused(text.replace("label", "other"), "label or stage")
    refused(parsec_text({**points, "label": np.zeros_like(points["label"])}), "main sequence")
    with pytest.raises(RidgeError, match=r"absent\.dat"):
        read_isochrones(tmp_path / "absent.dat")
    short = {name: values[:5] for name, values in points.items()}
    with pytest.raises(RidgeError, match="older"):
        read_isochrones(_written(tmp_path / "short.dat", parsec_text(short)))
    unreddened = parsec_text(points, head=PARSEC_HEAD + extinct.replace("0.3", "0.0"))
    assert read_isochrones(_written(tmp_path / "right.dat", unreddened))


@given(
    st.lists(st.floats(0.001, 2.0), min_size=2, max_size=20),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["C"]), max_size=20),
)
@settings(max_examples=15, deadline=None)
def test_a_written_ridge_comes_back_as_it_was(tmp_path_factory, steps, name):
    absolute = np.cumsum(steps) - 3.0
    ridge = Ridge(name, absolute, np.sqrt(absolute + 5.0), np.sin(absolute))
    folder = tmp_path_factory.mktemp("ridge")
    found = read_ridge(write_ridge(ridge, folder / "one.ecsv"))
    assert found.name == name
    for column in ("absolute", "bp_rp", "log_luminosity"):
        np.testing.assert_array_equal(getattr(found, column), getattr(ridge, column))
    assert [path.name for path in folder.iterdir()] == ["one.ecsv"]


def test_all_kinds_of_files_are_recognised_by_what_is_in_them(tmp_path):
    points = points_of(RIDGE, step=0.1)
    parsec = tmp_path / "a"
    parsec.write_bytes(gzip.compress(parsec_text(points).encode()))
    mist = _written(tmp_path / "b", mist_text([(12.0, points)]))
    own = write_ridge(RIDGE, tmp_path / "c.ecsv")
    found = load_ridges([parsec, mist, own, own, mist], age=12.0)
    assert [ridge.name for ridge in found] == [
        "PARSEC [M/H] = -1.50, 12.6 Gyr", "MIST [Fe/H] = -1.35, 12 Gyr", "[Fe/H] = -1.5",
        "[Fe/H] = -1.5 (c.ecsv)", "MIST [Fe/H] = -1.35, 12 Gyr (b)",
    ]  # fmt: skip
    assert load_ridges([]) == ()
    with pytest.raises(RidgeError, match=r"what\.txt.*PARSEC or MIST.*got: hello"):
        load_ridges([own, _written(tmp_path / "what.txt", "hello")])


def test_tables_that_are_no_ridges_are_told_why(tmp_path):
    own = write_ridge(RIDGE, tmp_path / "c.ecsv")
    with pytest.raises(RidgeError, match=r"\.ecsv, got 'c\.fits'"):
        write_ridge(RIDGE, tmp_path / "c.fits")
    with pytest.raises(RidgeError, match="expected an ECSV"):
        read_ridge(_written(tmp_path / "d.ecsv", "absolute bp_rp\n1 2\n"))
    for old, new in (("log_luminosity", "light"), ("# schema", "# 'schema"), ("-3.0 ", "bright ")):
        with pytest.raises(RidgeError, match=r"e\.ecsv"):
            read_ridge(_written(tmp_path / "e.ecsv", own.read_text().replace(old, new)))
    unnamed = "# %ECSV 1.0\n# ---\n# datatype:\n" + "".join(
        f"# - {{name: {name}, datatype: float64}}\n" for name in ("absolute", "bp_rp", "log_luminosity")
    )
    rows = "absolute bp_rp log_luminosity\n1 0.8 0\n2 0.7 1\n"
    assert read_ridge(_written(tmp_path / "mine.ecsv", unnamed + rows)).name == "mine"
    with pytest.raises(RidgeError, match="grow"):
        read_ridge(_written(tmp_path / "mine.ecsv", unnamed + rows.replace("2 0.7", "1 0.7")))
