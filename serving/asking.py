"""What the parts of the front ask: a caller's question, and the reply to it, whoever answers.

HTTP and the Postgres wire know an `Asker` and nothing behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from seamline.errors import Condition, UserError
from seamline.serving.callers import Caller
from seamline.serving.encode import encoding
from seamline.serving.freshness import covers, not_reached
from seamline.serving.parameters import Parameters
from seamline.serving.provenance import Answer
from seamline.serving.query import Described, Query
from seamline.serving.serving import Serving
from seamline.serving.snapshot import Snapshot

LOOK = 0.02
"""Seconds between looks for an epoch that is waited for."""


@dataclass(frozen=True)
class Ask:
    """One question. What is None is as the settings say."""

    sql: str
    caller: Caller

    parameters: Parameters = ()
    """Values for `$1`, `$2`, … in order, or for `$name` by name. They are bound, never pasted."""

    format: str = "arrow"
    """An entry of `encode.FORMATS`."""

    as_of: int | None = None
    """The number of a past epoch."""

    at_least: int | None = None
    """The number of an epoch that the answer covers: it waits for it."""

    max_rows: int | None = None
    """An answer of more is an error."""

    seconds: float | None = None

    saved: str = ""
    """The name of the saved query that it is."""

    def within(self, seconds: float) -> float:
        """How long it may take, where so long is the most for anybody."""
        return min(seconds, self.seconds or seconds, self.caller.limits.seconds or seconds)

    @property
    def most_rows(self) -> int | None:
        """Of its answer; None: as the settings say."""
        return min((one for one in (self.max_rows, self.caller.limits.rows) if one is not None), default=None)


@dataclass
class Reply:
    """The reply to one question, as it comes."""

    schema: pa.Schema

    provenance: Mapping[str, Any]
    """By view, as JSON values, with links."""

    warnings: tuple[str, ...]

    chunks: AsyncGenerator[bytes, None]
    """The answer in its format. Raises what the query fails with, after chunks perhaps: these are no answer then."""

    _rows: Callable[[], int | None] = field(default=lambda: None, repr=False)

    _close: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)

    @property
    def rows(self) -> int | None:
        """How many, once the chunks have ended."""
        return self._rows()

    async def aclose(self) -> None:
        """Ends the query, whether or not all was read. It may be called again."""
        await self.chunks.aclose()
        if self._close is not None:
            await self._close()  # chunks that were never begun end nothing


class Asker(Protocol):
    """Whoever answers."""

    async def ask(self, ask: Ask) -> Reply:
        """Begins to answer. Raises what the question is refused for, and whatever fails before there is a first row."""
        ...

    async def describe(self, ask: Ask) -> Described:
        """What an answer would be like, and the types of the parameters, whose values it does not need."""
        ...

    def snapshot(self, caller: Caller) -> Snapshot:
        """The newest, narrowed to what the caller may see. Raises VIEW_NOT_READY before there is one."""
        ...


class Direct:
    """Answers in threads of this process."""

    def __init__(self, serving: Callable[[], Serving]) -> None:
        """`serving`: what is served now; it raises where nothing is."""
        self._serving = serving

    async def ask(self, ask: Ask) -> Reply:
        """The whole answer is made before this returns."""
        form = encoding(ask.format)
        await self._until_reached(ask)
        answer, written = await asyncio.to_thread(self._answered, ask, form.encode)
        said, count = answer.provenance.to_json(), answer.table.num_rows
        return Reply(answer.table.schema, said, answer.warnings, _once(written), lambda: count)

    async def describe(self, ask: Ask) -> Described:
        """As `Serving.describe` has it."""
        return await asyncio.to_thread(self._serving().describe, ask.sql, ask.caller)

    def snapshot(self, caller: Caller) -> Snapshot:
        """As `Serving.snapshot` has it."""
        return self._serving().snapshot().seen_by(caller)

    async def _until_reached(self, ask: Ask) -> None:
        if ask.at_least is None:
            return
        serving, clock = self._serving(), asyncio.get_running_loop()
        seconds = ask.within(serving.pool.seconds)
        query, until = Query(ask.sql, serving.pool, ask.parameters), clock.time() + seconds
        while not covers(now := self.snapshot(ask.caller), query.views(now), ask.at_least):
            if clock.time() > until:
                raise not_reached(now, query.views(now), ask.at_least, seconds)
            await asyncio.sleep(LOOK)

    def _answered(self, ask: Ask, encode: Callable[[Answer], bytes]) -> tuple[Answer, bytes]:
        serving = self._serving()
        seconds = ask.within(serving.pool.seconds)
        answer = serving.query(ask.sql, ask.parameters, as_of=ask.as_of, caller=ask.caller, seconds=seconds)
        if ask.most_rows is not None and answer.table.num_rows > ask.most_rows:
            raise too_many_rows(ask.most_rows)
        written, most = encode(answer), ask.caller.limits.mb
        if most is not None and len(written) > most << 20:
            raise too_large(most)
        return answer, written


def too_many_rows(allowed: int) -> UserError:
    """An answer of more rows than were to come."""
    return UserError(
        Condition.QUERY_REFUSED, f"an answer of more than {allowed:,} rows", detail=f"{allowed:,} rows",
        hint="add LIMIT, aggregate further, or allow more",
    )  # fmt: skip


def too_large(megabytes: int) -> UserError:
    """An answer of more bytes than may be sent."""
    return UserError(
        Condition.QUERY_REFUSED, f"an answer of more than {megabytes} MiB", detail=f"{megabytes} MiB",
        hint="add LIMIT, aggregate further, or ask for more (serving.max_mb, or the token's own limit)",
    )  # fmt: skip


async def _once(chunk: bytes) -> AsyncGenerator[bytes, None]:
    yield chunk
