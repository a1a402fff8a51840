"""The command that writes a tiling: what it writes is what the configuration asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sky_patches.tiling import read_moc, read_tiling
from via_machinae.cli import app
from via_machinae.errors import RunError

SMALL = "[tiling]\nradius = 20\nfiducial = 15\nmin_abs_b = 60\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "survey.toml"
    path.write_text(SMALL)
    return path


def test_the_table_and_the_moc_are_those_of_the_configuration(config: Path, tmp_path: Path):
    out, moc = tmp_path / "tiling.ecsv", tmp_path / "covered.fits"
    answer = CliRunner().invoke(
        app, ["tiling", "--config", str(config), "--out", str(out), "--moc", str(moc)]
    )
    assert answer.exit_code == 0, answer.output
    tiling = read_tiling(out)
    assert f"{len(tiling)} patches of 20 deg" in " ".join(answer.output.split())
    assert tiling.recipe.fiducial == 15.0
    # Both Galactic caps above 60 deg are covered, and the plane is not.
    caps = 1.0 - np.sin(np.radians(60.0))
    assert caps < read_moc(moc).sky_fraction < 0.6


def test_a_place_that_cannot_be_written_is_one_error(config: Path, tmp_path: Path):
    missing = tmp_path / "absent" / "tiling.ecsv"
    answer = CliRunner().invoke(app, ["tiling", "--config", str(config), "--out", str(missing)])
    assert isinstance(answer.exception, RunError) and "cannot be written" in str(answer.exception)
