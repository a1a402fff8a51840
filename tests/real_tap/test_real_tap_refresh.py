"""Whatever happens to the service during a refresh, the store ends as the archive's table, row for row."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from archive_rows import rows_of_dr2, rows_of_dr3, within
from fault_proxy import FaultProxy
from interference import aborting, cutting, killing, stalling
from refreshing import HASTY, PATIENT, QUARTET, TABLE, assert_store_holds, log_of, region, run
from service import Service
from wire_faults import WireFault

from sky_patches import CatalogStore
from sky_patches.archive.errors import ArchiveError
from sky_patches.archive.query import ArchiveCuts
from sky_patches.archive.refresh_errors import ReplaceNeededError

WHOLE_SKY = tuple((0, k) for k in range(12))
ASYNC = r"/async/\w+"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def _jobs_asked(proxy: FaultProxy) -> int:
    return sum(hit.method == "POST" and hit.path.endswith("/async") for hit in proxy.plan.log)


def test_the_whole_sky_splits_where_it_is_crowded_and_a_second_run_asks_nothing(
    service: Service, store: Path
):
    assert max(len(within(rows_of_dr3(), [pixel])) for pixel in WHOLE_SKY) > service.row_limit
    there = service.jobs()
    with FaultProxy(service.url) as proxy:
        report = run(store, proxy.url, "sky", order=0)
        asked = _jobs_asked(proxy)
        assert report.complete and report.splits >= 1
        assert asked == report.fetched == 12 + 3 * report.splits
        assert_store_holds(store, WHOLE_SKY)
        assert log_of(store).count("split into its four children") == report.splits
        before = len(proxy.plan.log)
        again = run(store, proxy.url, "sky", order=0)
        assert len(proxy.plan.log) == before and again.fetched == 0
    # Deleting a job is a courtesy, tried once: a busy service may miss it, and then the log says so.
    left = set(service.jobs()) - set(there)
    assert [job for job in left if f"job {job} could not be deleted" not in log_of(store)] == []
    assert_store_holds(store, WHOLE_SKY)


def test_dr2_with_its_ruwe(service: Service, store: Path):
    report = run(store, service.url, region(QUARTET), "dr2")
    assert report.complete and report.release == "dr2"
    assert_store_holds(store, QUARTET, rows_of_dr2())


def test_a_region_that_grows_asks_only_for_what_is_new(service: Service, store: Path):
    run(store, service.url, region(QUARTET[:2]))
    with FaultProxy(service.url) as proxy:
        report = run(store, proxy.url, region(QUARTET[1:]))
        assert _jobs_asked(proxy) == report.fetched == 2
    assert_store_holds(store, QUARTET)


def test_a_changed_query_fetches_everything_anew_and_never_mixes(service: Service, store: Path):
    bright = ArchiveCuts(g=(10.0, 18.0))
    run(store, service.url, region(QUARTET[:2]))
    with pytest.raises(ReplaceNeededError, match="--replace"):
        run(store, service.url, region(QUARTET[1:3]), cuts=bright)
    assert_store_holds(store, QUARTET[:2])
    with FaultProxy(service.url) as proxy:
        # The third pixel never comes, so the first generation must stay; all others are kept for later.
        low = QUARTET[2][1] << (2 * 11 + 35)
        proxy.plan.add(WireFault("status", r"/sync$", "POST", body_has=str(low), times=None, status=400))
        with pytest.raises(ArchiveError):
            run(store, proxy.url, region(QUARTET[1:3]), cuts=bright, replace=True)
    assert_store_holds(store, QUARTET[:2])
    report = run(store, service.url, region(QUARTET[1:3]), cuts=bright, replace=True)
    assert report.complete and report.replaced
    rows = rows_of_dr3()
    kept = (rows["phot_g_mean_mag"] > 10) & (rows["phot_g_mean_mag"] < 18)
    assert 0 < kept.sum() < len(rows)
    assert_store_holds(store, QUARTET[:3], rows[kept])
    assert "a new generation" in log_of(store)


FAULTS = {
    "server errors": [
        WireFault("status", r"/sync$", "POST", times=3, skip=1),
        WireFault("status", r"/async$", "POST", times=2, status=503),
        WireFault("status", ASYNC, "GET", times=4, skip=1),
        WireFault("status", r"/results/", "GET", times=2),
    ],
    "replies cut short": [
        WireFault("cut", r"/results/", framing="length", times=2),
        WireFault("cut", r"/results/", framing="chunked", times=2),
        WireFault("cut", r"/results/", framing="close", times=2, keep=0.9),
    ],
    "silence": [
        WireFault("hang", r"/sync$", "POST", seconds=6.0),
        WireFault("hang", ASYNC, "GET", seconds=6.0, skip=2),
        WireFault("hang", r"/results/", "GET", seconds=6.0),
    ],
    "resets": [WireFault("reset", r"/sync$", times=2), WireFault("reset", ASYNC, "GET", times=4, skip=1)],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_faults_of_the_wire_lose_nothing(service: Service, store: Path, faults: list[WireFault]):
    said: list[str] = []
    with FaultProxy(service.url) as proxy:
        added = [proxy.plan.add(WireFault(**(vars(fault) | {"hits": 0, "seen": 0}))) for fault in faults]
        report = run(store, proxy.url, region(QUARTET), log=said.append)
    assert all(fault.hits == fault.times for fault in added), added
    assert report.complete
    assert_store_holds(store, QUARTET)
    retries = [line for line in said if "attempt" in line or "asking as a job" in line]
    assert len(retries) >= sum(fault.times for fault in faults)
    assert all(line in log_of(store) for line in retries)


def test_aborted_jobs_are_asked_anew(service: Service, store: Path):
    with aborting(service, times=3) as aborted:
        assert run(store, service.url, region(QUARTET)).complete
    assert len(aborted) == 3 and all(f"job {job} ended in phase ABORTED" in log_of(store) for job in aborted)
    assert_store_holds(store, QUARTET)


def test_a_database_that_goes_away_under_its_queries_loses_nothing(service: Service, store: Path):
    with cutting(service, TABLE, times=2) as cut:
        assert run(store, service.url, region(QUARTET)).complete
    assert len(cut) == 2 and "closed the connection" in log_of(store)
    assert_store_holds(store, QUARTET)


def test_a_slow_database_is_waited_for(service: Service, store: Path):
    with stalling(service, TABLE, seconds=HASTY.socket_timeout_s + 2):
        assert run(store, service.url, region(QUARTET)).complete
    assert "sent nothing for" in log_of(store)
    assert_store_holds(store, QUARTET)


def test_a_service_killed_and_restarted_gives_the_results_of_the_jobs_it_had(service: Service, store: Path):
    with killing(service, times=2) as killed:
        assert run(store, service.url, region(QUARTET), policy=PATIENT).complete
    assert len(killed) == 2 and "cannot be reached" in log_of(store)
    assert_store_holds(store, QUARTET)


def test_a_service_that_stays_dead_keeps_what_was_fetched(service: Service, store: Path):
    run(store, service.url, region(QUARTET[:1]))
    service.stop()
    try:
        with pytest.raises(ArchiveError, match="cannot be reached"):
            run(store, service.url, region(QUARTET), policy=dataclasses.replace(HASTY, attempts=3))
    finally:
        service.start()
    assert_store_holds(store, QUARTET[:1])
    report = run(store, service.url, region(QUARTET))
    assert report.fetched == 3
    assert_store_holds(store, QUARTET)


def test_negative_control_the_comparison_sees_one_lost_row_and_one_changed_bit(service: Service, store: Path):
    run(store, service.url, region(QUARTET[:1]))
    rows = rows_of_dr3()
    lost = rows[rows["source_id"] != within(rows, QUARTET[:1])["source_id"][7]]
    with pytest.raises(AssertionError, match="alien 1"):
        assert_store_holds(store, QUARTET[:1], lost)
    changed = rows.copy()
    changed["ra"] = np.nextafter(changed["ra"], 400)
    with pytest.raises(AssertionError, match="ra"):
        assert_store_holds(store, QUARTET[:1], changed)
    assert len(CatalogStore.open(store)) == len(within(rows, QUARTET[:1]))
