"""Requests to one TAP service: astroquery's connection, with a time-out and with checked lengths."""

from __future__ import annotations

import http.client
import io
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from sky_patches.archive.errors import (
    ArchiveError,
    ArchiveSilentError,
    ArchiveUnreachableError,
    IncompleteReplyError,
)
from sky_patches.archive.votable import error_sentence

__all__ = ["Reply", "TimedConnections", "Transport"]

_Response = TypeVar("_Response")

_CHUNK = 1 << 16
_IN_MEMORY = 1 << 26
_REDIRECTS = 5


@dataclass(frozen=True)
class Reply:
    """A whole answer of the service.

    Attributes:
        status: HTTP status, below 500.
        location: where the service points to, or "".
        stream: the body, at its beginning.
    """

    status: int
    location: str
    stream: io.IOBase

    def body(self) -> bytes:
        """The body, for short answers."""
        self.stream.seek(0)
        return self.stream.read()


class TimedConnections:
    """What astroquery's `TapConn` opens its connections with, here with a time-out on every socket.

    astroquery sets none, so that a service that hangs is waited for without end; a default time-out of the
    process would change every other connection and every other thread.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s

    def get_connection(
        self, *, ishttps: bool = False, cookie: str | None = None, verbose: bool = False
    ) -> http.client.HTTPConnection:
        """A new connection; a secure one for https and wherever a login is carried."""
        if ishttps or cookie is not None:
            return self.get_connection_secure(verbose)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def get_connection_secure(self, verbose: bool = False) -> http.client.HTTPConnection:
        """A new secure connection."""
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s)


class Transport:
    """One TAP service over HTTP. Every request has a connection of its own, so threads may share it.

    Args:
        url: the service's base address, which usually ends in /tap.
        timeout_s: longest silence of the service, s.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._parts = _split(self.url)
        self._connection = self._connect(self._parts)

    def _connect(self, parts: SplitResult) -> object:
        # Late: it takes a second, and nobody who reads a store needs it. The plain TAP client, because
        # importing astroquery.gaia asks ESA's server for news.
        from astroquery.utils.tap.conn.tapconn import TapConn

        server, _, tap = parts.path.strip("/").rpartition("/")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return TapConn(
            secure,
            parts.hostname,
            server_context=server or None,
            tap_context=tap,
            port=port,
            sslport=port,
            connhandler=TimedConnections(parts.hostname, port, self._timeout_s),
        )

    def login(self, credentials_file: Path | None) -> None:
        """Log in the way astroquery does; user name and password are asked for where no file is given.

        Raises:
            ArchiveError: the service refuses the login, or the connection would not be secret.
        """
        from astroquery.utils.tap import TapPlus
        from requests import HTTPError

        if self._parts.scheme != "https":
            raise ArchiveError(f"a login needs an https address, got {self.url}")
        if credentials_file is not None and not credentials_file.is_file():
            raise ArchiveError(
                f"no credentials file {credentials_file}; it holds user name and password, a line each"
            )

        def attempt() -> None:
            try:
                TapPlus(url=self.url, connhandler=self._connection).login(credentials_file=credentials_file)
            except HTTPError as error:
                why = " ".join(str(error).split())
                raise ArchiveError(
                    f"{self.url} refused the login ({why}); check user name and password"
                ) from error

        self._guarded(attempt)

    def get(self, path: str, *, check: Callable[[str], None] | None = None) -> Reply:
        """Fetch `path` (below the base address), following redirections.

        Args:
            check: called between pieces of a long reply; what it raises ends the transfer.

        Raises:
            ArchiveUnreachableError: no connection, silence, a reply cut short, or a server error.
            ArchiveError: no room to keep the reply.
        """
        reply = self._receive(lambda: self._connection.execute_tapget(path), path, check)
        return self._follow(reply, path, check)

    def post(self, path: str, fields: Mapping[str, object], *, follow: bool = False) -> Reply:
        """Send a form to `path`; with `follow` the reply is the document that the service points to.

        Raises:
            ArchiveUnreachableError: as `get`; also where the service has moved.
        """
        data = urlencode(dict(fields))
        reply = self._receive(lambda: self._connection.execute_tappost(path, data), path, None)
        if reply.status in (301, 307, 308):
            raise ArchiveUnreachableError(
                f"{self.url} has moved to {reply.location or 'another address'}; use the new address",
                retryable=False,
            )
        return self._follow(reply, path, None) if follow else reply

    def delete(self, path: str) -> Reply:
        """Delete what is at `path`, by the form that browsers can send (UWS 1.1, section 2.2.3.2)."""
        return self.post(path, {"ACTION": "DELETE"})

    def _follow(self, reply: Reply, path: str, check: Callable[[str], None] | None) -> Reply:
        address = f"{self.url}/{path}"
        for _ in range(_REDIRECTS):
            if reply.status not in (301, 302, 303, 307, 308) or not reply.location:
                return reply
            address = urljoin(address, reply.location)
            reply = self._receive(lambda target=address: self._open(target), address, check)
        raise ArchiveUnreachableError(f"{address}: more than {_REDIRECTS} redirections", retryable=False)

    def _open(self, address: str) -> http.client.HTTPResponse:
        parts = _split(address)
        if (parts.scheme, parts.netloc) == (self._parts.scheme, self._parts.netloc):
            return self._connection.execute_tapget(address)
        # Another host gets a connection without the login, which is not meant for it.
        target = parts._replace(scheme="", netloc="").geturl().lstrip("/")
        return self._connect(parts._replace(path="")).execute_tapget(target)

    def _receive(
        self,
        send: Callable[[], http.client.HTTPResponse],
        what: str,
        check: Callable[[str], None] | None,
    ) -> Reply:
        response = self._guarded(send)
        try:
            stream = self._body(response, what, check)
        finally:
            response.close()
        status = response.status
        if status >= 500 or status in (408, 429):
            sentence, _ = error_sentence(stream.read())
            # A service, or the gateway before it, that gave up waiting is as good as silent.
            kind = ArchiveSilentError if status in (408, 504) else ArchiveUnreachableError
            raise kind(
                f"{self.url} answers HTTP {status} {response.reason} ({sentence or 'no explanation'})",
                retry_after_s=_seconds(response.getheader("Retry-After")),
            )
        return Reply(status, response.getheader("Location") or "", stream)

    def _guarded(self, send: Callable[[], _Response]) -> _Response:
        """Do a request; whatever breaks on the way becomes one of this package's errors."""
        try:
            return send()
        except TimeoutError as error:
            raise ArchiveSilentError(
                f"{self.url} sent nothing for {self._timeout_s:g} s (socket_timeout_s)"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise ArchiveUnreachableError(
                f"the certificate of {self.url} cannot be trusted ({error.verify_message})", retryable=False
            ) from error
        except http.client.IncompleteRead as error:
            raise IncompleteReplyError(f"{self.url} broke off within a reply") from error
        except (OSError, http.client.HTTPException) as error:
            raise ArchiveUnreachableError(
                f"{self.url} cannot be reached ({type(error).__name__}: {error})"
            ) from error

    def _body(
        self, response: http.client.HTTPResponse, what: str, check: Callable[[str], None] | None
    ) -> io.IOBase:
        """The whole body; its length is compared with the one announced, which http.client leaves undone."""
        announced = response.getheader("Content-Length")
        stream = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the reader closes it
        received = 0
        while piece := self._guarded(lambda: response.read1(_CHUNK)):
            received += len(piece)
            _keep(stream, piece)
            if check is not None:
                check(what)
        if announced is not None and received != int(announced):
            raise IncompleteReplyError(f"{self.url} sent {received} of {announced} bytes of {what}")
        stream.seek(0)
        return stream


def _keep(stream: io.IOBase, piece: bytes) -> None:
    try:
        stream.write(piece)
    except OSError as error:
        raise ArchiveError(
            f"the reply cannot be kept in {tempfile.gettempdir()} ({error}); free some space or set TMPDIR"
        ) from error


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ArchiveError(
            f"expected the http(s) address of a TAP service, got {url!r}; ESA's is "
            "https://gea.esac.esa.int/tap-server/tap"
        )
    return parts


def _seconds(header: str | None) -> float:
    """The seconds of a Retry-After header; zero for none, and for its form as a date."""
    return float(header) if header is not None and header.strip().isdigit() else 0.0
