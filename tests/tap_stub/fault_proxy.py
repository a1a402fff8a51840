"""A proxy that stands before a real TAP service and spoils some of its answers.

with FaultProxy("http://127.0.0.1:8080/tap") as proxy:
    proxy.plan.add(WireFault("cut", r"/results/result$", framing="close"))
    TapClient(proxy.url).fetch(...)
"""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from wire_faults import FaultPlan, send

__all__ = ["FaultProxy"]

_HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"}
_NOT_COPIED = {"transfer-encoding", "content-length", "connection", "server", "date"}


class FaultProxy:
    """Passes requests on to `upstream`, with the faults of its `plan`.

    Attributes:
        url: the proxy's counterpart of `upstream`.
        plan: the faults, and the log of all requests.
    """

    def __init__(self, upstream: str, *, port: int = 0) -> None:
        self.plan = FaultPlan()
        self._upstream = urlsplit(upstream.rstrip("/"))
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Silent: the plan keeps the log."""

            def do_GET(self) -> None:
                proxy._handle(self)

            do_POST = do_DELETE = do_HEAD = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self._origin}{self._upstream.path}"

    def start(self) -> FaultProxy:
        """Listen, in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> FaultProxy:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        form = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        fault = self.plan.meet(handler.command, handler.path, form.decode("utf-8", "replace"))
        if fault is not None and fault.before_the_service:
            return send(handler, 200, {}, b"", fault)
        try:
            status, headers, body = self._pass_on(handler, form)
        except (OSError, http.client.HTTPException) as error:
            return send(handler, 502, {"Content-Type": "text/plain"}, repr(error).encode(), None)
        send(handler, status, headers, body, fault)

    def _pass_on(self, handler: BaseHTTPRequestHandler, form: bytes) -> tuple[int, dict[str, str], bytes]:
        """The service's own answer, with its addresses turned into the proxy's."""
        there = f"{self._upstream.scheme}://{self._upstream.netloc}"
        connection = http.client.HTTPConnection(self._upstream.netloc, timeout=60)
        try:
            kept = {k: v for k, v in handler.headers.items() if k.lower() not in _HOP_BY_HOP}
            connection.request(handler.command, handler.path, form or None, kept)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in _NOT_COPIED}
        if "Location" in headers:
            headers["Location"] = headers["Location"].replace(there, self._origin)
        if "xml" in headers.get("Content-Type", "") and b"<uws:" in body[:2000]:
            body = body.replace(there.encode(), self._origin.encode())
        return answer.status, headers, body
