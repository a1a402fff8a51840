"""Laws of the line finder as a whole: any footprint, any frame, any order of the rows, one statistic."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sky_patches import Box, Circle, PatchFrame, PatchGeometry
from sky_patches.footprints import Hole, WithHoles
from streams import FootprintCells, HoughLines, LineRecipe, null_maxima
from streams.regions import COMPONENTS, Region

RECIPE = LineRecipe(ranks=(50, 100), angle_step=4.0, offset_step=0.25)
PIERCED = WithHoles(Circle(6.0), (Hole("one", 3.0, 1.0, 2.0), Hole("two", -2.5, -1.5, 2.4)))
FOOTPRINTS = {"circle": Circle(6.0), "box": Box(-9.0, 9.0, -3.0, 3.0), "circle with holes": PIERCED}


@cache
def _lines(footprint):
    return HoughLines(FootprintCells.of(footprint, 0.1), RECIPE)


def _best(lines, x, y):
    expected = lines.expect(lines.cells.densities([(x, y)]))
    return lines.best(lines.bins(x, y), [np.arange(len(x))], expected)


def _uniform_skies(footprint, searched, skies):
    """Best lines of uniform stars (per area of the sky) in `footprint`, seen by a search of `searched`."""
    lines, found = _lines(searched), []
    for seed in range(skies):
        phi1, phi2 = footprint.sample(400, seed)
        kept = np.random.default_rng(seed).random(400) < np.cos(np.radians(phi2))
        x, y = lines.cells.plane.project(phi1[kept][:150], phi2[kept][:150])
        found.append(_best(lines, x, y).significance[0])
    return np.array(found)


def _null(lines, skies, seed):
    cells = lines.cells
    region = Region(COMPONENTS[0], ((0.0, 1.0), (0.0, 1.0)), np.arange(150))
    densities = (cells.area / cells.area.sum()).astype(np.float32)[None, :]
    expected = lines.expect(densities)
    return null_maxima(lines, [region], densities, expected, 150, skies=skies, seed=seed).maxima


@pytest.mark.statistical
@pytest.mark.parametrize("name", FOOTPRINTS)
def test_uniform_stars_make_no_line_beyond_the_null(name):
    footprint = FOOTPRINTS[name]
    found = _uniform_skies(footprint, footprint, 50)
    assert ks_2samp(found, _null(_lines(footprint), 200, 1)).pvalue > 0.01


@pytest.mark.statistical
def test_the_area_of_the_whole_circle_would_make_lines_of_holes():
    """Negative control: the same stars, the holes forgotten."""
    found = _uniform_skies(PIERCED, PIERCED.whole, 50)
    assert ks_2samp(found, _null(_lines(PIERCED.whole), 200, 1)).pvalue < 1e-6
    assert np.median(found) > np.median(_uniform_skies(PIERCED, PIERCED, 50)) + 0.5


def _great_circle(ra, dec, bearing, arc, spread, seed):
    """ICRS positions along the great circle through (ra, dec) towards a position angle, deg."""
    rng = np.random.default_rng(seed)
    a, d, p = np.radians([ra, dec, bearing])
    centre = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    east, north = np.array([-np.sin(a), np.cos(a), 0.0]), np.cross(centre, [-np.sin(a), np.cos(a), 0.0])
    towards = np.sin(p) * east + np.cos(p) * north
    s, t = np.radians(arc), np.radians(rng.normal(0.0, spread, len(arc)))
    along = np.cos(s)[:, None] * centre + np.sin(s)[:, None] * towards
    points = along + t[:, None] * np.cross(centre, towards)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360.0, np.degrees(np.arcsin(points[:, 2]))


def _sky(ra, dec, seed=3):
    """Forty stars of a great circle through (ra, dec) and sixty around it, the same for every centre."""
    rng = np.random.default_rng(seed)
    line = _great_circle(ra, dec, 40.0, rng.uniform(-7.0, 7.0, 40), 0.1, seed)
    distance, angle = 7.5 * np.sqrt(rng.random(60)), rng.uniform(0, 360, 60)
    others = [_great_circle(ra, dec, p, np.array([r]), 0.0, 0) for r, p in zip(distance, angle, strict=True)]
    return np.concatenate([np.array(line), np.array(others)[:, :, 0].T], axis=1)


@cache
def _found(centre, rotation=0.0):
    """The best line of the sky around `centre`, seen in a frame that is turned by `rotation`, deg."""
    frame = PatchFrame.offset(*centre, rotation)
    geometry = PatchGeometry("patch", frame, Circle(8.0))
    positions = _sky(*centre)
    assert geometry.contains(*positions).all()
    lines = _lines(geometry.footprint)
    return _best(lines, *lines.cells.plane.project(*frame.project_positions(*positions)))


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.9, 30.0), (120.0, 90.0), (10.0, -90.0), (200.0, 88.0)])
def test_a_line_through_the_pole_or_across_ra_zero_is_a_line(centre):
    """The same stars around another point of the sky make the same line."""
    here, there = _found((150.0, 20.0)), _found(centre)
    assert there.significance[0] > 8.0
    for name in ("significance", "theta", "offset", "rank", "count", "expected"):
        assert getattr(there, name)[0] == pytest.approx(getattr(here, name)[0], rel=1e-6, abs=1e-6)


def test_coordinates_of_the_sky_itself_would_bend_it():
    """Negative control: near the pole ra and dec, taken as a plane, hold no such line."""
    ra, dec = _sky(120.0, 88.0)
    lines = _lines(Circle(8.0))
    phi1, phi2 = (ra - 120.0 + 180.0) % 360.0 - 180.0, dec - 88.0
    inside = np.hypot(phi1, phi2) < 8.0
    assert (
        _best(lines, phi1[inside], phi2[inside]).significance[0] < _found((120.0, 88.0)).significance[0] - 3
    )


@pytest.mark.parametrize("steps", [1, 7, 22, 40])
@pytest.mark.parametrize("centre", [(150.0, 20.0), (0.0, 90.0)])
def test_the_line_turns_with_the_frame(centre, steps):
    turn = steps * RECIPE.angle_step
    before, after = _found(centre), _found(centre, turn)
    expected = before.theta[0] + np.radians(turn)
    apart = (after.theta[0] - expected + np.pi / 2) % np.pi - np.pi / 2
    assert abs(apart) <= np.radians(RECIPE.angle_step) + 1e-9
    assert after.significance[0] == pytest.approx(before.significance[0], rel=0.08)


def test_shuffled_rows_give_the_same_line():
    """Stars keep their ranks whatever their rows are; a rank that cuts through ties is regions' affair."""
    lines = _lines(Circle(8.0))
    x, y = lines.cells.plane.project(*PatchFrame.offset(150.0, 20.0).project_positions(*_sky(150.0, 20.0)))
    ranked, order = np.random.default_rng(1).permutation(100), np.random.default_rng(2).permutation(100)
    expected = lines.expect(lines.cells.densities([(x, y)]))
    one = lines.best(lines.bins(x, y), [ranked], expected)
    two = lines.best(lines.bins(x[order], y[order]), [np.argsort(order)[ranked]], expected)
    assert [getattr(one, name)[0] for name in vars(one)] == [getattr(two, name)[0] for name in vars(two)]


def test_the_null_is_searched_with_the_statistic_of_the_search():
    """Any number of skies side by side have the maxima that `best` finds in each alone."""
    lines = _lines(Circle(6.0))
    density = (lines.cells.area / lines.cells.area.sum()).astype(np.float32)[None, :]
    (strips,) = lines.expect(density)
    for stars in (150, 70, 8, 0):
        skies = np.random.default_rng(4).integers(0, len(lines.cells.x), (7, stars))
        alone = [lines.best(lines.cell_bins, [sky], [strips]).significance[0] for sky in skies]
        assert np.array_equal(lines.maxima(lines.cell_bins, skies, strips), alone)


def _two_regions(order):
    """Two overlapping regions of a table whose rows come in this order."""
    row = np.argsort(order)
    boxes = (((0.0, 6.0), (-3.0, 3.0)), ((1.0, 7.0), (-3.0, 3.0)))
    chosen = (np.arange(0, 120), np.arange(300, 60, -2))
    return [Region(COMPONENTS[0], box, row[stars]) for box, stars in zip(boxes, chosen, strict=True)]


def test_null_maxima_depend_on_no_order():
    lines = _lines(Circle(6.0))
    x = np.random.default_rng(5).uniform(-3, 3, (2, 2, 400))
    densities = lines.cells.densities([(x[0, 0], x[0, 1]), (x[1, 0] + 1, x[1, 1])])
    expected = lines.expect(densities)
    plain = null_maxima(lines, _two_regions(np.arange(400)), densities, expected, 400, skies=12, seed=1)
    mixed = _two_regions(np.random.default_rng(6).permutation(400))[::-1]
    other = null_maxima(lines, mixed, densities[::-1], expected[::-1], 400, skies=12, seed=1)
    assert np.array_equal(plain.maxima, other.maxima)
    reseeded = null_maxima(lines, mixed, densities[::-1], expected[::-1], 400, skies=12, seed=2)
    assert not np.array_equal(plain.maxima, reseeded.maxima), "negative control"


@pytest.mark.parametrize("widths", [(0.25,), (0.75, 1.25), (0.5, 1.0, 2.0), (1.75,)])
def test_strips_of_any_number_of_bins_are_counted(widths):
    """The best line has the count of the stars in it, also where the width is no power of two of bins."""
    recipe = LineRecipe(widths, (200,), 4.0, 0.25)
    lines = HoughLines(FootprintCells.of(Circle(6.0), 0.1), recipe)
    x, y = np.random.default_rng(7).normal(0.0, (1.5, 0.4), (200, 2)).T
    best = _best(lines, x, y)
    across = x * np.sin(best.theta[0]) - y * np.cos(best.theta[0]) - best.offset[0]
    assert best.significance[0] > 4.0
    assert np.sum(np.abs(across) < best.width[0] / 2) == best.count[0]


def test_ranks_beyond_a_byte_are_counted():
    recipe = LineRecipe((1.0,), (50, 400), 4.0, 0.25)
    lines = HoughLines(FootprintCells.of(Circle(6.0), 0.1), recipe)
    rng = np.random.default_rng(8)
    x, y = np.append(rng.uniform(-5, 5, 350), rng.uniform(-3, 3, 50)), rng.normal(0.0, 0.1, 400)
    best = lines.best(lines.bins(x, y), [np.arange(400)], lines.expect(_flat(lines)))
    assert best.rank[0] == 400 and best.count[0] > 390


def _flat(lines):
    return (lines.cells.area / lines.cells.area.sum()).astype(np.float32)[None, :]
