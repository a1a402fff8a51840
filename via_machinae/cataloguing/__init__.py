"""From what a run has found to its catalogue: patches searched, joined, described, ranked.

catalog = make_catalog(run, run.config)
print(explain_candidate(run, "VM-1"))
"""

from __future__ import annotations

from via_machinae.cataloguing.catalogue import make_catalog
from via_machinae.cataloguing.explaining import explain_candidate
from via_machinae.cataloguing.findings import Findings, findings_of
from via_machinae.cataloguing.patch_search import PatchResult, search_patch, searched_geometry
from via_machinae.cataloguing.recipes import compact_finder_of, fiducial_stars, finder_of, null_skies_of

__all__ = [
    "Findings",
    "PatchResult",
    "compact_finder_of",
    "explain_candidate",
    "fiducial_stars",
    "finder_of",
    "findings_of",
    "make_catalog",
    "null_skies_of",
    "search_patch",
    "searched_geometry",
]
