"""The background of a searched patch without what was found in it, kept beside the first one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sky_patches import Footprint
from streams import StreamStars
from via_machinae.background import (
    FEWEST_STARS,
    PatchBackground,
    Relearned,
    background_folder,
    leaving,
    relearned,
    staying,
    write_background,
)
from via_machinae.run import Run
from via_machinae.workers import one_thread

if TYPE_CHECKING:
    from streams.likelihood.candidates import LikelihoodFound
    from streams.likelihood.finder import LikelihoodSearch

__all__ = ["SharedBar", "keep_relearned", "learned_anew", "relearned_folder"]

Progress = Callable[[int, int], None]


def relearned_folder(run: Run, patch: str) -> Path:
    """Where the background lies that was learned without the candidates' stars (`read_background`)."""
    return background_folder(run, patch) / "relearned"


def keep_relearned(better: Relearned, folder: Path, key: str) -> None:
    """Write the background; where none was learned anew, that of an earlier search goes.

    Args:
        better: see `learned_anew`.
        folder: see `relearned_folder`.
        key: `unit_key` of the search that it belongs to.
    """
    if better.left:
        write_background(folder, better.background, key)
        return
    for old in folder.glob("background*.npz"):
        old.unlink()


def learned_anew(
    search: LikelihoodSearch,
    found: LikelihoodFound,
    background: PatchBackground,
    stars: StreamStars,
    footprint: Footprint,
    *,
    seed: int,
    rounds: int,
    progress: Callable[[], None] | None = None,
) -> Relearned:
    """What was found leaves the background and is fitted anew, as far as stars enough stay.

    Args:
        search, found, background, stars, footprint: see `via_machinae.background.relearned`.
        seed: of the new flows.
        rounds: 0: everything stays as it is.
        progress: called after each epoch.

    Raises:
        DensityError: a flow cannot be trained.
    """
    better = Relearned(background, found, 0)
    with one_thread():
        for _ in range(rounds):
            # A thin patch keeps what it has: its candidates were found all the same.
            if staying(stars.source_id, leaving(better.found, len(stars)), seed).sum() < FEWEST_STARS:
                break
            better = relearned(
                search, better.found, better.background, stars, footprint, seed=seed, progress=progress
            )
    return better


class SharedBar:
    """One progress bar for a search and the rounds of learning after it; a round counts as much as a search.

    Args:
        show: called with (steps done, steps in all).
        rounds: of learning.
        epochs: of each round.
    """

    def __init__(self, show: Progress, rounds: int, epochs: int) -> None:
        self.show, self.rounds, self.epochs = show, rounds, epochs
        self.total = self.learned = 0

    def searched(self, done: int, total: int) -> None:
        """A step of the search is done."""
        self.total = total
        self.show(done, total * (1 + self.rounds))

    def learned_one(self) -> None:
        """An epoch is done."""
        self.learned += 1
        done = self.total + self.total * self.learned // self.epochs
        self.show(done, self.total * (1 + self.rounds))

    def finish(self) -> None:
        """Nothing is left to do, whatever was left out."""
        everything = self.total * (1 + self.rounds)
        self.show(everything, everything)
