"""Contract: the shape of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("sky_patches", "density", "streams", "dm_map", "via_machinae")
MODULES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60

# A path of one person's machine in code or documents works nowhere else.
MACHINE_PATH = re.compile(r"(?<![\w.~/])/(?:root|home|work|Users)/\w")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b")


def _identity(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


modules = pytest.mark.parametrize("path", MODULES, ids=_identity)


def _texts() -> list[Path]:
    folders = [*PACKAGES, "tests", "benchmarks", "notebooks", ".ci"]
    inside = [path for folder in folders for path in (REPOSITORY / folder).rglob("*")]
    top = [path for path in REPOSITORY.iterdir() if path.suffix in {".md", ".toml", ".py", ".txt", ".cff"}]
    kinds = {".md", ".py", ".toml", ".txt", ".ipynb", ".cff", ".yaml", ".yml", ""}
    found = [*inside, *top, REPOSITORY / "Makefile"]
    return [path for path in found if path.is_file() and path.suffix in kinds and path != Path(__file__)]


def _assertions(tree: ast.AST) -> list[int]:
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def _catch_alls(tree: ast.AST) -> list[int]:
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    broad = {"Exception", "BaseException"}
    return [
        h.lineno for h in handlers if h.type is None or (isinstance(h.type, ast.Name) and h.type.id in broad)
    ]


def test_there_is_no_drawer_for_everything():
    assert [_identity(path) for path in MODULES if path.stem in {"utils", "util", "helpers", "misc"}] == []


@modules
def test_modules_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE
    functions = [
        n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno is not None}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


@modules
def test_input_is_never_asserted_and_errors_are_never_swallowed(path):
    tree = ast.parse(path.read_text())
    assert _assertions(tree) == [] and _catch_alls(tree) == []


def test_tests_have_unique_names_and_no_packages():
    names = [path.name for path in (REPOSITORY / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
    assert list((REPOSITORY / "tests").rglob("__init__.py")) == []


def test_no_text_depends_on_one_machine_or_is_left_unfinished():
    found = []
    for path in _texts():
        text = path.read_text(errors="replace")
        found += [f"{_identity(path)}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
        found += [f"{_identity(path)}: {match.group()}" for match in UNFINISHED.finditer(text)]
    assert found == []


def test_the_checks_can_fail():
    """Negative control."""
    assert MACHINE_PATH.search('open("/home/someone/stars.fits")') and UNFINISHED.search("# TODO: later")
    assert not MACHINE_PATH.search("https://example.org/home/page") and not MACHINE_PATH.search("../work/x")
    assert _assertions(ast.parse("assert x")) == [1]
    assert _catch_alls(ast.parse("try:\n    f()\nexcept Exception:\n    pass")) == [3]
