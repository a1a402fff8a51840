"""The client loses no row of the real service, whatever happens between."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from archive_rows import assert_same_rows, rows_of_dr2, rows_of_dr3, within
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from fault_proxy import FaultProxy
from interference import aborting, cutting, killing, stalling
from service import Service
from wire_faults import WireFault

from sky_patches.archive.client import TapClient
from sky_patches.archive.errors import ArchiveUnreachableError, QueryRejectedError, TruncatedReplyError
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.query import ArchiveQuery
from sky_patches.archive.releases import DR2, DR3
from sky_patches.archive.retry import ClientPolicy

HASTY = ClientPolicy(
    socket_timeout_s=3.0, total_timeout_s=120.0, attempts=12, backoff_s=0.2, longest_wait_s=2.0, poll_s=0.1
)
"""For faults of seconds; not so hasty that a busy machine looks like a hanging one."""

PIXEL = SkyPixel(0, 5)
"""Some 3,000 stars."""

QUERY = ArchiveQuery.of(DR3)
TABLE = "gaiadr3.gaia_source"
EXTRA = ("astrometric_params_solved", "phot_bp_rp_excess_factor")


@pytest.fixture
def said() -> list[str]:
    """What the client logs."""
    return []


@pytest.fixture
def client(service: Service, said: list[str]) -> TapClient:
    return TapClient(service.url, policy=HASTY, log=said.append)


def _fetch(client: TapClient, query: ArchiveQuery = QUERY, pixel: SkyPixel = PIXEL) -> Table:
    return client.fetch(query.select(pixel), expected=client.count(query.count(pixel)))


def _expected(rows: Table | None = None, pixel: SkyPixel = PIXEL) -> Table:
    return within(rows_of_dr3() if rows is None else rows, [(pixel.order, pixel.pixel)])


def test_every_row_and_every_bit_arrives_and_the_job_is_gone(client, service, said):
    before = service.jobs()
    query = ArchiveQuery.of(DR3, [*DR3.columns(), *EXTRA])
    found = _fetch(client, query)
    assert_same_rows(found, _expected(), [*DR3.columns(), *EXTRA])
    assert service.jobs() == before
    assert said == []


def test_dr2_takes_ruwe_from_its_own_table(client):
    found = _fetch(client, ArchiveQuery.of(DR2))
    assert_same_rows(found, _expected(rows_of_dr2()))


def test_the_row_limit_is_known_and_an_overflow_is_an_error(client, service):
    client.check()
    assert client.row_limit() == service.row_limit
    crowded = max((SkyPixel(0, k) for k in range(12)), key=lambda p: len(_expected(pixel=p)))
    assert len(_expected(pixel=crowded)) > service.row_limit
    with pytest.raises(TruncatedReplyError):
        _fetch(client, pixel=crowded)


def test_an_error_in_the_query_is_told_once_in_the_words_of_the_service(client, said):
    with pytest.raises(QueryRejectedError, match="no_such_column"):
        client.count("SELECT COUNT(*) FROM gaiadr3.gaia_source WHERE no_such_column > 1")
    with pytest.raises(QueryRejectedError, match="no_such_column"):
        client.fetch("SELECT no_such_column FROM gaiadr3.gaia_source", expected=1)
    assert said == []


def test_jobs_that_somebody_aborts_are_asked_anew(client, service, said):
    with aborting(service, times=2) as aborted:
        assert_same_rows(_fetch(client), _expected())
    assert len(aborted) == 2
    assert all(any(job in line and "ABORTED" in line for line in said) for job in aborted), said


def test_queries_whose_database_connection_is_cut_are_asked_anew(client, service, said):
    with cutting(service, TABLE, times=2) as cut:
        assert_same_rows(_fetch(client), _expected())
    # A job on a quick machine may be over before its second query is caught.
    assert cut and len(said) >= len(cut), (cut, said)


def test_a_service_that_answers_slower_than_the_socket_time_out_is_asked_by_jobs(client, service, said):
    with stalling(service, TABLE, seconds=HASTY.socket_timeout_s + 3):
        assert_same_rows(_fetch(client), _expected())
    assert any("sent nothing" in line for line in said), said


def test_a_service_killed_while_the_job_runs_still_gives_its_result(client, service, said):
    started, expected = [], client.count(QUERY.count(PIXEL))
    with killing(service, times=1) as killed:
        found = client.fetch(QUERY.select(PIXEL), expected=expected, on_job=started.append)
    assert_same_rows(found, _expected())
    assert killed == started, "the job was asked anew though it lived on"
    assert any("cannot be reached" in line for line in said), said


def test_a_job_left_by_an_earlier_run_is_taken_up(client, service):
    started: list[str] = []
    adql, expected = QUERY.select(PIXEL), client.count(QUERY.count(PIXEL))

    def die(job: str) -> None:
        started.append(job)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.fetch(adql, expected=expected, on_job=die)
    found = client.fetch(adql, expected=expected, job_id=started[0], on_job=started.append)
    assert_same_rows(found, _expected())
    assert len(started) == 1


WIRE_FAULTS = [
    WireFault("status", r"/sync$", "POST", times=2),
    WireFault("status", r"/async$", "POST", status=503),
    WireFault("reset", r"/async/\w+", "GET"),
    WireFault("status", r"/async/\w+", "GET", times=2),
    WireFault("hang", r"/async/\w+", "GET", seconds=5.0),
    WireFault("cut", r"/results/", framing="length"),
    WireFault("cut", r"/results/", framing="chunked"),
    WireFault("status", r"/results/"),
    WireFault("cut", r"/results/", framing="close"),
]


def test_every_fault_of_the_wire_in_one_fetch(service, said):
    with FaultProxy(service.url) as proxy:
        faults = [proxy.plan.add(WireFault(**{**vars(fault), "hits": 0, "seen": 0})) for fault in WIRE_FAULTS]
        assert_same_rows(_fetch(TapClient(proxy.url, policy=HASTY, log=said.append)), _expected())
    assert all(fault.hits == fault.times for fault in faults), faults
    assert len(said) >= sum(fault.hits for fault in faults)


def test_negative_control_astroquery_saves_a_short_file_of_a_cut_reply_and_says_nothing(
    service: Service, tmp_path: Path
):
    from astroquery.utils.tap import TapPlus

    saved = tmp_path / "result.csv"
    with FaultProxy(service.url) as proxy, warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        fault = proxy.plan.add(WireFault("cut", r"/results/", framing="length", times=None))
        adql, options = QUERY.select(PIXEL), {"dump_to_file": True, "output_format": "csv"}
        TapPlus(url=proxy.url).launch_job_async(adql, output_file=str(saved), **options)
    assert fault.hits == 1
    assert 0 < len(saved.read_bytes().splitlines()) - 1 < len(_expected())


def test_a_dead_service_is_one_clear_error(service):
    service.stop()
    try:
        with pytest.raises(ArchiveUnreachableError, match="check the address"):
            TapClient(service.url, policy=HASTY).check()
    finally:
        service.start()
