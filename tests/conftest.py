"""Settings shared by every test: checked array shapes, one thread, real data by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# One thread per process: pytest-xdist runs one process per core, and numbers must not depend on the machine.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook  # noqa: E402

# Must come before the first import of the five packages: the hook rewrites modules while they are loaded.
install_import_hook(["sky_patches", "density", "streams", "dm_map", "via_machinae"], "shape_checker.check")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

__all__ = ["shared_data"]

# New examples are tried wherever people work; CI repeats known ones: it judges the change and not the day.
settings.register_profile("via_machinae", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "via_machinae")

REPOSITORY = Path(__file__).resolve().parents[1]


def _data_directory() -> Path:
    configured = os.environ.get("VIA_MACHINAE_DATA")
    return Path(configured) if configured else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A function from a file's name to its path; skips the test where the file is absent, fails it in CI."""

    def locate(name: str) -> Path:
        path = _data_directory() / name
        if path.exists():
            return path
        reason = f"real data file {name!r} not found in {path.parent}; set VIA_MACHINAE_DATA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return locate
