"""Who follows what: the feeds that there are, for as long as somebody follows them, and how many may."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from seamline.errors import Condition, SeamlineError, TransientError
from seamline.serving.asking import Asker
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.live.changing import Changing
from seamline.serving.live.feed import Feed, Followable
from seamline.serving.snapshot import Snapshot

LOOK = 0.02
"""Seconds between looks for another snapshot, while anybody follows anything."""

_log = logging.getLogger("seamline.serving")


class Feeds:
    """All feeds of a role. Their coroutines belong to one event loop.

    What changes: which feeds there are, how many follow them, and the event that the next snapshot sets.
    """

    def __init__(self, asker: Asker, changing: Changing, most: int, each: int) -> None:
        """`most`: how many may follow at a time; `each`: of one caller."""
        self._asker = asker
        self._changing = changing
        self._most = most
        self._each = each
        self._feeds: dict[str, Feed] = {}
        self._following: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def followers(self) -> int:
        """How many follow now."""
        return self._following.total()

    @contextmanager
    def followed(self, what: Followable) -> Iterator[Feed]:
        """The feed of a question, until the end of the block. Raises SERVING_BUSY, LIMIT_REACHED."""
        caller = what.ask.caller
        self._check(caller)
        feed = self._feeds.get(what.scope)
        if feed is None:
            feed = self._feeds[what.scope] = Feed(what, self._asker, self._changing, lambda: self._news)
        feed.enter()
        self._following[caller.name] += 1
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        try:
            yield feed
        finally:
            feed.leave()
            self._following[caller.name] -= 1
            if not feed.followers:
                del self._feeds[what.scope]
            if not self.followers:
                self._watching.cancel()
                self._watching = None

    def _check(self, caller: Caller) -> None:
        if self.followers >= self._most:
            raise TransientError(
                Condition.SERVING_BUSY, f"{self._most} follow what changes already", detail="serving.live at a time",
                hint="ask again in a moment; more replicas help where it is always so",
            )  # fmt: skip
        each = self._each if caller.limits.live is None else caller.limits.live
        if self._following[caller.name] >= each:
            raise TransientError(
                Condition.LIMIT_REACHED, f"{caller.name} follows {each} questions already",
                detail=f"{each} at a time", hint="end one of them first, or ask who operates this role for more",
            )  # fmt: skip

    async def _watch(self) -> None:
        """Wakes those who wait, with each new snapshot."""
        seen: Snapshot | None = None
        while True:
            try:
                now: Snapshot | None = self._asker.snapshot(LOCAL)
            except SeamlineError:
                now = None
            if now is not seen:
                seen = now
                self._news.set()
                self._news = asyncio.Event()
            await asyncio.sleep(LOOK)
