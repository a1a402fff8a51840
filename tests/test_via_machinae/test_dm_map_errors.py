"""The command dm-map on bad input: one line, exit 1, and no run left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from dm_map.input import SolarFrame
from dm_map.mocks import make_mock
from via_machinae.dark_matter.inputs import fingerprint_of, stars_of
from via_machinae.dark_matter.settings import MapSettings, pattern_speed_of, places_of
from via_machinae.errors import ConfigError

STARS = 4000


@pytest.fixture(scope="module")
def observed() -> Table:
    """A mock's stars as a telescope lists them."""
    sample = make_mock("milky-way").sample(STARS, 1)
    return Table(SolarFrame().observables(sample.x, sample.v)._asdict())


@pytest.fixture
def table_file(observed: Table, tmp_path: Path):
    """A function that writes the stars, changed, and gives the path."""

    def write(change=None) -> Path:
        table = observed.copy()
        if change is not None:
            change(table)
        path = tmp_path / "stars.fits"
        table.write(path)
        return path

    return write


def test_a_table_of_observables_gives_the_stars_back(table_file):
    sample = make_mock("milky-way").sample(STARS, 1)
    found, record, told = stars_of(MapSettings(stars=str(table_file())))
    assert np.allclose(found.x, sample.x, atol=1e-6) and np.allclose(found.v, sample.v, atol=1e-6)
    assert record["kept"] == STARS and "4,000" in told


def test_stars_farther_than_the_radius_are_counted_out(table_file):
    found, record, _ = stars_of(MapSettings(stars=str(table_file()), radius=3.5, use_within=2.0))
    assert len(found) < STARS and record["dropped"] == {"farther than 3.5 kpc": STARS - len(found)}


def test_the_fingerprint_is_of_the_content(table_file, tmp_path):
    settings = MapSettings(stars=str(table_file()))
    before = fingerprint_of(settings)
    content = Path(settings.stars).read_bytes()
    Path(settings.stars).write_bytes(content)
    assert fingerprint_of(settings) == before
    Path(settings.stars).write_bytes(content + b"\0")
    assert fingerprint_of(settings) != before


def negative(table: Table) -> None:
    table["distance"] *= -1


def without_velocities(table: Table) -> None:
    table["radial_velocity"][:] = np.nan


def without_column(table: Table) -> None:
    table.remove_column("radial_velocity")


def far_away(table: Table) -> None:
    table["distance"] += 10.0


def few(table: Table) -> None:
    table.remove_rows(slice(100, None))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (negative, "distance"),
        (without_velocities, "radial_velocity is missing"),
        (without_column, "no column radial_velocity"),
        (far_away, "farther than 4 kpc"),
        (few, "100 stars are left"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_and_leaves_no_run(command, table_file, tmp_path, change, told):
    line = command("dm-map", "--stars", table_file(change), "--run", tmp_path / "run").error()
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--stars FILE, or --mock NAME"),
        (("--stars", "absent.fits"), "absent.fits is no file"),
        (("--mock", "andromeda"), "'andromeda' is unknown"),
        (("--mock", "plummer"), "natural units"),
        (("--mock", "milky-way", "--use-within", 4.5), "less than --radius"),
        (("--mock", "milky-way", "--radius", 5, "--mock-stars", 2000), "beyond the volume of the sample"),
        (("--mock", "milky-way", "--radius", -1), "--radius is a positive"),
        (("--mock", "milky-way", "--mock-stars", 200), "1000 stars"),
        (("--mock", "milky-way", "--at=0,0,0"), "beyond --use-within"),
        (("--mock", "milky-way", "--at=0,0"), "X,Y,Z"),
        (("--mock", "milky-way", "--method", "jeans"), "weak, flow, both"),
        (("--mock", "milky-way", "--members", 3), "4 members"),
        (("--mock", "milky-way", "--baryons", "none"), "census, mcmillan2017, mock"),
        (("--mock", "milky-way", "--pattern-speed", "fast"), "--pattern-speed is a number"),
        (("--mock", "milky-way", "--method", "flow", "--fit-selection"), "weak form"),
        (("--mock", "milky-way", "--column", "ra=RA"), "a mock has no table"),
        (("--stars", "absent.fits", "--complete-to", "14"), "BAND=LIMIT"),
        (("--stars", "absent.fits", "--baryons", "mock"), "real stars"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(command, tmp_path, words, told):
    assert told in command("dm-map", *words, "--run", tmp_path / "run").error()


def test_a_directory_of_something_else_is_left_alone(command, tmp_path, tree):
    (tmp_path / "thesis.tex").write_text("precious")
    before = tree(tmp_path)
    words = ("dm-map", "--mock", "milky-way", "--mock-stars", 2000, "--run", tmp_path)
    assert "holds no run" in command(*words).error()
    assert tree(tmp_path) == before


def test_text_becomes_numbers_or_an_error():
    assert pattern_speed_of("fit") is None and pattern_speed_of("-25") == -25.0
    assert places_of(["-8,0,1.5"]) == ((-8.0, 0.0, 1.5),)
    with pytest.raises(ConfigError, match="nan"):
        places_of(["-8,0,nan"])
