"""The archive client where nothing, or something unusual, is wrong; and the pieces that it is made of."""

from __future__ import annotations

import base64
import gzip
import io
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from astropy.io import votable
from astropy.table import Table
from fault_proxy import FaultProxy
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_stars import archive_table, assert_same_rows
from stub_votable import error_document, results_document
from tap_stub import JobFault, TapStub
from wire_faults import WireFault

from sky_patches.archive import ArchiveError, ClientPolicy, TapClient
from sky_patches.archive.errors import (
    ArchiveStoppedError,
    ArchiveTimeoutError,
    ArchiveUnreachableError,
    IncompleteReplyError,
    JobFailedError,
    QueryRejectedError,
)
from sky_patches.archive.retry import Patience
from sky_patches.archive.transport import TimedConnections
from sky_patches.archive.votable import error_sentence, read_result
from sky_patches.archive.votable_rows import decoded, split_rows
from sky_patches.errors import SkyPatchesError

TABLE = "gaiadr3.gaia_source"
STARS = archive_table(200)
ALL = f"SELECT * FROM {TABLE}"
QUICK = ClientPolicy(
    socket_timeout_s=5.0, total_timeout_s=20.0, attempts=3, backoff_s=0.01, longest_wait_s=0.05, poll_s=0.01
)


@pytest.fixture
def service() -> Iterator[TapStub]:
    with TapStub({TABLE: STARS}) as stub:
        yield stub


@pytest.fixture
def client(service: TapStub) -> TapClient:
    return TapClient(service.url, policy=QUICK)


def paths(service: TapStub) -> list[str]:
    return [hit.path.removeprefix("/tap/") for hit in service.plan.log]


# Queries.


def test_every_type_of_column_comes_through_bit_for_bit(client):
    found = client.fetch(ALL, expected=len(STARS))
    assert_same_rows(found, STARS)
    assert found["source_id"].dtype == np.int64 and found["source_id"].max() > 2**53
    assert found["has_xp_sampled"].dtype == bool
    assert found["parallax"].dtype == np.float64 and np.isnan(found["parallax"]).any()
    assert found["phot_g_mean_mag"].dtype == np.float32
    # A column without a missing value carries no mask.
    assert not hasattr(found["ra"], "mask") and found["rv_nb_transits"].mask.any()


def test_a_query_without_rows_gives_a_table_without_rows(client):
    where = f"FROM {TABLE} WHERE source_id < 0"
    assert client.count(f"SELECT COUNT(*) {where}") == 0
    found = client.fetch(f"SELECT source_id, ra {where}", expected=0)
    assert len(found) == 0 and found.colnames == ["source_id", "ra"]


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=2).map(sorted))
@settings(max_examples=15)
def test_count_and_fetch_agree_with_the_table_for_any_range(shared_stub, bounds):
    low, high = bounds
    where = f"FROM {TABLE} WHERE source_id BETWEEN {low} AND {high}"
    client = TapClient(shared_stub.url, policy=QUICK)
    expected = STARS[(STARS["source_id"] >= low) & (STARS["source_id"] <= high)]
    assert client.count(f"SELECT COUNT(*) {where}") == len(expected)
    found = client.fetch(f"SELECT source_id {where}", expected=len(expected))
    np.testing.assert_array_equal(np.sort(found["source_id"]), expected["source_id"])


@pytest.fixture(scope="module")
def shared_stub() -> Iterator[TapStub]:
    with TapStub({TABLE: STARS}) as stub:
        yield stub


def test_a_count_must_be_one_number(client):
    with pytest.raises(ArchiveError, match="expected one number"):
        client.count(f"SELECT ra, dec FROM {TABLE} WHERE source_id > 0")


def test_the_job_is_known_before_it_runs_and_deleted_after_it(service, client):
    phases: list[str] = []
    client.fetch(ALL, expected=len(STARS), on_job=lambda job_id: phases.append(service.jobs[job_id].phase))
    assert phases == ["PENDING"] and service.jobs == {} and len(service.deleted) == 1


# Jobs of an earlier run.


def left_job(service: TapStub, client: TapClient, query: str = ALL) -> str:
    """A job that an interrupted run left on the service."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.fetch(query, expected=len(STARS), on_job=interrupt)
    return next(iter(service.jobs))


@pytest.mark.parametrize("query_in_jobs", [True, False])
def test_a_job_of_an_earlier_run_is_taken_up(service, client, query_in_jobs):
    service.query_in_jobs = query_in_jobs
    job_id = left_job(service, client)
    new: list[str] = []
    assert_same_rows(client.fetch(ALL, expected=len(STARS), job_id=job_id, on_job=new.append), STARS)
    assert new == [] and service.deleted == [job_id]


def test_a_job_that_the_service_forgot_is_asked_anew(service, client):
    new: list[str] = []
    found = client.fetch(ALL, expected=len(STARS), job_id="long_gone", on_job=new.append)
    assert_same_rows(found, STARS)
    assert new == service.deleted


def test_a_job_of_another_query_is_not_taken(service, client):
    job_id = left_job(service, client, f"{ALL} WHERE source_id < 5")
    new: list[str] = []
    assert_same_rows(client.fetch(ALL, expected=len(STARS), job_id=job_id, on_job=new.append), STARS)
    assert len(new) == 1 and new[0] != job_id


def test_a_failed_job_of_an_earlier_run_is_asked_anew(service, client):
    job_id = left_job(service, client)
    service.abort(job_id)
    assert_same_rows(client.fetch(ALL, expected=len(STARS), job_id=job_id), STARS)
    assert job_id in service.deleted and len(service.deleted) == 2


# Patience.


def test_a_job_that_never_ends_is_tried_anew_and_given_up(service):
    service.job_faults.append(JobFault("stuck", times=None))
    policy = ClientPolicy(job_timeout_s=0.1, attempts=2, backoff_s=0.01, poll_s=0.01)
    with pytest.raises(JobFailedError, match=r"EXECUTING after 0.1 s") as caught:
        TapClient(service.url, policy=policy).fetch(ALL, expected=len(STARS))
    assert caught.value.phase == "EXECUTING" and len(service.deleted) == 2


def test_the_total_timeout_names_the_job_that_is_left(service):
    service.job_faults.append(JobFault("stuck", times=None))
    policy = ClientPolicy(total_timeout_s=0.2, poll_s=0.01)
    with pytest.raises(ArchiveTimeoutError, match=r"0.2 s.*is left on the service") as caught:
        TapClient(service.url, policy=policy).fetch(ALL, expected=len(STARS))
    assert list(service.jobs) == [caught.value.job_id]


def test_the_total_timeout_ends_a_reply_that_trickles(service):
    """Each piece comes within the socket time-out, and the whole never."""
    trickle = service.plan.add(WireFault("slow", "/results/result$", seconds=0.1, times=None))
    policy = ClientPolicy(socket_timeout_s=0.5, total_timeout_s=0.4, poll_s=0.01)
    begin = time.monotonic()
    with pytest.raises(ArchiveTimeoutError):
        TapClient(service.url, policy=policy).fetch(ALL, expected=len(STARS))
    assert trickle.hits == 1 and time.monotonic() - begin < 2.0


def test_stop_ends_the_waits_of_other_threads(service):
    service.job_faults.append(JobFault("stuck", times=None))
    client = TapClient(service.url, policy=ClientPolicy(poll_s=30.0))
    threading.Timer(0.1, client.stop).start()
    begin = time.monotonic()
    with pytest.raises(ArchiveStoppedError, match="is left on the service"):
        client.fetch(ALL, expected=len(STARS))
    assert time.monotonic() - begin < 5.0 and len(service.jobs) == 1


def waits(seed: int, task: str, failures: int) -> list[float]:
    """The waits between the attempts of one task."""
    lines: list[str] = []
    policy = ClientPolicy(attempts=failures + 1, backoff_s=1.0, longest_wait_s=16.0, seed=seed)
    patience = Patience(policy, task, lines.append, threading.Event())
    found: list[float] = []
    patience.sleep = lambda seconds, what: found.append(seconds)  # type: ignore[method-assign]
    for failure in range(1, failures + 1):
        patience.pause(failure, "it failed", "asking again")
    return found


def test_waits_double_within_their_jitter_up_to_the_longest():
    doubled = np.minimum(2.0 ** np.arange(8), 16.0)
    found = np.array(waits(0, "query", 8))
    assert np.all(found >= doubled / 2) and np.all(found <= doubled)


def test_jitter_is_the_same_for_a_task_and_a_seed_and_differs_between_tasks():
    assert waits(0, "query", 5) == waits(0, "query", 5)
    assert waits(0, "query", 5) != waits(0, "another", 5)
    assert waits(0, "query", 5) != waits(1, "query", 5)


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"socket_timeout_s": 0.0}, {"poll_s": -1.0}, {"total_timeout_s": float("nan")}],
)
def test_an_impossible_policy_is_refused(wrong):
    with pytest.raises(ArchiveError, match=next(iter(wrong))):
        ClientPolicy(**wrong)


# The service itself.


def test_the_row_limit_is_what_the_capabilities_say(service, client):
    assert client.row_limit() is None
    service.row_limit = 3_000_000
    assert client.row_limit() == 3_000_000


def test_a_service_that_is_there_passes_the_check(client):
    client.check()


def test_nobody_at_the_address_is_told_with_advice():
    with TapStub({TABLE: STARS}) as gone:
        url = gone.url
    with pytest.raises(ArchiveUnreachableError, match=r"cannot be reached.*usually ends in /tap") as caught:
        TapClient(url, policy=QUICK).check()
    assert url in str(caught.value) and "\n" not in str(caught.value)


def test_a_web_page_that_is_no_tap_service_is_told(service):
    elsewhere = TapClient(service.url.replace("/tap", "/tapas"), policy=QUICK)
    for ask in (elsewhere.check, elsewhere.row_limit, lambda: elsewhere.count("SELECT COUNT(*) FROM x")):
        with pytest.raises(ArchiveUnreachableError, match=r"is this a TAP service") as caught:
            ask()
        assert not caught.value.retryable


def test_a_service_that_calls_itself_unavailable_fails_the_check(service, client):
    service.available = False
    with pytest.raises(ArchiveUnreachableError, match="maintenance"):
        client.check()


def test_a_service_that_has_moved_says_where(service, client):
    moved = {"Location": "https://elsewhere.example/tap/sync"}
    service.plan.add(WireFault("status", "/sync$", status=301, headers=moved, times=None))
    with pytest.raises(ArchiveUnreachableError, match=r"moved to https://elsewhere.example"):
        client.count(f"SELECT COUNT(*) FROM {TABLE} WHERE source_id > 0")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_result_that_lies_elsewhere_is_followed(service, client, elsewhere):
    """Some services answer a request for a result with the address of a file."""
    service.plan.add(
        WireFault("status", "/results/result$", status=303, headers={"Location": "../stars.vot"})
    )
    with FaultProxy(service.url) as other:
        target = f"{other.url}/stars.vot" if elsewhere else "../stars.vot"
        service.plan.faults[0].headers["Location"] = target
        document = WireFault("replace", "stars.vot$", body=results_document(STARS))
        (other.plan if elsewhere else service.plan).add(document)
        assert_same_rows(client.fetch(ALL, expected=len(STARS)), STARS)
    assert document.hits == 1


@pytest.mark.parametrize(
    "url", ["gea.esac.esa.int/tap-server/tap", "ftp://a.b/tap", "http://", "http://a:x/tap"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ArchiveError, match="expected the http"):
        TapClient(url)


def test_a_service_that_starts_no_jobs_is_told_in_its_words(service, client):
    service.job_faults.append(JobFault("held", times=None))
    with pytest.raises(JobFailedError, match="no jobs are started at present"):
        client.fetch(ALL, expected=len(STARS))


def test_errors_are_one_family():
    assert issubclass(ArchiveError, SkyPatchesError) and issubclass(QueryRejectedError, ArchiveError)


# Login.


@pytest.fixture
def plain_https(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Secure connections are counted and carried by plain ones: the stub has no certificate."""
    secure: list[bool] = []

    def plain(self: TimedConnections, verbose: bool = False):
        secure.append(True)
        return TimedConnections.get_connection(self)

    monkeypatch.setattr(TimedConnections, "get_connection_secure", plain)
    return secure


def https(service: TapStub) -> str:
    return service.url.replace("http:", "https:")


def test_a_login_is_carried_by_secure_connections(service, plain_https, tmp_path):
    (tmp_path / "credentials").write_text("someone\nsecret\n")
    service.plan.add(
        WireFault(
            "status", "/login", status=200, headers={"Set-Cookie": "SESSION=abc; Path=/"}, body_has="user"
        )
    )
    client = TapClient(https(service), policy=QUICK, credentials_file=tmp_path / "credentials")
    assert_same_rows(client.fetch(ALL, expected=len(STARS)), STARS)
    assert len(plain_https) == len(service.plan.log)
    assert "secret" not in repr(vars(client)) and service.plan.log[0].path == "/login"


def test_a_refused_login_is_told(service, plain_https, tmp_path):
    (tmp_path / "credentials").write_text("someone\nwrong\n")
    service.plan.add(WireFault("status", "/login", status=401, body=b"bad credentials"))
    with pytest.raises(ArchiveError, match="refused the login") as caught:
        TapClient(https(service), policy=QUICK, credentials_file=tmp_path / "credentials")
    assert "wrong" not in str(caught.value)


def test_a_login_over_an_open_connection_is_refused(service, tmp_path):
    with pytest.raises(ArchiveError, match="https"):
        TapClient(service.url, login=True)
    with pytest.raises(ArchiveError, match="no credentials file"):
        TapClient(https(service), credentials_file=tmp_path / "none")


# Results documents.


def documents() -> dict[str, bytes]:
    """One table in each serialisation."""
    small = archive_table(20, seed=3)
    found = {"stub": results_document(small)}
    for kind in ("tabledata", "binary2"):
        file = votable.from_table(small)
        file.resources[0].infos.append(votable.tree.Info(name="QUERY_STATUS", value="OK"))
        stream = io.BytesIO()
        file.to_xml(stream, tabledata_format=kind)
        found[kind] = stream.getvalue().rstrip()
    # Without their lengths, strings make rows of varying length, which astropy has to read.
    assert b'arraysize="13"' in found["tabledata"]
    varying = found["tabledata"].replace(b'arraysize="13"', b'arraysize="*"')
    stream = io.BytesIO()
    votable.parse(io.BytesIO(varying)).to_xml(stream, tabledata_format="binary2")
    found["varying"] = stream.getvalue().rstrip()
    return found | {"gzip": gzip.compress(found["stub"])}


DOCUMENTS = documents()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_serialisation_reads_the_same(kind):
    result = read_result(io.BytesIO(DOCUMENTS[kind]))
    assert result.status == "OK"
    assert_same_rows(result.table, archive_table(20, seed=3))


@pytest.mark.parametrize(("kind", "by_numpy"), [("stub", True), ("binary2", False), ("varying", False)])
def test_rows_that_numpy_decodes_are_those_that_astropy_reads(kind, by_numpy, monkeypatch):
    rows = split_rows(DOCUMENTS[kind])
    fields = votable.parse(io.BytesIO(DOCUMENTS[kind])).resources[-1].tables[0].fields
    assert (decoded(rows, fields) is not None) == by_numpy
    found = read_result(io.BytesIO(DOCUMENTS[kind])).table
    monkeypatch.setattr("sky_patches.archive.votable.split_rows", lambda content: None)
    assert_same_rows(read_result(io.BytesIO(DOCUMENTS[kind])).table, found)


def test_binary_without_flags_has_numbers_for_missing_values():
    """The older serialisation, which DaCHS sends: VALUES null for integers, NaN for floats."""
    rows = np.array([(1, -9999, np.nan), (2**60 + 1, 7, 0.5)], dtype=">i8,>i2,>f4")
    document = results_document(
        Table({"source_id": [1, 2], "n": np.array([1, 2], "i2"), "x": np.ones(2, "f4")})
    )
    head, rest = document.replace(b"BINARY2", b"BINARY").split(b'"base64">')
    tail = rest[rest.index(b"</STREAM>") :]
    result = read_result(io.BytesIO(head + b'"base64">' + base64.b64encode(rows.tobytes()) + tail))
    assert result.table["source_id"].tolist() == [1, 2**60 + 1]
    assert result.table["n"].tolist() == [None, 7]
    np.testing.assert_array_equal(result.table["x"], np.array([np.nan, 0.5], "f4"))


def test_a_stream_with_a_part_of_a_row_or_a_wrong_letter_is_an_incomplete_reply():
    document = results_document(archive_table(5))
    begin = document.index(b'"base64">') + len(b'"base64">')
    for damaged in (
        document[:begin] + document[begin + 4 :],
        document[:begin] + b"!" + document[begin + 1 :],
    ):
        with pytest.raises(IncompleteReplyError):
            read_result(io.BytesIO(damaged))


@pytest.mark.parametrize("kind", DOCUMENTS)
@given(st.data())
@settings(max_examples=40)
def test_no_beginning_of_a_document_reads_as_a_whole_one(kind, data):
    document = DOCUMENTS[kind]
    length = data.draw(st.integers(0, len(document) - 1))
    with pytest.raises(IncompleteReplyError):
        read_result(io.BytesIO(document[:length]))


def test_the_last_status_counts():
    table = archive_table(5)
    assert read_result(io.BytesIO(results_document(table))).status == "OK"
    cut = results_document(table, overflow=True)
    assert read_result(io.BytesIO(cut)).status == "OVERFLOW"
    # Negative control: astropy's own way to a table loses it.
    assert len(Table.read(io.BytesIO(cut), format="votable")) == 5


def test_the_status_of_the_results_counts_where_there_are_other_resources():
    head, rest = results_document(archive_table(5), overflow=True).split(b"<RESOURCE", 1)
    other = b'<RESOURCE type="meta"><INFO name="QUERY_STATUS" value="OK"/></RESOURCE>'
    result = read_result(io.BytesIO(head + other + b"<RESOURCE" + rest))
    assert result.status == "OVERFLOW" and len(result.table) == 5


@pytest.mark.parametrize("before", [b"</TABLE>", b"</RESOURCE>", b"</VOTABLE>"])
def test_an_overflow_is_seen_wherever_a_service_may_write_it(before):
    overflow = b'<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
    document = results_document(archive_table(5)).replace(before, overflow + before)
    assert read_result(io.BytesIO(document)).status == "OVERFLOW"


def test_a_document_without_a_status_has_none():
    document = results_document(archive_table(5)).replace(b"QUERY_STATUS", b"REMARK")
    assert read_result(io.BytesIO(document)).status == ""


def test_a_declared_number_of_rows_does_no_harm():
    document = results_document(archive_table(5)).replace(b"<TABLE>", b'<TABLE nrows="5">')
    assert_same_rows(read_result(io.BytesIO(document)).table, archive_table(5))


def test_reading_in_many_threads_leaves_the_filters_of_warnings_alone():
    before = list(warnings.filters)
    threads = [threading.Thread(target=read_result, args=(io.BytesIO(DOCUMENTS["stub"]),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_error_documents_give_their_sentence():
    result = read_result(io.BytesIO(error_document("no such <column>")))
    assert (result.table, result.status, result.message) == (None, "ERROR", "no such <column>")
    assert error_sentence(error_document("no such <column>")) == ("no such <column>", True)
    assert error_sentence(b"<html><body><h1>Bad</h1>\n gateway</body></html>") == ("Bad gateway", False)
    assert error_sentence(b"plain\n text") == ("plain text", False)
    assert len(error_sentence(b"x" * 100_000)[0]) <= 400


@pytest.mark.parametrize("body", [b"", b"not xml", b"<html><body>502</body></html>", b"\x1f\x8bnot gzip"])
def test_what_is_no_results_document_is_an_incomplete_reply(body):
    with pytest.raises(IncompleteReplyError):
        read_result(io.BytesIO(body))
