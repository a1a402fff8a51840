"""Footprints: which part of a patch's plane (phi1, phi2) was observed, and how much of a strip lies in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sky_patches.errors import FootprintError
from sky_patches.footprints.holes import Hole, WithHoles
from sky_patches.footprints.shapes import Box, Circle, Footprint, line_offset

__all__ = ["Box", "Circle", "Footprint", "Hole", "WithHoles", "footprint_from_dict", "line_offset"]


def footprint_from_dict(values: Mapping[str, Any]) -> Circle | Box | WithHoles:
    """The footprint that `to_dict` described.

    Raises:
        FootprintError: the kind is unknown, or a key is missing or unexpected.
    """
    kinds: dict[Any, Callable[..., Circle | Box | WithHoles]]
    kinds = {"circle": Circle, "box": Box, "with_holes": _with_holes}
    arguments = dict(values)
    kind = arguments.pop("kind", None)
    if kind not in kinds:
        raise FootprintError(f"a footprint's kind is one of {sorted(kinds)}; got {kind!r} in {dict(values)}")
    try:
        return kinds[kind](**arguments)
    except TypeError as error:
        raise FootprintError(f"a {kind} does not take {sorted(arguments)}: {error}") from error


def _with_holes(whole: Mapping[str, Any], holes: list[Mapping[str, Any]]) -> WithHoles:
    outer = footprint_from_dict(whole)
    if isinstance(outer, WithHoles):
        raise FootprintError(
            "a footprint with holes stands in another one; give all holes of the outer shape"
        )
    return WithHoles(outer, tuple(Hole(**hole) for hole in holes))
