"""Which logs may have moved, told in small objects that are put over again: one listing says it for the whole lake.

A hint is never an answer. After an entry stands, who put it puts anew the object of its log; a reader lists those
objects and asks the logs of the ones that changed for their next entries. A hint that is lost, stale or out of order
costs time alone: now and then every log is looked at, whatever the hints say.

Many logs may share an object: there are SHARDS for each kind of log, however many logs there are, so that a listing is
always one request (stores give 1,000 names a page), and nothing of a log that is dropped is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from seamline import objects
from seamline.clock import Clock

HINTS = "hints/"
SHARDS = 128
"""Objects for each kind of log. With six kinds they fit one page; a change has the logs that share one asked too."""

SPARED = 1.0
"""Seconds that a log's one writer lets pass between two hints: a store may take no more for one object (GCS)."""

FOLLOWED = 2 * SPARED
"""Seconds for which readers ask such a log on without another hint: past the last entry whose hint was spared, since
nobody can have seen the hint before it was put."""

WRITTEN = frozenset({"archive", "speed"})
"""Kinds of log that have one writer."""


def place(log: str) -> str:
    """The object that tells of a log, for instance of `speed/main`."""
    kind, _, name = log.partition("/")
    return f"{HINTS}{kind}/{crc32(name.encode()) % SHARDS:02x}"


def tell(store: Any, log: str, attempt: str) -> bool:
    """Says that a log has an entry of this attempt; False where the store failed it, which nobody need mind."""
    return objects.put_once(store, place(log), f"{log} {attempt}\n".encode())


@dataclass(frozen=True)
class Moved:
    """The logs to ask in one look: `name in moved`."""

    places: frozenset[str] | None
    """The objects that tell of them. None: every log, whatever the hints say."""

    at: float = 0
    """When the look began, in seconds of the reader's own."""

    now: datetime | None = None
    """The same by its clock."""

    @classmethod
    def of(cls, logs: Iterable[str]) -> Moved:
        """These logs, and those that share their objects."""
        return cls(frozenset(map(place, logs)))

    def __contains__(self, log: str) -> bool:
        return self.places is None or place(log) in self.places

    def any_of(self, *kinds: str) -> bool:
        """Whether a log of these kinds may have moved."""
        return self.places is None or any(_kind(one) in kinds for one in self.places)


EVERY_LOG = Moved(None)


class Hints:
    """Follows the hints of a lake. What changes, by `look` and `done` alone: the objects as listed last, those whose
    logs are to be asked and since when, and when every log was looked at.

    A look is one listing, of at most SHARDS objects for each kind of log.
    """

    def __init__(
        self, store: Any, kinds: Collection[str], sweep: timedelta, clock: Clock,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`kinds` of log are followed. `sweep`: how long a hint that was lost may go unnoticed."""
        self._store = store
        self._kinds = frozenset(kinds)
        self._sweep = sweep
        self._clock = clock
        self._seconds = seconds
        self._stamps: dict[str, Any] = {}
        self._due: dict[str, float] = {}
        self._swept: datetime | None = None

    def look(self) -> Moved:
        """What is to be asked now, and again until `done` is told of it; the first time, everything.

        Raises TransientError STORE_UNAVAILABLE.
        """
        at, now, stamps = self._seconds(), self._clock(), objects.stamps(self._store, HINTS)
        for one in stamps.keys() | self._stamps.keys():
            if stamps.get(one) != self._stamps.get(one) and _kind(one) in self._kinds:
                self._due[one] = at
        self._stamps = stamps
        rested = self._swept is not None and timedelta(0) <= now - self._swept < self._sweep
        return Moved(frozenset(self._due) if rested else None, at, now)

    def done(self, moved: Moved) -> None:
        """Every log that this look found moved has been asked since."""
        asked = self._due if moved.places is None else moved.places
        over = [one for one in asked if _kind(one) not in WRITTEN or self._due[one] + FOLLOWED <= moved.at]
        for one in over:
            del self._due[one]
        if moved.places is None:
            self._swept = moved.now


def _kind(place: str) -> str:
    return place.removeprefix(HINTS).partition("/")[0]
