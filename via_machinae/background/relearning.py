"""The background learned anew without the streams that were found, and what it shows of them.

Protection of a stream against its own background: a flow takes part of a rich stream for background, which
costs the stream contrast and members. What was found leaves the training sample, each star with its
membership probability; the flow that is learned from the rest follows the stream no more.

better = relearned(search, found, background, stars, footprint, seed=1)
better.found.candidates                     # the same candidates, fitted over the new background
better.background                           # to be kept with the patch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from density import child_seed
from sky_patches import Footprint
from streams import StreamStars
from via_machinae.background.errors import BackgroundError
from via_machinae.background.learning import PatchBackground, fit_stars, fold_of

if TYPE_CHECKING:
    from streams.likelihood.candidates import LikelihoodFound
    from streams.likelihood.finder import LikelihoodSearch

__all__ = ["PASSING", "Relearned", "leaving", "relearn", "relearned", "staying"]

PASSING = 0.01
"""Candidates with a smaller false-alarm probability leave the training sample: chance may stay in it."""
_SHARES = 2**53
"""Steps of a star's number between 0 and 1: as many as a float tells apart."""


@dataclass(frozen=True, eq=False)
class Relearned:
    """A background without the streams that were found, and the streams as it shows them.

    Args:
        background: learned from the stars that stayed, evaluated at all; the first one where no candidate
            passed.
        found: the candidates of the first search fitted anew; their hypotheses, significances and false-alarm
            probabilities are those of the first search, which alone decides that a stream is there.
        left: stars that the background was not learned from.
    """

    background: PatchBackground
    found: LikelihoodFound
    left: int


def relearned(
    search: LikelihoodSearch,
    found: LikelihoodFound,
    background: PatchBackground,
    stars: StreamStars,
    footprint: Footprint,
    *,
    seed: int,
    keep: Bool[np.ndarray, " n"] | None = None,
    rounds: int = 1,
    below: float = PASSING,
    progress: Callable[[], None] | None = None,
) -> Relearned:
    """Learn the background without what was found, and fit the candidates anew over it.

    Each round is a step of expectation-maximisation in which the flow is one component of the mixture.
    Nothing is learned where no candidate passes.

    Args:
        search, found, background, stars, footprint, keep: recipe and result of the first search, and what it
            was given; `background` was learned from `stars`, and its `log_density` is in their order.
        seed: of the new flow; also decides which stars leave, whatever the order of the table.
        rounds: one more flow each.
        below: candidates with a smaller false-alarm probability leave.
        progress: called after each epoch; `rounds * epochs * folds` times at most.

    Raises:
        BackgroundError: fewer than one round, or too few stars stay.
        DensityError: the flow cannot be trained.
    """
    if rounds < 1:
        raise BackgroundError(f"rounds must be 1 or more; got {rounds}")
    left = 0
    for _ in range(rounds):
        probability = leaving(found, len(stars), below)
        if not probability.any():
            break
        background = relearn(background, stars, footprint, probability, seed=seed, progress=progress)
        found = search.refined_again(found, stars, footprint, background.log_density, keep=keep)
        left = int((~staying(stars.source_id, probability, seed)).sum())
    return Relearned(background, found, left)


def leaving(found: LikelihoodFound, stars: int, below: float = PASSING) -> Float[np.ndarray, " n"]:
    """Probability of each star that it belongs to one of the candidates that pass.

    Args:
        found: of a patch.
        stars: of the patch.
        below: candidates with a smaller false-alarm probability pass.
    """
    outside = np.ones(stars)
    for one in found.candidates:
        if one.false_alarm_probability < below:
            outside[one.refined.rows] *= 1.0 - one.refined.probability
    return 1.0 - outside


def relearn(
    background: PatchBackground,
    stars: StreamStars,
    footprint: Footprint,
    leaving: Float[np.ndarray, " n"],
    *,
    seed: int,
    progress: Callable[[], None] | None = None,
) -> PatchBackground:
    """A background of the same recipe and the same faint limit, learned from the stars that stay.

    Args:
        background: the first one.
        stars: of the patch, in any order; the result keeps it and has the density at each of them.
        footprint: of the patch.
        leaving: probability of each star that it leaves.
        seed: same seed, same stars: same background; also decides which stars leave.
        progress: called after each epoch of each flow.

    Raises:
        BackgroundError: not one probability per star, or too few stars stay.
        DensityError: the flow cannot be trained.
    """
    if leaving.shape != (len(stars),) or not ((leaving >= 0) & (leaving <= 1)).all():
        raise BackgroundError(
            f"leaving needs a probability from 0 to 1 for each of {len(stars)} stars; got shape "
            f"{leaving.shape}, from {np.min(leaving, initial=1.0)} to {np.max(leaving, initial=0.0)}"
        )
    rows = np.flatnonzero(staying(stars.source_id, leaving, seed))
    # The faint limit is the survey's: the faintest star does not take it along when it leaves.
    recipe = replace(background.recipe, faintest=background.columns.faintest)
    learned = fit_stars(_taken(stars, rows), footprint, recipe, seed=seed, progress=progress)
    return replace(
        learned,
        recipe=background.recipe,
        source_id=np.array(stars.source_id),
        log_density=learned.log_density_of(stars),
    )


def staying(
    source_id: Int[np.ndarray, " n"], leaving: Float[np.ndarray, " n"], seed: int
) -> Bool[np.ndarray, " n"]:
    """True for stars that stay; every star's lot hangs on its identifier and the seed alone.

    A star that has left has left for every larger probability too.
    """
    number = fold_of(source_id, _SHARES, child_seed(seed, "leaving"))
    return number / _SHARES >= leaving


def _taken(stars: StreamStars, rows: Int[np.ndarray, " k"]) -> StreamStars:
    return StreamStars(
        stars.source_id[rows], stars.position[rows], stars.proper_motion[rows],
        stars.proper_motion_error[rows], stars.photometry[rows], stars.photometry_names,
    )  # fmt: skip
