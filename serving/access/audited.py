"""Whoever answers, with a line in the audit log for each question: one place for HTTP and for Postgres clients."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from seamline.clock import Clock, system_clock
from seamline.errors import SeamlineError
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.asking import Ask, Asker, Reply
from seamline.serving.callers import Caller
from seamline.serving.query import Described
from seamline.serving.snapshot import Snapshot

DONE, LEFT, DEFECT = "ok", "left", "UNEXPECTED"
"""What came of a question, beside conditions of errors: all of it was taken, or who asked went away before."""


class AuditedAsker:
    """An `Asker` around another."""

    def __init__(self, asker: Asker, log: AuditLog, door: str, clock: Clock = system_clock) -> None:
        """`door`: where the questions come in, as `http`."""
        self._asker, self._log, self._door, self._clock = asker, log, door, clock

    async def ask(self, ask: Ask) -> Reply:
        """As the other does. The line is written once all chunks were taken, or none will be."""
        line = _Line(self._log, self._door, self._clock, ask)
        try:
            reply = await self._asker.ask(ask)
        except BaseException as error:
            line.end(error)
            raise
        return replace(reply, chunks=_Followed(reply, line))

    async def describe(self, ask: Ask) -> Described:
        """As the other does; only what is refused has a line."""
        line = _Line(self._log, self._door, self._clock, ask)
        try:
            return await self._asker.describe(ask)
        except BaseException as error:
            line.end(error)
            raise

    def snapshot(self, caller: Caller) -> Snapshot:
        """As the other does."""
        return self._asker.snapshot(caller)


def audited(asker: Asker, log: AuditLog | None, door: str) -> Asker:
    """With a line for each question, where there is a log."""
    return asker if log is None else AuditedAsker(asker, log, door)


class _Line:
    """One question's line, until its end."""

    def __init__(self, log: AuditLog, door: str, clock: Clock, ask: Ask) -> None:
        self._log, self._began = log, time.perf_counter()
        self._said: dict[str, Any] = {
            "at": clock().isoformat(), "who": ask.caller.name, "door": door, "sql": ask.sql,
            **({"query": ask.saved} if ask.saved else {}),
            **({"parameters": ask.parameters} if ask.parameters else {}),
            **({"as_of": ask.as_of} if ask.as_of is not None else {}),
            "format": ask.format,
        }  # fmt: skip
        self._open = True

    def end(self, error: BaseException | None = None, **more: Any) -> None:
        """What came of it; only the first end counts."""
        if not self._open:
            return
        self._open = False
        why = {"message": error.message} if isinstance(error, SeamlineError) else {}
        seconds = round(time.perf_counter() - self._began, 6)
        self._log.put({**self._said, "outcome": outcome_of(error), **why, "seconds": seconds, **more})


class _Followed(AsyncGenerator[bytes, None]):
    """A reply's chunks, counted."""

    def __init__(self, reply: Reply, line: _Line) -> None:
        self._reply, self._line = reply, line
        self._bytes = 0

    async def asend(self, value: None) -> bytes:
        """The next chunk."""
        try:
            chunk = await self._reply.chunks.asend(value)
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._bytes += len(chunk)
        return chunk

    async def athrow(self, *given: Any) -> bytes:
        """As any generator's."""
        return await self._reply.chunks.athrow(*given)

    async def aclose(self) -> None:
        """Ends the query, begun or not."""
        try:
            await self._reply.aclose()
        finally:
            self._end(GeneratorExit())

    def _end(self, error: BaseException | None) -> None:
        views = sorted(self._reply.provenance)
        self._line.end(error, views=views, rows=self._reply.rows, bytes=self._bytes)


def outcome_of(error: BaseException | None) -> str:
    """In a word."""
    if error is None:
        return DONE
    if isinstance(error, SeamlineError):
        return str(error.condition)
    return DEFECT if isinstance(error, Exception) else LEFT
