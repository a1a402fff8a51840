"""The likelihood search of a run: `via-machinae search`.

plan = plan_search(run, run.config)
search_run(run, run.config, plan)
"""

from __future__ import annotations

from via_machinae.searching.conductor import SearchPlan, plan_search, search_run
from via_machinae.searching.patch_result import LikelihoodPatch, kept_patch, patch_folder
from via_machinae.searching.recipes import (
    background_recipe,
    likelihood_search_of,
    ridges_of,
    search_recipe,
)
from via_machinae.searching.relearning import relearned_folder
from via_machinae.searching.units import SearchedStars, kept_result, search_patch, searched_stars

__all__ = [
    "LikelihoodPatch",
    "SearchPlan",
    "SearchedStars",
    "background_recipe",
    "kept_patch",
    "kept_result",
    "likelihood_search_of",
    "patch_folder",
    "plan_search",
    "relearned_folder",
    "ridges_of",
    "search_patch",
    "search_recipe",
    "search_run",
    "searched_stars",
]
