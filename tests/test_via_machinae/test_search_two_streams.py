"""Two streams on one line, found as one hypothesis, are two candidates on disk and in the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import vstack
from searched_sky import sky_with_a_stream

from streams import join_streams
from via_machinae.config import config_from
from via_machinae.ingest import import_files
from via_machinae.scan import plan_run
from via_machinae.searching import kept_result, search_patch, searched_stars

STARS, APART = 150, 2.0


def test_both_are_kept_with_one_hypothesis(tmp_path: Path):
    sky, second = (sky_with_a_stream(seed, STARS, colours=False) for seed in (5, 6))
    second = second[-STARS:]
    second["pmra"] += APART
    second["source_id"] = sky["source_id"].max() + 1 + np.arange(STARS)
    vstack([sky, second]).write(tmp_path / "stars.csv")
    import_files([tmp_path / "stars.csv"], tmp_path / "store")
    search = {
        "ridges": "none", "motion_limit": 8.0, "motion_step": 1.0, "angle_step": 9.0, "widths": [1.0],
        "gradients": [0.0], "relearn": 0, "background": {"layers": 1, "hidden": 24, "epochs": 4},
    }  # fmt: skip
    chance = {"report_below": 0.01, "max_candidates": 1}
    config = config_from({"run": {"seed": 3}, "search": search, "significance": chance}, "test")
    run = plan_run(tmp_path / "store", tmp_path / "run", config, scored=False)
    search_patch(run.path, config, "all")
    kept = kept_result(searched_stars(run.path, config, "all"))
    assert np.array_equal(kept.streams["hypothesis"], [0, 0])
    assert np.array_equal(np.flatnonzero(kept.hypotheses["candidate"] >= 0), [0])
    assert kept.streams["significance"][0] == kept.streams["significance"][1]
    motions = [np.median(one.members.pmra[one.members.probability > 0.5]) for one in kept.found()]
    assert abs(abs(motions[0] - motions[1]) - APART) < 0.5
    assert all(lines[-1].startswith("one of two streams that were found as one") for lines in kept.told)
    joined, _ = join_streams(kept.found())
    assert [stream.parts for stream in joined] == [("all/L0",), ("all/L1",)]
