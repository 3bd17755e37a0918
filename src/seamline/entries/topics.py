"""Entries of a stream's topics log: which topics are read, which were left, and what of them is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from seamline.entries.base import EntryBase, Value
from seamline.frontier import Frontier


class TopicRead(Value):
    """A topic that a stream reads, or has left."""

    source: str

    contracts: dict[str, str]
    """YAML by the names of those that read it."""

    origin: Frontier
    """The first offsets there were when the first of both roles began it (a partition that came later begins at 0)."""

    end: Frontier | None = None
    """Where both leave it; None while a contract names it."""


class Gone(Value):
    """Offsets from `start` up to `end` of one partition that Kafka has no more, as an operator has accepted: what a
    role has not read of them it passes over."""

    source: str
    partition: int
    start: int
    end: int

    known: Literal["lost", "imported"]
    """How the operator has known them to be."""

    at: datetime

    def said(self) -> dict[str, object]:
        """As it is shown with answers and in the status."""
        topic, _, topic_id = self.source.partition("@")
        place = {"topic": topic, "id": topic_id, "partition": self.partition}
        return {**place, "start": self.start, "end": self.end, "known": self.known, "accepted": self.at.isoformat()}


class Topics(EntryBase):
    """The whole state of a stream's topics: what is read and what was left, and what was accepted as gone."""

    kind: Literal["topics"] = "topics"
    read: tuple[TopicRead, ...] = ()
    gone: tuple[Gone, ...] = ()
