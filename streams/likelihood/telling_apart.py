"""One candidate that is two streams in one place becomes two candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streams.candidates import LineDetection
from streams.likelihood.candidates import MEMBER, LikelihoodCandidate, candidate_of, line_of
from streams.likelihood.refinement import RefinedStream
from streams.likelihood.refinement_recipe import RefinementError, RefinementRecipe
from streams.likelihood.refinement_sky import RefinementSky
from streams.likelihood.two_streams import split

__all__ = ["tell_apart"]


def tell_apart(
    one: LikelihoodCandidate, sky: RefinementSky, recipe: RefinementRecipe
) -> list[LikelihoodCandidate]:
    """The candidate, or the two that it is, each on its own line; the one with more stars first.

    Args:
        one: the candidate.
        sky: it was fitted in; without the members of other candidates, which would be taken for the second.
        recipe: of its fit.
    """
    try:
        result = split(one.refined, sky, refinement=recipe)
    except RefinementError:
        return [one]
    if len(result.streams) == 1:
        return [one]
    parts = []
    for part, other in zip(result.two, result.two[::-1], strict=True):
        # Both were fitted in the same stars: the rows are the same.
        taken = other.rows[other.probability > np.maximum(part.probability, MEMBER)]
        own = sky.take(~np.isin(sky.rows, taken))
        line = _on_its_line(line_of(one.hypothesis, part), part)
        made = candidate_of(one.hypothesis, part, one.false_alarm_probability, own, line)
        parts.append(replace(made, pair=result))
    return parts


def _on_its_line(detection: LineDetection, fit: RefinedStream) -> LineDetection:
    """A detection whose line is that of the fit, its angle in [0, pi)."""
    turns = int(np.floor(fit.density.theta / np.pi))
    theta, offset = fit.density.theta - turns * np.pi, (-1) ** turns * fit.value("c0")
    return replace(detection, theta=float(theta), offset=float(offset))
