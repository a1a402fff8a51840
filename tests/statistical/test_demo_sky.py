"""The demo's mock sky, end to end: what is hidden is found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from via_machinae.config import config_from
from via_machinae.jobs import DEMO_CONFIG, demo_job


@pytest.mark.statistical
def test_every_stream_of_300_stars_is_recovered_and_nothing_is_invented(tmp_path: Path) -> None:
    comparison = demo_job(tmp_path, 1, config_from(DEMO_CONFIG, "demo"))
    large = [match for match in comparison.matches if match.stars >= 300]
    assert len(large) == 3
    assert all(match.candidate is not None for match in large)
    assert min(match.members.f1 for match in large) > 0.8
    assert comparison.false == ()
    assert comparison.duplicates == ()
    assert (tmp_path / "run-1" / "figures" / "sky_all.png").stat().st_size > 10_000
