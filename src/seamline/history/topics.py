"""What a stream's topics log adds up to: its newest entry is the whole state."""

from __future__ import annotations

from collections.abc import Iterable

from seamline.entries.base import EntryBase
from seamline.entries.topics import Gone, TopicRead, Topics
from seamline.frontier import Frontier, Partition, joined
from seamline.history.base import History
from seamline.ledger import Log


class TopicsHistory(History):
    """Which topics a stream reads, has left, and what of them is gone."""

    def __init__(self, log: Log) -> None:
        self.read: dict[str, TopicRead] = {}
        self.gone: tuple[Gone, ...] = ()
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Topics):
            self.read = {one.source: one for one in entry.read}
            self.gone = entry.gone

    @property
    def accepted(self) -> Frontier:
        """Below it, what Kafka has no more was accepted as gone."""
        return joined(Frontier({Partition(one.source, one.partition): one.end}) for one in self.gone)

    def gone_of(self, contracts: Iterable[str], reached: Frontier) -> tuple[Gone, ...]:
        """What of some contracts' topics was accepted as gone, below a frontier."""
        names = set(contracts)
        of_them = {source for source, read in self.read.items() if names & read.contracts.keys()}
        return tuple(
            one
            for one in self.gone
            if one.source in of_them and one.start < reached[Partition(one.source, one.partition)]
        )
