"""A TAP 1.1 service in this process: synchronous queries, jobs, capabilities, and faults on demand.

with TapStub({"gaiadr3.gaia_source": stars}, row_limit=1000) as service:
    service.plan.add(WireFault("status", r"/phase$", times=2))
    TapClient(service.url).fetch(...)
    assert service.plan.hits("status") == 2
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from astropy.table import Table
from stub_database import StubDatabase, StubQueryError
from stub_votable import error_document, results_document
from wire_faults import FaultPlan, send

__all__ = ["JobFault", "StubJob", "TapStub"]

_VOTABLE = {"Content-Type": "application/x-votable+xml"}
_XML, _TEXT = {"Content-Type": "text/xml"}, {"Content-Type": "text/plain"}
_Answer = tuple[int, dict[str, str], bytes]


@dataclass
class JobFault:
    """What becomes of a job that is started.

    Attributes:
        kind: "abort" (phase ABORTED, and a result of no rows), "error" (phase ERROR, and a well-formed
            result of `keep` of the rows), "short" (COMPLETED, OK, and `keep` of the rows), "stuck" (EXECUTING
            for ever), "forget" (the service forgets the job once it is COMPLETED), "held" (starting it is
            refused).
        times: how many jobs meet it; None for all.
        keep: part of the rows, between 0 and 1.
        hits: how many jobs met it so far.
    """

    kind: Literal["abort", "error", "short", "stuck", "forget", "held"]
    times: int | None = 1
    keep: float = 0.5
    hits: int = 0


@dataclass
class StubJob:
    """One job of the service."""

    job_id: str
    form: dict[str, str]
    phase: str = "PENDING"
    result: bytes = b""
    error: str = ""
    ends_at: float = 0.0
    fault: JobFault | None = None

    @property
    def adql(self) -> str:
        """The job's query."""
        return self.form.get("QUERY", "")


@dataclass(frozen=True)
class StubQuery:
    """A query that was run: its text, where ("sync" or a job's identifier), and the rows sent."""

    adql: str
    where: str
    rows: int


@dataclass
class TapStub:
    """A TAP service over `tables`.

    Attributes:
        tables: by their full names.
        row_limit: hard limit of the rows of one reply; None for none.
        job_seconds: how long each job runs.
        sync_seconds: how long each synchronous query runs.
        query_in_jobs: whether a job's description names its query.
        available: what /availability says.
        database_failures: how many of the next queries fail because the database is away; services report
            that as if the query were wrong.
        database_sentence: what they say then.
        error_status: HTTP status of an error document; services differ.
        plan: faults of the wire, and the log of all requests.
        job_faults: faults of the jobs.
        jobs: all jobs that have not been deleted.
        deleted: identifiers of those that have.
        queries: queries that were run, in order.
    """

    tables: Mapping[str, Table]
    row_limit: int | None = None
    job_seconds: float = 0.0
    sync_seconds: float = 0.0
    query_in_jobs: bool = True
    available: bool = True
    database_failures: int = 0
    database_sentence: str = "cannot connect to the database server"
    error_status: int = 400
    plan: FaultPlan = field(default_factory=FaultPlan)
    job_faults: list[JobFault] = field(default_factory=list)
    jobs: dict[str, StubJob] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    queries: list[StubQuery] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        schemas = sorted({"TAP_SCHEMA"} | {name.rpartition(".")[0] for name in self.tables})
        self._database = StubDatabase({**self.tables, "TAP_SCHEMA.schemas": Table({"schema_name": schemas})})
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Base address of the service."""
        return f"http://127.0.0.1:{self.port}/tap"

    @property
    def fetched_rows(self) -> int:
        """Rows that jobs have sent or prepared; counts are not among them."""
        return sum(query.rows for query in self.queries if query.where != "sync")

    def start(self) -> TapStub:
        """Listen; again at the same address after `kill`."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Silent: the plan keeps the log."""

            def do_GET(self) -> None:
                stub._handle(self)

            do_POST = do_DELETE = do_HEAD = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def kill(self, *, forget_jobs: bool = False) -> None:
        """Stop listening at once; `start` brings the service back, without its jobs if they are forgotten."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if forget_jobs:
            self.jobs.clear()

    def abort(self, job_id: str) -> None:
        """End a job as an operator would."""
        self._end(self.jobs[job_id], "ABORTED", self._document(self.jobs[job_id], keep=0.0)[0])

    def __enter__(self) -> TapStub:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        text = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        parts = urlsplit(handler.path)
        fault = self.plan.meet(handler.command, parts.path, text)
        if fault is not None and fault.before_the_service:
            return send(handler, 200, {}, b"", fault)
        form = {name.upper(): values[-1] for name, values in parse_qs(text or parts.query).items()}
        status, headers, body = self._answer(handler.command, parts.path, form)
        send(handler, status, headers, body, fault)

    def _answer(self, method: str, path: str, form: dict[str, str]) -> _Answer:
        steps = path.removeprefix("/tap").strip("/").split("/")
        match steps:
            case ["sync"]:
                return self._sync(form)
            case ["async"] if method == "POST":
                return self._new_job(form)
            case ["async", job_id, *rest] if job_id in self.jobs:
                return self._job(self.jobs[job_id], method, rest, form)
            case ["capabilities"]:
                return 200, _XML, self._capabilities()
            case ["availability"]:
                return 200, _XML, _availability(self.available)
        return 404, _TEXT, b"no such resource"

    def _sync(self, form: dict[str, str]) -> _Answer:
        time.sleep(self.sync_seconds)
        try:
            document, _ = self._run(form, "sync")
        except StubQueryError as error:
            return self.error_status, _VOTABLE, error_document(str(error))
        return 200, _VOTABLE, document

    def _run(self, form: dict[str, str], where: str, keep: float = 1.0) -> tuple[bytes, int]:
        if self.database_failures > 0:
            self.database_failures -= 1
            raise StubQueryError(self.database_sentence)
        table = self._database.query(form.get("QUERY", ""))
        limits = [limit for limit in (self.row_limit, _number(form.get("MAXREC"))) if limit is not None]
        limit = min(limits, default=len(table))
        sent = table[: int(min(limit, len(table)) * keep)]
        if _number(form.get("MAXREC")) != 0:
            self.queries.append(StubQuery(form.get("QUERY", ""), where, len(sent)))
        return results_document(sent, overflow=len(table) > limit), len(sent)

    def _document(self, job: StubJob, keep: float) -> tuple[bytes, int]:
        return self._run(job.form, job.job_id, keep)

    def _new_job(self, form: dict[str, str]) -> _Answer:
        with self._lock:
            job = StubJob(f"job{next(self._numbers)}", form)
            self.jobs[job.job_id] = job
        if form.get("PHASE") == "RUN":
            self._start_job(job)
        return 303, {"Location": f"{self.url}/async/{job.job_id}"}, b""

    def _start_job(self, job: StubJob) -> None:
        with self._lock:
            job.fault = next((f for f in self.job_faults if f.times is None or f.hits < f.times), None)
            if job.fault is not None:
                job.fault.hits += 1
            job.phase, job.ends_at = "EXECUTING", time.monotonic() + self.job_seconds

    def _settle(self, job: StubJob) -> None:
        """Let a job end whose time has come; jobs run when somebody looks."""
        kind = job.fault.kind if job.fault else ""
        if job.phase != "EXECUTING" or kind == "stuck" or time.monotonic() < job.ends_at:
            return
        keep = job.fault.keep if job.fault and kind in ("error", "short") else 1.0
        try:
            document, _ = self._document(job, 0.0 if kind == "abort" else keep)
        except StubQueryError as error:
            job.error = str(error)
            self._end(job, "ERROR", error_document(str(error)))
            return
        job.error = "the connection to the database was lost" if kind == "error" else ""
        self._end(job, {"abort": "ABORTED", "error": "ERROR"}.get(kind, "COMPLETED"), document)
        if kind == "forget":
            self.jobs.pop(job.job_id)

    @staticmethod
    def _end(job: StubJob, phase: str, document: bytes) -> None:
        job.phase, job.result = phase, document

    def _job(self, job: StubJob, method: str, rest: list[str], form: dict[str, str]) -> _Answer:
        with self._lock:
            self._settle(job)
        match (method, rest):
            case ("DELETE", []):
                return self._delete(job)
            case ("POST", []) if form.get("ACTION") == "DELETE":
                return self._delete(job)
            case ("POST", ["phase"]):
                return self._change_phase(job, form.get("PHASE", ""))
            case (_, []):
                return 200, _XML, self._description(job)
            case (_, ["phase"]):
                return 200, _TEXT, job.phase.encode()
            case (_, ["error"]):
                return 200, _VOTABLE, error_document(job.error)
            case (_, ["results", "result"]) if job.result:
                return 200, _VOTABLE, job.result
        return 404, _TEXT, b"the job has no such thing"

    def _change_phase(self, job: StubJob, phase: str) -> _Answer:
        if any(f.kind == "held" and (f.times is None or f.hits < f.times) for f in self.job_faults):
            next(f for f in self.job_faults if f.kind == "held").hits += 1
            return 403, _VOTABLE, error_document("no jobs are started at present")
        if phase == "RUN" and job.phase == "PENDING":
            self._start_job(job)
        elif phase == "ABORT":
            self.abort(job.job_id)
        return 303, {"Location": f"{self.url}/async/{job.job_id}"}, b""

    def _delete(self, job: StubJob) -> _Answer:
        self.jobs.pop(job.job_id, None)
        self.deleted.append(job.job_id)
        return 303, {"Location": f"{self.url}/async"}, b""

    def _description(self, job: StubJob) -> bytes:
        query = f'<uws:parameter id="query">{escape(job.adql)}</uws:parameter>' if self.query_in_jobs else ""
        return (
            '<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0">'
            f"<uws:jobId>{job.job_id}</uws:jobId><uws:phase>{job.phase}</uws:phase>"
            f"<uws:parameters>{query}</uws:parameters></uws:job>"
        ).encode()

    def _capabilities(self) -> bytes:
        limit = ""
        if self.row_limit is not None:
            limit = (
                f'<outputLimit><default unit="row">{self.row_limit}</default>'
                f'<hard unit="row">{self.row_limit}</hard></outputLimit>'
            )
        return (
            '<cap:capabilities xmlns:cap="http://www.ivoa.net/xml/VOSICapabilities/v1.0">'
            f'<capability standardID="ivo://ivoa.net/std/TAP">{limit}</capability></cap:capabilities>'
        ).encode()


def _availability(available: bool) -> bytes:
    return (
        '<vosi:availability xmlns:vosi="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        f"<vosi:available>{str(available).lower()}</vosi:available>"
        "<vosi:note>maintenance</vosi:note></vosi:availability>"
    ).encode()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None else None
