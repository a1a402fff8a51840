"""The likelihood line search: ridges, grid, background, null."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from via_machinae.config_sections.base import Count, Positive, Section

__all__ = ["BackgroundConfig", "SearchConfig"]

RIDGES = ("auto", "old", "fine", "none")
LEAST_NULL_SKIES = 5
"""Fewer maxima fit no law of chance."""


class BackgroundConfig(Section):
    """The conditional flow that is learned once for each patch.

    Args:
        kind, layers, hidden, bins, epochs, batch_size, learning_rate: of the flow.
        most_stars: a larger patch is learned from that many of its stars.
        folds: above 1, each star's density comes from a flow that has not seen it.
    """

    kind: Literal["maf", "spline"] = "spline"
    layers: Count = 2
    hidden: Count = 64
    bins: Count = 8
    epochs: Count = 12
    batch_size: Annotated[int, Field(ge=16)] = 1024
    learning_rate: Positive = 1e-2
    most_stars: Annotated[int, Field(ge=100)] = 200_000
    folds: Annotated[int, Field(ge=1, le=20)] = 1


class SearchConfig(Section):
    """Which streams the likelihood search looks for; `streams.likelihood.SearchRecipe` explains the grid.

    Args:
        ridges: "auto" ("old" where the table has colours, else "none"), "old" (three metallicities), "fine"
            (five), "none" (position and proper motion only), or files of isochrones and ridges.
        moduli: distance moduli, mag.
        motion_limit, motion_step: proper motions of a stream's middle, mas/yr.
        spread: intrinsic dispersion of a stream in each component, mas/yr.
        widths: full widths of the strips, deg.
        angle_step, offset_step: of the lines, deg.
        gradients: of the proper motion along the line, mas/yr/deg, tried in both components.
        expected_stars: of the faintest stream that is looked for.
        clump: a line that owes its excess to one stretch of this length, deg, is a cluster or a dwarf galaxy,
            and no candidate.
        null_skies: 0: the patch's own maxima tell how high chance reaches; else so many skies are drawn from
            the background, each with a background of its own, and searched.
        relearn: rounds in which the candidates' stars leave the background, it is learned anew, and members
            and tracks are fitted over it (a rich stream hides part of itself in its own background); the
            significance stays that of the search. Each round costs another flow; 0: none.
        null_positions: positions in these skies: "redrawn" from the smooth density, or "kept".
        background: how the background is learned.
    """

    ridges: str | tuple[str, ...] = "auto"
    moduli: Annotated[tuple[float, ...], Field(min_length=1)] = (
        13.5, 14.25, 15.0, 15.75, 16.5, 17.25,
    )  # fmt: skip
    motion_limit: Positive = 15.0
    motion_step: Positive = 0.5
    spread: Positive = 0.3
    widths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    angle_step: Annotated[float, Field(gt=0, le=30)] = 3.0
    offset_step: Positive = 0.25
    gradients: Annotated[tuple[float, ...], Field(min_length=1)] = (-0.15, 0.0, 0.15)
    expected_stars: Positive = 40.0
    clump: Positive = 1.0
    null_skies: Annotated[int, Field(ge=0)] = 0
    relearn: Annotated[int, Field(ge=0, le=5)] = 2
    null_positions: Literal["redrawn", "kept"] = "redrawn"
    background: BackgroundConfig = BackgroundConfig()

    @field_validator("ridges")
    @classmethod
    def _named_or_files(cls, ridges: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(ridges, str) and ridges not in RIDGES:
            known = ", ".join(f"'{name}'" for name in RIDGES)
            raise ValueError(f"expected {known} or a list of files")
        if not ridges:
            raise ValueError('an empty list of files; "none" searches without ridges')
        return ridges

    @field_validator("null_skies")
    @classmethod
    def _enough_skies(cls, null_skies: int) -> int:
        if 0 < null_skies < LEAST_NULL_SKIES:
            raise ValueError(
                f"{LEAST_NULL_SKIES} skies or more make a law of chance; 0 takes the patch's own maxima"
            )
        return null_skies

    @model_validator(mode="after")
    def _fine_enough(self) -> SearchConfig:
        if min(self.widths) < self.offset_step:
            raise ValueError(f"offset_step must not exceed the narrowest of widths, {min(self.widths)}")
        return self
