"""Streams by their likelihood against a learned background: a stream of forty stars among a hundred thousand.

found = search(stars, footprint, log_background, SearchRecipe(), old_ridges())
found.peaks[0].significance, found.false_alarm_probabilities()[0]
"""

from __future__ import annotations

from streams.likelihood.chance import PeakLaw
from streams.likelihood.errors import LikelihoodError
from streams.likelihood.hypotheses import Hypothesis, SearchRecipe, StreamRidge
from streams.likelihood.search import SearchResult, search
from streams.likelihood.significance import cumulant_significance, saddlepoint_significance

__all__ = [
    "Hypothesis",
    "LikelihoodError",
    "PeakLaw",
    "SearchRecipe",
    "SearchResult",
    "StreamRidge",
    "cumulant_significance",
    "saddlepoint_significance",
    "search",
]
