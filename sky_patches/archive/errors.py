"""The exceptions of the archive client; the family is `ArchiveError`, a part of `SkyPatchesError`."""

from __future__ import annotations

from sky_patches.errors import SkyPatchesError

__all__ = [
    "ArchiveError",
    "ArchiveUnreachableError",
    "ArchiveSilentError",
    "IncompleteReplyError",
    "ArchiveTimeoutError",
    "ArchiveStoppedError",
    "QueryRejectedError",
    "TruncatedReplyError",
    "JobFailedError",
    "JobLostError",
    "RowCountError",
]


class ArchiveError(SkyPatchesError):
    """Base of what can go wrong between this package and an archive service."""


class ArchiveUnreachableError(ArchiveError):
    """No usable answer: no connection, a server error, or an address where there is no TAP service.

    Attributes:
        retryable: whether the same request may succeed later.
        retry_after_s: the wait that the service asked for, s; zero where it did not.
    """

    def __init__(self, message: str, *, retryable: bool = True, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ArchiveSilentError(ArchiveUnreachableError):
    """The service sent nothing for the whole socket time-out, or says itself that it took too long."""


class IncompleteReplyError(ArchiveUnreachableError):
    """A reply ended before its announced length, or before the end of its document."""


class ArchiveTimeoutError(ArchiveError):
    """The total time-out has passed.

    Attributes:
        job_id: the job that is left on the service, to be given to `fetch` later; None where there is none.
    """

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


class ArchiveStoppedError(ArchiveError):
    """`TapClient.stop` was called while the request waited."""


class QueryRejectedError(ArchiveError):
    """The service will not run this query; asking again cannot help.

    Attributes:
        reason: the service's own sentence.
        adql: the query.
    """

    def __init__(self, message: str, *, reason: str, adql: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.adql = adql


class TruncatedReplyError(ArchiveError):
    """The service gave the first rows only (QUERY_STATUS OVERFLOW): ask for a smaller piece of the sky.

    Attributes:
        rows: how many rows came.
    """

    def __init__(self, message: str, *, rows: int) -> None:
        super().__init__(message)
        self.rows = rows


class JobFailedError(ArchiveError):
    """A job did not reach phase COMPLETED, or its result is unusable.

    Attributes:
        job_id: the job's identifier on the service.
        phase: its last phase.
        reason: the service's own sentence, empty where it gave none.
    """

    def __init__(self, message: str, *, job_id: str, phase: str, reason: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id
        self.phase = phase
        self.reason = reason


class JobLostError(JobFailedError):
    """The service no longer knows the job."""


class RowCountError(ArchiveError):
    """A complete reply holds another number of rows than was counted.

    Attributes:
        expected: rows counted before.
        found: rows in the reply.
    """

    def __init__(self, message: str, *, expected: int, found: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found
