"""What is asked: source_id ranges, ADQL, and which pixels are missing."""

from __future__ import annotations

from itertools import pairwise

import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sky_patches import SCHEMA, SkyPatchesError
from sky_patches.archive import ArchiveCuts, ArchiveQuery, SkyPixel, release_named
from sky_patches.archive.coverage import FetchedPixel, coverage_of, missing_pixels, outermost
from sky_patches.archive.manifest import PixelRecord, RefreshManifest
from sky_patches.archive.releases import DEFAULT_COLUMNS, DR2, DR3
from sky_patches.healpix import source_id_to_pixel


@st.composite
def sky_pixels(draw: st.DrawFn) -> SkyPixel:
    order = draw(st.integers(0, 12))
    return SkyPixel(order, draw(st.integers(0, (12 << (2 * order)) - 1)))


@given(sky_pixels())
def test_a_range_of_source_ids_is_exactly_one_pixel(pixel):
    low, stop = pixel.source_ids
    edges = np.array([low, stop - 1], dtype=np.int64)
    assert source_id_to_pixel(edges, pixel.order).tolist() == [pixel.pixel] * 2
    if low > 0:
        assert source_id_to_pixel(np.array([low - 1]), pixel.order)[0] == pixel.pixel - 1


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90), st.integers(0, 12))
def test_a_star_lies_in_the_range_of_its_pixel(ra, dec, order):
    star = int(hp.ang2pix(1 << 12, ra, dec, nest=True, lonlat=True)) << 35
    low, stop = SkyPixel(order, int(hp.ang2pix(1 << order, ra, dec, nest=True, lonlat=True))).source_ids
    assert low <= star < stop


@given(sky_pixels())
def test_children_fill_their_pixel(pixel):
    assert SkyPixel.parse(str(pixel)) == pixel
    if pixel.order == 12:
        with pytest.raises(SkyPatchesError, match="12"):
            _ = pixel.children
        return
    spans = [child.source_ids for child in pixel.children]
    assert spans[0][0] == pixel.source_ids[0] and spans[-1][1] == pixel.source_ids[1]
    assert all(one[1] == two[0] for one, two in pairwise(spans))


def fetched(pixel: SkyPixel, mark: str = "a", time: str = "2026-01-01T00:00:00+00:00") -> FetchedPixel:
    return FetchedPixel(pixel, mark, "dr3", time, 1, "c")


def record(*pixels: FetchedPixel) -> dict:
    return {"refresh": {"pixels": [pixel.to_dict() for pixel in pixels]}}


@st.composite
def near_pixels(draw: st.DrawFn) -> SkyPixel:
    """Pixels of few orders in one corner of the sky, so that they overlap often."""
    order = draw(st.integers(0, 3))
    return SkyPixel(order, draw(st.integers(0, (2 << (2 * order)) - 1)))


@given(st.lists(st.tuples(near_pixels(), st.sampled_from("ab"))), st.lists(near_pixels(), min_size=1))
def test_missing_is_what_is_wanted_and_not_there(history, wanted):
    """Against sets of order-3 pixels, later records winning."""
    truth: dict[int, str] = {}
    for pixel, mark in history:
        low, high = (edge >> 18 for edge in pixel.span)
        truth |= dict.fromkeys(range(low, high), mark)
    asked = {cell for pixel in wanted for cell in range(*(edge >> 18 for edge in pixel.span))}
    coverage = coverage_of([record(fetched(pixel, mark)) for pixel, mark in history])
    missing = missing_pixels(outermost(wanted), coverage, lambda f: f.fingerprint == "a")
    cells = [cell for pixel in missing for cell in range(*(edge >> 18 for edge in pixel.span))]
    assert len(cells) == len(set(cells))
    assert set(cells) == {cell for cell in asked if truth.get(cell) != "a"}


def test_what_a_repair_took_out_is_missing():
    pixels = [SkyPixel(5, 8), SkyPixel(5, 9)]
    taken = {"origin": "repair", "taken_out": ["dataset/Norder=5/Dir=0/Npix=8.parquet"]}
    history = [record(*map(fetched, pixels)), taken]
    assert missing_pixels(pixels, coverage_of(history), lambda f: True) == [pixels[0]]
    assert missing_pixels(pixels, coverage_of([*history, record(fetched(pixels[0]))]), lambda f: True) == []
    marked = coverage_of(history[:1], [(pixels[1], 1)])
    assert missing_pixels(pixels, marked, lambda f: True) == [pixels[1]]


def test_the_queries_of_both_releases():
    pixel = SkyPixel(5, 100)
    low, stop = pixel.source_ids
    three = ArchiveQuery.of(DR3, ["ruwe"], ArchiveCuts(parallax_below=1, g=(10, 20.2), ruwe_below=1.4))
    assert three.select(pixel) == (
        "SELECT source_id, ra, dec, pmra, pmdec, ruwe FROM gaiadr3.gaia_source "
        f"WHERE source_id BETWEEN {low} AND {stop - 1} AND pmra IS NOT NULL AND pmdec IS NOT NULL "
        "AND parallax < 1.0 AND ruwe < 1.4 AND phot_g_mean_mag > 10.0 AND phot_g_mean_mag < 20.2"
    )
    two = ArchiveQuery.of(release_named("Gaia DR2"), ["ruwe"], ArchiveCuts(where=("x > 1 OR y > 2",)))
    assert two.count(pixel) == (
        "SELECT COUNT(*) AS n_stars FROM gaiadr2.gaia_source AS g LEFT OUTER JOIN gaiadr2.ruwe AS r "
        f"ON g.source_id = r.source_id WHERE g.source_id BETWEEN {low} AND {stop - 1} "
        "AND g.pmra IS NOT NULL AND g.pmdec IS NOT NULL AND (x > 1 OR y > 2)"
    )
    assert " r.ruwe FROM" in two.select(pixel) and " g.ra," in two.select(pixel)


def test_the_default_columns_are_of_the_schema():
    assert set(DEFAULT_COLUMNS) <= set(SCHEMA)
    assert ArchiveQuery.of(DR2).columns == DEFAULT_COLUMNS


def test_every_change_of_the_query_changes_its_fingerprint():
    queries = [
        ArchiveQuery.of(DR3),
        ArchiveQuery.of(DR2),
        ArchiveQuery.of(DR3.at("mirror.gaia")),
        ArchiveQuery.of(DR3, ["ruwe"]),
        ArchiveQuery.of(DR3, ["ruwe", "visibility_periods_used"]),
        ArchiveQuery.of(DR3, None, ArchiveCuts(five_parameter=True)),
        ArchiveQuery.of(DR3, None, ArchiveCuts(colour=(0.5, 1.0))),
        ArchiveQuery.of(DR3, None, ArchiveCuts(where=("ruwe < 2",))),
    ]
    assert len({query.fingerprint for query in queries}) == len(queries)
    assert ArchiveQuery.of(DR3).fingerprint == ArchiveQuery.of(DR3, list(DEFAULT_COLUMNS)).fingerprint


@pytest.mark.parametrize(
    "condition", ["", "  ", "1=1) OR (1=1", "(ruwe < 2", "x = 'open", "ruwe < 2 -- so", "a; drop table b"]
)
def test_a_condition_cannot_leave_its_parentheses(condition):
    with pytest.raises(SkyPatchesError, match="condition"):
        ArchiveCuts(where=(condition,))
    ArchiveCuts(where=("phot_variable_flag = 'a (b;--c'",))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: ArchiveCuts(parallax_below=float("nan")), "parallax_below"),
        (lambda: ArchiveCuts(g=(20.0, 10.0)), "low < high"),
        (lambda: release_named("dr7"), "dr2, dr3"),
        (lambda: DR3.at("gaia; drop"), "schema.table"),
        (lambda: ArchiveQuery.of(DR3, ["ra, dec"]), "column"),
        (lambda: SkyPixel(13, 0), "0 to 12"),
        (lambda: SkyPixel(0, 12), "0 to 11"),
    ],
)
def test_wrong_input_is_told(wrong, told):
    with pytest.raises(SkyPatchesError, match=told):
        wrong()


def test_a_manifest_outlives_a_line_that_was_cut_off(tmp_path):
    path = tmp_path / "refresh" / "manifest.jsonl"
    one, two = (PixelRecord(SkyPixel(5, k), "staged", "a", "now", rows=k) for k in (1, 2))
    RefreshManifest(path).note(one, two)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 5):
        path.write_bytes(whole[:cut])
        manifest = RefreshManifest(path)
        manifest.note(PixelRecord(SkyPixel(5, 3), "failed", "a", "now"))
        again = RefreshManifest(path)
        assert again.get(SkyPixel(5, 3), "a") is not None
        assert again.get(SkyPixel(5, 1), "a") == (one if cut >= whole.index(b"\n") else None)
        assert again.get(SkyPixel(5, 3), "b") is None
