"""What every maker of streams does: the contract, and the last steps from stars to catalogue rows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from astropy.table import Column, Table

from sky_patches import PatchGeometry
from sky_patches.mock.identifiers import source_ids
from streams.injection.errors import InjectionError
from streams.injection.place import Place
from streams.injection.survey import SurveyStars
from streams.injection.truth import InjectedStream, StreamTruth

__all__ = ["SPARE", "StreamMaker", "identified", "require_stars", "spare"]

SPARE = 1.4
"""Stars made over stars asked for: some do not pass the cuts on observed values."""


@runtime_checkable
class StreamMaker(Protocol):
    """A recipe of a stream that can be put anywhere."""

    def make(
        self,
        place: Place,
        survey: SurveyStars,
        geometry: PatchGeometry,
        stars: int,
        rng: np.random.Generator,
    ) -> InjectedStream:
        """A stream at a place, as the survey lists it.

        Args:
            place: where, in which direction, and how it moves.
            survey: of the patch.
            geometry: stars are made inside this patch only.
            stars: how many are wanted. More are made (`SPARE`), in random order, since cuts on observed
                values take some: apply the cuts and keep the first `stars`.
            rng: source of all randomness.

        Raises:
            InjectionError: the stream cannot be made there; the message says why.
        """


def require_stars(stars: int) -> None:
    """Refuse a negative number of stars.

    Raises:
        InjectionError: `stars` is negative.
    """
    if stars < 0:
        raise InjectionError(f"a stream has 0 or more stars, got {stars}")


def spare(stars: int) -> int:
    """How many stars to make for `stars` that are wanted."""
    return int(np.ceil(SPARE * stars)) + 10 if stars else 0


def identified(
    stars: Table, truth: StreamTruth, survey: SurveyStars, rng: np.random.Generator
) -> InjectedStream:
    """The stream with a source_id for each star that no star of the survey has."""
    ra, dec = (np.asarray(stars[name], dtype=float) for name in ("ra", "dec"))
    taken = np.asarray(survey.donors["source_id"], dtype=np.int64)
    stars.add_column(Column(source_ids(ra, dec, rng, taken=taken), name="source_id"), index=0)
    return InjectedStream(stars, truth)
