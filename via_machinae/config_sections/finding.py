"""How scores become candidates: regions, lines, significance, members."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from via_machinae.config_sections.base import Count, Limits, Positive, Section, Steps

__all__ = [
    "CompactConfig",
    "LinesConfig",
    "MembershipConfig",
    "RegionsConfig",
    "SignificanceConfig",
]


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("the values must rise")
    return values


class RegionsConfig(Steps):
    """Regions of interest: a second window in the other component, and the fiducial stars ranked in it."""

    min_stars: Count = 60
    exclude_below: Annotated[float, Field(ge=0)] = 0.0
    colour: Limits | None = (0.5, 1.0)


class CompactConfig(Section):
    """Clusters and dwarf galaxies in the same scores: a second catalogue, masked before lines are sought.

    Args:
        enabled: whether they are looked for.
        scales: radii of the discs, arcmin.
        threshold: false-alarm probability below which an object passes, and is masked.
        min_axis_ratio: what is flatter is a piece of a stream.
        max_radius: largest half-number radius, deg.
        mask_scale: radius of the mask in half-number radii.
    """

    enabled: bool = True
    scales: Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_rising)] = (
        1, 2, 4, 8, 15, 30, 60,
    )  # fmt: skip
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.01
    min_axis_ratio: Annotated[float, Field(ge=0, le=1)] = 0.3
    max_radius: Positive = 1.5
    mask_scale: Positive = 5.0


class LinesConfig(Section):
    """Lines looked for in each region: full widths in deg, and how many of the best stars are used."""

    widths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    ranks: Annotated[tuple[Count, ...], Field(min_length=1)] = (50, 100, 200)
    angle_step: Annotated[float, Field(gt=0, le=30)] = 2.0
    offset_step: Positive = 0.125
    cell: Positive = 0.1


class SignificanceConfig(Section):
    """How much is chance.

    Args:
        null_skies: skies without structure that calibrate a patch.
        threshold: what passes has a false-alarm probability and a false-discovery rate below it: the first
            decides where a few patches hold several streams, the second where there are many patches.
        report_below: candidates of a patch with a larger false-alarm probability are not worth a row.
        max_candidates: of a patch.
    """

    null_skies: Annotated[int, Field(ge=20)] = 100
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.01
    report_below: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_candidates: Count = 20


class MembershipConfig(Section):
    """The fit that gives member stars: half-width of its proper-motion box, mas/yr, and least probability."""

    half_box: Positive = 3.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
