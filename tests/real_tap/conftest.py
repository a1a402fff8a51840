"""One real service per test process, gone afterwards whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian import missing
from service import HERE, PATIENCE, Service

__all__ = ["real_tap", "service"]


@pytest.fixture(scope="session")
def real_tap() -> Iterator[Service]:
    """A service with the synthetic tables; skips where the software is absent, and fails there in CI."""
    reason = missing()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    # Not pytest's own temporary folder: that one is closed to the user who runs the service.
    state = Path(tempfile.mkdtemp(prefix="real-tap-"))
    words = [sys.executable, HERE / "service.py", "guard", "--state", state]
    # The guard sees its standard input end when this process does, even if it is killed.
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    try:
        made = Service.create(state)
        made.start()
        yield made
    finally:
        guard.communicate(timeout=PATIENCE)
    assert not state.exists(), f"the service in {state} was not destroyed"


@pytest.fixture
def service(real_tap: Service) -> Service:
    """The service, up and answering, with no job in it."""
    real_tap.start()
    return real_tap
