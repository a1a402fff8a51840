"""The cross-match of a catalogue: candidates that are known, new or an open case, and what was missed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sky_patches import PatchGeometry
from streams.crossmatch.chance import Chance, chance_matches
from streams.crossmatch.comparing import StreamMatch, compare
from streams.crossmatch.grouping import KnownGroup, group_streams
from streams.crossmatch.inside import Inside, inside_footprints
from streams.crossmatch.known import KnownStream
from streams.crossmatch.placed_stars import PlacedStars
from streams.crossmatch.recipe import CrossMatchRecipe
from streams.members import MemberStars

__all__ = ["CandidateMatch", "CrossMatch", "GroupMatch", "KnownInside", "Verdict", "cross_match"]

Verdict = Literal["rediscovered", "new", "ambiguous"]
_ORDER = {"match": 0, "possible": 1, "none": 2}


@dataclass(frozen=True)
class GroupMatch:
    """A candidate and one known stream.

    Args:
        known: name of the known stream.
        matches: with each of its descriptions, the one that agrees best first.
    """

    known: str
    matches: tuple[StreamMatch, ...]

    @property
    def best(self) -> StreamMatch:
        """The description that agrees best."""
        return self.matches[0]

    @property
    def shared(self) -> int:
        """Most stars shared with a list of this stream."""
        return max(match.shared for match in self.matches)


@dataclass(frozen=True)
class CandidateMatch:
    """What a candidate is.

    Args:
        candidate: its name.
        verdict: "rediscovered": it is one known stream; "new": no known stream fits; "ambiguous": several fit
            equally well, or one fits in part (its proper motions are not known or not quite the same).
        known: the known streams that fit, best first; the first one is the answer where it is rediscovered.
        chance: how often it fits known streams at other places of the sky.
    """

    candidate: str
    verdict: Verdict
    known: tuple[GroupMatch, ...]
    chance: Chance


@dataclass(frozen=True)
class KnownInside:
    """A known stream that could have been found.

    Args:
        name, sources: of the known stream.
        length: of its track inside the footprints, deg.
        stars: of its listed members there; 0 where no source lists any.
        found_as: candidates that match it.
        possibly: candidates that may be it.
    """

    name: str
    sources: str
    length: float
    stars: int
    found_as: tuple[str, ...]
    possibly: tuple[str, ...]


@dataclass(frozen=True)
class CrossMatch:
    """The result.

    Args:
        candidates: in order of the catalogue.
        inside: every known stream inside the footprints, in order of name.
        recipe: the criteria.
        sources: how many known streams were compared, for the record.
    """

    candidates: tuple[CandidateMatch, ...]
    inside: tuple[KnownInside, ...]
    recipe: CrossMatchRecipe
    sources: int

    @property
    def chance(self) -> Chance:
        """Mean over the candidates: how far "rediscovered" (and "ambiguous") can be trusted; NaN of none."""
        return Chance(
            _mean([match.chance.match for match in self.candidates]),
            _mean([match.chance.fit for match in self.candidates]),
        )

    def missed(self, among: Collection[str] | None = None) -> tuple[KnownInside, ...]:
        """Known streams inside the footprints that no candidate matches.

        Args:
            among: only these candidates count as found, for example those that pass; None is all.
        """
        names = {match.candidate for match in self.candidates} if among is None else set(among)
        return tuple(known for known in self.inside if not names & set(known.found_as))


def cross_match(
    candidates: Mapping[str, MemberStars],
    known: Sequence[KnownStream],
    geometries: Sequence[PatchGeometry],
    recipe: CrossMatchRecipe | None = None,
) -> CrossMatch:
    """Compare candidates with known streams by place, direction, proper motion and shared stars.

    A candidate matches a stream if at least half of its stars lie on the track, its long axis runs along it
    and its proper motion agrees; or if the two lists share stars. See `CrossMatchRecipe` for every limit. The
    result does not depend on the order of the stars or of the known streams.

    Args:
        candidates: member stars of each candidate, by its name.
        known: known streams from any number of sources; what is one stream is put together.
        geometries: the patches that were searched.
        recipe: the criteria; None is the default.

    Raises:
        CrossMatchError: a candidate without stars that can be compared.
    """
    recipe = CrossMatchRecipe() if recipe is None else recipe
    groups = group_streams(known)
    streams = [stream for group in groups for stream in group.streams]
    searched = dict(zip(map(id, streams), inside_footprints(streams, geometries), strict=True))
    found = tuple(
        _candidate(name, PlacedStars.of(name, members, recipe.member_probability), groups, searched, recipe)
        for name, members in candidates.items()
    )
    return CrossMatch(found, tuple(_inside(groups, searched, found, recipe)), recipe, len(streams))


def _candidate(
    name: str,
    stars: PlacedStars,
    groups: Sequence[KnownGroup],
    searched: Mapping[int, Inside],
    recipe: CrossMatchRecipe,
) -> CandidateMatch:
    fitting = []
    for group in groups:
        near = [stream for stream in group.streams if _can_fit(stars, stream, searched[id(stream)], recipe)]
        compared = [compare(stars, stream, searched[id(stream)].stars, recipe) for stream in near]
        matches = sorted((match for match in compared if match.level != "none"), key=_rank)
        if matches:
            fitting.append(GroupMatch(group.name, tuple(matches)))
    fitting.sort(key=lambda match: (_ORDER[match.best.level], -match.shared, *_rank(match.best)))
    every = [stream for group in groups for stream in group.streams]
    return CandidateMatch(
        name, _verdict(fitting, recipe), tuple(fitting), chance_matches(stars, every, recipe)
    )


def _can_fit(stars: PlacedStars, stream: KnownStream, inside: Inside, recipe: CrossMatchRecipe) -> bool:
    """False where no star can lie on the track, and none is shared: most streams, without a closer look."""
    if inside.stars is not None and np.isin(stars.listed, inside.stars).any():
        return True
    reach = stars.reach + recipe.tolerance(stream.width)
    return bool(stream.line.distances(stars.centre[None, :])[0] <= reach)


def _rank(match: StreamMatch) -> tuple[float | str, ...]:
    return (
        _ORDER[match.level],
        -match.shared,
        -match.evidence,
        abs(match.separation),
        match.stream,
        match.source,
    )


def _verdict(fitting: Sequence[GroupMatch], recipe: CrossMatchRecipe) -> Verdict:
    matching = [match for match in fitting if match.best.level == "match"]
    if not matching:
        return "ambiguous" if fitting else "new"
    first, others = matching[0], matching[1:]
    if first.shared >= recipe.least_shared:
        return "ambiguous" if any(2 * other.shared > first.shared for other in others) else "rediscovered"
    rivals = [first.best.evidence - other.best.evidence < np.log(recipe.decisive) for other in others]
    return "ambiguous" if any(rivals) else "rediscovered"


def _inside(
    groups: Sequence[KnownGroup],
    searched: Mapping[int, Inside],
    found: Sequence[CandidateMatch],
    recipe: CrossMatchRecipe,
) -> Iterable[KnownInside]:
    for group in groups:
        parts = [searched[id(stream)] for stream in group.streams]
        length = max(part.length for part in parts)
        lists = [part.stars for part in parts if part.stars is not None]
        stars = len(np.unique(np.concatenate(lists))) if lists else 0
        if length < recipe.least_length and stars < recipe.least_stars:
            continue
        levels = {
            match.candidate: known.best.level
            for match in found for known in match.known if known.known == group.name
        }  # fmt: skip
        found_as, possibly = (
            tuple(name for name, level in levels.items() if level == wanted)
            for wanted in ("match", "possible")
        )
        yield KnownInside(group.name, group.sources, length, stars, found_as, possibly)


def _mean(values: Sequence[float]) -> float:
    given = [value for value in values if np.isfinite(value)]
    return float(np.mean(given)) if given else float("nan")
