"""Faults of the wire between a client and a service: server errors, resets, silence, replies cut short."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal

__all__ = ["FaultPlan", "Hit", "WireFault", "send"]

Headers = dict[str, str]


@dataclass
class WireFault:
    """One kind of fault, for the requests that it matches.

    Attributes:
        kind: "status" (answer with `status` and `body` instead), "reset" (the connection is reset before the
            request is handled), "lost" (the request is handled, then the connection is reset), "hang"
            (silence for `seconds`, then the true answer), "slow" (as hang, but after every 512 bytes of
            the body), "cut" (the first part of the body, then the connection is closed), "replace" (`body`
            instead of the true one, as if all were well).
        path: regular expression, searched in the path.
        method: "GET", "POST", or "" for any.
        body_has: regular expression, searched in the request's form; "" for any.
        times: how many requests are hit; None for all.
        skip: how many matching requests pass first.
        keep: part of the body that is sent before a cut, between 0 and 1.
        framing: how a cut reply is announced: by its whole length, in chunks, or not at all.
        hits, seen: how many requests were hit, and how many matched, so far.
    """

    kind: Literal["status", "reset", "lost", "hang", "slow", "cut", "replace"]
    path: str = ""
    method: str = ""
    body_has: str = ""
    times: int | None = 1
    skip: int = 0
    status: int = 500
    body: bytes = b"<html><body>Internal Server Error</body></html>"
    headers: dict[str, str] = field(default_factory=dict)
    keep: float = 0.5
    framing: Literal["length", "chunked", "close"] = "length"
    seconds: float = 1.0
    hits: int = 0
    seen: int = 0

    @property
    def before_the_service(self) -> bool:
        """Whether the service never sees the request."""
        return self.kind in ("status", "reset", "replace")

    def matches(self, method: str, path: str, form: str) -> bool:
        """Whether the request is one of those that the fault is for."""
        return (
            self.method in ("", method)
            and re.search(self.path, path) is not None
            and re.search(self.body_has, form) is not None
        )


@dataclass(frozen=True)
class Hit:
    """One request that arrived: its method and path, and the kind of fault that met it ("" for none)."""

    method: str
    path: str
    fault: str


class FaultPlan:
    """The faults that are switched on, and the log of what they did. Threads may share it."""

    def __init__(self, faults: Iterable[WireFault] = ()) -> None:
        self.faults = list(faults)
        self.log: list[Hit] = []
        self._lock = threading.Lock()

    def add(self, fault: WireFault) -> WireFault:
        """Switch a fault on."""
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all faults off; the log stays."""
        self.faults.clear()

    def meet(self, method: str, path: str, form: str) -> WireFault | None:
        """The fault that this request meets, counted and logged."""
        with self._lock:
            found = next(
                (fault for fault in list(self.faults) if self._hits(fault, method, path, form)), None
            )
            self.log.append(Hit(method, path, found.kind if found else ""))
            return found

    def hits(self, kind: str) -> int:
        """How many requests met a fault of this kind."""
        return sum(hit.fault == kind for hit in self.log)

    @staticmethod
    def _hits(fault: WireFault, method: str, path: str, form: str) -> bool:
        if not fault.matches(method, path, form):
            return False
        fault.seen += 1
        hit = fault.seen > fault.skip and (fault.times is None or fault.hits < fault.times)
        fault.hits += hit
        return hit


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    fault: WireFault | None,
) -> None:
    """Send an answer, or what the fault makes of it; every connection carries one answer."""
    handler.close_connection = True
    kind = fault.kind if fault else ""
    if fault is not None and kind in ("reset", "lost"):
        # Lingering for zero seconds makes the kernel send RST instead of FIN.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return
    if fault is not None and kind == "hang":
        time.sleep(fault.seconds)
    if fault is not None and kind in ("status", "replace"):
        status = fault.status if kind == "status" else 200
        headers, body = {"Content-Type": "text/html", **fault.headers}, fault.body
    try:
        _write(handler, status, headers, body, fault if kind in ("cut", "slow") else None)
    except (BrokenPipeError, ConnectionResetError):
        # The client has left, as it should from a service that hangs.
        return


def _write(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    fault: WireFault | None,
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    framing = fault.framing if fault else "length"
    if framing == "length":
        handler.send_header("Content-Length", str(len(body)))
    elif framing == "chunked":
        handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Connection", "close")
    handler.end_headers()
    if handler.command == "HEAD":
        return
    cut = fault is not None and fault.kind == "cut"
    part = body[: int(len(body) * fault.keep)] if fault is not None and cut else body
    step = 512 if fault is not None and fault.kind == "slow" else 8192
    for begin in range(0, len(part), step):
        piece = part[begin : begin + step]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        if fault is not None and fault.kind == "slow":
            handler.wfile.flush()
            time.sleep(fault.seconds)
    if framing == "chunked" and not cut:
        handler.wfile.write(b"0\r\n\r\n")
    handler.wfile.flush()
