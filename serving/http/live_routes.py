"""Live updates: server-sent events of a view's changes, or of a query's answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.kernel import fold, quote
from seamline.observe.meters import METERS
from seamline.serving.access.audited import outcome_of
from seamline.serving.asking import Ask
from seamline.serving.callers import Caller
from seamline.serving.http.answering import GONE, BoundValue, unless_gone
from seamline.serving.http.parts import Parts
from seamline.serving.http.problems import once
from seamline.serving.http.saved_routes import PARAMETERS, asking, given_to
from seamline.serving.live.feed import Feed, Followable, ReadTo
from seamline.serving.live.updates import BEAT, LiveEvent, LiveKind, LiveMark, failed
from seamline.serving.saved import saved_query

TICK = 1.0
"""Seconds between looks whether a token still holds and the role goes on."""

BEAT_SECONDS = 15.0
"""Of silence, after which a comment is sent."""

SEND_SECONDS = 30.0
"""How long one event may take to be taken."""

MEDIA = "text/event-stream"
EVENTS: dict[int | str, dict[str, Any]] = {200: {"description": "Server-sent events", "content": {MEDIA: {}}}}
_log = logging.getLogger("seamline.serving")


class LiveBody(BaseModel):
    """The body of POST /v1/live."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sql: str | None = Field(None, description="one SELECT over views, or")
    view: str | None = Field(None, description="the name of a view")
    parameters: list[BoundValue] | dict[str, BoundValue] = Field([], description="values for $1, $2, …, or for $name")


def add_live(app: FastAPI, parts: Parts) -> None:
    """`/v1/live`, and of saved queries."""

    @app.get("/v1/live", responses=EVENTS, dependencies=[Depends(once)])
    async def live_by_get(
        request: Request, sql: Annotated[str | None, Query()] = None, view: Annotated[str | None, Query()] = None
    ) -> Response:
        return await follow(parts, request, _question(LiveBody(sql=sql, view=view, parameters=[]), request, parts))

    @app.post("/v1/live", responses=EVENTS, dependencies=[Depends(once)])
    async def live_by_post(request: Request, body: LiveBody) -> Response:
        return await follow(parts, request, _question(body, request, parts))

    @app.get("/v1/queries/{name}/live", responses=EVENTS, openapi_extra=PARAMETERS)
    async def live_saved(request: Request, name: str) -> Response:
        caller: Caller = request.state.caller
        saved = saved_query(parts.queries, name, caller)
        values = saved.values(given_to(saved, request, frozenset()))
        asked = Ask(saved.sql, asking(saved, caller), values, "json", max_rows=parts.live_rows, saved=saved.name)
        return await follow(parts, request, Followable(asked))


def _question(body: LiveBody, request: Request, parts: Parts) -> Followable:
    """Raises INPUT_INVALID where it is not one of both, VIEW_UNKNOWN."""
    if (body.sql is None) == (body.view is None) or (body.view is not None and body.parameters):
        raise UserError(
            Condition.INPUT_INVALID, "what is to be followed", detail="sql, with parameters perhaps, or else view",
            hint="docs/http.md#live-updates describes it",
        )  # fmt: skip
    caller: Caller = request.state.caller
    if body.sql is not None:
        return Followable(Ask(body.sql, caller, body.parameters, "json", max_rows=parts.live_rows))
    name = fold(body.view or "")
    parts.asker.snapshot(caller).view(name)
    return Followable(Ask(f"SELECT * FROM {quote(name)}", caller, (), "json", max_rows=parts.live_rows), name)


async def follow(parts: Parts, request: Request, what: Followable) -> Response:
    """The events of a question, for as long as it is followed. Raises what the first answer fails with."""
    said = request.headers.get("last-event-id", "")
    place, line = ReadTo(mark=LiveMark.parse(said)), _FollowedLine(parts, what)
    with ExitStack() as held:
        try:
            feed = held.enter_context(parts.feeds.followed(what))
            first = await unless_gone(request.receive, feed.after(place))
        except BaseException as error:
            line.end(error)
            raise
        if first is None:
            line.end(GeneratorExit())
            return Response(status_code=GONE)
        return LiveStream(feed, place, first, parts, what.ask.caller, line, held.pop_all())


class LiveStream(Response):
    """Events as they come, until the client leaves, its token ends or the role does."""

    def __init__(
        self,
        feed: Feed,
        place: ReadTo,
        first: LiveEvent,
        parts: Parts,
        caller: Caller,
        line: _FollowedLine,
        held: ExitStack,
    ) -> None:
        super().__init__(media_type=MEDIA, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self._feed, self._place, self._first = feed, place, first
        self._parts, self._caller, self._line, self._held = parts, caller, line, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them."""
        error: BaseException | None = GeneratorExit()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            error = await unless_gone(receive, self._send_all(send)) or error
        except TimeoutError:
            _log.info("%s takes no events any more", self._caller.name)
        finally:
            self._held.close()
            self._line.end(error)

    async def _send_all(self, send: Send) -> SeamlineError:
        """Returns why they end."""
        await self._sent(send, self._first)
        async for event in self._events():
            await self._sent(send, event)
        ending = self._ending()
        assert ending is not None
        await self._sent(send, failed(ending, LiveKind.END))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return ending

    async def _events(self) -> AsyncIterator[LiveEvent | None]:
        """What comes, and None where nothing has come for a while; until there is a reason to end."""
        silent = time.monotonic()
        while True:
            coming = asyncio.ensure_future(self._feed.after(self._place))
            try:
                while not coming.done():
                    await asyncio.wait({coming}, timeout=TICK)
                    if self._ending() is not None:
                        return
                    if time.monotonic() - silent > BEAT_SECONDS and not coming.done():
                        silent = time.monotonic()
                        yield None
            finally:
                coming.cancel()
            silent = time.monotonic()
            yield coming.result()

    async def _sent(self, send: Send, event: LiveEvent | None) -> None:
        data = BEAT if event is None else event.encoded()
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if event is not None:
            METERS.count("seamline_live_events_total", kind=event.kind)
            self._line.add(len(data))

    def _ending(self) -> SeamlineError | None:
        """Why nothing is sent any more."""
        if self._parts.ending():
            return TransientError(
                Condition.SERVING_UNAVAILABLE,
                "the serving role ends",
                hint="connect again in a moment, with Last-Event-ID",
            )
        if self._parts.access is None:
            return None
        try:
            self._parts.access.named(self._caller.name)
        except SeamlineError as error:
            return error
        return None


@dataclass
class _FollowedLine:
    """What the audit log has of one who followed: a line at the end."""

    parts: Parts
    what: Followable
    began: float = field(default_factory=time.perf_counter)
    events: int = 0
    bytes: int = 0
    open: bool = True

    def add(self, size: int) -> None:
        """One more event."""
        self.events, self.bytes = self.events + 1, self.bytes + size

    def end(self, error: BaseException | None) -> None:
        """Why; only the first counts."""
        if self.parts.audit is None or not self.open:
            return
        self.open, ask = False, self.what.ask
        named = {"query": ask.saved} if ask.saved else {}
        given = {"parameters": ask.parameters} if ask.parameters else {}
        why = {"message": error.message} if isinstance(error, SeamlineError) else {}
        self.parts.audit.put({
            "at": self.parts.follower.clock().isoformat(), "who": ask.caller.name, "door": "live", "sql": ask.sql,
            **named, **given, "outcome": outcome_of(error), **why,
            "seconds": round(time.perf_counter() - self.began, 6), "events": self.events, "bytes": self.bytes,
        })  # fmt: skip
