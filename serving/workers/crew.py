"""The workers of one front: who is free, who waits, and what stands in for one that was killed.

So many queries run at a time as there are workers; one more process stands ready, so that the next query need not wait
for a new one. Queries beyond that wait for their callers' turns, and are refused after a while (`admission`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

from seamline.clock import Clock, system_clock
from seamline.config import ServingSection
from seamline.errors import Condition, SeamlineError, TransientError
from seamline.observe.meters import METERS
from seamline.observe.timed import OK
from seamline.serving.asking import Ask, Reply
from seamline.serving.callers import Caller
from seamline.serving.encode import encoding
from seamline.serving.freshness import covers, not_reached
from seamline.serving.query import Described
from seamline.serving.serving import Serving
from seamline.serving.snapshot import Snapshot
from seamline.serving.workers.admission import Admission
from seamline.serving.workers.forge import Forge
from seamline.serving.workers.frames import FrameKind, schema_of
from seamline.serving.workers.member import Begun, Member
from seamline.serving.workers.prefetch import Ahead
from seamline.serving.workers.published import ServedSnapshots
from seamline.serving.workers.shared import MEMORY, SharedValues
from seamline.serving.workers.worker import Bounds, Errand

_log = logging.getLogger("seamline.serving")


TEND_SECONDS = 0.25
"""Between a snapshot and its being given to workers that are idle, at most once in that time."""

READERS = 2
"""Threads that read what was served in the past: the store may keep them waiting, and nobody else."""


def bounds_of(settings: ServingSection, threads: int) -> Bounds:
    """What each worker may use."""
    return Bounds(settings.worker_memory_mb, threads, settings.query_seconds, settings.max_rows, settings.max_mb << 20)


class Crew:
    """Answers in processes. Its coroutines belong to one event loop; `publish` is called by the thread that follows.

    What changes: the loop once it is started, the forge where the one before has ended, and what is to
    be told of a new snapshot, and that it ends.
    """

    def __init__(
        self,
        serving: Callable[[], Serving],
        settings: ServingSection,
        threads: int = 2,
        clock: Clock = system_clock,
        memory: Path = MEMORY,
    ) -> None:
        """`serving`: what is served now; it raises where nothing is. `memory`: where workers share snapshots."""
        self._serving = serving
        self._settings = settings
        self._clock = clock
        self._bounds = bounds_of(settings, threads)
        self._served = ServedSnapshots(SharedValues(memory))
        self._forge = Forge(self._bounds)
        self._idle: list[Member] = []
        self._standing = asyncio.Semaphore(0)  # as many as are idle
        self._admission = Admission(
            settings.workers, each=settings.caller_queries or settings.workers, queue=settings.queue,
            seconds=settings.queue_seconds,
        )  # fmt: skip
        self._reading = ThreadPoolExecutor(READERS, "read-the-past")
        self._hiring = asyncio.Lock()
        self._tending = asyncio.Lock()
        self._closing = False
        self._tended = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Crew:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Makes the workers, and one more; the loop that this runs in is the crew's from here on."""
        self._loop = asyncio.get_running_loop()
        for _ in range(self._settings.workers + 1):
            await self._hire()

    async def close(self) -> None:
        """Ends all; no query may run any more."""
        self._closing = True
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for member in self._idle:
            member.kill()
        await asyncio.to_thread(self._forge.close)
        self._reading.shutdown(wait=False, cancel_futures=True)
        self._served.close()

    def publish(self, serving: Serving) -> None:
        """Has the workers answer from the newest snapshot, in whatever thread this is. Raises STORE_UNAVAILABLE."""
        serving.hold()
        self._served.now(serving.snapshot())
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._tell)

    @property
    def idle(self) -> tuple[Member, ...]:
        """The workers that are free now."""
        return tuple(self._idle)

    # Asker

    def snapshot(self, caller: Caller) -> Snapshot:
        """The newest that workers answer from."""
        return self._served.current().snapshot.seen_by(caller)

    async def describe(self, ask: Ask) -> Described:
        """Without running it, by a worker that binds it."""
        async with self._member(ask.caller) as member:
            with self._served.lent() as index:
                await member.give(index)
            schema, kinds, parameters = await member.said(FrameKind.DESCRIBE, ask, self._seconds(ask))
        return Described(schema_of(schema), tuple(kinds), tuple(parameters))

    async def ask(self, ask: Ask) -> Reply:
        """Returns with the first piece, or once the answer is whole where it is small."""
        encoding(ask.format)
        pieces = Ahead(self._answers(ask), self._seconds(ask))
        try:
            begun = await pieces.next()
        except BaseException:
            await pieces.close()
            raise
        assert isinstance(begun, Begun)
        found: list[int] = []
        return Reply(
            schema_of(begun.schema), begun.provenance, begun.warnings, _chunks(pieces, found),
            lambda: found[0] if found else None, pieces.close,
        )  # fmt: skip

    async def _answers(self, ask: Ask) -> AsyncGenerator[Begun | bytes | int, None]:
        """How an answer begins, its pieces, and how many rows it had."""
        began, outcome = time.perf_counter(), str(Condition.UNEXPECTED)
        try:
            await self._until_reached(ask)
            past = None if ask.as_of is None else await self._past(ask)
            async with self._member(ask.caller) as member:
                await self._give(member, past)
                task = Errand(replace(ask, at_least=None), self._clock(), self._seconds(ask))
                async with aclosing(member.query(task)) as pieces:
                    async for piece in pieces:
                        yield piece
                yield member.rows or 0
            outcome = OK
        except SeamlineError as error:
            outcome = str(error.condition)
            raise
        finally:
            kind = "newest" if ask.as_of is None else "as_of"
            METERS.took("seamline_query_duration_seconds", time.perf_counter() - began, kind=kind, outcome=outcome)

    async def _give(self, member: Member, past: Snapshot | None) -> None:
        """What is served now; and a past snapshot, for the question that is about it."""
        with self._served.lent() as index:
            await member.give(index)
        if past is not None:
            with await asyncio.to_thread(self._served.also, past) as index:
                await member.give(index)

    async def _past(self, ask: Ask) -> Snapshot:
        """The snapshot as of a past epoch, of the views that a question names. No worker is kept while the store is
        waited for. Raises STORE_UNAVAILABLE where that takes longer than the answer may."""
        views, seconds = await self._views(ask), self._seconds(ask)
        reading = asyncio.get_running_loop().run_in_executor(self._reading, self._serving().snapshot, ask.as_of, views)
        try:
            return await asyncio.wait_for(reading, seconds)
        except TimeoutError:
            raise TransientError(
                Condition.STORE_UNAVAILABLE, f"epoch {ask.as_of} was not read within {seconds:g} s",
                hint="ask again, or for the newest answer, which needs no store",
            ) from None  # fmt: skip

    async def _views(self, ask: Ask) -> list[str]:
        """The views that a question names, as a worker finds them."""
        async with self._member(ask.caller) as member:
            with self._served.lent() as index:
                await member.give(index)
            found: list[str] = await member.said(FrameKind.VIEWS, ask, self._seconds(ask))
            return found

    async def _until_reached(self, ask: Ask) -> None:
        """Waits until the newest snapshot covers what the question wants covered. Raises EPOCH_NOT_REACHED."""
        if ask.at_least is None:
            return
        views = await self._views(ask)
        try:
            async with asyncio.timeout(self._seconds(ask)):
                while not covers(self._served.current().snapshot, views, ask.at_least):
                    await self._news.wait()
        except TimeoutError:
            raise not_reached(self._served.current().snapshot, views, ask.at_least, self._seconds(ask)) from None

    # members

    @asynccontextmanager
    async def _member(self, caller: Caller) -> AsyncIterator[Member]:
        """A worker for one question, when it is the caller's turn. Raises SERVING_BUSY."""
        async with self._admission.admitted(caller.name, caller.limits):
            member = await self._living()
            try:
                yield member
            finally:
                self._back(member)

    async def _living(self) -> Member:
        """An idle worker, one that has the newest snapshot first."""
        while True:
            await self._standing.acquire()
            self._idle.sort(key=lambda one: one.has is self._served.newest)
            member = self._idle.pop()
            if not member.ended:
                return member
            self._back(member)

    def _back(self, member: Member) -> None:
        if member.ended:
            member.kill()
            self._begin(self._hire())
        else:
            self._idle.append(member)
            self._standing.release()

    async def _hire(self) -> None:
        """One more worker. Where they cannot be made, it is tried again until they can."""
        async with self._hiring:
            for pause in chain((0.1, 0.5), repeat(2.0)):
                try:
                    self._back(await Member.hired(self._forge))
                    break
                except SeamlineError as error:
                    _log.error("cannot make a worker: %s", error)
                    await asyncio.sleep(pause)
                    await asyncio.to_thread(self._forge.close)
                    self._forge = Forge(self._bounds)
        await self._tend()

    async def _tend(self) -> None:
        """Gives idle workers the newest snapshot, one by one, so that no query waits for what can be done before."""
        async with self._tending:
            while late := [one for one in self._idle if one.has is not self._served.newest]:
                await self._standing.acquire()
                member = next((one for one in late if one in self._idle), self._idle[-1])
                self._idle.remove(member)
                try:
                    with self._served.lent() as index:
                        await member.give(index)
                except SeamlineError as error:
                    _log.warning("a worker could not be given a snapshot: %s", error)
                self._back(member)

    def _tell(self) -> None:
        """Wakes whoever waits for a snapshot, and has it given to those who are idle, soon."""
        self._news.set()
        self._news = asyncio.Event()
        if not self._tended:
            self._tended = True
            asyncio.get_running_loop().call_later(TEND_SECONDS, self._tend_now)

    def _tend_now(self) -> None:
        self._tended = False
        self._begin(self._tend())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        if self._closing:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _seconds(self, ask: Ask) -> float:
        return ask.within(self._settings.query_seconds)


async def _chunks(pieces: Ahead[Begun | bytes | int], rows: list[int]) -> AsyncGenerator[bytes, None]:
    try:
        while (piece := await pieces.next()) is not None:
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, int):
                rows.append(piece)
    finally:
        await pieces.close()
