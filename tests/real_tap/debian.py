"""The Debian packages that the service needs: are they there, what are they called, installing them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

__all__ = ["ServiceError", "install", "missing", "packages", "programs"]

_POSTGRES = Path("/usr/lib/postgresql")
_EXTENSIONS = Path("/usr/share/postgresql")
_GAVO = Path("/usr/lib/python3/dist-packages/gavo")


class ServiceError(Exception):
    """The service cannot be installed, made or started; the message says what to do."""


def programs() -> Path | None:
    """The folder of the newest PostgreSQL that has both spherical extensions."""
    found = []
    for folder in _POSTGRES.glob("*/bin"):
        extensions = _EXTENSIONS / folder.parent.name / "extension"
        if all((extensions / f"{name}.control").exists() for name in ("pg_sphere", "q3c")):
            found.append(folder)
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


def missing() -> str:
    """What keeps the service from running on this machine, with advice; empty where nothing does."""
    needed = {"GAVO DaCHS": _GAVO.is_dir(), "PostgreSQL with pgsphere and q3c": programs() is not None}
    absent = " and ".join(name for name, there in needed.items() if not there)
    return (
        f"{absent} not installed: run `python3 tests/real_tap/service.py install` as root" if absent else ""
    )


def packages() -> list[str]:
    """The Debian packages that the service needs, in the PostgreSQL version that this Debian carries.

    Raises:
        ServiceError: apt does not know them.
    """
    words = ["apt-cache", "pkgnames", "postgresql-"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    versions = re.findall(r"^postgresql-(\d+)-pgsphere$", listed, re.MULTILINE)
    if not versions:
        raise ServiceError("apt knows no package postgresql-N-pgsphere: run `apt-get update` first")
    newest = max(versions, key=int)
    return ["python3-gavo", *(f"postgresql-{newest}{name}" for name in ("", "-pgsphere", "-q3c"))]


def install() -> None:
    """Install what is missing, as root; about a minute.

    Raises:
        ServiceError: not root, or apt failed.
    """
    if not missing():
        return
    if os.getuid() != 0:
        raise ServiceError(f"run as root: apt-get install --no-install-recommends {' '.join(packages())}")
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", *packages())


def _apt_get(*words: str) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(["apt-get", *words], env=quiet, check=False).returncode != 0:
        raise ServiceError(f"apt-get {words[0]} failed; its own message stands above")
