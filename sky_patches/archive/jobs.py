"""Asynchronous jobs of a TAP service (UWS): made, started, watched, read and deleted.

A job is made first and started afterwards: its identifier can be written down before it costs anything, and
one whose identifier was lost with the reply was never started.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree

from sky_patches.archive.answers import ask_directly, query_fields, raise_if_ill, read_answer
from sky_patches.archive.errors import (
    ArchiveError,
    ArchiveUnreachableError,
    IncompleteReplyError,
    JobFailedError,
    JobLostError,
    QueryRejectedError,
)
from sky_patches.archive.retry import Patience
from sky_patches.archive.transport import Reply, Transport
from sky_patches.archive.votable import Result, error_sentence, read_result

__all__ = ["Jobs"]

_WAITING = {"PENDING", "QUEUED", "EXECUTING", "HELD", "SUSPENDED", "UNKNOWN"}
_ENDED = {"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"}
_POLL_GROWTH, _LONGEST_POLL = 1.25, 10.0


class Jobs:
    """The jobs of one service; holds no state of its own, so that threads may share it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, adql: str, maxrec: int, patience: Patience) -> str:
        """Make a job and return its identifier; it does not run yet.

        Raises:
            QueryRejectedError: the service refuses the query at once.
        """

        def make() -> str:
            reply = self._transport.post("async", query_fields(adql, maxrec))
            if reply.status not in (201, 302, 303):
                self._refused(reply, adql)
            job_id = reply.location.rstrip("/").rpartition("/")[2]
            if not job_id:
                raise ArchiveUnreachableError(
                    f"{self._transport.url}/async answers HTTP {reply.status} without the address of a job; "
                    "is this a TAP service?",
                    retryable=False,
                )
            return job_id

        return patience.ask("making a job", make)

    def is_of(self, job_id: str, adql: str, patience: Patience) -> bool:
        """Whether the service still knows the job, and it is one of this query."""

        def description() -> ElementTree.Element:
            body = self._get(job_id, "").body()
            try:
                root = ElementTree.fromstring(body)
            except ElementTree.ParseError as error:
                raise IncompleteReplyError(
                    f"expected the description of a job, got no XML ({error})"
                ) from error
            if root.tag.rpartition("}")[2] != "job":
                raise ArchiveUnreachableError(
                    f"expected the description of a job, got {error_sentence(body)[0]!r}"
                )
            return root

        try:
            root = patience.ask(f"loading job {job_id}", description)
        except JobLostError as error:
            patience.log(f"{error}; the query is asked anew")
            return False
        asked = [e.text or "" for e in root.iter() if (e.get("id") or "").lower() == "query"]
        if asked and asked[0].split() != adql.split():
            patience.log(f"job {job_id} is of another query; this one is asked anew")
            return False
        return True

    def wait(self, job_id: str, adql: str, patience: Patience) -> None:
        """Start the job where it has not been, and return when it is COMPLETED.

        Raises:
            JobFailedError: it ended otherwise, or not within `job_timeout_s`.
            QueryRejectedError: it failed, and the service says that the query is at fault.
        """
        policy = patience.policy
        give_up, pause = time.monotonic() + policy.job_timeout_s, policy.poll_s
        while True:
            phase = patience.ask(f"looking at job {job_id}", lambda: self._phase(job_id))
            if phase == "COMPLETED":
                return
            if phase in _ENDED:
                raise self._failure(job_id, phase, adql)
            if time.monotonic() > give_up:
                raise JobFailedError(
                    f"job {job_id} is {phase} after {policy.job_timeout_s:g} s (job_timeout_s)",
                    job_id=job_id,
                    phase=phase,
                )
            if phase == "PENDING":
                self._start(job_id, patience)
            patience.sleep(pause, f"job {job_id} is {phase}")
            pause = min(pause * _POLL_GROWTH, policy.poll_s * _LONGEST_POLL)

    def result(self, job_id: str, patience: Patience) -> Result:
        """The result of a COMPLETED job; a reply that was cut short is asked for again.

        Raises:
            IncompleteReplyError: it was cut short every time.
            JobLostError: the service no longer has it.
        """

        def download() -> Result:
            reply = self._get(job_id, "/results/result", patience)
            with reply.stream:
                result = read_result(reply.stream)
            if result.status not in ("OK", "OVERFLOW"):
                said = result.message or result.status or "nothing about whether it is whole"
                raise IncompleteReplyError(f"expected the rows of job {job_id}, the reply says: {said}")
            return result

        return patience.ask(f"reading the result of job {job_id}", download)

    def delete(self, job_id: str, patience: Patience) -> None:
        """Delete the job, once and without insisting: services delete old jobs by themselves."""
        try:
            reply = self._transport.delete(f"async/{job_id}")
        except ArchiveUnreachableError as error:
            patience.log(f"job {job_id} could not be deleted ({error}); the service will do it in time")
            return
        if reply.status >= 400:
            patience.log(f"job {job_id} could not be deleted (HTTP {reply.status})")

    def _get(self, job_id: str, path: str, patience: Patience | None = None) -> Reply:
        check = None if patience is None else patience.check
        reply = self._transport.get(f"async/{job_id}{path}", check=check)
        if reply.status >= 400:
            raise JobLostError(
                f"the service no longer has job {job_id}{path} (HTTP {reply.status})",
                job_id=job_id,
                phase="UNKNOWN",
                reason=error_sentence(reply.body())[0],
            )
        return reply

    def _phase(self, job_id: str) -> str:
        body = self._get(job_id, "/phase").body()
        phase = body.decode("utf-8", errors="replace").strip().upper()
        if phase not in _WAITING | _ENDED:
            raise ArchiveUnreachableError(f"expected the phase of a job, got {error_sentence(body)[0]!r}")
        return phase

    def _start(self, job_id: str, patience: Patience) -> None:
        """Ask for the job to be run; the next look at it shows whether that arrived."""
        try:
            reply = self._transport.post(f"async/{job_id}/phase", {"PHASE": "RUN"})
        except ArchiveUnreachableError as error:
            patience.log(f"starting job {job_id}: {error}; looking whether it runs")
            return
        if reply.status >= 400:
            reason = error_sentence(reply.body())[0]
            raise JobFailedError(
                f"the service will not start job {job_id} (HTTP {reply.status}: {reason})",
                job_id=job_id,
                phase="PENDING",
                reason=reason,
            )

    def _failure(self, job_id: str, phase: str, adql: str) -> JobFailedError:
        reason = ""
        if phase == "ERROR":
            reason = self._reason(job_id)
            self._raise_if_rejected(adql)
        explanation = f": {reason}" if reason else " (by somebody else, or at a limit of the service)"
        return JobFailedError(
            f"job {job_id} ended in phase {phase}{explanation}", job_id=job_id, phase=phase, reason=reason
        )

    def _refused(self, reply: Reply, adql: str) -> None:
        try:
            read_answer(reply, self._transport.url, adql)
        except QueryRejectedError as rejection:
            raise_if_ill(self._transport, rejection)
            raise

    def _raise_if_rejected(self, adql: str) -> None:
        """A job in phase ERROR had a wrong query, or a database that went away: let the query be read."""
        try:
            ask_directly(self._transport, adql, 0)
        except ArchiveUnreachableError:
            # The question stays open: another job will show.
            return

    def _reason(self, job_id: str) -> str:
        try:
            return error_sentence(self._get(job_id, "/error").body())[0] or "no explanation"
        except ArchiveError as error:
            return f"no explanation ({error})"
