"""The rows of a key: from an index where there is one for them, else by SQL; the same bytes either way.

What an index answers is answered in front of the routes, which take longer than the answer does.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from seamline.errors import Condition, UserError
from seamline.observe.meters import METERS
from seamline.serving.asking import Ask
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.http.answering import caching, reply_to, tags
from seamline.serving.http.openapi import ANSWERS
from seamline.serving.http.parts import Parts
from seamline.serving.lookups.rowsasked import MOST, NULL, RowsAsked, as_sql
from seamline.serving.lookups.rowsbody import IndexedAnswers, mark_of, rows_tag

QUICK = 256
"""Rows that are written in the event loop, in a millisecond or two; more are in a thread."""

BY = "Seamline-Lookup"
"""The header that says who answered: `index` or `sql`."""

_BEFORE, _AFTER = "/v1/views/", "/rows"
_NAMES = ("key", "from", "to", "columns", "limit", "format", "at_least", "timeout")
_JSON = "application/json"
_MEND = "docs/http.md describes lookups"


@dataclass(frozen=True)
class RowsRequest:
    """A lookup as it is asked over HTTP."""

    asked: RowsAsked
    format: str
    at_least: int | None
    seconds: float | None


def rows_request(view: str, query: bytes) -> RowsRequest:
    """Reads an address. Raises INPUT_INVALID."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise _wrong("an address that is no UTF-8", "texts in UTF-8, in %-escapes") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in _NAMES or (name in given and name != "key"):
            wrong = "twice" if name in _NAMES else "which is no parameter here"
            raise _wrong(f"{name} in the address, {wrong}", ", ".join(_NAMES))
        given[name] = value
    columns = tuple(given["columns"].split(",")) if "columns" in given else ()
    limit = _whole("limit", given.get("limit"), 1, MOST)
    key = tuple(value for name, value in pairs if name == "key")
    asked = RowsAsked(view, key, given.get("from"), given.get("to"), columns, limit)
    least, seconds = _whole("at_least", given.get("at_least"), 0, 2**63 - 1), _seconds(given.get("timeout"))
    return RowsRequest(asked, given.get("format", "json"), least, seconds)


def add_rows(app: FastAPI, parts: Parts) -> None:
    """`/v1/views/{name}/rows`."""

    @app.get("/v1/views/{name}/rows", responses=ANSWERS)
    async def rows(
        request: Request,
        name: str,
        key: Annotated[list[str], Query(description=f"keys in order, the bucket last; {NULL} is NULL")] = [],  # noqa: B006
        since: Annotated[str | None, Query(alias="from", description="the first bucket")] = None,
        to: Annotated[str | None, Query(description="the bucket before which it ends")] = None,
        columns: Annotated[str | None, Query(description="names, with commas between")] = None,
        limit: Annotated[int | None, Query(ge=1, le=MOST)] = None,
        format: Annotated[str, Query()] = "json",  # noqa: A002 - the parameter's public name
        at_least: Annotated[int | None, Query(ge=0)] = None,
        timeout: Annotated[float | None, Query(gt=0)] = None,
    ) -> Response:
        said = rows_request(name, request.scope["query_string"])
        indexed = _indexed(parts, request.state.caller, said)
        if indexed is not None:
            sent = Headers(scope=request.scope).get("if-none-match")
            status, headers, body = await asyncio.to_thread(
                _answer, parts, indexed, said, request.state.caller, sent, request.url.path, MOST + 1
            )
            return Response(body, status, dict(headers))
        return await _by_sql(parts, said, request)


async def _by_sql(parts: Parts, said: RowsRequest, request: Request) -> Response:
    caller: Caller = request.state.caller
    served = parts.asker.snapshot(caller).view(said.asked.view)
    sql, given = as_sql(served.definition, said.asked)
    most = MOST if said.asked.limit is None else None
    ask = Ask(sql, caller, given, said.format, None, said.at_least, most, said.seconds)
    tag = "" if said.at_least is not None else rows_tag(mark_of(served), said.asked, said.format)
    METERS.count("seamline_lookups_total", by="sql")
    found = await reply_to(parts.asker, ask, request, tag)
    found.headers[BY] = "sql"
    return found


@dataclass(frozen=True)
class QuickRows:
    """An ASGI application around another: what an index answers with few rows goes no further."""

    app: ASGIApp
    parts: Parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes a request on."""
        found = self._found(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self.app(scope, receive, send)
            return
        status, headers, body = found
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def _found(self, scope: Scope) -> _Found | None:
        path: str = scope["path"]
        view = path[len(_BEFORE) : -len(_AFTER)]
        if not (path.startswith(_BEFORE) and path.endswith(_AFTER)) or "/" in view:
            return None
        caller = scope["state"]["caller"]
        try:
            said = rows_request(view, scope["query_string"])
            indexed = _indexed(self.parts, caller, said)
            if indexed is None or said.format != "json":
                return None
            sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"), None)
            return _answer(self.parts, indexed, said, caller, sent, path, QUICK)
        except (UserError, _Many):
            return None  # the route tells


_Found = tuple[int, list[tuple[str, str]], bytes]
"""A status, headers, and a body."""


class _Many(Exception):  # noqa: N818 - not wrong
    """More rows than are written here."""


def _indexed(parts: Parts, caller: Caller, said: RowsRequest) -> IndexedAnswers | None:
    """What answers without SQL: nothing where a caller sees some rows only, or an epoch has to be waited for. Raises
    like `Snapshot.view`."""
    view = said.asked.view
    if parts.lookups is None or said.format not in ("json", "arrow") or any(name == view for name, _ in caller.rows):
        return None
    if caller.views is not None and view not in caller.views:
        return None
    newest = parts.asker.snapshot(LOCAL).view(view)
    answers = parts.lookups.find(view, newest)
    late = answers is not None and said.at_least is not None and answers.epoch < said.at_least
    return None if late else answers


def _answer(
    parts: Parts, answers: IndexedAnswers, said: RowsRequest, caller: Caller, sent: str | None, path: str, most: int
) -> _Found:
    began = time.perf_counter()
    tag = "" if said.at_least is not None else answers.tag(said.asked, said.format)
    headers = [*caching(tag).items(), (BY, "index")]
    if tag and sent and tag in tags(sent):
        return 304, headers, b""
    found = answers.find(said.asked, most)
    if len(found) > most:
        raise _Many
    now = parts.follower.clock()
    media, body = answers.body(said.asked, found, now, said.format)
    METERS.count("seamline_lookups_total", by="index")
    if parts.audit is not None:
        bounds = [one for one in (said.asked.since, said.asked.until) if one is not None]
        line: dict[str, Any] = {
            "at": now.isoformat(), "who": caller.name, "door": "http", "request": f"GET {path}",
            "parameters": [*said.asked.key, *bounds], "format": said.format, "outcome": "ok",
            "seconds": round(time.perf_counter() - began, 6), "views": [said.asked.view], "rows": len(found),
            "bytes": len(body),
        }  # fmt: skip
        parts.audit.put(line)
    return 200, [("Content-Type", media), *headers], body


def _whole(name: str, text: str | None, least: int, most: int) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise _wrong(f"{name}={text[:50]}", f"a whole number from {least:,} to {most:,}")
    return int(text)


def _seconds(text: str | None) -> float | None:
    try:
        found = None if text is None else float(text)
    except ValueError:
        found = 0.0
    if found is not None and not 0 < found < float("inf"):
        raise _wrong(f"timeout={text}", "seconds above 0")
    return found


def _wrong(message: str, detail: str) -> UserError:
    return UserError(Condition.INPUT_INVALID, message, detail=detail, hint=_MEND)
