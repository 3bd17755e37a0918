"""An answer over HTTP: what is asked for, the headers it has, and its pieces as they come."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Coroutine, Mapping
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.types import Receive, Scope, Send

from seamline.errors import SeamlineError
from seamline.serving.asking import Ask, Asker, Reply
from seamline.serving.callers import Caller
from seamline.serving.encode import encoding

GONE = 499
"""The status of an answer that nobody takes any more."""

MOVING = re.compile(
    r"\b(now|today|age|get_current_\w+|current_(date|time|timestamp|localtime\w*)|localtime(stamp)?"
    r"|transaction_timestamp)\b",
    re.IGNORECASE,
)
"""Words by which a text may ask for the time of the question: its answer changes though nothing else does."""

_log = logging.getLogger("seamline.serving")
_Given = TypeVar("_Given")
BoundValue = bool | int | float | str | None


class QueryBody(BaseModel):
    """The body of POST /v1/query."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sql: str = Field(description="one SELECT over views")
    parameters: list[BoundValue] | dict[str, BoundValue] = Field([], description="values for $1, $2, …, or for $name")
    format: str = Field("json", description="json, ndjson, csv, csv_safe, arrow or parquet")
    max_rows: Annotated[int, Field(gt=0)] | None = Field(None, description="an answer of more rows is an error")
    timeout: Annotated[float, Field(gt=0)] | None = Field(None, description="seconds")
    as_of: int | None = Field(None, description="the number of a past epoch")
    at_least: Annotated[int, Field(ge=0)] | None = Field(None, description="the number of an epoch to wait for")

    def ask(self, caller: Caller) -> Ask:
        """The question."""
        return Ask(
            self.sql, caller, self.parameters, self.format, self.as_of, self.at_least, self.max_rows, self.timeout
        )


async def answer(asker: Asker, body: QueryBody, request: Request) -> Response:
    """One answer in the format that was asked for, or 304 where it is what the client has. Raises what `Asker.ask`
    raises."""
    return await answer_to(asker, body.ask(request.state.caller), request)


async def answer_to(asker: Asker, ask: Ask, request: Request) -> Response:
    """The answer to a question. Raises as `answer`."""
    return await reply_to(asker, ask, request, etag(asker, ask))


async def reply_to(asker: Asker, ask: Ask, request: Request, tag: str) -> Response:
    """The same, of a validator that is known. Raises as `answer`."""
    form = encoding(ask.format)
    if tag and tag in tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=caching(tag))
    reply = await unless_gone(request.receive, asker.ask(ask))
    if reply is None:
        return Response(status_code=GONE)
    headers = caching(tag)
    if not form.carries_provenance:
        short = {view: {k: v for k, v in said.items() if k != "links"} for view, said in reply.provenance.items()}
        headers["Seamline-Provenance"] = json.dumps(short)
        if reply.warnings:
            headers["Seamline-Warnings"] = json.dumps(reply.warnings)
    return Streamed(reply, form.media, headers)


def etag(asker: Asker, ask: Ask) -> str:
    """A strong validator: the same exactly as long as the answer is, but for its lag. '' where the text may ask what
    time it is, or waits for an epoch.

    It is known before the query runs, so one over a broken view has one too; such an answer is never sent.
    """
    if MOVING.search(ask.sql) or ask.at_least is not None:
        return ""
    given = sorted(ask.parameters.items()) if isinstance(ask.parameters, Mapping) else list(ask.parameters)
    said = (asker.snapshot(ask.caller).mark, ask.sql, given, ask.format, ask.as_of, ask.max_rows)
    return f'"{sha256(repr(said).encode()).hexdigest()[:32]}"'


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _Given]) -> _Given | None:
    """What the work gives; None, with the work cancelled, where the client leaves before."""
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for one in (doing, leaving):
            one.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


class Streamed(Response):
    """A reply's pieces as they come. Where one fails after others were sent, the connection is cut: nobody takes half
    an answer for a whole one."""

    def __init__(self, reply: Reply, media: str, headers: Mapping[str, str]) -> None:
        super().__init__(media_type=media, headers=headers)
        del MutableHeaders(raw=self.raw_headers)["content-length"]
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends what there is, until the client leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            await unless_gone(receive, self._send_all(send))
        except SeamlineError as error:
            _log.warning("an answer was cut off: %s", error)  # not ended: the server closes the connection
        finally:
            await self._reply.aclose()

    async def _send_all(self, send: Send) -> None:
        async for chunk in self._reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def tags(sent: str) -> list[str]:
    """Those of an If-None-Match header."""
    return [tag.strip().removeprefix("W/") for tag in sent.split(",")]


def caching(tag: str) -> dict[str, str]:
    """Headers of an answer with a validator, or without one."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"} if tag else {"Cache-Control": "no-store"}
