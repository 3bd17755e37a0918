"""An answer's pieces, taken ahead of whoever reads them: a worker is free as soon as what is left of its answer fits
here, however slow the reader is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

from seamline.serving.workers.member import timed_out

PIECES = 8
"""Of an answer that wait for their reader: 2 MiB."""

Piece = TypeVar("Piece")


class Ahead(Generic[Piece]):
    """Reads pieces in a task of its own until they end, fail, or their reader takes none for so many seconds."""

    def __init__(self, pieces: AsyncGenerator[Piece, None], seconds: float) -> None:
        self._waiting: deque[Piece] = deque()
        self._error: Exception | None = None
        self._more, self._room = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._take(pieces, seconds))

    async def next(self) -> Piece | None:
        """The next piece; None after the last. Raises what the pieces fail with, after those that came before."""
        while not self._waiting and not self._task.done():
            self._more.clear()
            done = asyncio.ensure_future(self._more.wait())
            try:
                await asyncio.wait({done, self._task}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                done.cancel()
        if self._waiting:
            self._room.set()
            return self._waiting.popleft()
        if self._error is not None:
            raise self._error
        return None

    async def close(self) -> None:
        """Ends the reading."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self, pieces: AsyncGenerator[Piece, None], seconds: float) -> None:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self._waiting.append(piece)
                    self._more.set()
                    while len(self._waiting) >= PIECES:
                        self._room.clear()
                        async with asyncio.timeout(seconds):
                            await self._room.wait()
        except TimeoutError:
            self._error = timed_out(seconds)
        except Exception as error:  # noqa: BLE001 - the reader's
            self._error = error
