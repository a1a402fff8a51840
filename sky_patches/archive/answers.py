"""What a TAP service makes of a query: the parameters that it is sent, and its yes or no."""

from __future__ import annotations

import re

from astropy.table import Table

from sky_patches.archive.errors import (
    ArchiveUnreachableError,
    IncompleteReplyError,
    JobFailedError,
    QueryRejectedError,
    RowCountError,
    TruncatedReplyError,
)
from sky_patches.archive.transport import Reply, Transport
from sky_patches.archive.votable import Result, error_sentence, read_result

__all__ = ["ask_directly", "query_fields", "raise_if_ill", "read_answer", "whole_table"]

# Every TAP service has this table (TAP 1.1, section 4).
_PLAIN_QUERY = "SELECT schema_name FROM TAP_SCHEMA.schemas"
_REFUSALS = 3
# What PostgreSQL and the libraries before it say when they, and not the query, are at fault.
_DATABASE_TROUBLE = re.compile(
    r"server closed|terminating connection|connection (?:to|refused|reset|already closed|timed out|timeout)"
    r"|cannot connect|could not connect|starting up|shutting down|recovery mode"
    r"|too many (?:clients|connections)|out of (?:shared )?memory|no space left",
    re.IGNORECASE,
)


def query_fields(adql: str, maxrec: int | None = None) -> dict[str, object]:
    """The form of a query; `maxrec` raises the service's default limit, up to its hard one."""
    fields = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "QUERY": adql}
    return fields if maxrec is None else {**fields, "MAXREC": maxrec}


def read_answer(reply: Reply, url: str, adql: str) -> Result:
    """The results document of a reply to a query.

    Raises:
        QueryRejectedError: the service refuses the query, for whatever reason.
        ArchiveUnreachableError: what answers is no TAP service, or does not let us in.
        IncompleteReplyError: the document is cut short, or does not say whether it is whole.
    """
    if reply.status >= 400:
        reason, is_tap = error_sentence(reply.body())
        if is_tap or reply.status in (400, 422):
            raise _rejected(url, adql, reason or f"HTTP {reply.status}")
        raise ArchiveUnreachableError(
            f"{url} answers HTTP {reply.status} ({reason or 'no explanation'}); is this a TAP service, "
            "and is a login needed?",
            retryable=False,
        )
    result = read_result(reply.stream)
    if result.status == "ERROR":
        raise _rejected(url, adql, result.message or "no explanation")
    if not result.status:
        raise IncompleteReplyError(f"the reply of {url} does not say whether it is whole")
    return result


def ask_directly(transport: Transport, adql: str, maxrec: int | None = None) -> Result:
    """Run a query synchronously; with `maxrec` zero the service only reads it (TAP 1.1, section 2.7.4).

    Services report a database that is away in the same form and code as a wrong query. So a query counts as
    wrong only if it is refused again and again while the service answers another one in between: after a
    restart of the database each of a service's old connections to it fails once.

    Raises:
        QueryRejectedError: the query is wrong.
        ArchiveUnreachableError: no usable answer, or the service fails with every query at present.
        IncompleteReplyError: the reply is cut short.
    """
    for _ in range(_REFUSALS - 1):
        try:
            return _ask(transport, adql, maxrec)
        except QueryRejectedError as rejection:
            raise_if_ill(transport, rejection)
    return _ask(transport, adql, maxrec)


def _ask(transport: Transport, adql: str, maxrec: int | None) -> Result:
    reply = transport.post("sync", query_fields(adql, maxrec), follow=True)
    return read_answer(reply, transport.url, adql)


def raise_if_ill(transport: Transport, rejection: QueryRejectedError) -> None:
    """Find out whether it is the service that fails, and not the query.

    Raises:
        ArchiveUnreachableError: the service speaks of its database, or refuses a query that every TAP
            service must understand.
    """
    if _DATABASE_TROUBLE.search(rejection.reason):
        raise ArchiveUnreachableError(
            f"{transport.url} has trouble with its database ({rejection.reason})"
        ) from rejection
    try:
        _ask(transport, _PLAIN_QUERY, 1)
    except QueryRejectedError:
        raise ArchiveUnreachableError(
            f"{transport.url} fails with every query at present ({rejection.reason})"
        ) from rejection


def whole_table(result: Result, expected: int, job_id: str) -> Table:
    """The table of a job's result, if nothing is missing from it.

    Raises:
        TruncatedReplyError: the service stopped at a limit of its own.
        RowCountError: the reply is whole, but not `expected` rows long.
        JobFailedError: there is no table.
    """
    if result.table is None:
        raise JobFailedError(
            f"the result of job {job_id} holds no table",
            job_id=job_id,
            phase="COMPLETED",
            reason=result.message,
        )
    rows = len(result.table)
    if result.status == "OVERFLOW" and rows <= expected:
        raise TruncatedReplyError(
            f"the service stopped after {rows} of {expected} rows; ask for smaller pieces of the sky",
            rows=rows,
        )
    if rows != expected:
        raise RowCountError(
            f"expected {expected} rows, as counted before, got {rows}; count again, and check that "
            "both queries have the same conditions",
            expected=expected,
            found=rows,
        )
    return result.table


def _rejected(url: str, adql: str, reason: str) -> QueryRejectedError:
    return QueryRejectedError(f"{url} rejects the query: {reason} [{adql}]", reason=reason, adql=adql)
