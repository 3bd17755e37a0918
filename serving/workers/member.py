"""One worker as the front sees it: what is said to it and by it, and its end."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.observe.meters import METERS
from seamline.serving.asking import Ask
from seamline.serving.workers.forge import Forge
from seamline.serving.workers.frames import FrameKind, error_of, packed, receive
from seamline.serving.workers.index import Index
from seamline.serving.workers.worker import FIRST, Errand

GRACE = 0.5
"""Seconds after its limit in which a query may end by being interrupted, before its worker is killed."""

GIVING_SECONDS = 30.0
"""For mapping a snapshot."""


@dataclass(frozen=True)
class Begun:
    """An answer whose first piece has come."""

    schema: str
    provenance: dict[str, Any]
    warnings: tuple[str, ...]


class Member:
    """A worker, asked by one task at a time. Once it is `dead` it answers no more."""

    def __init__(self, forge: Forge, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.dead = False
        self.has: Index | None = None
        """The snapshot it answers from."""
        self.rows: int | None = None
        """Of its last answer, once that is whole."""
        self._late: float | None = None
        self._forge = forge
        self._reader = reader
        self._writer = writer

    @classmethod
    async def hired(cls, forge: Forge) -> Member:
        """A new one. Raises PROCESS_FAILED."""
        pid, connection = await asyncio.to_thread(forge.make)
        reader, writer = await asyncio.open_connection(sock=connection, limit=2 * FIRST)
        return cls(forge, pid, reader, writer)

    @property
    def ended(self) -> bool:
        """Whether the process is gone, by itself too."""
        return self.dead or self._reader.at_eof()

    def kill(self) -> None:
        """Ends the process, whatever it is at."""
        self.dead = True
        self._forge.end(self.pid)
        self._writer.close()

    async def give(self, index: Index) -> None:
        """Has it answer from a snapshot from here on."""
        if self.has is index:
            return
        await self._send(FrameKind.SNAPSHOT, index.data)
        await self._answer(GIVING_SECONDS)
        self.has = index

    async def said(self, kind: FrameKind, ask: Ask, seconds: float) -> Any:
        """What it says of a text without running it."""
        await self._send(kind, ask)
        return json.loads(await self._answer(seconds))

    async def query(self, errand: Errand) -> AsyncGenerator[Begun | bytes, None]:
        """How an answer begins, then its pieces. Where the asker leaves in between, the query is ended.

        Raises what it fails with; QUERY_TIMEOUT where it had to be killed, QUERY_LOST where the worker ended by itself.
        """
        whole, self.rows = False, None
        try:
            with self._limit(errand.seconds):
                await self._send(FrameKind.ASK, errand)
                while not whole:
                    kind, data = await self._next()
                    if kind is FrameKind.BEGUN:
                        schema, provenance, warnings = json.loads(data)
                        yield Begun(schema, provenance, tuple(warnings))
                    elif kind is FrameKind.DATA:
                        yield data
                    else:
                        whole = True
                        self.rows, steps = json.loads(self._unless_error(kind, data))
                        for name, seconds in steps.items():
                            METERS.took("seamline_query_step_duration_seconds", seconds, step=str(name))
        finally:
            if not whole and not self.dead:
                await self._stop()

    async def _stop(self) -> None:
        """Ends the query that runs: interrupted, and where that does not help soon, killed."""
        kind = None
        with suppress(EOFError, TimeoutError, SeamlineError):
            async with asyncio.timeout(GRACE):
                await self._send(FrameKind.STOP, None)
                while kind not in (FrameKind.DONE, FrameKind.ERROR, FrameKind.SPENT):
                    kind, _ = await receive(self._reader)
        if kind not in (FrameKind.DONE, FrameKind.ERROR):
            self.kill()

    async def _answer(self, seconds: float) -> bytes:
        whole = False
        try:
            with self._limit(seconds):
                kind, data = await self._next()
            whole = True
        finally:
            if not whole:
                self.kill()  # its answer would be taken for the next one's
        return self._unless_error(kind, data)

    @contextmanager
    def _limit(self, seconds: float) -> Iterator[None]:
        """Kills the process where the block takes longer, whether or not anybody reads what it says."""
        self._late = None
        timer = asyncio.get_running_loop().call_later(seconds + GRACE, self._expire, seconds)
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self, seconds: float) -> None:
        self._late = seconds
        self.kill()

    def _unless_error(self, kind: FrameKind, data: bytes) -> bytes:
        if kind is FrameKind.SPENT:
            self.kill()
        if kind in (FrameKind.ERROR, FrameKind.SPENT):
            raise error_of(data)
        return data

    async def _next(self) -> tuple[FrameKind, bytes]:
        try:
            return await receive(self._reader)
        except EOFError:
            self.kill()
            raise lost() if self._late is None else timed_out(self._late) from None

    async def _send(self, kind: FrameKind, value: Any) -> None:
        try:
            self._writer.write(packed(kind, pickle.dumps(value)))
            await self._writer.drain()
        except ConnectionError:
            self.kill()
            raise lost() if self._late is None else timed_out(self._late) from None


def timed_out(seconds: float) -> SeamlineError:
    """A query that would not end."""
    return UserError(
        Condition.QUERY_TIMEOUT, f"the query ran longer than {seconds:g} s",
        hint="narrow it (a filter on the time bucket is pushed down), or raise serving.query_seconds",
    )  # fmt: skip


def lost() -> SeamlineError:
    """A query whose worker ended by itself."""
    return TransientError(
        Condition.QUERY_LOST, "the process that ran the query ended before it had answered",
        detail="a query that needs more memory than a worker may have can end it (serving.worker_memory_mb)",
        hint="ask again; if it happens again, narrow the query",
    )  # fmt: skip
