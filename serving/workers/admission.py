"""Who may have a worker, and when: callers take turns, however many questions each of them has."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from seamline.errors import Condition, TransientError
from seamline.serving.callers import UNLIMITED, CallerLimits


class Admission:
    """So many at a time, and of one caller so many; others wait, in a queue of bounded length and for a bounded time.

    What changes: how many are free, and who has them and who waits.
    """

    def __init__(self, places: int, *, each: int, queue: int, seconds: float) -> None:
        """`each`: places of one caller at most; `queue`: how many may wait; `seconds`: for how long."""
        self._free = places
        self._each = each
        self._queue = queue
        self._seconds = seconds
        self._taken: Counter[str] = Counter()
        self._own: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def admitted(self, caller: str, limits: CallerLimits = UNLIMITED) -> AsyncIterator[None]:
        """Inside the block a place is taken. Raises SERVING_BUSY; LIMIT_REACHED for a limit of the caller's own."""
        self._own[caller] = limits.queries or self._each
        await self._enter(caller, limits.queue)
        try:
            yield
        finally:
            self._leave(caller)

    async def _enter(self, caller: str, queue: int | None) -> None:
        if self._may(caller):
            self._take(caller)
            return
        if queue is not None and len(self._waiting.get(caller, ())) >= queue:
            raise _own(f"{queue} queries of {caller} wait already" if queue else f"no worker is free for {caller}")
        if sum(map(len, self._waiting.values())) >= self._queue:
            raise _busy(f"{self._queue} queries wait already" if self._queue else "all workers are taken")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except BaseException as error:
            self._give_up(caller, turn)
            if isinstance(error, TimeoutError):
                late = f"no worker became free within {self._seconds:g} s"
                own = self._taken[caller] >= self._own[caller]
                raise (_own(f"{late}: {self._own[caller]} of {caller} run") if own else _busy(late)) from None
            raise

    def _give_up(self, caller: str, turn: asyncio.Future[None]) -> None:
        """One who does not wait any longer; the place may have come just then."""
        if turn.done() and not turn.cancelled():
            self._leave(caller)
        elif caller in self._waiting and turn in self._waiting[caller]:
            self._waiting[caller].remove(turn)

    def _may(self, caller: str) -> bool:
        return self._free > 0 and self._taken[caller] < self._own.get(caller, self._each)

    def _take(self, caller: str) -> None:
        self._free -= 1
        self._taken[caller] += 1

    def _leave(self, caller: str) -> None:
        self._free += 1
        self._taken[caller] -= 1
        while (turn := self._next()) is not None:
            turn.set_result(None)

    def _next(self) -> asyncio.Future[None] | None:
        """Whose turn it is: the first of the caller who has waited longest since one of his was let in."""
        for caller, turns in list(self._waiting.items()):
            if not turns:
                del self._waiting[caller]
            elif self._may(caller):
                self._take(caller)
                self._waiting.move_to_end(caller)
                return turns.popleft()
        return None


def _own(message: str) -> TransientError:
    return TransientError(
        Condition.LIMIT_REACHED, message, detail="as many as the token, or serving.caller_queries, allows",
        hint="ask for less at a time, or ask who operates this role for more",
    )  # fmt: skip


def _busy(message: str) -> TransientError:
    return TransientError(
        Condition.SERVING_BUSY, message, detail="serving.workers queries at a time, serving.queue that wait",
        hint="ask again in a moment; more workers or replicas help where it is always so",
    )  # fmt: skip
