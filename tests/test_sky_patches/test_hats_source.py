"""A catalogue that hats wrote comes in as its stars, from a directory and over HTTP."""

from __future__ import annotations

import http.server
import re
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack
from store_skies import ORIGIN, assert_bit_exact, separation

from sky_patches.archive.hats_source import from_hats, import_hats
from sky_patches.errors import LoadError, StoreError
from sky_patches.healpix import radec_to_pixel
from sky_patches.schema import star_table
from sky_patches.store import CatalogStore

N = 4000


def gaia(seed: int = 3) -> Table:
    """Stars over the whole sky."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, N), np.degrees(np.arcsin(rng.uniform(-1, 1, N)))
    columns = {"ra": ra, "dec": dec, "pmra": rng.normal(size=N), "pmdec": rng.normal(size=N)}
    columns["source_id"] = (radec_to_pixel(ra, dec, 12) << 35) + rng.permutation(N)
    # Float32 as in Gaia's own tables, so that the round trip is exact.
    magnitudes = rng.uniform(10, 20, N).astype(np.float32)
    return star_table({**columns, "phot_g_mean_mag": magnitudes, "bp_rp": rng.normal(size=N)})


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HATS catalogue made by lsdb, with Gaia DR3's names, and columns that the store does not know."""
    import lsdb

    stars = gaia()
    frame = stars.to_pandas().astype({"phot_g_mean_mag": np.float32})
    frame["random_index"] = np.arange(N)
    frame["phot_variable_flag"] = "NOT_AVAILABLE"
    frame.loc[:49, "pmra"] = np.nan  # sources without proper motion
    path = tmp_path_factory.mktemp("hats") / "gaia_dr3"
    options = {"partition_rows": 500, "margin_threshold": None, "should_generate_moc": False}
    catalogue = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", **options)
    catalogue.write_catalog(path, catalog_name="gaia_dr3", progress_bar=False)
    return path


def wanted() -> Table:
    return gaia()[50:]


def test_all_stars_come_in_and_the_others_are_counted(catalogue: Path) -> None:
    pieces = list(from_hats(catalogue))
    assert len(pieces) > 4
    assert_bit_exact(vstack([piece.stars for piece in pieces]), wanted())
    assert sum(len(piece.rejected) for piece in pieces) == 50
    assert {reason for piece in pieces for reason in piece.report.rejected} == {"pmra is not finite"}
    assert all(piece.report.rows_kept == len(piece.stars) for piece in pieces)
    assert "random_index" not in pieces[0].stars.colnames


def test_a_cone_and_pixels_are_cut_exactly(catalogue: Path) -> None:
    stars = wanted()
    cone = [piece.stars for piece in from_hats(catalogue, cone=(120.0, -35.0, 20.0))]
    assert_bit_exact(vstack(cone), stars[separation(stars, 120.0, -35.0) <= 20.0])
    assert len(cone) < len(list(from_hats(catalogue)))
    inside = np.isin(radec_to_pixel(stars["ra"].data, stars["dec"].data, 2), [3, 77, 120])
    found = [piece.stars for piece in from_hats(catalogue, pixels=[3, 77, 120], order=2)]
    assert_bit_exact(vstack(found), stars[inside])


def test_columns_can_be_kept_and_named(catalogue: Path) -> None:
    named = {"phot_rp_mean_mag": "phot_g_mean_mag"}
    piece = next(from_hats(catalogue, columns=named, keep=["random_index", "phot_variable_flag"]))
    stars = gaia()
    assert set(piece.stars["phot_variable_flag"]) == {"NOT_AVAILABLE"}
    assert np.array_equal(stars["source_id"][piece.stars["random_index"]], piece.stars["source_id"])
    assert "phot_g_mean_mag" not in piece.stars.colnames
    assert np.isin(piece.stars["phot_rp_mean_mag"], stars["phot_g_mean_mag"]).all()


def test_an_import_fills_a_store_and_goes_on_where_it_stopped(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CatalogStore.create(tmp_path / "store", name="gaia")
    seen: list[tuple[int, int]] = []
    original, calls = CatalogStore.append, iter(range(100))

    def dying(self: CatalogStore, stars: Table, **options: object) -> object:
        if next(calls) == 3:
            raise StoreError("stopped")
        return original(self, stars, **options)

    with monkeypatch.context() as patch:
        patch.setattr(CatalogStore, "append", dying)
        with pytest.raises(StoreError, match="stopped"):
            import_hats(store, catalogue)
    part = len(store)
    assert 0 < part < N - 50
    done = import_hats(store, catalogue, progress=lambda k, total: seen.append((k, total)))
    assert (done.continued, done.duplicates, done.rows_added) == (3, 0, N - 50 - part)
    assert seen[-1] == (done.partitions, done.partitions)
    assert_bit_exact(store.stars(), wanted())
    again = import_hats(store, catalogue, cone=(120.0, -35.0, 20.0))
    assert again.rows_added == 0 and again.duplicates > 0
    assert store.verify().ok


def test_a_store_is_itself_such_a_catalogue(tmp_path: Path) -> None:
    first = CatalogStore.create(tmp_path / "a", name="a", max_rows=700)
    first.append(gaia(), provenance=ORIGIN)
    second = CatalogStore.create(tmp_path / "b", name="b")
    report = import_hats(second, tmp_path / "a")
    assert (report.rows_added, report.rejected) == (N, {})
    assert second.checksum() == first.checksum()


class Ranged(http.server.SimpleHTTPRequestHandler):
    """Files with parts of them on demand, as the servers that hold catalogues have."""

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> object:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return None
        size = path.stat().st_size
        start, stop = (int(asked[1]), min(int(asked[2]) + 1, size)) if asked else (0, size)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(path.read_bytes()[start:stop])
        return None

    def do_GET(self) -> None:
        self.send_head()


class Plain(http.server.SimpleHTTPRequestHandler):
    """Whole files only."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[Ranged, Plain], ids=["ranges", "whole files"])
def served(catalogue: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    handler = partial(request.param, directory=str(catalogue.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{catalogue.name}"
        server.shutdown()


def test_a_catalogue_comes_over_http(served: str) -> None:
    pieces = [piece.stars for piece in from_hats(served, cone=(120.0, -35.0, 20.0))]
    stars = wanted()
    assert_bit_exact(vstack(pieces), stars[separation(stars, 120.0, -35.0) <= 20.0])


def test_what_is_no_catalogue_is_an_error_that_helps(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in (tmp_path, tmp_path / "nothing", "http://127.0.0.1:9/gaia"):
        with pytest.raises(LoadError, match=r"cannot be read as a HATS catalogue.*hats\.properties"):
            next(from_hats(source))
    for region, message in (
        ({"cone": (0, 0, 1), "pixels": [1], "order": 1}, "found both"),
        ({"pixels": [1]}, "order=None"),
        ({"pixels": [48], "order": 1}, "are 0 to 47"),
    ):
        with pytest.raises(LoadError, match=message):
            next(from_hats(catalogue, **region))
    with pytest.raises(LoadError, match="keep names 'nonsense'"):
        next(from_hats(catalogue, keep=["nonsense"]))
    monkeypatch.setitem(sys.modules, "hats", None)
    with pytest.raises(LoadError, match=r"needs the package hats .*pip install 'via-machinae\[hats\]'"):
        next(from_hats(catalogue))


def test_a_damaged_partition_is_an_error_that_names_it(catalogue: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(catalogue, tmp_path / "copy")
    victim = sorted(copy.rglob("Npix*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-200])
    with pytest.raises(LoadError, match=victim.name):
        list(from_hats(copy))
    victim.unlink()
    with pytest.raises(LoadError, match=victim.name):
        list(from_hats(copy))
