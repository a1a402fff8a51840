"""Regions as a user writes them on a command line.

cone:150,30,10                      lon, lat, radius (deg); ICRS
cone:galactic:120,40,10             in any frame of astropy or gala
box:galactic:120,180,20,60          lon_min, lon_max, lat_min, lat_max
polygon:icrs:150,20,160,20,155,30   corners
absb:>20                            |b| above, or below (<), a limit
pixels:5:123,124                    HEALPix pixels of an order, NESTED
stream:GD-1-I21,2                   a track of galstreams, and a margin
sky                                 everything
cone:... & absb:>20                 what lies in both;  |  joins
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sky_patches.archive.regions import (
    AbsLatitude,
    Cone,
    Intersection,
    LonLatBox,
    Pixels,
    Polygon,
    Region,
    RegionError,
    Union,
    WholeSky,
)
from sky_patches.archive.stream_track import StreamTrack
from sky_patches.column_names import nearest

__all__ = ["parse_region", "parse_regions"]


def parse_regions(texts: Iterable[str]) -> Region:
    """The union of several regions in text form.

    Raises:
        RegionError: none is given, or one is not understood.
    """
    regions = tuple(parse_region(text) for text in texts)
    return regions[0] if len(regions) == 1 else Union(regions)


def parse_region(text: str) -> Region:
    """The region that `text` describes, in the notation of this module; & binds closer than |.

    Raises:
        RegionError: the text is not understood; the message shows how its kind is written.
        FrameError: an unknown frame.
    """
    joined = tuple(_all_of(part) for part in text.split("|"))
    return joined[0] if len(joined) == 1 else Union(joined)


def _all_of(text: str) -> Region:
    parts = tuple(_single(part.strip()) for part in text.split("&"))
    return parts[0] if len(parts) == 1 else Intersection(parts)


def _single(text: str) -> Region:
    kind, _, rest = text.partition(":")
    kind = kind.strip().lower()
    if kind not in _KINDS:
        near = nearest(kind, _KINDS)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise RegionError(
            f"unknown region {text!r}{meant}; write one of: {', '.join(form for _, form in _KINDS.values())}"
        )
    maker, form = _KINDS[kind]
    try:
        return maker(rest.strip())
    except ValueError as error:
        raise RegionError(f"region {text!r} is not understood ({error}); write it as {form}") from error


def _cone(text: str) -> Region:
    frame, (lon, lat, radius) = _framed(text, 3)
    return Cone(lon, lat, radius, frame)


def _box(text: str) -> Region:
    frame, (lon_min, lon_max, lat_min, lat_max) = _framed(text, 4)
    return LonLatBox(lon_min, lon_max, lat_min, lat_max, frame)


def _polygon(text: str) -> Region:
    frame, numbers = _framed(text, None)
    if len(numbers) % 2:
        raise ValueError(f"corners are pairs, found {len(numbers)} numbers")
    return Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)), frame)


def _abs_latitude(text: str) -> Region:
    frame, _, limit = text.rpartition(":")
    limit, frame = limit.strip(), frame.strip() or "galactic"
    if limit[:1] not in ("<", ">"):
        raise ValueError(f"expected < or > before the limit, found {limit!r}")
    value = float(limit[1:].lstrip("="))
    return AbsLatitude(above=value, frame=frame) if limit[0] == ">" else AbsLatitude(below=value, frame=frame)


def _pixels(text: str) -> Region:
    order, colon, numbers = text.partition(":")
    if not colon:
        raise ValueError("expected an order, a colon and pixel numbers")
    return Pixels(int(order), tuple(int(number) for number in numbers.split(",")))


def _stream(text: str) -> Region:
    name, comma, margin = text.rpartition(",")
    if not comma:
        raise ValueError("expected a name and a margin")
    return StreamTrack(name.strip(), float(margin))


def _sky(text: str) -> Region:
    if text:
        raise ValueError(f"nothing stands after it, found {text!r}")
    return WholeSky()


def _framed(text: str, count: int | None) -> tuple[str, list[float]]:
    """The frame, ICRS unless given, and the numbers; their number is checked where it is known."""
    frame, _, listed = text.rpartition(":")
    numbers = [float(number) for number in listed.split(",")]
    if count is not None and len(numbers) != count:
        raise ValueError(f"expected {count} numbers, found {len(numbers)}")
    return frame.strip() or "icrs", numbers


_KINDS: Mapping[str, tuple[Callable[[str], Region], str]] = {
    "cone": (_cone, "cone:150,30,10"),
    "box": (_box, "box:galactic:120,180,20,60"),
    "polygon": (_polygon, "polygon:icrs:150,20,160,20,155,30"),
    "absb": (_abs_latitude, "absb:>20"),
    "pixels": (_pixels, "pixels:5:123,124"),
    "stream": (_stream, "stream:GD-1-I21,2"),
    "sky": (_sky, "sky"),
}
