"""The log's own time: how far the Kafka timestamps of what was read have come.

It decides when ids are forgotten, and nothing else. It follows the records; a clock can only hold it back, since a
timestamp that lies ahead of the present says nothing of the records still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from seamline.frontier import Frontier, Partition, topic_of

ALLOWANCE = timedelta(hours=1)
"""How far a record's timestamp may lie ahead of the present, as Kafka allows (message.timestamp.after.max.ms): what
lies further ahead moves no time."""

Ends = Callable[[], Frontier | None]
"""Asks where the partitions that are read end now; None where nobody can say."""


def no_ends() -> Frontier | None:
    """Where there is nobody to ask: then nothing is forgotten."""
    return None


def second(at: datetime | None) -> int:
    """A Kafka timestamp in whole seconds since 1970; 0 (before 1970, or -1) says that a record has none."""
    return 0 if at is None else min(max(int(at.timestamp()), 0), 2**32 - 1)


class LogTime:
    """The latest time read of each partition, and what follows for the topics.

    After a restart nothing is known, and what is not known forgets nothing: too late is always safe.
    """

    def __init__(self) -> None:
        self._reached: dict[Partition, int] = {}

    @property
    def latest(self) -> int:
        """The latest time of any partition: no topic's time is later."""
        return max(self._reached.values(), default=0)

    def read(self, newest: Mapping[Partition, datetime], now: datetime) -> None:
        """The latest timestamps of the records of one micro-batch."""
        for partition, at in newest.items():
            if at <= now + ALLOWANCE:
                seconds = second(min(at, now))
                self._reached[partition] = max(seconds, self._reached.get(partition, 0))

    def lowest(self, frontier: Frontier, ends: Frontier | None) -> Callable[[tuple[str, ...]], int | None]:
        """Topics to their time: the lowest of its partitions that are not read to their end, else the highest of all.

        None where one of them has not shown any, or where `ends` are not known.
        """
        behind = [one for one in ends or () if ends is not None and frontier[one] < ends[one]]

        def of_topics(topics: tuple[str, ...]) -> int | None:
            held = [self._reached.get(one) for one in behind if topic_of(one.source) in topics]
            if ends is None or None in held:
                return None
            if held:
                return min(one for one in held if one is not None)
            return max((t for one, t in self._reached.items() if topic_of(one.source) in topics), default=None)

        return of_topics
