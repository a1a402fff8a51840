"""A strong stream must not make false candidates: it tilts the density of its field until it is gone."""

from __future__ import annotations

import numpy as np
from stream_skies import FOOTPRINT, Injected, make_sky, scored_windows

from streams import CandidateFinder, LineRecipe, RegionRecipe
from streams.candidates import PatchSearch

FINDER = CandidateFinder(
    regions=RegionRecipe(step=3.0),
    lines=LineRecipe(widths=(0.5, 1.0, 2.0), ranks=(50, 100), angle_step=6.0, offset_step=0.25),
    cell_deg=0.15,
    density_stars=400,
    null_skies=20,
    report_below=0.05,
    max_candidates=4,
)
# A third of all stars, near the edge of the field.
STRONG = Injected(900, np.radians(30.0), 3.5)
SKIES = (1, 2, 3)


def _false_candidates() -> list[float]:
    """False-alarm probabilities of all candidates after the stream itself, over a few skies."""
    found = []
    for seed in SKIES:
        sky = make_sky(seed, 2000, (STRONG,))
        candidates = FINDER.find(sky.stars, FOOTPRINT, scored_windows(sky, seed), seed=seed)
        assert np.mean(sky.origin[candidates[0].membership.members()] == 1) > 0.9
        found += [candidate.false_alarm_probability for candidate in candidates[1:]]
    return found


def test_the_far_side_of_a_strong_stream_makes_no_candidate():
    false = _false_candidates()
    # At 0.05 one sky in twenty has one by chance.
    assert len(false) <= 2 and min(false, default=1.0) > 1e-3


def test_a_density_that_still_has_the_stream_makes_many(monkeypatch):
    """The control: the field is judged by a density that the stream has tilted."""
    monkeypatch.setattr(PatchSearch, "_smooth", lambda self, left: (self.densities, self.expected))
    false = _false_candidates()
    assert len(false) > 2 and min(false) < 1e-3
