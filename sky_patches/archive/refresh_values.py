"""What a refresh is told, and what it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from sky_patches.archive.pixel import DEEPEST_ORDER, SkyPixel
from sky_patches.archive.refresh_errors import RefreshError

__all__ = ["GAIA_TAP", "RefreshReport", "RefreshSettings"]

GAIA_TAP = "https://gea.esac.esa.int/tap-server/tap"
"""ESA's Gaia archive."""


@dataclass(frozen=True)
class RefreshSettings:
    """How a refresh goes about it; none of this changes which stars a finished one holds.

    Attributes:
        workers: pixels that are fetched at a time.
        order: HEALPix order of the pixels to begin with, 0 to 12; at 5 they are 1.8 deg wide.
        max_rows: most rows of one query; a pixel with more is split into its children. The service's own
            limit counts where it is lower.
        batch_rows: stars that go into the store at a time.
        older_than_days: also fetch again what was fetched longer ago than this.
        replace: where the store's stars come from another query, fetch all of it anew and exchange it.
        login: log in with astroquery's own mechanism; nothing is kept.
        credentials: file for that, instead of questions on the terminal.
    """

    workers: int = 4
    order: int = 5
    max_rows: int = 500_000
    batch_rows: int = 1_000_000
    older_than_days: float | None = None
    replace: bool = False
    login: bool = False
    credentials: Path | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "max_rows", "batch_rows"):
            if getattr(self, name) < 1:
                raise RefreshError(f"{name} must be at least 1, found {getattr(self, name)}")
        if not 0 <= self.order <= DEEPEST_ORDER:
            raise RefreshError(f"order must be 0 to {DEEPEST_ORDER}, found {self.order}")
        days = self.older_than_days
        if days is not None and not (math.isfinite(days) and days >= 0.0):
            raise RefreshError(f"older_than_days must be a number of days, not negative; found {days}")


@dataclass(frozen=True)
class RefreshReport:
    """Result of a refresh.

    Attributes:
        store: the store.
        release: name of the release.
        fingerprint: of the query.
        wanted: pixels of the region, and of the store where it was fetched anew.
        missing: pixels that had to be fetched, as far as was known at the beginning.
        fetched: pixels fetched, after splits.
        rows: stars fetched.
        resumed: pixels that an interrupted run had fetched already.
        splits: pixels split into their children.
        rejected: rows that are no stars; they are kept in the store's `rejected/`.
        failed: pixels that could not be fetched, and why; the next run tries them again.
        replaced: whether a new generation has taken the place of stars from another query.
        stars: stars in the store.
        seconds: time taken.
    """

    store: Path
    release: str
    fingerprint: str
    wanted: int
    missing: int
    fetched: int
    rows: int
    resumed: int
    splits: int
    rejected: int
    failed: tuple[tuple[SkyPixel, str], ...]
    replaced: bool
    stars: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether the store holds all that was wanted."""
        return not self.failed
