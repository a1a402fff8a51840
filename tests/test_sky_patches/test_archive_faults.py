"""Ten faults of an archive service that cost astroquery's client rows or the job: this one loses none.

Each fault is shown to be real: by astroquery's plain client, which loses rows in silence or gives up, or by
the service's own log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
from astropy.table import Table
from astroquery.utils.tap import TapPlus
from stub_stars import archive_table, assert_same_rows
from stub_votable import error_document
from tap_stub import JobFault, TapStub
from wire_faults import WireFault

from sky_patches.archive import ClientPolicy, TapClient
from sky_patches.archive.errors import (
    ArchiveSilentError,
    ArchiveUnreachableError,
    IncompleteReplyError,
    JobFailedError,
    QueryRejectedError,
    RowCountError,
    TruncatedReplyError,
)

TABLE = "gaiadr3.gaia_source"
STARS = archive_table(500)
ALL = f"SELECT * FROM {TABLE} WHERE source_id > 0"
COUNT = f"SELECT COUNT(*) FROM {TABLE} WHERE source_id > 0"
RESULT, PHASE = r"/results/result$", r"/phase$"
QUICK = ClientPolicy(
    socket_timeout_s=5.0,
    job_timeout_s=10.0,
    total_timeout_s=30.0,
    attempts=4,
    backoff_s=0.01,
    longest_wait_s=0.05,
    poll_s=0.01,
)
# For the servers that hang; elsewhere a busy machine must not look like one.
HASTY = replace(QUICK, socket_timeout_s=0.3)


@pytest.fixture
def service() -> Iterator[TapStub]:
    with TapStub({TABLE: STARS}) as stub:
        yield stub


@pytest.fixture
def lines() -> list[str]:
    """What the client logged."""
    return []


@pytest.fixture
def client(service: TapStub, lines: list[str]) -> TapClient:
    return TapClient(service.url, policy=QUICK, log=lines.append)


def fetch_all(client: TapClient) -> Table:
    return client.fetch(ALL, expected=client.count(COUNT))


def plain_to_file(service: TapStub, path: Path, query: str = ALL) -> Path:
    """astroquery's own way to a file, with its warnings about names of files turned off."""
    TapPlus(url=service.url).launch_job_async(
        query, output_file=str(path), dump_to_file=True, format_with_results_compressed=()
    )
    return path


def told(lines: list[str], *words: str) -> bool:
    return any(all(word in line for word in words) for line in lines)


def test_without_a_fault_every_row_comes_and_nothing_is_left_behind(service, client, lines):
    assert_same_rows(fetch_all(client), STARS)
    assert service.jobs == {} and lines == []


# 1. The server's row limit is reached.


def test_the_row_limit_is_an_error_that_asks_for_smaller_pieces(service, client):
    service.row_limit = 200
    with pytest.raises(TruncatedReplyError, match="200 of 500 rows") as caught:
        fetch_all(client)
    assert caught.value.rows == 200
    assert len(service.queries) == 2, "an overflow is not asked for again"
    assert service.jobs == {}


def test_control_the_row_limit_is_silent_in_astroquery(service):
    service.row_limit = 200
    job = TapPlus(url=service.url).launch_job_async(ALL)
    assert len(job.get_results()) == 200 and job.get_phase() == "COMPLETED"


# 2. A synchronous query without TOP.


def test_queries_are_sent_as_they_are(service, client):
    fetch_all(client)
    assert [query.adql for query in service.queries] == [COUNT, ALL]


def test_control_astroquery_puts_a_top_into_a_query():
    with TapStub({TABLE: archive_table(2100)}) as service:
        assert len(TapPlus(url=service.url).launch_job(ALL).get_results()) == 2000


# 3. and 4. The reply is cut short, with and without an announced length.


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.6, 0.9999])
def test_a_reply_that_is_cut_short_is_asked_for_again(service, client, lines, framing, keep):
    cut = service.plan.add(WireFault("cut", RESULT, framing=framing, keep=keep, times=2))
    assert_same_rows(fetch_all(client), STARS)
    assert cut.hits == 2 and told(lines, "result of job", "asking again")
    assert len(service.deleted) == 1, "the same job gives its result again"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_reply_that_is_always_cut_short_is_an_error(service, client, framing):
    service.plan.add(WireFault("cut", RESULT, framing=framing, times=None))
    with pytest.raises(IncompleteReplyError):
        fetch_all(client)


@pytest.mark.parametrize("framing", ["length", "close"])
def test_a_count_that_is_cut_short_is_asked_for_again(service, client, framing):
    cut = service.plan.add(WireFault("cut", "/sync$", framing=framing, times=1))
    assert client.count(COUNT) == len(STARS) and cut.hits == 1


@pytest.mark.parametrize("framing", ["length", "close"])
def test_control_a_cut_reply_is_a_short_file_in_astroquery(service, tmp_path, framing):
    whole = plain_to_file(service, tmp_path / "whole.vot").stat().st_size
    service.plan.add(WireFault("cut", RESULT, framing=framing))
    assert 0 < plain_to_file(service, tmp_path / "short.vot").stat().st_size < whole


# 5. Somebody else aborts the job.


def test_an_aborted_job_is_asked_for_anew(service, client, lines):
    fault = JobFault("abort", times=2)
    service.job_faults.append(fault)
    assert_same_rows(fetch_all(client), STARS)
    assert fault.hits == 2 and told(lines, "ABORTED", "new job")
    assert service.jobs == {}


def test_jobs_that_are_always_aborted_are_an_error(service, client):
    service.job_faults.append(JobFault("abort", times=None))
    with pytest.raises(JobFailedError, match="ABORTED") as caught:
        fetch_all(client)
    assert caught.value.phase == "ABORTED" and len(service.deleted) == QUICK.attempts


def test_a_job_aborted_while_it_runs_is_asked_for_anew(service, client):
    service.job_seconds = 0.5
    first: list[str] = []

    def on_job(job_id: str) -> None:
        if not first:
            threading.Timer(0.03, service.abort, [job_id]).start()
        first.append(job_id)

    found = client.fetch(ALL, expected=len(STARS), on_job=on_job)
    assert_same_rows(found, STARS)
    assert len(first) == 2


def test_control_an_aborted_job_gives_no_rows_in_astroquery(service):
    service.job_faults.append(JobFault("abort"))
    assert len(TapPlus(url=service.url).launch_job_async(ALL).get_results()) == 0


# 6. The database dies while the rows are written: a well-formed, short table, in phase ERROR.


def test_a_short_table_in_phase_error_is_not_taken(service, client, lines):
    fault = JobFault("error", keep=0.4)
    service.job_faults.append(fault)
    assert_same_rows(fetch_all(client), STARS)
    assert fault.hits == 1 and told(lines, "ERROR", "database was lost", "new job")


def test_a_short_table_in_phase_completed_is_not_taken(service, client, lines):
    """As bad as it gets: all is said to be well, and only the count tells."""
    service.job_faults.append(JobFault("short", keep=0.4))
    assert_same_rows(fetch_all(client), STARS)
    assert told(lines, "expected 500 rows", "got 200", "new job")


def test_a_table_that_is_short_each_time_is_an_error(service, client):
    service.job_faults.append(JobFault("short", keep=0.4, times=None))
    with pytest.raises(RowCountError) as caught:
        fetch_all(client)
    assert (caught.value.expected, caught.value.found) == (500, 200)


def test_a_longer_table_than_was_counted_is_an_error(client):
    with pytest.raises(RowCountError, match="count again"):
        client.fetch(ALL, expected=len(STARS) - 10)


def test_control_a_short_table_in_phase_error_is_a_file_in_astroquery(service, tmp_path):
    service.job_faults.append(JobFault("error", keep=0.4))
    path = plain_to_file(service, tmp_path / "short.vot")
    assert len(Table.read(path, format="votable")) == 200


# 7. The query is wrong.


@pytest.mark.parametrize("error_status", [200, 400])
@pytest.mark.parametrize("ask", ["count", "fetch"])
def test_a_wrong_query_is_told_in_the_service_s_words_and_not_repeated(
    service, client, lines, ask, error_status
):
    service.error_status = error_status
    wrong = f"SELECT nothing_like_it FROM {TABLE}"
    with pytest.raises(QueryRejectedError, match="nothing_like_it") as caught:
        client.count(wrong) if ask == "count" else client.fetch(wrong, expected=1)
    assert caught.value.reason == "cannot parse the query: no such column: nothing_like_it"
    assert caught.value.adql == wrong
    assert lines == [] and service.jobs == {} and len(service.deleted) == (ask == "fetch")


SENTENCES = [
    "server closed the connection unexpectedly This probably means the server terminated abnormally",
    "FATAL: the database system is starting up",
    "something is wrong that no list of sentences foresees",
]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("error_status", [200, 400, 500])
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_database_that_is_away_does_not_make_a_query_wrong(
    service, client, error_status, failures, sentence
):
    """Services say of both that the query failed; real DaCHS answers HTTP 200 with QUERY_STATUS ERROR."""
    service.error_status, service.database_failures = error_status, failures
    service.database_sentence = sentence
    assert client.count(COUNT) == len(STARS) and service.database_failures == 0


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_database_that_stays_away_is_no_fault_of_the_query(service, client, lines, sentence):
    service.database_failures, service.database_sentence = 1000, sentence
    with pytest.raises(ArchiveUnreachableError, match=sentence[:30]):
        client.count(COUNT)
    assert told(lines, "trouble with its database") or told(lines, "every query at present")


def test_connections_that_fail_once_each_do_not_make_a_query_wrong(service, client):
    """A service with a pool of dead connections answers one query and refuses the next."""
    trouble = error_document("unforeseen trouble")
    service.plan.add(WireFault("replace", "/sync", body_has="COUNT", times=2, body=trouble))
    assert client.count(COUNT) == len(STARS)
    assert service.plan.hits("replace") == 2


def test_a_job_whose_database_is_away_is_asked_for_anew(service, client, lines):
    service.database_failures = 4
    assert_same_rows(client.fetch(ALL, expected=len(STARS)), STARS)
    assert service.database_failures == 0 and told(lines, "cannot connect", "new job")


def test_control_a_wrong_query_is_a_file_in_astroquery(service, tmp_path):
    path = plain_to_file(service, tmp_path / "stars.vot", f"SELECT nothing_like_it FROM {TABLE}")
    assert "cannot parse" in path.read_text()


# 8. Server errors and lost connections, at every step.


STEPS = {
    "count": ("POST", "/sync$"),
    "make": ("POST", "/async$"),
    "start": ("POST", PHASE),
    "poll": ("GET", PHASE),
    "result": ("GET", RESULT),
    "delete": ("POST", r"/async/job\d+$"),
}


@pytest.mark.parametrize("kind", ["status", "reset", "lost"])
@pytest.mark.parametrize("step", STEPS)
def test_a_failed_request_is_repeated(service, client, lines, step, kind):
    method, path = STEPS[step]
    # A job that is deleted or running is not deleted or started once more.
    times = 1 if step == "delete" or (step, kind) == ("start", "lost") else 3
    fault = service.plan.add(WireFault(kind, path, method, times=times))
    assert_same_rows(fetch_all(client), STARS)
    assert fault.hits == times and len(lines) >= times
    assert told(lines, "HTTP 500") == (kind == "status")


def test_a_job_survives_errors_that_are_not_all_in_a_row(service, client):
    """Attempts are counted from the last success: a long job may meet many faults."""
    service.job_seconds = 0.4
    for skip in range(1, 24, 4):
        service.plan.add(WireFault("status", PHASE, "GET", times=3, skip=skip))
    assert_same_rows(fetch_all(client), STARS)
    assert service.plan.hits("status") > QUICK.attempts and len(service.deleted) == 1


def test_a_service_that_fails_for_good_is_an_error_that_says_so(service, client):
    fault = service.plan.add(WireFault("status", PHASE, "GET", times=None, status=503))
    with pytest.raises(ArchiveUnreachableError, match=r"HTTP 503.*4 attempts"):
        fetch_all(client)
    assert fault.hits == QUICK.attempts
    assert len(service.jobs) == 1, "the job is left for a later run"


def test_a_service_that_asks_for_a_pause_gets_it(service, lines):
    service.plan.add(WireFault("status", "/sync$", status=429, headers={"Retry-After": "30"}))
    client = TapClient(service.url, policy=ClientPolicy(backoff_s=0.01, longest_wait_s=0.3), log=lines.append)
    begin = time.monotonic()
    assert client.count(COUNT) == len(STARS)
    assert 0.3 <= time.monotonic() - begin < 20.0 and told(lines, "429")


def test_control_a_server_error_ends_astroquery(service):
    service.plan.add(WireFault("status", PHASE, "GET"))
    with pytest.raises(requests.exceptions.HTTPError):
        TapPlus(url=service.url).launch_job_async(ALL).get_results()


# 9. The server hangs.


@pytest.fixture
def hasty(service: TapStub, lines: list[str]) -> TapClient:
    return TapClient(service.url, policy=HASTY, log=lines.append)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_hangs_is_left_and_asked_again(service, hasty, lines, step):
    method, path = STEPS[step]
    hang = service.plan.add(WireFault("hang", path, method, seconds=6.0))
    begin = time.monotonic()
    assert_same_rows(fetch_all(hasty), STARS)
    assert hang.hits == 1 and told(lines, "nothing for 0.3 s")
    assert time.monotonic() - begin < 6.0


def test_a_server_that_always_hangs_is_an_error(service, hasty):
    service.plan.add(WireFault("hang", PHASE, "GET", seconds=6.0, times=None))
    with pytest.raises(ArchiveSilentError, match="4 attempts"):
        fetch_all(hasty)


def test_a_count_that_takes_longer_than_the_silence_allowed_is_asked_as_a_job(service, hasty, lines):
    service.sync_seconds = 6.0
    service.job_seconds = 0.4
    assert hasty.count(COUNT) == len(STARS)
    assert told(lines, "asking as a job") and len(service.deleted) == 1


@pytest.mark.parametrize("status", [408, 504])
def test_a_count_that_the_service_gives_up_is_asked_as_a_job(service, client, lines, status):
    service.plan.add(WireFault("status", "/sync$", status=status, times=None))
    assert client.count(COUNT) == len(STARS)
    assert told(lines, f"HTTP {status}", "asking as a job")


def test_control_astroquery_waits_as_long_as_the_server_hangs(service):
    service.plan.add(WireFault("hang", PHASE, "GET", seconds=1.0))
    begin = time.monotonic()
    TapPlus(url=service.url).launch_job_async(ALL).get_results()
    assert time.monotonic() - begin >= 1.0


# 10. The server is killed while the job runs, and comes back.


@pytest.mark.parametrize("forget_jobs", [False, True])
def test_a_restarted_server_is_asked_for_the_same_job(service, lines, forget_jobs):
    patient = replace(QUICK, attempts=40, backoff_s=0.02)
    client = TapClient(service.url, policy=patient, log=lines.append)
    service.job_seconds = 0.3
    made: list[str] = []

    def on_job(job_id: str) -> None:
        if not made:
            threading.Timer(0.1, service.kill, kwargs={"forget_jobs": forget_jobs}).start()
            threading.Timer(0.4, service.start).start()
        made.append(job_id)

    assert_same_rows(client.fetch(ALL, expected=len(STARS), on_job=on_job), STARS)
    assert told(lines, "cannot be reached")
    assert len(made) == (2 if forget_jobs else 1)
    assert told(lines, "no longer has job", "new job") == forget_jobs


def test_after_a_restart_of_ours_the_job_is_taken_up(service, client):
    """The service dies, our attempts run out, and a later run carries on with the same job."""
    made: list[str] = []
    service.job_seconds = 0.1
    service.plan.add(WireFault("reset", PHASE, "GET", times=None))
    with pytest.raises(ArchiveUnreachableError):
        client.fetch(ALL, expected=len(STARS), on_job=made.append)
    service.plan.clear()
    again: list[str] = []
    found = client.fetch(ALL, expected=len(STARS), job_id=made[0], on_job=again.append)
    assert_same_rows(found, STARS)
    assert again == [] and service.deleted == made


def test_control_a_killed_server_ends_astroquery(service):
    service.job_seconds = 1.0
    threading.Timer(0.2, service.kill).start()
    with pytest.raises(ConnectionError):
        TapPlus(url=service.url).launch_job_async(ALL).get_results()


def test_many_faults_at_once_in_many_threads_lose_no_row(service, lines):
    """A bad day: every request may fail in some way, and eight workers share one client."""
    plan = service.plan
    for kind, path, times in [
        ("status", "", 9),
        ("reset", PHASE, 5),
        ("lost", "/async$", 3),
        ("lost", PHASE, 3),
    ]:
        plan.add(WireFault(kind, path, times=times, skip=7))
    plan.add(WireFault("cut", RESULT, times=3, framing="close"))
    service.job_faults += [
        JobFault("abort", times=2),
        JobFault("error", times=1),
        JobFault("forget", times=1),
    ]
    client = TapClient(
        service.url,
        policy=replace(QUICK, attempts=20),
        log=lines.append,
    )
    edges = np.linspace(0, 2**62, 9).astype(int)
    found: dict[int, Table] = {}

    def work(i: int) -> None:
        where = f"FROM {TABLE} WHERE source_id BETWEEN {edges[i]} AND {edges[i + 1] - 1}"
        found[i] = client.fetch(f"SELECT * {where}", expected=client.count(f"SELECT COUNT(*) {where}"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = np.concatenate([found[i]["source_id"] for i in range(8)])
    np.testing.assert_array_equal(np.sort(ids), STARS["source_id"])
    assert sum(bool(hit.fault) for hit in plan.log) >= 20 and len(lines) >= 20
