"""The micro-batches of one query, one at a time, and what a role does between them. Nothing here knows Spark."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seamline.frontier import START, Frontier
from seamline.streaming.kafka import Topic
from seamline.streaming.tasks import Row, Task, Tasks

IDLE_SECONDS = 1.0
"""How often a role looks for something to do between batches."""

PATIENT_SECONDS = 2.0
"""How long it waits for a batch to end so that it may."""

Apply = Callable[[Task[Any], bool], Iterable[Row]]
"""Applies a task to every task's records; whether they will be few: then one task is sooner done with them."""


@dataclass(frozen=True)
class Prepared:
    """What one query is to read, and from where."""

    topics: Mapping[str, Topic]
    """By name."""

    positions: Frontier
    """The next offset to read of every partition of theirs."""

    @property
    def sources(self) -> dict[str, str]:
        """The topics' names to their sources."""
        return {name: topic.source for name, topic in self.topics.items()}


NOTHING = Prepared({}, START)


class StreamingRole(Protocol):
    """What a streaming process does with its batches. All calls are made one at a time."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that must be read now; another set makes the query start afresh."""

    @property
    def frontier(self) -> Frontier:
        """Where the ledger stands."""

    def prepare(self) -> Prepared:
        """What a query is to read, from where; raises where it may not. `topics` are those from now on."""

    def begin(self, prepared: Prepared) -> None:
        """A query is about to start over these topics: what the one before left unfinished is given up."""

    def batch(self, tasks: Tasks) -> None:
        """One micro-batch: commit it, or raise."""

    def idle(self) -> None:
        """Between batches, every now and then."""


class Batches:
    """The batches of one query, over the topics that its role reads as it starts.

    Spark's thread calls `run`, another one everything else. What changes: `error` by the batch that fails, after which
    nothing is done any more; `_closed` by `close`; how many the last batch held; since when none has run; when to be
    idle next.
    """

    def __init__(self, role: StreamingRole, few: int, stop: threading.Event) -> None:
        self.error: BaseException | None = None
        self._role = role
        self._topics = role.topics
        self._few = few
        self._stop = stop
        self._between = threading.Lock()
        self._closed = False
        self._were_few = False
        self._quiet_since = time.monotonic()
        self._idle_at = 0.0

    @property
    def wanted(self) -> bool:
        """Whether the query is to go on: no signal, and no other topics to read."""
        return not self._stop.is_set() and self._role.topics == self._topics

    def run(self, apply: Apply) -> None:
        """One batch, unless the query has to end: what has no entry never happened, and the next one reads it again."""
        with self._between:
            if self._closed or not self.wanted:
                return
            before, few = self._role.frontier, self._were_few
            try:
                self._role.batch(lambda task: apply(task, few))
            except BaseException as error:
                self.error = error
                raise
            self._were_few = before.distance(self._role.frontier) < self._few
            self._quiet_since = time.monotonic()

    def is_quiet(self, seconds: float) -> bool:
        """Whether no batch runs, and none has ended and nothing has stirred for so long."""
        return not self._between.locked() and time.monotonic() - self._quiet_since >= seconds

    def stir(self) -> None:
        """Something comes: it is quiet from now on at the earliest."""
        self._quiet_since = time.monotonic()

    def idle(self) -> None:
        """Lets the role be idle, when it is due and no batch runs; after one that failed it has to begin anew first."""
        if time.monotonic() < self._idle_at or not self._between.acquire(timeout=PATIENT_SECONDS):
            return  # a batch that hangs must not keep the pulse from being felt
        try:
            if self.error is None:
                self._role.idle()
        finally:
            self._between.release()
        self._idle_at = time.monotonic() + IDLE_SECONDS

    def close(self) -> None:
        """No batch begins any more; one may still run."""
        self._closed = True

    def runs(self, seconds: float) -> bool:
        """Whether a batch runs, after so long a wait for its end."""
        ended = self._between.acquire(timeout=seconds)
        if ended:
            self._between.release()
        return not ended
