"""Contract: what is public is named, explained and typed, and importing it is quick and silent."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("sky_patches", "density", "streams", "dm_map", "via_machinae")
MODULES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
LATE = ("astroquery.gaia", "lsdb", "galstreams", "matplotlib.pyplot")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _identity(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def _declared(tree: ast.Module) -> list[str] | None:
    """The names in __all__, or None where there is none."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return None


def _public(tree: ast.Module) -> list[tuple[str, Function | ast.ClassDef]]:
    """Functions, classes and public methods that __all__ makes public, with their dotted names."""
    declared = _declared(tree) or []
    found: list[tuple[str, Function | ast.ClassDef]] = []
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and node.name in declared:
            found.append((node.name, node))
            if isinstance(node, ast.ClassDef):
                methods = [child for child in node.body if isinstance(child, Function)]
                found += [(f"{node.name}.{m.name}", m) for m in methods if not m.name.startswith("_")]
    return found


def _untyped(function: Function) -> list[str]:
    arguments = function.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    names = [a.arg for a in every if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
    return names if function.returns is not None else [*names, "return"]


@cache
def _explained_methods(package: Path) -> frozenset[str]:
    """Names of methods that a class of the package documents; another class need not repeat it."""
    trees = [ast.parse(path.read_text()) for path in package.rglob("*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    methods = [node for owner in classes for node in owner.body if isinstance(node, Function)]
    return frozenset(node.name for node in methods if ast.get_docstring(node))


def _explained(path: Path, name: str, node: Function | ast.ClassDef) -> bool:
    package = REPOSITORY / path.relative_to(REPOSITORY).parts[0]
    inherited = "." in name and node.name in _explained_methods(package)
    return inherited or bool(ast.get_docstring(node))


@pytest.mark.parametrize("path", MODULES, ids=_identity)
def test_every_module_says_what_is_public(path):
    assert _declared(ast.parse(path.read_text())) is not None, f"{_identity(path)} has no __all__"


@pytest.mark.parametrize("path", MODULES, ids=_identity)
def test_public_things_have_docstrings_and_types(path):
    tree = ast.parse(path.read_text())
    lacking = [] if ast.get_docstring(tree) else ["module docstring"]
    for name, node in _public(tree):
        if not _explained(path, name, node):
            lacking.append(f"{name}: docstring")
        if isinstance(node, Function) and _untyped(node):
            lacking.append(f"{name}: types of {_untyped(node)}")
    assert not lacking, f"{_identity(path)} lacks {lacking}"


def test_the_check_itself_can_fail():
    """Negative control."""
    ((_, node),) = _public(ast.parse("__all__ = ['f']\ndef f(x, *, y: int): return x"))
    assert _untyped(node) == ["x", "return"] and not ast.get_docstring(node)
    assert _declared(ast.parse("x = 1")) is None


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists(package):
    module = importlib.import_module(package)
    assert len(module.__all__) == len(set(module.__all__)) > 0
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, f"{package}.__all__ promises {missing}"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_are_quiet_and_leave_slow_things_for_later(package):
    code = f"import sys, {package}; sys.stderr.write(' '.join(sorted(set({LATE}) & set(sys.modules))))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "", f"importing {package} prints {answer.stdout!r}"
    assert answer.stderr == "", f"importing {package} prints, or loads too early: {answer.stderr!r}"
