"""Stars to streams: regions of interest, lines, significance, members, candidates, catalogue.

    finder = CandidateFinder()
    candidates = finder.find(StreamStars.from_table(patch.stars()), footprint, windows, seed=1)

`windows` are anomaly scores (`WindowScores`) from any detector that saw no positions.
"""

from __future__ import annotations

from streams.agreement import Agreement, agreement
from streams.candidates import Candidate, CandidateFinder, LineDetection
from streams.catalog import StreamCatalog, candidate_rows
from streams.cells import FootprintCells
from streams.errors import CatalogError, LineSearchError, RegionError, StreamsError
from streams.hough import BestLines, ExpectedStrips, HoughLines, LineRecipe, line_significance
from streams.kernel import KernelDensity
from streams.membership import Membership, MembershipRecipe, StreamModel, fit_membership
from streams.plane import TangentPlane
from streams.regions import COMPONENTS, Region, RegionRecipe, WindowScores, regions_of_interest
from streams.significance import NullMaxima, null_maxima
from streams.stars import StreamStars

__all__ = [
    "COMPONENTS",
    "Agreement",
    "BestLines",
    "Candidate",
    "CandidateFinder",
    "CatalogError",
    "ExpectedStrips",
    "FootprintCells",
    "HoughLines",
    "KernelDensity",
    "LineDetection",
    "LineRecipe",
    "LineSearchError",
    "Membership",
    "MembershipRecipe",
    "NullMaxima",
    "Region",
    "RegionError",
    "RegionRecipe",
    "StreamCatalog",
    "StreamModel",
    "StreamStars",
    "StreamsError",
    "TangentPlane",
    "WindowScores",
    "agreement",
    "candidate_rows",
    "fit_membership",
    "line_significance",
    "null_maxima",
    "regions_of_interest",
]
