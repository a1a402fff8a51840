"""A TAP client that loses no rows: each table is complete, or there is an error that says why not.

astroquery's own jobs hand over short tables without a word after an overflow, a cut reply, an aborted job
or a failed database. So a query runs here as a job whose identifier is kept; its phase must be COMPLETED,
its reply as long as announced, the last QUERY_STATUS in it OK, and its rows as many as were counted.
"""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

from astropy.table import Table

from sky_patches.archive.answers import ask_directly, whole_table
from sky_patches.archive.errors import (
    ArchiveError,
    ArchiveSilentError,
    ArchiveUnreachableError,
    IncompleteReplyError,
    JobFailedError,
    QueryRejectedError,
    RowCountError,
    TruncatedReplyError,
)
from sky_patches.archive.jobs import Jobs
from sky_patches.archive.retry import ClientPolicy, Patience
from sky_patches.archive.transport import Transport

__all__ = ["TapClient"]

_TAP = "ivo://ivoa.net/std/tap"
_ADVICE = "check the address (it usually ends in /tap), the network, and whether the service is up"


class TapClient:
    """A TAP service, asked for whole tables. One client may serve many threads.

    Args:
        url: base address of the service, such as https://gea.esac.esa.int/tap-server/tap.
        policy: time-outs and retries.
        login: log in with astroquery's own mechanism, which asks for user name and password on the terminal.
            They are not kept.
        credentials_file: a file with user name and password, a line each, for a login without a terminal.
        log: receives one line for every failure, with what is done about it. Threads call it side by side.

    Raises:
        ArchiveError: `url` is no http(s) address, or the login is refused.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: ClientPolicy | None = None,
        login: bool = False,
        credentials_file: Path | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.policy = policy or ClientPolicy()
        self._log = log or _silent
        self._stop = threading.Event()
        self._transport = Transport(self.url, self.policy.socket_timeout_s)
        self._jobs = Jobs(self._transport)
        if login or credentials_file is not None:
            self._transport.login(credentials_file)

    def count(self, adql: str) -> int:
        """The number that a `SELECT COUNT(*)` query gives.

        Raises:
            QueryRejectedError: the query is wrong, with the service's sentence; it is not retried.
            ArchiveUnreachableError: no usable answer within the attempts.
            ArchiveTimeoutError: no answer within the total time-out.
        """
        patience = self._patience(adql)

        def ask() -> Table | None:
            try:
                result = ask_directly(self._transport, adql)
            except ArchiveSilentError as error:
                self._log(f"counting: {error}; asking as a job, which may take longer")
                return None
            if result.table is None or result.status != "OK":
                raise TruncatedReplyError(f"{self.url} does not give the whole of [{adql}]", rows=0)
            return result.table

        table = patience.ask("counting", ask)
        # A service must answer a direct query within one socket time-out; a job may take its time.
        return _number(self._fetch(adql, 1, None, None, patience) if table is None else table, adql)

    def fetch(
        self,
        adql: str,
        *,
        expected: int,
        job_id: str | None = None,
        on_job: Callable[[str], None] | None = None,
    ) -> Table:
        """All rows of a query, as many as were counted before.

        Args:
            adql: the query.
            expected: its number of rows, from `count` with the same conditions.
            job_id: a job of this query that an earlier run left on the service; it is taken up where it is
                still there, and the query asked anew where it is not.
            on_job: called with the identifier of each new job before it starts, so that it can be written
                down and given as `job_id` after an interruption.

        Returns:
            The table in the service's order and units. Integers, booleans and strings without a value are
            masked, floats are NaN.

        Raises:
            QueryRejectedError: the query is wrong, with the service's sentence; it is not retried.
            TruncatedReplyError: more rows than the service gives at once; split the query.
            RowCountError: complete replies with another number of rows; count again.
            JobFailedError: all jobs failed.
            IncompleteReplyError: the reply was cut short each time.
            ArchiveUnreachableError: no usable answer within the attempts; the job is left on the service.
            ArchiveTimeoutError: no result within the total time-out; the job is left on the service.
        """
        return self._fetch(adql, expected, job_id, on_job, self._patience(adql))

    def row_limit(self) -> int | None:
        """The largest number of rows that the service gives at once; None where it does not say.

        Raises:
            ArchiveUnreachableError: no usable answer within the attempts.
        """
        root = self._patience("capabilities").ask("reading the capabilities", self._capabilities)
        for limit in _named(root, "outputLimit"):
            for hard in _named(limit, "hard"):
                text = (hard.text or "").strip()
                if hard.get("unit", "row") == "row" and text.isdigit():
                    return int(text)
        return None

    def check(self) -> None:
        """Reach the service once, without patience.

        Raises:
            ArchiveUnreachableError: it is not there, is no TAP service, or says that it is not available.
        """
        try:
            self._capabilities()
            reply = self._transport.get("availability")
            root = _xml(reply.body()) if reply.status == 200 else None
        except ArchiveUnreachableError as error:
            raise type(error)(f"{error}; {_ADVICE}", retryable=error.retryable) from error
        states = [] if root is None else _named(root, "available")
        if states and (states[0].text or "").strip().lower() in ("false", "0"):
            notes = " ".join((note.text or "").strip() for note in _named(root, "note"))
            raise ArchiveUnreachableError(
                f"{self.url} says that it is not available ({notes or 'no explanation'}); try again later"
            )

    def stop(self) -> None:
        """End the waits of all threads that use this client, with `ArchiveStoppedError`; it stays stopped."""
        self._stop.set()

    def _patience(self, task: str) -> Patience:
        return Patience(self.policy, task, self._log, self._stop)

    def _fetch(
        self,
        adql: str,
        expected: int,
        job_id: str | None,
        on_job: Callable[[str], None] | None,
        patience: Patience,
    ) -> Table:
        current = job_id if job_id is not None and self._jobs.is_of(job_id, adql, patience) else None
        failures: list[str] = []
        while True:
            if current is None:
                current = self._jobs.create(adql, expected + 1, patience)
                if on_job is not None:
                    on_job(current)
            patience.job_id = current
            try:
                table = self._finish(current, adql, expected, patience)
            except (JobFailedError, RowCountError, IncompleteReplyError) as error:
                self._jobs.delete(current, patience)
                current = patience.job_id = None
                self._another(error, failures, patience)
                continue
            except (QueryRejectedError, TruncatedReplyError):
                self._jobs.delete(current, patience)
                raise
            self._jobs.delete(current, patience)
            return table

    def _finish(self, job_id: str, adql: str, expected: int, patience: Patience) -> Table:
        self._jobs.wait(job_id, adql, patience)
        return whole_table(self._jobs.result(job_id, patience), expected, job_id)

    def _another(self, error: ArchiveError, failures: list[str], patience: Patience) -> None:
        """Wait before a new job, or raise `error` where one would not help."""
        kind = type(error).__name__
        # A whole reply of the wrong length, or one that never arrives whole, is not tried a third time: the
        # second job has shown that it is no accident.
        hopeless = not isinstance(error, JobFailedError) and kind in failures
        failures.append(kind)
        if hopeless or len(failures) >= self.policy.attempts:
            raise error
        patience.pause(len(failures), str(error), "asking with a new job")

    def _capabilities(self) -> ElementTree.Element:
        reply = self._transport.get("capabilities")
        if reply.status != 200:
            raise ArchiveUnreachableError(
                f"{self.url}/capabilities answers HTTP {reply.status}; is this a TAP service?",
                retryable=False,
            )
        for capability in _named(_xml(reply.body()), "capability"):
            if capability.get("standardID", "").lower().startswith(_TAP):
                return capability
        raise ArchiveUnreachableError(f"{self.url}/capabilities names no TAP service", retryable=False)


def _silent(_: str) -> None:
    """The log of a client that was given none."""


def _xml(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise IncompleteReplyError(f"expected a description of the service, got no XML ({error})") from error


def _named(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Elements of that name below `root`, in whatever namespace."""
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == name]


def _number(table: Table, adql: str) -> int:
    if len(table) != 1 or len(table.colnames) != 1:
        raise ArchiveError(
            f"expected one number from a query such as SELECT COUNT(*) FROM ..., got {len(table)} rows of "
            f"{table.colnames} from [{adql}]"
        )
    return int(table[table.colnames[0]][0])
