"""Several patches in one run: searched side by side, ranked together, the same as one after the other."""

from __future__ import annotations

import numpy as np

from via_machinae import cataloguing, make_catalog, plan_run, score_run
from via_machinae.config import config_from


def test_patches_are_searched_side_by_side_and_ranked_together(scanned, tmp_path):
    (geometry,) = scanned.run.geometries
    ra, dec = geometry.centre
    settings = scanned.config.model_dump(mode="json")
    settings["patches"] = [
        {"name": name, "ra": ra + shift, "dec": dec, "radius": 4.0}
        for name, shift in (("a", -1.0), ("b", 1.0))
    ]
    settings["windows"] = {**settings["windows"], "step": 6.0, "min_stars": 300}
    config = config_from(settings, "test")
    run = plan_run(scanned.run.store, tmp_path / "run", config)
    assert {unit.patch for unit in run.units} == {"a", "b"}
    score_run(run, 2)
    steps = []
    catalog = make_catalog(run, config, lambda: steps.append(1))
    assert len(steps) == 2 * config.significance.null_skies
    alone = [cataloguing.patch_tables(run.path, config, name)[0] for name in ("a", "b")]
    assert len(catalog.candidates) == sum(len(table) for table in alone)
    assert np.all(np.diff(catalog.candidates["false_alarm_probability"]) >= 0)
    assert set(catalog.candidates["patch"][catalog.candidates["passes"]]) == {"a", "b"}
