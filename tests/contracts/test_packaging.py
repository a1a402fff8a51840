"""Contract: one distribution, five packages, nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"via_machinae", "streams", "dm_map", "sky_patches", "density"}


def test_the_names_belong_to_this_distribution_only():
    owners = importlib.metadata.packages_distributions()
    assert all(set(owners.get(name, ())) == {"via-machinae"} for name in PACKAGES), owners
    assert "via-machinae" not in owners.get("tests", ())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from a copy of the sources, without a network."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    leave = shutil.ignore_patterns("__pycache__")
    # tests/ is there to be picked up by mistake.
    for folder in [*sorted(PACKAGES), "tests"]:
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=leave)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    answer = subprocess.run(
        [*command, "--wheel-dir", str(output), str(source)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (built,) = output.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_no_test(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        str(path.relative_to(REPOSITORY)) for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert {f"{name}/py.typed" for name in PACKAGES} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops - PACKAGES == {wheel.name.rsplit("-", 3)[0] + ".dist-info"}


def test_the_wheel_imports_from_anywhere(wheel, tmp_path):
    unpacked, elsewhere = tmp_path / "unpacked", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = f"import importlib\nfor name in {sorted(PACKAGES)}: print(importlib.import_module(name).__file__)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert all(Path(line).is_relative_to(unpacked) for line in answer.stdout.split())
