"""Partitions at rest: those that have stood still before their end are looked at for offsets that hold no record."""

from __future__ import annotations

import time
from collections.abc import Iterable

from seamline.frontier import START, Frontier, Partition
from seamline.streaming.kafka import Cluster, Topic


class Resting:
    """When to look: at partitions that have stood still for `rest` seconds, every so often.

    What changes, by `passed` alone: since when each has stood where it does, and when to look next.
    """

    def __init__(self, cluster: Cluster, rest: float = 2.0, every: float = 5.0) -> None:
        self.cluster = cluster
        self.rest = rest
        self.every = every
        self._stood: dict[Partition, tuple[int, float]] = {}
        self._next = 0.0

    def passed(self, positions: Frontier, topics: Iterable[Topic]) -> Frontier:
        """Of `positions` those at rest, or where the first record after them may lie; the others are left out.

        Raises TransientError BROKER_UNAVAILABLE.
        """
        now, topics = time.monotonic(), list(topics)
        self._stood = {
            at: seen if (seen := self._stood.get(at)) and seen[0] == offset else (offset, now)
            for at, offset in positions.items()
        }
        resting = Frontier({at: offset for at, (offset, since) in self._stood.items() if now - since >= self.rest})
        if now < self._next or not list(resting):
            return START
        self._next = now + self.every
        ends = self.cluster.end(topics)
        behind = Frontier({at: offset for at, offset in resting.items() if offset < ends[at]})
        return resting.join(self.cluster.first_records(behind, topics, ends)) if list(behind) else resting
