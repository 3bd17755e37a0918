"""Connections: so many at a time, and each one's next request has a head that comes soon and is of bounded size. What
comes after the head is the gate's to bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seamline.errors import Condition, TransientError, UserError
from seamline.observe.meters import METERS
from seamline.serving.http.problem import MEDIA, problem_of

LARGEST_HEAD = 64 << 10
"""Bytes of a request's line and headers."""

HEAD_SECONDS = 10.0
"""How long these may take to come, from the connection's beginning or the request's."""

_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class BoundedConnection(HttpToolsProtocol):
    """One connection. What changes: how much of a head has come, and what ends it where that takes too long."""

    def __init__(self, *given: Any, most: int, seconds: float = HEAD_SECONDS, **named: Any) -> None:
        """`most`: connections at a time; `seconds`: for a head."""
        super().__init__(*given, **named)
        self._most = most
        self._seconds = seconds
        self._size = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a head."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            hint = "ask again in a moment, or over fewer connections"
            detail = "serving.connections at a time"
            self._refuse(
                503, TransientError(Condition.SERVING_BUSY, f"{self._most} connections", detail=detail, hint=hint)
            )
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a head, or of what comes after it."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._size += len(data)
        if self._late is not None and self._size > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(
                431, _wrong(f"a request's head of more than {LARGEST_HEAD:,} bytes", f"{LARGEST_HEAD:,} bytes")
            )

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._size = 0
        if self._late is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Its head has come."""
        self._come()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._late = self.loop.call_later(self._seconds, self._expire)

    def _come(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _expire(self) -> None:
        self._refuse(408, _wrong("a request whose head does not end", f"a head within {self._seconds:g} s"))

    def _refuse(self, status: int, error: UserError | TransientError) -> None:
        """Tells why, and ends the connection."""
        self._come()
        METERS.count("seamline_requests_refused_total", status=str(status))
        body = json.dumps(problem_of(error, status)).encode()
        again = "Retry-After: 1\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {MEDIA}\r\nContent-Length: {len(body)}\r\n"
            f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{again}Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def bounded(most: int, seconds: float = HEAD_SECONDS) -> Callable[..., BoundedConnection]:
    """What makes connections of a server."""
    return partial(BoundedConnection, most=most, seconds=seconds)


def _wrong(message: str, detail: str) -> UserError:
    return UserError(Condition.REQUEST_REFUSED, message, detail=detail, hint="docs/http.md describes the request")
