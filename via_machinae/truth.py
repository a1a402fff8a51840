"""Candidates against a known truth: what was found, what was missed, what is false."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from streams import Agreement, StreamCatalog, agreement

__all__ = ["Comparison", "StreamMatch", "compare"]


@dataclass(frozen=True)
class StreamMatch:
    """A true stream and the candidate that shares most stars with it.

    Args:
        stream: name of the true stream.
        stars: its stars above the magnitude limit.
        candidate: name of the candidate, or None if no passing candidate has the stream as its main part.
        false_alarm_probability: of that candidate; NaN without one.
        members: agreement of the member lists; of an empty list without a candidate.
    """

    stream: str
    stars: int
    candidate: str | None
    false_alarm_probability: float
    members: Agreement


@dataclass(frozen=True)
class Comparison:
    """All true streams with their candidates, and the passing candidates that are no true stream.

    Args:
        matches: one per true stream.
        false: names of candidates that pass the threshold and belong to no true stream.
        duplicates: names of further candidates of a stream that has one already.
    """

    matches: tuple[StreamMatch, ...]
    false: tuple[str, ...]
    duplicates: tuple[str, ...]


def compare(
    catalog: StreamCatalog, truth: Mapping[str, np.ndarray], *, least_share: float = 0.1
) -> Comparison:
    """Match passing candidates to true streams by their common stars.

    Args:
        catalog: the catalogue.
        truth: source_id of the members of each true stream.
        least_share: a candidate belongs to a stream if it holds at least this share of the stream's stars,
            and more of it than of any other.
    """
    owner: dict[str, str | None] = {}
    first: dict[str, str] = {}
    passing = [str(name) for name in catalog.candidates["name"][catalog.candidates["passes"]]]
    for name in passing:
        owner[name] = _owner(catalog.member_ids(name), truth, least_share)
        if owner[name] is not None:
            first.setdefault(owner[name], name)
    matches = tuple(_match(catalog, stream, ids, first.get(stream)) for stream, ids in truth.items())
    false = tuple(name for name in passing if owner[name] is None)
    duplicates = tuple(name for name in passing if owner[name] is not None and first[owner[name]] != name)
    return Comparison(matches, false, duplicates)


def _owner(members: np.ndarray, truth: Mapping[str, np.ndarray], least_share: float) -> str | None:
    shares = {stream: agreement(members, ids).completeness for stream, ids in truth.items()}
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] >= least_share else None


def _match(catalog: StreamCatalog, stream: str, ids: np.ndarray, name: str | None) -> StreamMatch:
    if name is None:
        return StreamMatch(stream, len(ids), None, float("nan"), agreement(np.array([], dtype=np.int64), ids))
    row = catalog.candidates[catalog.candidates["name"] == name]
    probability = float(row["false_alarm_probability"][0])
    return StreamMatch(stream, len(ids), name, probability, agreement(catalog.member_ids(name), ids))
