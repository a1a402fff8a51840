"""A hypothesis that sees no star says nothing, and does not stop the search."""

from __future__ import annotations

import numpy as np
from likelihood_skies import likelihood_sky, sight_of

from streams.likelihood.peaks import hypothesis_of
from streams.likelihood.sight import FreeLine, GridHypothesis


def _line(motion):
    h = np.array([0.4, 0.0, motion, motion, 0.0, 0.0, np.log(0.3), 0.0, 0.0])
    return FreeLine(GridHypothesis(0, 0, (0, 0), 0, 0, 0, 0.0), h, 0.0)


def test_a_line_without_stars_has_no_significance():
    """Control: a line at the motion of the field has weights."""
    sight, _ = sight_of(likelihood_sky(3, 2_000))
    empty, full = _line(500.0), _line(0.0)
    assert sight.null(empty)[0].shape[0] == 0 and sight.expected(empty) == 0.0
    assert sight.null(full)[0].shape[0] > 0 and sight.expected(full) > 0.0
    left = np.ones(len(sight.features))
    found = hypothesis_of(sight, empty, left)
    assert found.significance == 0.0 and len(found.rows) == 0
    assert not sight.membership(empty).any()
