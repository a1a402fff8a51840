"""The likelihood search that a configuration describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streams.ridges import FINE_METALLICITIES, Ridge, old_ridges
from via_machinae.background import BackgroundRecipe
from via_machinae.background.columns import COLOUR, MAGNITUDE
from via_machinae.config import Config
from via_machinae.errors import RunError

if TYPE_CHECKING:
    from streams.likelihood import SearchRecipe
    from streams.likelihood.finder import LikelihoodSearch

__all__ = ["background_recipe", "likelihood_search_of", "ridges_of", "search_recipe"]


def ridges_of(config: Config, features: tuple[str, ...]) -> tuple[Ridge, ...]:
    """The ridges of a configuration, for a patch with these photometric features.

    Returns:
        None of them: proper motions (and positions) alone are searched.

    Raises:
        RunError: ridges are asked for by name and the stars have no colours, or a file is missing.
        StreamsError: a file holds no ridge.
    """
    wanted = config.search.ridges
    coloured = {COLOUR, MAGNITUDE} <= set(features)
    if wanted == "none" or (wanted == "auto" and not coloured):
        return ()
    if not coloured:
        raise RunError(
            f"search.ridges = {_plain(wanted)} needs the columns {COLOUR} and {MAGNITUDE} (in the table and "
            f"in detector.features); these stars have {', '.join(features) or 'no photometry'}: "
            'use ridges = "none" (or "auto")'
        )
    if isinstance(wanted, str):
        return old_ridges(FINE_METALLICITIES) if wanted == "fine" else old_ridges()
    missing = [path for path in wanted if not Path(path).is_file()]
    if missing:
        raise RunError(f"search.ridges names no file: {missing[0]}; give paths from the current directory")
    from streams.ridge_files import load_ridges

    return tuple(load_ridges([Path(path) for path in wanted]))


def _plain(wanted: str | tuple[str, ...]) -> str:
    return repr(wanted) if isinstance(wanted, str) else repr(list(wanted))


def background_recipe(config: Config, *, photometry: bool) -> BackgroundRecipe:
    """How the background is learned: with colour and magnitude where ridges are used."""
    return BackgroundRecipe(**config.search.background.model_dump(), photometry=photometry)


def search_recipe(config: Config) -> SearchRecipe:
    """The grid of hypotheses."""
    from streams.likelihood import SearchRecipe

    search = config.search
    return SearchRecipe(
        motion_limit=search.motion_limit,
        motion_step=search.motion_step,
        spread=search.spread,
        moduli=search.moduli,
        angle_step=search.angle_step,
        offset_step=search.offset_step,
        widths=search.widths,
        gradients=search.gradients,
        expected_stars=search.expected_stars,
        clump=search.clump,
    )


def likelihood_search_of(config: Config, ridges: tuple[Ridge, ...], threads: int) -> LikelihoodSearch:
    """The finder.

    Args:
        config: of the run.
        ridges: see `ridges_of`.
        threads: that share one patch.
    """
    from streams.likelihood.finder import LikelihoodSearch

    return LikelihoodSearch(
        recipe=search_recipe(config),
        ridges=ridges,
        report_below=config.significance.report_below,
        max_candidates=config.significance.max_candidates,
        threads=threads,
    )
