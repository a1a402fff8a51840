"""Mock patches with faint streams at known places of the proper-motion plane, and one search of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter

from sky_patches import PatchGeometry, apply_cuts
from sky_patches.mock import MockSky
from streams import StreamStars
from streams.injection import ModelStream, Place, SurveyStars
from streams.likelihood import SearchRecipe
from streams.likelihood.candidates import LikelihoodFound
from streams.likelihood.finder import LikelihoodSearch
from streams.ridges import Ridge
from via_machinae import Config
from via_machinae.background import BackgroundRecipe, PatchBackground, fit_stars
from via_machinae.patch_stars import cuts_of

__all__ = [
    "CENTRE",
    "MOTION_LIMIT",
    "QUICK_SEARCH",
    "Field",
    "HiddenSky",
    "HiddenStream",
    "Searched",
    "background_of",
    "hidden_sky",
    "lines_across",
    "motions_at",
    "searched",
]

CENTRE = SkyCoord(l=202.0 * u.deg, b=50.0 * u.deg, frame="galactic")
RADIUS = 10.0
"""Of a patch, deg."""
MOTION_LIMIT = 11.0
"""Streams are put at proper motions within it in each component, mas/yr; the search reaches 15."""
QUICK_SEARCH = SearchRecipe(
    motion_limit=12.0, motion_step=1.0, spread=0.5, moduli=(15.0,), angle_step=6.0, widths=(1.0,),
    gradients=(0.0,),
)  # fmt: skip
"""A coarse grid of one distance, to see that it runs."""
_BIN, _SMOOTH, _EDGE = 0.25, 2.0, 15.0
_STEP = 0.05
_DIRECTIONS = 1000


@dataclass(frozen=True, eq=False)
class Field:
    """The mock Galaxy in a circle, without streams, cut as a scan cuts it.

    Args:
        recipe: of the sky.
        geometry: of the patch.
        table: stars, with patch coordinates, ordered by source_id.
    """

    recipe: MockSky
    geometry: PatchGeometry
    table: Table

    @classmethod
    def of(cls, centre: SkyCoord, stars: int, seed: int, radius: float = RADIUS) -> Field:
        """Generate a field."""
        recipe = MockSky.around(centre, radius * u.deg, stars=stars)
        geometry = PatchGeometry.circle("mock", recipe.ra_deg, recipe.dec_deg, radius)
        return cls(recipe, geometry, _as_scanned(recipe.generate(seed).stars, geometry))

    @property
    def stars(self) -> StreamStars:
        """What the searches take."""
        return StreamStars.from_table(self.table)

    @property
    def survey(self) -> SurveyStars:
        """The field's stars as donors of errors."""
        return SurveyStars(self.table, (self.recipe.g_min, self.recipe.g_max))

    def observed(self, listed: Table) -> Table:
        """Those rows of a survey's list that pass the limits of the sky and the cuts of the scan."""
        return _as_scanned(listed[self.recipe.survey.selects(listed)], self.geometry)


def _as_scanned(stars: Table, geometry: PatchGeometry) -> Table:
    kept, _ = apply_cuts(stars, cuts_of(Config().cuts, stars.colnames))
    return geometry.frame.project(kept)


@dataclass(frozen=True, eq=False)
class HiddenStream:
    """What only the judgement may look at.

    Args:
        name: which of the patch's streams.
        source_id: its observed stars.
        motion: (pm_phi1_cosphi2, pm_phi2) at its middle, mas/yr.
    """

    name: str
    source_id: Int[np.ndarray, " n"]
    motion: tuple[float, float]


@dataclass(frozen=True, eq=False)
class HiddenSky:
    """A field with streams in it.

    Args:
        geometry: of the patch.
        table: all stars, ordered by source_id.
        stars: the same for the searches.
        streams: the truth.
    """

    geometry: PatchGeometry
    table: Table
    stars: StreamStars
    streams: tuple[HiddenStream, ...]

    def member(self, stream: HiddenStream) -> Bool[np.ndarray, " n"]:
        """Which of the stars are the stream's."""
        return np.isin(self.stars.source_id, stream.source_id)

    @property
    def any_member(self) -> Bool[np.ndarray, " n"]:
        """Which of the stars are of any stream."""
        return np.isin(self.stars.source_id, np.concatenate([one.source_id for one in self.streams]))


def motions_at(field: Field, shares: Sequence[float], rng: np.random.Generator) -> list[tuple[float, float]]:
    """Proper motions at which the field's density is a given share of that at its peak.

    The density of all stars in the proper-motion plane (bins of 0.25 mas/yr, smoothed by two) is followed
    from its peak outwards in a random direction until it falls to the share; directions that leave the range
    of the search before are drawn anew.

    Args:
        field: without streams.
        shares: 1 is the peak.
        rng: of the directions.
    """
    edges = np.arange(-_EDGE, _EDGE + _BIN / 2, _BIN)
    count, _, _ = np.histogram2d(*field.stars.proper_motion.T, bins=(edges, edges))
    density = gaussian_filter(count, _SMOOTH)
    peak = np.array(np.unravel_index(np.argmax(density), density.shape))
    top = edges[peak] + _BIN / 2
    return [_outwards(density / density.max(), top, share, rng) for share in shares]


def _outwards(
    density: Float[np.ndarray, "k k"], top: Float[np.ndarray, " 2"], share: float, rng: np.random.Generator
) -> tuple[float, float]:
    if share >= 1.0:
        return float(top[0]), float(top[1])
    reach = np.arange(0.0, 2 * MOTION_LIMIT, _STEP)
    for _ in range(_DIRECTIONS):
        turn = rng.uniform(0.0, 2 * np.pi)
        way = top + reach[:, None] * np.array([np.cos(turn), np.sin(turn)])
        way = way[(np.abs(way) <= MOTION_LIMIT).all(axis=1)]
        cell = np.floor((way + _EDGE) / _BIN).astype(int)
        below = np.flatnonzero(density[cell[:, 0], cell[:, 1]] <= share)
        if len(below):
            return float(way[below[0], 0]), float(way[below[0], 1])
    raise SystemExit(f"the density of proper motions never falls to {share} within {MOTION_LIMIT} mas/yr")


def lines_across(
    field: Field, motions: Sequence[tuple[float, float]], rng: np.random.Generator
) -> list[Place]:
    """A line for each proper motion: evenly spread, shuffled directions and random distances from the middle.

    The middle of each is its point next to the centre of the patch, up to half a radius away.
    """
    count = len(motions)
    angles = rng.uniform(0.0, np.pi) + np.pi * rng.permutation(count) / count
    offsets = rng.uniform(-0.5, 0.5, count) * field.recipe.radius_deg
    frame = field.geometry.frame
    places = []
    for angle, offset, motion in zip(angles, offsets, motions, strict=True):
        ra, dec = frame.unproject(-offset * np.sin(angle), offset * np.cos(angle))
        # The normal of the line is `angle` west of north where phi2 points north.
        places.append(Place.at(field.geometry, float(ra), float(dec), -float(np.degrees(angle)), motion))
    return places


def hidden_sky(
    field: Field,
    streams: Mapping[str, tuple[ModelStream, Place, tuple[float, float]]],
    count: int,
    seeds: Sequence[int],
) -> HiddenSky:
    """The field with a number of observed stars of each stream.

    Args:
        field: without streams.
        streams: recipe, place and proper motion of each.
        count: stars of each that pass the limits of the sky and the cuts of the scan.
        seeds: of the stream stars; each stream has a sequence of its own.
    """
    tables, truths = [field.table], []
    for number, (name, (recipe, place, motion)) in enumerate(streams.items()):
        rng = np.random.default_rng([*seeds, number])
        made = recipe.make(place, field.survey, field.geometry, 2 * count, rng)
        listed = field.observed(made.stars)[:count]
        if len(listed) < count:
            raise SystemExit(f"only {len(listed)} of {count} stars of stream {name!r} are observed")
        tables.append(listed[field.table.colnames])
        truths.append(HiddenStream(name, np.sort(np.asarray(listed["source_id"])), motion))
    table = vstack(tables)
    table = table[np.argsort(np.asarray(table["source_id"]), kind="stable")]
    return HiddenSky(field.geometry, table, StreamStars.from_table(table), tuple(truths))


def background_of(
    stars: StreamStars, geometry: PatchGeometry, seed: int, *, quick: bool
) -> tuple[PatchBackground, float]:
    """The background learned from all stars, streams included, and the seconds that took."""
    start = time.perf_counter()
    recipe = BackgroundRecipe(epochs=2, layers=1) if quick else BackgroundRecipe()
    return fit_stars(stars, geometry.footprint, recipe, seed=seed), time.perf_counter() - start


@dataclass(frozen=True, eq=False)
class Searched:
    """A finished search and how long it took, the background not counted."""

    found: LikelihoodFound
    seconds: float


def searched(
    stars: StreamStars,
    geometry: PatchGeometry,
    log_background: Float[np.ndarray, " n"],
    ridges: tuple[Ridge, ...],
    *,
    quick: bool,
    report_below: float = LikelihoodSearch.report_below,
) -> Searched:
    """The likelihood search as it is used, on one thread."""
    start = time.perf_counter()
    recipe = QUICK_SEARCH if quick else SearchRecipe()
    finder = LikelihoodSearch(recipe=recipe, ridges=ridges, report_below=report_below)
    found = finder.find(stars, geometry.footprint, log_background)
    return Searched(found, time.perf_counter() - start)
