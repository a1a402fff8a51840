"""Evidence from stars that a detection has not seen: its track continued into other patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binom, chi2

from sky_patches import PatchGeometry
from sky_patches.frames import tangent_axes, unit_vectors
from streams.cells import FootprintCells
from streams.hough import line_significance
from streams.merging.errors import MergingError
from streams.merging.records import Box
from streams.merging.tracks import CommonFrame, SkyStars, Track, fit_track
from streams.regions import Region
from streams.significance import LEAST_PROBABILITY

__all__ = [
    "Continuation",
    "ContinuationRecipe",
    "RankedPatch",
    "SearchedPatch",
    "combined",
    "continuation",
    "continuations",
    "region_of_motion",
]


@dataclass(frozen=True)
class ContinuationRecipe:
    """How a track is continued.

    Args:
        rank: highest-scored stars that are looked at; the line finder's middle rank.
        min_stars: with fewer stars outside the known footprints no test is made.
        sigmas: half-width of the strip in sigma of the track (its width and its error together); with 1.5 a
            faint Gaussian stream on a flat background stands out most.
        reach: how far beyond its ends the track is followed, deg.
        max_error: of the extrapolated track, deg; beyond it the prediction is none.
        cell_deg: side of the footprint's cells, deg.
        min_expected: background stars in the strip; with fewer the strip only touches the patch.
    """

    rank: int = 100
    min_stars: int = 60
    sigmas: float = 1.5
    reach: float = 15.0
    max_error: float = 1.0
    cell_deg: float = 0.1
    min_expected: float = 0.5


@runtime_checkable
class SearchedPatch(Protocol):
    """What a continuation asks of a patch: its stars, and which of them look most like a stream's."""

    @property
    def geometry(self) -> PatchGeometry:
        """The patch."""
        ...

    @property
    def ra(self) -> Float[np.ndarray, " n"]:
        """Of all its stars, deg."""
        ...

    @property
    def dec(self) -> Float[np.ndarray, " n"]:
        """Of all its stars, deg."""
        ...

    def region(self, motion: tuple[float, float]) -> Region | None:
        """Stars about a proper motion (mas/yr, patch frame), the likeliest first, whatever their place."""
        ...


@dataclass(frozen=True, eq=False)
class RankedPatch:
    """A patch as the line finder saw it.

    Args:
        geometry: the patch.
        ra, dec: of all its stars, deg.
        regions: its regions of interest; rows are row numbers of ra and dec, highest score first.
    """

    geometry: PatchGeometry
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    regions: Sequence[Region]

    def region(self, motion: tuple[float, float]) -> Region | None:
        """The region whose centre is nearest to a proper motion, if its box holds it."""
        return region_of_motion(self.regions, motion)


@dataclass(frozen=True)
class Continuation:
    """A fixed prediction, tested on stars that had no part in it.

    Args:
        patch, component, box: where the stars were looked for; the region of interest there.
        stars: ranked stars outside the footprints that were seen before.
        count: of them in the continued strip; `expected` from the smooth density of the region.
        significance: signed, sigma.
        probability: of `count` or more by chance, exact binomial tail.
    """

    patch: str
    component: str
    box: Box
    stars: int
    count: int
    expected: float
    significance: float
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Continuation:
        """The test that `to_dict` described.

        Raises:
            MergingError: a value is missing or unknown.
        """
        if set(values) != set(cls.__dataclass_fields__):
            raise MergingError(
                f"a continuation has the values {sorted(cls.__dataclass_fields__)}; the log has "
                f"{sorted(values)}: it was written by another version; make the catalogue anew"
            )
        (low1, high1), (low2, high2) = values["box"]
        return cls(**{**values, "box": ((low1, high1), (low2, high2))})


def continuations(
    members: SkyStars,
    home: PatchGeometry,
    geometries: Sequence[PatchGeometry],
    load: Callable[[str], SearchedPatch],
    recipe: ContinuationRecipe | None = None,
) -> tuple[Continuation, ...]:
    """Test the track of a detection in every other patch that it enters.

    Which patches, and in which order (nearest first), follows from the detection alone, never from what was
    found there: patches chosen because something was found would make every false alarm look confirmed. Each
    patch counts only stars outside the home patch and all patches tested before it, so that no star counts
    twice and the tests are independent of the detection and of each other.

    Args:
        members: stars of the detection (`FoundStream.sky` of a candidate's best part).
        home: the patch it was found in.
        geometries: all patches of the run.
        load: stars and regions of a patch by its name.
    """
    recipe = ContinuationRecipe() if recipe is None else recipe
    track = fit_track(members, CommonFrame.of(members))
    path = _path(track, recipe)
    covered, tests = [home], []
    for geometry in _nearest(home, geometries):
        if not _enters(path, geometry, covered):
            continue
        test = continuation(track, load(geometry.name), covered, recipe)
        if test is not None:
            tests.append(test)
            covered.append(geometry)
    return tuple(tests)


def continuation(
    track: Track,
    patch: SearchedPatch,
    covered: Sequence[PatchGeometry],
    recipe: ContinuationRecipe | None = None,
) -> Continuation | None:
    """Count the ranked stars of one region of a patch in the continued strip of a track.

    Nothing is scanned: strip and proper motion are those of the track, the region is the one whose centre is
    nearest to that motion, the rank is fixed. The scores know no positions, so without a stream there the
    N ranked stars lie where the smooth density of the region puts them, each in the strip with the same
    probability q: the count is binomial (N, q), and its upper tail is a p-value.

    Args:
        track: of a detection.
        patch: where it is continued.
        covered: footprints whose stars were used before; they are left out.

    Returns:
        The test, or None where none can be made: the strip misses the patch or has too few stars there.
    """
    recipe = ContinuationRecipe() if recipe is None else recipe
    cells, vectors = _cells_outside(patch.geometry, covered, recipe.cell_deg)
    strip = _inside(track, vectors, recipe)
    region = _region(track, vectors[strip], patch) if strip.any() else None
    if region is None:
        return None
    rows = region.stars[~_covered(patch.ra[region.stars], patch.dec[region.stars], covered)]
    if len(rows) < recipe.min_stars:
        return None
    phi1, phi2 = patch.geometry.frame.project_positions(patch.ra[rows], patch.dec[rows])
    share = float(cells.density(*cells.plane.project(phi1, phi2))[strip].sum(dtype=float))
    ranked = rows[: recipe.rank]
    if share * len(ranked) < recipe.min_expected or share > 0.5:
        return None
    stars = unit_vectors(patch.ra[ranked], patch.dec[ranked])
    return _tested(patch.geometry.name, region, int(_inside(track, stars, recipe).sum()), len(ranked), share)


def region_of_motion(regions: Sequence[Region], motion: tuple[float, float]) -> Region | None:
    """The region whose centre is nearest to a proper motion (mas/yr, patch frame), if its box holds it."""
    holding = [
        region
        for region in regions
        if all(low <= value < high for (low, high), value in zip(region.box, motion, strict=True))
    ]

    def distance(region: Region) -> tuple[float, str, Box]:
        one, two = region.centre
        return (one - motion[0]) ** 2 + (two - motion[1]) ** 2, region.component, region.box

    return min(holding, key=distance, default=None)


def combined(significance: float, probability: float, tests: Sequence[Continuation]) -> tuple[float, float]:
    """Significance and false-alarm probability of a detection with its continuations.

    Significance: log-likelihood ratios of independent stars add, and each is half a squared sigma (Wilks);
    what speaks against counts as nothing: sqrt(s^2 + sum max(s_i, 0)^2).

    Probability: given the detection, every p_i of a test is uniform or larger if there is no stream, so
    Fisher's -2 ln p - 2 sum ln p_i is at most a chi^2 of 2 (k + 1) degrees (Fisher 1925, section 21.1). A
    short stream does not continue, and the tests would weaken it; so the smaller of the two probabilities
    is taken, twice (Bonferroni over two looks): min(1, 2 min(p, p_Fisher)). Without tests p stays as it is.

    Args:
        significance, probability: of the detection in its own patch.
        tests: its continuations.
    """
    if not tests:
        return significance, probability
    total = np.sqrt(significance**2 + sum(max(test.significance, 0.0) ** 2 for test in tests))
    every = np.array([probability, *(test.probability for test in tests)])
    fisher = float(chi2.sf(-2.0 * np.log(np.maximum(every, 1e-300)).sum(), 2 * len(every)))
    joint = min(1.0, 2.0 * min(probability, fisher))
    return float(total), max(joint, LEAST_PROBABILITY)


def _tested(patch: str, region: Region, count: int, stars: int, share: float) -> Continuation:
    sigma = line_significance(np.array([float(count)]), stars, np.array([share]))[0]
    tail = float(binom.sf(count - 1, stars, share))
    return Continuation(patch, region.component, region.box, stars, count, stars * share, float(sigma), tail)


def _inside(track: Track, vectors: np.ndarray, recipe: ContinuationRecipe) -> Bool[np.ndarray, " n"]:
    return track.holds(vectors, sigmas=recipe.sigmas, reach=recipe.reach, max_error=recipe.max_error)


def _cells_outside(
    geometry: PatchGeometry, covered: Sequence[PatchGeometry], size: float
) -> tuple[FootprintCells, np.ndarray]:
    """Cells of a patch outside the covered footprints, and their unit vectors."""
    cells = FootprintCells.of(geometry.footprint, size)
    ra, dec = geometry.frame.unproject(*cells.plane.unproject(cells.x, cells.y))
    new = ~_covered(ra, dec, covered)
    outside = replace(cells, x=cells.x[new], y=cells.y[new], area=cells.area[new])
    return outside, unit_vectors(ra[new], dec[new])


def _covered(ra: np.ndarray, dec: np.ndarray, covered: Sequence[PatchGeometry]) -> np.ndarray:
    seen = np.zeros(len(ra), dtype=bool)
    for geometry in covered:
        seen |= geometry.contains(ra, dec)
    return seen


def _region(track: Track, strip: np.ndarray, patch: SearchedPatch) -> Region | None:
    """The region of the track's proper motion at the middle of the strip."""
    s = np.array([np.mean(track.frame.positions(strip)[0])])
    place = track.frame.vectors(s, track.offset.at(s)[0])
    along, across = track.frame.axes(place)
    moving = track.motion[0].at(s)[0] * along[0] + track.motion[1].at(s)[0] * across[0]
    ra, dec = _angles(place)
    east, north = (axis[0] for axis in tangent_axes(ra, dec))
    motion = patch.geometry.frame.project_motions(ra[0], dec[0], moving @ east, moving @ north)
    return patch.region((float(motion[0]), float(motion[1])))


def _path(track: Track, recipe: ContinuationRecipe) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) in deg along the part of the track that can be continued."""
    s = np.arange(track.start - recipe.reach, track.end + recipe.reach, 0.25)
    value, error = track.offset.at(s)
    return _angles(track.frame.vectors(s, value)[error <= recipe.max_error])


def _angles(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) in deg."""
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _enters(
    path: tuple[np.ndarray, np.ndarray], geometry: PatchGeometry, covered: Sequence[PatchGeometry]
) -> bool:
    return bool((geometry.contains(*path) & ~_covered(*path, covered)).any())


def _nearest(home: PatchGeometry, geometries: Sequence[PatchGeometry]) -> list[PatchGeometry]:
    """The other patches, nearest first; equal distances in order of their names."""
    here = unit_vectors(*np.array(home.centre)[:, None])[0]

    def distance(geometry: PatchGeometry) -> tuple[float, str]:
        there = unit_vectors(*np.array(geometry.centre)[:, None])[0]
        return round(float(np.linalg.norm(here - there)), 9), geometry.name

    return sorted((other for other in geometries if other.name != home.name), key=distance)
