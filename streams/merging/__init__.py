"""Merging: regions to protoclusters to protostreams to candidates, with a reason for every step.

streams, decisions = join_streams(found)
tests = continuations(best.sky, best.geometry, geometries, load)
print(explain(streams[0].with_evidence(tests).record, decisions, logs))
"""

from __future__ import annotations

from streams.merging.comparison import JoinRecipe, SharedStars, compare
from streams.merging.continuation import (
    Continuation,
    ContinuationRecipe,
    RankedPatch,
    SearchedPatch,
    combined,
    continuation,
    continuations,
    region_of_motion,
)
from streams.merging.errors import MergingError
from streams.merging.explain import explain
from streams.merging.join import FoundStream, JoinedStream, JoinRecord, join_streams
from streams.merging.records import (
    Criterion,
    LineFacts,
    MergeDecision,
    MergedRegion,
    Protocluster,
    ProtostreamLog,
)
from streams.merging.retrainings import mean_scores
from streams.merging.tracks import CommonFrame, Polynomial, SkyStars, Track, fit_track
from streams.merging.weighed import WeighedPatch

__all__ = [
    "CommonFrame",
    "Continuation",
    "ContinuationRecipe",
    "Criterion",
    "FoundStream",
    "JoinRecipe",
    "JoinRecord",
    "JoinedStream",
    "LineFacts",
    "MergeDecision",
    "MergedRegion",
    "MergingError",
    "Polynomial",
    "Protocluster",
    "ProtostreamLog",
    "RankedPatch",
    "SearchedPatch",
    "SharedStars",
    "SkyStars",
    "Track",
    "WeighedPatch",
    "combined",
    "compare",
    "continuation",
    "continuations",
    "explain",
    "fit_track",
    "join_streams",
    "mean_scores",
    "region_of_motion",
]
