"""Candidates against known streams: rediscovered, new or ambiguous, and what was missed.

known = galstreams_streams() + streamfinder_streams(path)
result = cross_match({name: members, ...}, known, geometries)
write_cross_match(result, directory)
"""

from __future__ import annotations

from streams.crossmatch.chance import Chance
from streams.crossmatch.comparing import StreamMatch, compare
from streams.crossmatch.errors import CrossMatchError
from streams.crossmatch.galstreams_library import galstreams_streams
from streams.crossmatch.grouping import KnownGroup, group_streams
from streams.crossmatch.known import KnownStream
from streams.crossmatch.matching import CandidateMatch, CrossMatch, GroupMatch, KnownInside, cross_match
from streams.crossmatch.recipe import CrossMatchRecipe
from streams.crossmatch.streamfinder import STREAMFINDER_NAMES, streamfinder_streams
from streams.crossmatch.tables import CROSS_MATCH_FILES, cross_match_tables, write_cross_match

__all__ = [
    "CROSS_MATCH_FILES",
    "STREAMFINDER_NAMES",
    "CandidateMatch",
    "Chance",
    "CrossMatch",
    "CrossMatchError",
    "CrossMatchRecipe",
    "GroupMatch",
    "KnownGroup",
    "KnownInside",
    "KnownStream",
    "StreamMatch",
    "compare",
    "cross_match",
    "cross_match_tables",
    "galstreams_streams",
    "group_streams",
    "streamfinder_streams",
    "write_cross_match",
]
