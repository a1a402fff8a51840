"""Stars to streams: regions of interest, lines, significance, members, candidates, merging, catalogue.

    finder = CandidateFinder()
    candidates = finder.find(StreamStars.from_table(patch.stars()), footprint, windows, seed=1)

`windows` are anomaly scores (`WindowScores`) from any detector that saw no positions. Candidates of several
patches are joined by `join_streams`, described by `describe`, and put into a `StreamCatalog`. Beside this:
`streams.compact` (clusters and dwarf galaxies in the same scores), `streams.crossmatch` (known streams) and
`streams.injection` (completeness).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.agreement import Agreement, agreement
from streams.candidates import Candidate, CandidateFinder, LineDetection
from streams.catalog import (
    CatalogEntry,
    EntryEvidence,
    EntryPopulation,
    EntryTrack,
    StreamCatalog,
    candidate_rows,
    export_galstreams,
)
from streams.cells import FootprintCells
from streams.description import StreamDescription, describe
from streams.errors import CatalogError, LineSearchError, RegionError, StreamsError
from streams.false_discovery import false_discovery_rates
from streams.hough import BestLines, HoughLines, LineRecipe
from streams.kernel import KernelDensity
from streams.members import MemberStars
from streams.membership import Membership, MembershipRecipe, StreamModel, fit_membership
from streams.merging import (
    FoundStream,
    JoinedStream,
    JoinRecipe,
    JoinRecord,
    MergeDecision,
    ProtostreamLog,
    RankedPatch,
    continuations,
    explain,
    join_streams,
)
from streams.plane import TangentPlane
from streams.refinement import RefinedLine, RefineRecipe, refine_line
from streams.regions import COMPONENTS, Region, RegionRecipe, WindowScores, regions_of_interest
from streams.significance import NullMaxima, null_maxima
from streams.stars import StreamStars
from streams.strips import ExpectedStrips, line_significance

if TYPE_CHECKING:
    from streams.likelihood.finder import LikelihoodSearch

__all__ = [
    "COMPONENTS",
    "Agreement",
    "BestLines",
    "Candidate",
    "CandidateFinder",
    "CatalogEntry",
    "CatalogError",
    "EntryEvidence",
    "EntryPopulation",
    "EntryTrack",
    "ExpectedStrips",
    "FootprintCells",
    "FoundStream",
    "HoughLines",
    "JoinRecipe",
    "JoinRecord",
    "JoinedStream",
    "KernelDensity",
    "LikelihoodSearch",
    "LineDetection",
    "LineRecipe",
    "LineSearchError",
    "MemberStars",
    "Membership",
    "MembershipRecipe",
    "MergeDecision",
    "NullMaxima",
    "ProtostreamLog",
    "RankedPatch",
    "RefineRecipe",
    "RefinedLine",
    "Region",
    "RegionError",
    "RegionRecipe",
    "StreamCatalog",
    "StreamDescription",
    "StreamModel",
    "StreamStars",
    "StreamsError",
    "TangentPlane",
    "WindowScores",
    "agreement",
    "candidate_rows",
    "continuations",
    "describe",
    "explain",
    "export_galstreams",
    "false_discovery_rates",
    "fit_membership",
    "join_streams",
    "line_significance",
    "null_maxima",
    "refine_line",
    "regions_of_interest",
]


def __getattr__(name: str) -> object:
    # numba takes a second: only who searches by likelihood waits for it.
    if name == "LikelihoodSearch":
        from streams.likelihood.finder import LikelihoodSearch

        return LikelihoodSearch
    raise AttributeError(f"module 'streams' has no attribute {name!r}")
