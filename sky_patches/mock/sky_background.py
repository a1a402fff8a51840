"""The smooth background of a large mock sky, pixel by pixel: a Poisson process, exact and nothing clipped."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Float, Int64

from sky_patches.mock.kinematics import draw_velocities, heliocentric
from sky_patches.mock.populations import POPULATIONS, Population, galactocentric_positions
from sky_patches.mock.ridge import absolute_magnitudes, distance_modulus, luminosity_count, ridge_colour
from sky_patches.mock.sightlines import cumulative_counts, draw_distances
from sky_patches.mock.sky_region import middles, pixel_area, random_positions
from sky_patches.mock.sky_survey import SkySurvey

__all__ = ["draw_pixel", "expected_stars"]

_Places = tuple[Float[np.ndarray, "_ 3"], Float[np.ndarray, " _"]]
_FARTHEST_KPC = 150.0
_STEPS = 120
_CHUNK = 2_000  # lines of sight at a time: few enough for the processor's cache
_BLOCK = 60_000  # candidates at a time, whatever the pixel holds: what bounds the memory
_INTRINSIC_COLOUR_SPREAD = 0.02
_FINEST_SHARED_ORDER = 6  # cells of 0.9 deg, where a pixel is larger than that
_MARGIN = 1.05
_DEPTHS = 24


def _grid(survey: SkySurvey) -> Float[np.ndarray, " k"]:
    return np.geomspace(survey.nearest_kpc, _FARTHEST_KPC, _STEPS)


def _cell_order(survey: SkySurvey) -> int:
    return max(survey.region.order + 2, _FINEST_SHARED_ORDER)


def _directions(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _visible(survey: SkySurvey, distance: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    bright, faint = survey.true_limits
    modulus = distance_modulus(distance)
    return luminosity_count(faint - modulus) - luminosity_count(bright - modulus)


def _bounds(
    population: Population, survey: SkySurvey, cells: Int64[np.ndarray, " c"]
) -> Float[np.ndarray, " c"]:
    """Upper bounds of the counts per steradian: the largest at centre and corners of a cell, and a margin."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    nside = 1 << _cell_order(survey)
    corners = np.moveaxis(hp.boundaries(nside, cells, step=1, nest=True), 1, 2)
    centres = np.stack(hp.pix2vec(nside, cells, nest=True), axis=-1)
    places = np.concatenate([corners, centres[:, None]], axis=1)
    distance = _grid(survey)
    counts = cumulative_counts(population, places.reshape(-1, 3), distance, _visible(survey, distance))[:, -1]
    return _MARGIN * counts.reshape(places.shape[:2]).max(axis=1)


def draw_pixel(
    survey: SkySurvey, pixel: int, density_scale: float, rng: np.random.Generator
) -> tuple[Table, dict[str, int]]:
    """Background stars of one pixel of the survey's region.

    The number of stars is Poisson distributed. Candidates are spread over the cells of the pixel in
    proportion to an upper bound of the counts there, accepted in proportion to the counts along their own
    line of sight, given a distance and a magnitude on it, observed and cut.

    Args:
        survey: footprint, limits, errors and scanning law.
        pixel: one of the region's pixels.
        density_scale: share of the Galaxy's stars to make.
        rng: source of randomness.

    Returns:
        Observed stars without source_id; the number of each population among them.
    """
    cells, _ = survey.region.cells(np.array([pixel]), _cell_order(survey))
    bounds = np.stack([_bounds(one, survey, cells) for one in POPULATIONS])
    candidates = density_scale * pixel_area(_cell_order(survey)) * bounds.sum(axis=0)
    block = (np.cumsum(candidates) / _BLOCK).astype(np.int64)
    listed, numbers = [], np.zeros(len(POPULATIONS), dtype=np.int64)
    for part in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(block)) + 1):
        observed, counts = _draw_block(survey, cells[part], bounds[:, part], density_scale, rng)
        listed.append(observed)
        numbers += counts
    return vstack(listed), {one.name: int(n) for one, n in zip(POPULATIONS, numbers, strict=True)}


def _draw_block(
    survey: SkySurvey,
    cells: Int64[np.ndarray, " c"],
    bounds: Float[np.ndarray, "p c"],
    density_scale: float,
    rng: np.random.Generator,
) -> tuple[Table, Int64[np.ndarray, " p"]]:
    """Observed stars in some cells, and their number by population."""
    places = [
        _draw_places(one, survey, cells, bound, density_scale, rng)
        for one, bound in zip(POPULATIONS, bounds, strict=True)
    ]
    stars = _true_stars(survey, places, rng)
    owner = np.repeat(np.arange(len(POPULATIONS)), [len(distance) for _, distance in places])
    observed, kept = survey.measure(stars, rng)
    return observed[kept], np.bincount(owner[kept], minlength=len(POPULATIONS))


def _true_stars(survey: SkySurvey, places: list[_Places], rng: np.random.Generator) -> Table:
    """True stars of all populations at their places: motions, magnitude and colour."""
    xyz = [galactocentric_positions(where, far[:, None])[:, 0] for where, far in places]
    stars = heliocentric(
        np.concatenate(xyz),
        np.concatenate([draw_velocities(one, at, rng) for one, at in zip(POPULATIONS, xyz, strict=True)]),
    )
    modulus = distance_modulus(np.concatenate([far for _, far in places]))
    bright, faint = survey.true_limits
    absolute = absolute_magnitudes(bright - modulus, faint - modulus, rng)
    metallicity = [
        rng.normal(one.feh_mean, one.feh_spread, len(at)) for one, at in zip(POPULATIONS, xyz, strict=True)
    ]
    colour = ridge_colour(absolute, np.concatenate(metallicity))
    stars["phot_g_mean_mag"] = (absolute + modulus) * u.mag
    stars["bp_rp"] = (colour + _INTRINSIC_COLOUR_SPREAD * rng.normal(size=len(colour))) * u.mag
    return stars


def _draw_places(
    population: Population,
    survey: SkySurvey,
    cells: Int64[np.ndarray, " c"],
    bound: Float[np.ndarray, " c"],
    density_scale: float,
    rng: np.random.Generator,
) -> _Places:
    """Directions and distances of a Poisson number of stars of one population in some cells."""
    order, distance = _cell_order(survey), _grid(survey)
    visible = _visible(survey, distance)
    while True:
        at = np.repeat(np.arange(len(cells)), rng.poisson(density_scale * bound * pixel_area(order)))
        chunks, highest = [(np.zeros((0, 3)), np.zeros(0))], 0.0
        for start in range(0, len(at), _CHUNK):
            here = at[start : start + _CHUNK]
            directions = _directions(*random_positions(cells[here], order, rng))
            cumulative = cumulative_counts(population, directions, distance, visible)
            share = cumulative[:, -1] / bound[here]
            highest = max(highest, float(share.max()))
            taken = rng.random(len(here)) < share
            chunks.append((directions[taken], draw_distances(cumulative[taken], distance, rng)))
        if highest <= 1.0:
            return np.concatenate([one for one, _ in chunks]), np.concatenate([one for _, one in chunks])
        # A bound was too low: start again with one that holds, so that no acceptance is ever above one.
        bound = bound * highest * _MARGIN


def expected_stars(survey: SkySurvey, pixels: Int64[np.ndarray, " p"]) -> Float[np.ndarray, "p k"]:
    """Stars that the Galaxy has in each pixel after all cuts, one column a population of `POPULATIONS`.

    An integral over the cells of each pixel, with every cut of the survey in it: the mean of what
    `draw_pixel` gives for a `density_scale` of one.
    """
    order = _cell_order(survey)
    table = np.zeros((len(pixels), len(POPULATIONS)))
    per_batch = max(1, _CHUNK >> (2 * (order - survey.region.order)))
    law = survey.scanning
    depths = np.ones(2) if law is None else np.linspace(law.least, law.most, _DEPTHS)
    listed = survey.listed(_grid(survey), depths)
    for start in range(0, len(pixels), per_batch):
        rows = slice(start, start + per_batch)
        cells, share = survey.region.cells(pixels[rows], order)
        owner = np.searchsorted(pixels[rows], cells >> (2 * (order - survey.region.order)))
        for column, counts in enumerate(_expected_counts(survey, cells, depths, listed)):
            stars = share * counts * pixel_area(order)
            table[rows, column] = np.bincount(owner, stars, minlength=len(table[rows]))
    return table


def _expected_counts(
    survey: SkySurvey,
    cells: Int64[np.ndarray, " c"],
    depths: Float[np.ndarray, " r"],
    listed: Float[np.ndarray, "r k"],
) -> list[Float[np.ndarray, " c"]]:
    """Stars per steradian in the middle of each cell, one array a population."""
    ra, dec = middles(cells, _cell_order(survey))
    place = np.interp(survey.observations(ra, dec), depths, np.arange(len(depths)))
    below = np.minimum(place.astype(np.int64), len(depths) - 2)
    part = (place - below)[:, None]
    visible = (1.0 - part) * listed[below] + part * listed[below + 1]
    directions, distance = _directions(ra, dec), _grid(survey)
    return [cumulative_counts(one, directions, distance, visible)[:, -1] for one in POPULATIONS]
