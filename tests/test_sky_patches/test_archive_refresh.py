"""A refresh ends with the archive's rows in the store, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from archive_double import DoubleArchive, Killed, assert_same_stars, gaia_like, served

from sky_patches import CatalogStore, StoreError
from sky_patches.archive import (
    ArchiveCuts,
    RefreshError,
    RefreshReport,
    RefreshSettings,
    ReplaceNeededError,
    TapClient,
    estimate_refresh,
    generation,
    refresh,
    repair_store,
)
from sky_patches.archive.errors import (
    ArchiveError,
    ArchiveUnreachableError,
    JobFailedError,
    QueryRejectedError,
    RowCountError,
    TruncatedReplyError,
)
from sky_patches.archive.fetching import Archive
from sky_patches.archive.manifest import RefreshManifest
from sky_patches.archive.situation import manifest_at, staging_at
from sky_patches.archive.staging import Staging

REGION = "cone:150,30,5"
FEW = RefreshSettings(workers=1, order=3)


@pytest.fixture(scope="module")
def stars():
    return gaia_like(3000)


@pytest.fixture
def archive(stars) -> DoubleArchive:
    return DoubleArchive(stars, limit=900)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "gaia"


def run(root: Path, archive: DoubleArchive, region=REGION, settings=FEW, **options) -> RefreshReport:
    return refresh(root, region, "dr3", archive=archive, settings=settings, **options)


def log_of(root: Path) -> str:
    return (root / "refresh" / "log.txt").read_text()


def fail_when(archive: DoubleArchive, number: int, error: BaseException, asked: str = "fetches") -> None:
    """Let the `number`-th query fail, once."""
    left = [number]

    def fail(adql: str) -> None:
        if adql != "check" and adql.startswith("SELECT COUNT") == (asked == "counts"):
            left[0] -= 1
            if left[0] == 0:
                raise error

    archive.fail = fail


def test_the_double_and_the_client_are_archives(archive):
    assert isinstance(archive, Archive) and isinstance(TapClient("http://localhost:1/tap"), Archive)


def test_the_store_is_the_table(root, archive, stars):
    report = run(root, archive, settings=RefreshSettings(order=3))
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))
    assert report.complete and report.rows == report.stars == len(served(stars))
    assert report.splits == log_of(root).count("split into its four children") > 0
    assert CatalogStore.open(root).verify().ok
    assert staging_at(root).staged() == []


def test_every_pixel_keeps_query_time_rows_and_checksum(root, archive):
    report = run(root, archive)
    manifest = manifest_at(root)
    records = manifest.in_state("committed")
    assert len(records) == report.fetched and sum(record.rows for record in records) == report.rows
    assert all(record.time and len(record.checksum) == 64 for record in records)
    assert {record.fingerprint for record in records} == {report.fingerprint}
    assert "BETWEEN {low} AND {high}" in manifest.query_text(report.fingerprint)


def test_an_unchanged_store_asks_nothing(root, archive, stars):
    run(root, archive)
    content = CatalogStore.open(root).checksum()
    again = DoubleArchive(stars)
    report = run(root, again)
    assert (again.counts, again.fetches, report.rows, report.missing) == ([], [], 0, 0)
    # The region may be named otherwise, or be smaller, or be what the store holds.
    for region in ("cone:150,30,1", None, "cone:galactic:196,53,1"):
        run(root, again, region)
    assert again.fetches == [] and CatalogStore.open(root).checksum() == content


def test_a_region_grows_without_asking_again(root, archive, stars):
    first = run(root, archive, "cone:150,30,1")
    asked = set(archive.fetches)
    second = run(root, archive)
    assert asked and not asked & set(archive.fetches[len(asked) :])
    assert first.fetched < first.fetched + second.fetched == len(archive.fetches) + _empty(root)
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))


def _empty(root: Path) -> int:
    return sum(record.rows == 0 for record in manifest_at(root).in_state("committed"))


def test_columns_cuts_and_further_columns(root, archive, stars):
    cuts = ArchiveCuts(parallax_below=1.2, g=(12, 20), where=("visibility_periods_used > 8",))
    run(root, archive, cuts=cuts, columns=["parallax", "phot_g_mean_mag", "visibility_periods_used"])
    store = CatalogStore.open(root)
    assert store.columns == (
        "source_id", "ra", "dec", "parallax", "pmra", "pmdec", "phot_g_mean_mag", "visibility_periods_used",
    )  # fmt: skip
    magnitude = stars["phot_g_mean_mag"]
    kept = (
        (stars["parallax"] < 1.2)
        & (magnitude > 12)
        & (magnitude < 20)
        & (stars["visibility_periods_used"] > 8)
    )
    assert_same_stars(store.stars(), served(stars[kept]))


def test_dr2_gets_its_ruwe_by_a_join(root, archive, stars):
    refresh(root, REGION, "dr2", archive=archive, settings=FEW)
    found = CatalogStore.open(root).stars()
    assert_same_stars(found, served(stars))
    assert np.isnan(found["ruwe"]).any() and np.isfinite(found["ruwe"]).any()


def test_answers_in_capitals_are_understood(root, archive, stars):
    plain = archive.fetch

    def shout(adql, **options):
        table = plain(adql, **options)
        table.rename_columns(table.colnames, [name.upper() for name in table.colnames])
        return table

    archive.fetch = shout
    run(root, archive, columns=["ruwe", "visibility_periods_used"])
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))


CRASHES = [
    ("while counting", DoubleArchive, "count", "before"),
    ("while a job runs", DoubleArchive, "fetch", "before"),
    ("before staging", Staging, "write", "before"),
    ("between staging and its record", Staging, "write", "after"),
    ("between staging and commit", CatalogStore, "replace", "before"),
    ("between commit and its record", CatalogStore, "replace", "after"),
    ("between record and removal", Staging, "remove", "before"),
]


def kill_at(monkeypatch, owner: type, name: str, side: str, number: int) -> None:
    """Let the `number`-th call of a method be the last thing that the process does."""
    plain, left = getattr(owner, name), [number]

    def killed(*args, **options):
        left[0] -= 1
        if left[0] < 0 or (left[0] == 0 and side == "before"):
            raise Killed
        result = plain(*args, **options)
        if left[0] == 0:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, killed)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(("where", "owner", "name", "side"), CRASHES, ids=[c[0] for c in CRASHES])
def test_a_killed_refresh_continues(root, archive, stars, monkeypatch, where, owner, name, side, number):
    small = RefreshSettings(workers=1, order=3, batch_rows=400)
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, side, number)
        with pytest.raises(Killed):
            run(root, archive, settings=small)
    staged = {fetched.pixel for fetched in staging_at(root).staged()}
    again = DoubleArchive(stars, limit=900)
    report = run(root, again, settings=small)
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))
    assert report.complete and CatalogStore.open(root).verify().ok
    asked = Counter(archive.fetches + again.fetches)
    # Nothing that was staged whole is fetched twice: only the query that the kill hit.
    assert sum(asked.values()) - len(asked) <= 1
    ranges = [f"BETWEEN {p.source_ids[0]} AND {p.source_ids[1] - 1} " for p in staged]
    assert not [adql for adql in again.fetches + again.counts if any(text in adql for text in ranges)]
    assert run(root, DoubleArchive(stars), settings=small).missing == 0


def test_a_running_job_is_taken_up(root, archive, stars):
    fail_when(archive, 2, ArchiveUnreachableError("gone"))
    with pytest.raises(ArchiveUnreachableError, match="run the same command again"):
        run(root, archive)
    again = DoubleArchive(stars, limit=900)
    run(root, again)
    assert again.taken_up == ["job1"] and "taking up job job1" in log_of(root)
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))


def test_an_unreachable_service_keeps_what_was_fetched(root, archive):
    fail_when(archive, 3, ArchiveUnreachableError("gone"))
    with pytest.raises(ArchiveUnreachableError):
        run(root, archive)
    assert len(CatalogStore.open(root)) > 0
    assert "stopped by" in log_of(root) and archive.stopped


@pytest.mark.parametrize(
    "error",
    [
        JobFailedError("aborted", job_id="j", phase="ABORTED"),
        RowCountError("rows", expected=2, found=1),
        ArchiveError("odd"),
    ],
)
def test_one_failed_pixel_does_not_stop_the_others(root, archive, stars, error):
    fail_when(archive, 2, error)
    report = run(root, archive)
    if isinstance(error, RowCountError):
        # Counted again at once, in the same number: told as a failure.
        assert len(report.failed) == 1
    (pixel, reason) = report.failed[0]
    assert not report.complete and reason == str(error) and f"pixel {pixel} failed" in log_of(root)
    assert len(CatalogStore.open(root)) == report.rows < len(served(stars))
    again = run(root, DoubleArchive(stars, limit=900))
    assert again.fetched == again.missing == 1
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))


def test_a_service_that_fails_again_and_again_is_left(root, archive):
    def fail(adql: str) -> None:
        if adql != "check":
            raise JobFailedError("aborted", job_id="j", phase="ABORTED")

    archive.fail = fail
    with pytest.raises(RefreshError, match="8 pixels failed in a row"):
        run(root, archive, "cone:150,30,20")
    assert len(archive.counts) < 12


def test_a_rejected_query_stops_at_once(root, archive):
    with pytest.raises(QueryRejectedError, match="nonsense"):
        run(root, archive, cuts=ArchiveCuts(where=("nonsense > 3",)))
    assert len(archive.counts) <= 3


def test_a_truncated_reply_splits_the_pixel(root, stars):
    archive = DoubleArchive(stars)
    fail_when(archive, 1, TruncatedReplyError("overflow", rows=10))
    report = run(root, archive)
    assert report.splits == 1 and "overflow" in log_of(root)
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))


def test_a_pixel_that_cannot_be_split_is_named(root, stars):
    crowd = stars.copy()
    inside = np.isfinite(crowd["pmra"])
    # Thirty stars of one level-12 pixel.
    chosen = np.flatnonzero(inside)[:30]
    base = int(crowd["source_id"][chosen[0]]) >> 35 << 35
    crowd["source_id"][chosen] = base + np.arange(30)
    report = run(root, DoubleArchive(crowd, limit=20), f"pixels:8:{base >> 43}", RefreshSettings(order=8))
    ((pixel, reason),) = report.failed
    assert (pixel.order, pixel.pixel) == (12, base >> 35) and "cannot be split" in reason
    pixels = np.asarray(served(crowd)["source_id"]) >> 35
    assert report.stars == np.sum((pixels >> 8 == base >> 43) & (pixels != base >> 35))


def test_rows_that_were_not_asked_for_are_refused(root, archive):
    plain = archive.fetch

    def wrong(adql, **options):
        table = plain(adql, **options)
        table["source_id"][0] = 1
        archive.fetch = plain
        return table

    archive.fetch = wrong
    report = run(root, archive)
    assert len(report.failed) == 1 and "not asked for" in report.failed[0][1]
    assert 1 not in CatalogStore.open(root).stars()["source_id"]


def test_a_table_that_changed_since_an_interruption_is_counted_again(root, archive, stars):
    def fail(adql: str) -> None:
        if adql.startswith("SELECT source_id"):
            raise ArchiveUnreachableError("gone")

    archive.fail = fail
    with pytest.raises(ArchiveUnreachableError):
        run(root, archive)
    fewer = served(stars)[::2]
    run(root, DoubleArchive(fewer, limit=900))
    assert_same_stars(CatalogStore.open(root).stars(), fewer)


def test_a_changed_query_needs_leave_and_never_mixes(root, archive, stars):
    run(root, archive, "cone:150,30,1.5")
    old = CatalogStore.open(root).checksum()
    cuts = ArchiveCuts(parallax_below=1.0)
    asked = len(archive.counts)
    with pytest.raises(ReplaceNeededError, match=r"parallax < 1.0.*--replace"):
        run(root, archive, "cone:153,30,1", cuts=cuts)
    assert CatalogStore.open(root).checksum() == old and len(archive.counts) == asked
    report = run(root, archive, "cone:153,30,1", cuts=cuts, settings=RefreshSettings(order=3, replace=True))
    found = CatalogStore.open(root)
    assert report.replaced and found.verify().ok and np.all(found.stars()["parallax"] < 1.0)
    # The old part of the sky and the new one, as a fresh store would have them.
    fresh = root.with_name("fresh")
    run(fresh, archive, "cone:150,30,1.5 | cone:153,30,1", cuts=cuts)
    assert found.checksum() == CatalogStore.open(fresh).checksum()
    assert not generation.next_generation(root).exists()
    assert run(root, DoubleArchive(stars), None, cuts=cuts).missing == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("owner", "name", "side"),
    [
        (Staging, "write", "after"),
        (CatalogStore, "replace", "after"),
        (generation, "_link", "after"),
        (generation, "commit", "before"),
        (generation, "commit", "after"),
        (generation, "_move_records", "after"),
    ],
)
def test_a_killed_replacement_leaves_the_old_stars_or_the_new(
    root, archive, stars, monkeypatch, owner, name, side
):
    run(root, archive)
    old = CatalogStore.open(root).checksum()
    settings = RefreshSettings(workers=1, order=3, replace=True)
    cuts = ArchiveCuts(parallax_below=1.0)
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, side, 1)
        with pytest.raises(Killed):
            run(root, archive, cuts=cuts, settings=settings)
    kept = served(stars[stars["parallax"] < 1.0])
    between = CatalogStore.open(root)
    assert between.checksum() == old or len(between) == len(kept)
    again = DoubleArchive(stars, limit=900)
    run(root, again, cuts=cuts, settings=settings)
    assert_same_stars(CatalogStore.open(root).stars(), kept)
    assert CatalogStore.open(root).verify().ok and not generation.next_generation(root).exists()
    if owner is generation:
        assert again.fetches == []


def test_a_third_query_drops_what_the_second_had_begun(root, archive, stars):
    run(root, archive)
    settings = RefreshSettings(workers=1, order=3, replace=True, batch_rows=100)
    fail_when(archive, 4, ArchiveUnreachableError("gone"))
    with pytest.raises(ArchiveUnreachableError):
        run(root, archive, cuts=ArchiveCuts(parallax_below=1.0), settings=settings)
    run(root, DoubleArchive(stars, limit=900), cuts=ArchiveCuts(ruwe_below=1.0), settings=settings)
    with np.errstate(invalid="ignore"):
        assert_same_stars(CatalogStore.open(root).stars(), served(stars[stars["ruwe"] < 1.0]))


def test_old_pixels_are_fetched_again(root, archive, stars):
    run(root, archive)
    changed = stars.copy()
    changed["parallax"] += 1.0
    gone = served(changed)[::3]
    again = DoubleArchive(gone, limit=900)
    assert run(root, again, None, RefreshSettings(order=3, older_than_days=30)).missing == 0
    report = run(root, again, None, RefreshSettings(order=3, older_than_days=0))
    assert report.missing > 0 and not report.replaced
    assert_same_stars(CatalogStore.open(root).stars(), gone)


def test_stars_from_files_are_never_mixed_with_an_archive(root, archive, stars):
    from sky_patches import read_stars

    CatalogStore.create(root, name="files").append(read_stars(stars).stars, provenance={"origin": "my.fits"})
    with pytest.raises(RefreshError, match=r"my\.fits"):
        run(root, archive)


def test_one_refresh_at_a_time(root, archive):
    inside, go_on = threading.Event(), threading.Event()

    def wait(adql: str) -> None:
        inside.set()
        go_on.wait(10)

    run(root, archive, "cone:150,30,0.1")
    archive.fail = wait
    other = threading.Thread(target=run, args=(root, archive), daemon=True)
    other.start()
    assert inside.wait(10)
    with pytest.raises(RefreshError, match="another refresh"):
        run(root, archive)
    go_on.set()
    other.join(20)
    assert run(root, archive).missing == 0


def test_a_damaged_staged_file_is_fetched_again(root, archive, stars, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, CatalogStore, "replace", "before", 1)
        with pytest.raises(Killed):
            run(root, archive)
    paths = sorted((root / "refresh" / "staging").glob("*.parquet"))
    content = bytearray(paths[0].read_bytes())
    content[len(content) // 3] ^= 0xFF
    paths[0].write_bytes(content)
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    again = DoubleArchive(stars, limit=900)
    run(root, again)
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))
    assert len(again.fetches) <= 2


def test_a_full_disk_is_told_and_nothing_is_lost(root, archive, stars, monkeypatch):
    plain = Staging.write

    def full(self, rows, pixel, query):
        if pixel.pixel % 4 == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(self, rows, pixel, query)

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write", full)
        with pytest.raises(RefreshError, match=r"No space left.*free space"):
            run(root, archive)
    run(root, DoubleArchive(stars, limit=900))
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))


def test_a_repaired_store_fetches_what_it_lost(root, archive, stars):
    run(root, archive, settings=RefreshSettings(order=6))
    store = CatalogStore.open(root)
    part = store.partitions[0]
    path = root / part.path
    path.write_bytes(path.read_bytes()[:-200])
    repaired = repair_store(root, store.verify())
    assert repaired.partitions == (part.path,) and repaired.pixels
    assert len(CatalogStore.open(root)) < len(served(stars))
    run(root, DoubleArchive(stars, limit=900))
    assert_same_stars(CatalogStore.open(root).stars(), served(stars))
    assert CatalogStore.open(root).verify().ok


def test_a_lost_manifest_changes_nothing(root, archive, stars):
    run(root, archive)
    (root / "refresh" / "manifest.jsonl").unlink()
    assert run(root, archive).missing == 0
    assert isinstance(manifest_at(root), RefreshManifest)


def test_an_estimate_writes_nothing_and_is_right(root, archive, stars):
    found = estimate_refresh(root, REGION, archive=archive, settings=FEW)
    assert not root.exists() and archive.fetches == []
    assert found.exact and found.rows == len(served(stars)) and found.bytes == found.rows * 21 * 8
    assert len(found.queries) == 3 and found.pixels == found.counted
    model = estimate_refresh(root, "sky", "dr3", offline=True)
    assert model.counted == 0 and model.rows == pytest.approx(1.468e9, rel=0.01)
    plane, pole = (estimate_refresh(root, text, offline=True).rows for text in ("absb:<10", "absb:>60"))
    assert plane > 10 * pole
    run(root, archive)
    later = estimate_refresh(root, REGION, archive=archive, settings=FEW, cuts=ArchiveCuts(ruwe_below=1))
    assert later.old_rows == len(served(stars)) and later.pixels > 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"workers": 0}, "workers"), ({"order": 13}, "order"), ({"older_than_days": -1.0}, "days")],
)
def test_wrong_settings_are_told(settings, told):
    with pytest.raises(RefreshError, match=told):
        RefreshSettings(**settings)


def test_a_new_store_needs_a_region_and_an_empty_directory(root, archive):
    with pytest.raises(RefreshError, match="name a region"):
        run(root, archive, None)
    with pytest.raises(RefreshError, match="empty"):
        run(root, archive, "cone:0,80,1 & cone:0,-80,1")
    root.mkdir()
    (root / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        run(root, archive)
