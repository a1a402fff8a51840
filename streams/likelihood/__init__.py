"""Streams by their likelihood against a learned background: a stream of forty stars among a hundred thousand.

found = search(stars, footprint, log_background, SearchRecipe(), old_ridges())
found.peaks[0].significance, found.false_alarm_probabilities()[0]
"""

from __future__ import annotations

from streams.likelihood.chance import PeakLaw
from streams.likelihood.errors import LikelihoodError
from streams.likelihood.goodness import GoodnessOfFit, goodness_of_fit
from streams.likelihood.hypotheses import Hypothesis, SearchRecipe, StreamRidge
from streams.likelihood.refinement import RefinedStream, refine
from streams.likelihood.refinement_recipe import RefinementError, RefinementRecipe, RefinementStart
from streams.likelihood.search import SearchResult, search
from streams.likelihood.significance import saddlepoint_significance
from streams.likelihood.two_streams import SplitResult, split

__all__ = [
    "GoodnessOfFit",
    "Hypothesis",
    "LikelihoodError",
    "PeakLaw",
    "RefinedStream",
    "RefinementError",
    "RefinementRecipe",
    "RefinementStart",
    "SearchRecipe",
    "SearchResult",
    "SplitResult",
    "StreamRidge",
    "goodness_of_fit",
    "refine",
    "saddlepoint_significance",
    "search",
    "split",
]
