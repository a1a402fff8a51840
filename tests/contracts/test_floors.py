"""Contract: imports go down only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("via_machinae", "streams", "dm_map", "sky_patches", "density")


def _lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    # The tree under test comes before the installed packages.
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_the_floors_hold():
    answer = _lint(REPOSITORY)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture
def empty_tree(tmp_path):
    """The five packages without content, under the repository's own contracts."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    return tmp_path


def test_the_empty_tree_passes(empty_tree):
    answer = _lint(empty_tree)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "package, forbidden",
    [
        ("density", "astropy.units"),
        ("density", "sky_patches"),
        ("sky_patches", "torch"),
        ("sky_patches", "density"),
        ("streams", "density"),
        ("streams", "dm_map"),
        ("dm_map", "sky_patches"),
        ("dm_map", "via_machinae"),
        ("sky_patches", "pydantic"),
    ],
)
def test_a_forbidden_import_is_seen(empty_tree, package, forbidden):
    """Negative control: the checker is not blind."""
    (empty_tree / package / "deep.py").write_text(f"def late():\n    import {forbidden}\n")
    answer = _lint(empty_tree)
    assert answer.returncode != 0 and f"{package}.deep" in answer.stdout, answer.stdout + answer.stderr
