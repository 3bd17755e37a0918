"""What a request must be before a route sees it: to this role's own name, from no other site's page, from one who may
ask, and not endless.

A page that a person has open can make their browser ask any address, 127.0.0.1 too, and read the answer where a name
of the page's own leads there (DNS rebinding). Such a request names a stranger's host, or says where it comes from.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seamline.errors import Condition, TerminalError, UserError
from seamline.observe.meters import METERS
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.access.bearer import challenge, check_address, token_in
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.http.problem import Problem

LARGEST_BODY = 1 << 20
"""Bytes of a request: ten times a query's characters, whatever JSON makes of them."""

BODY_SECONDS = 10.0
"""How long a body may take to come."""

JSON = "application/json"
NOSNIFF = (b"x-content-type-options", b"nosniff")
"""No browser is to take an answer for something else than it says."""

NO_STORE = (b"cache-control", b"no-store")
"""Nobody is to keep an answer, unless a route says how."""

OPEN = ("/healthz", "/readyz")
"""What is told to anybody: it says nothing of what is served."""

_HOST = re.compile(r"(\[[\w:.%]+\]|[\w.-]+)(?::\d*)?")
"""A name or an address, and perhaps a port."""

_log = logging.getLogger("seamline.serving")
_MEND = "docs/http.md describes the request"


class Refusal(Exception):  # noqa: N818 - an answer
    """An answer that ends the connection: its status, and why."""

    def __init__(
        self, status: int, error: UserError, headers: Mapping[str, str] | None = None, *, by_token: bool = False
    ) -> None:
        """`by_token`: whether it is for want of a token, or for where one stands."""
        self.status = status
        self.error = error
        self.headers = headers or {}
        self.by_token = by_token
        super().__init__(status, error)


@dataclass(frozen=True)
class Gate:
    """An ASGI application around another."""

    app: ASGIApp

    hosts: Collection[str] = ()
    """Further names that this role is asked by."""

    seconds: float = BODY_SECONDS

    access: Access | None = None
    """Who may ask; None: whoever reaches it."""

    audit: AuditLog | None = None
    """Where it is kept who was not let in."""

    _own: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", frozenset(map(_plain, self.hosts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on with its body read, or answers why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal: Refusal | None = None
        try:
            check_caller(headers, self._own, (scope.get("server") or ("",))[0])
            scope.setdefault("state", {})["caller"] = self._caller(scope, headers)
            check_body(scope["method"], headers)
        except Refusal as found:
            refusal = found  # told after the body, which else would cut the answer off
        try:
            async with asyncio.timeout(self.seconds):
                body = await _read(receive)
        except ClientDisconnect:
            return
        except Refusal as found:
            refusal = refusal or found
        except TimeoutError:
            refusal = refusal or _refusal(408, "a body that does not end", f"a body within {self.seconds:g} s", _MEND)
        if refusal is not None:
            METERS.count("seamline_requests_refused_total", status=str(refusal.status))
            self._keep(scope, refusal)
            said = Problem(refusal.error, refusal.status, {**refusal.headers, "Connection": "close"})
            await said(scope, receive, send)
        else:
            await self._pass(scope, _again(body, receive), send)

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        """Who asks. Raises a Refusal where that is nobody who may."""
        if self.access is None or scope["path"] in OPEN:
            return LOCAL
        sent = headers.getlist("authorization")
        try:
            check_address(scope["query_string"])
            return self.access.caller(token_in(sent))
        except UserError as error:
            if error.condition is Condition.UNAUTHENTICATED:
                raise Refusal(401, error, {"WWW-Authenticate": challenge(sent=bool(sent))}, by_token=True) from error
            if error.condition is Condition.REQUEST_REFUSED:
                raise Refusal(400, error, by_token=True) from error
            _log.error("nobody is let in: %s", error)
            closed = UserError(error.condition, "tokens cannot be checked now", hint="the role's log says why")
            raise Refusal(503, closed, {"Retry-After": "10"}) from error

    def _keep(self, scope: Scope, refusal: Refusal) -> None:
        if self.audit is not None and refusal.by_token:
            error, (client, _) = refusal.error, scope.get("client") or ("", 0)
            request = f"{scope['method']} {scope['path']}"
            self.audit.not_let_in("http", client, request, str(error.condition), error.message)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """On to the routes; what they do not expect is logged with its trace, and told as a defect."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                kept = any(name.lower() == NO_STORE[0] for name, _ in headers)
                message = {**message, "headers": [*headers, NOSNIFF, *([] if kept else [NO_STORE])]}
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if begun:
                raise
            _log.exception("%s %s", scope["method"], scope["path"])
            message, hint = f"unexpected {type(error).__name__}", "this is a defect: report it, with the role's log"
            told = TerminalError(Condition.UNEXPECTED, message, hint=hint)
            await Problem(told, 500)(scope, receive, send)


def check_caller(headers: Headers, hosts: Collection[str], address: str) -> None:
    """Raises a Refusal where a request names a host that is not this role's, or comes from another site's page.

    address: where the request arrived, which is a name for this role too.
    """
    for host in headers.getlist("host"):
        found = _HOST.fullmatch(host)
        name = _plain(found[1]) if found else ""
        if not (name in hosts or name == _plain(address) or _is_local(name)):
            hint = f"add {name!r} to serving.hosts in seamline.toml if clients are to ask by that name"
            raise _refusal(403, f"a request for host {host}", "localhost, this address, and serving.hosts", hint)
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    own = {f"{scheme}://{headers.get('host', '')}".lower() for scheme in ("http", "https")}
    if site not in ("same-origin", "none") or (origin is not None and origin.lower() not in own):
        message = f"a request from a page of {origin or 'another site'}"
        raise _refusal(
            403, message, "requests that no other site's page makes", "ask from a program, or a page of this role"
        )


def check_body(method: str, headers: Headers) -> None:
    """Raises a Refusal for a body that is announced to be too large, is not JSON, or comes where none belongs."""
    length = headers.get("content-length", "0")
    empty = length == "0" and "transfer-encoding" not in headers and "content-type" not in headers
    if method == "POST" and not empty:  # without a body it is for the route to refuse
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != JSON:
            raise _refusal(415, f"a body of type {media or '(none)'}", JSON, "send the query as JSON")
    elif method != "POST" and ("transfer-encoding" in headers or length != "0"):
        raise _refusal(400, f"{method} with a body", "a body with POST alone", _MEND)
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise _too_large(f"{int(length):,}")


async def _read(receive: Receive) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size, more = size + len(chunks[-1]), message.get("more_body", False)
        if size > LARGEST_BODY:
            raise _too_large(f"more than {LARGEST_BODY:,}")
    return b"".join(chunks)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read once more; then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _plain(name: str) -> str:
    return name.lower().rstrip(".").strip("[]")


def _is_local(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _too_large(size: str) -> Refusal:
    return _refusal(413, f"a body of {size} bytes", f"{LARGEST_BODY:,} bytes", "shorten the query")


def _refusal(status: int, message: str, detail: str, hint: str) -> Refusal:
    return Refusal(status, UserError(Condition.REQUEST_REFUSED, message, detail=detail, hint=hint))
