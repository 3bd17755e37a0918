"""Which topics a stream reads, from where and up to where: decided in one log, which both of its roles obey.

Pure functions over what the ledger and the cluster say. A topic that a contract names is read. One that no contract
names any more is left at a recorded end: each role reads it up to there, and further where the other one has, so that
a cut between epochs is sooner or later passed by the archive in every component. What Kafka has no more is passed over
only where an operator has accepted that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from seamline.entries.topics import Gone, TopicRead
from seamline.errors import Condition, TerminalError
from seamline.frontier import START, Frontier, Partition, joined, topic_of
from seamline.history.topics import TopicsHistory
from seamline.streaming.kafka import Topic, expired, recreated


@dataclass(frozen=True)
class Found:
    """What the cluster has of the topics that are asked for."""

    topics: Mapping[str, Topic]
    """By source."""

    earliest: Frontier = START
    """Their first offsets."""

    end: Frontier = START
    """The next offsets after their last."""

    def only(self, sources: Iterable[str]) -> Found:
        """The same of some of them."""
        kept = set(sources)
        return Found({s: t for s, t in self.topics.items() if s in kept}, self.earliest.only(kept), self.end.only(kept))


@dataclass(frozen=True)
class Reached:
    """Where both roles' logs stand."""

    mine: Frontier
    """The log of the one that asks."""

    other: Frontier

    begun: Frontier = START
    """Where the stream began."""

    @property
    def both(self) -> Frontier:
        """As far as any of the two has read."""
        return self.mine.join(self.other)


WantedTopics = Mapping[str, Mapping[str, str]]
"""The topics that contracts name, by source; of each, the contracts' YAML by their names."""


def decide(
    history: TopicsHistory, wanted: WantedTopics, known: WantedTopics, found: Found, reached: Reached
) -> tuple[TopicRead, ...]:
    """What is to be read now, and what is left where. `known`: of topics by name that no contract names any more, the
    contracts that live definitions were applied with.

    Raises TOPIC_RECREATED where a topic that is wanted stands for another one than it did.
    """
    for source in wanted:
        for was in (history.read.keys() | reached.both.sources) - {source}:
            if topic_of(was) == topic_of(source) and not _is_given_up(history.read.get(was)):
                raise recreated(topic_of(source), was, found.topics[source])
    read = [
        _wanted(source, contracts, history.read.get(source), found, reached) for source, contracts in wanted.items()
    ]
    for source in sorted((history.read.keys() | reached.both.sources) - wanted.keys()):
        before = history.read.get(source)
        if before is None:  # left, without a word, by a version that recorded no ends
            before = TopicRead(source=source, contracts=dict(known.get(topic_of(source), {})), origin=START)
        read.append(before if before.end is not None else _left(before, found, reached))
    return tuple(read)


def _is_given_up(read: TopicRead | None) -> bool:
    return read is not None and read.end is not None


def _wanted(
    source: str, contracts: Mapping[str, str], before: TopicRead | None, found: Found, reached: Reached
) -> TopicRead:
    if before is not None:
        return before.model_copy(update={"contracts": dict(contracts), "end": None})
    began = reached.begun.only([source])
    origin = began if list(began) else found.earliest.only([source])
    return TopicRead(source=source, contracts=dict(contracts), origin=origin)


def _left(read: TopicRead, found: Found, reached: Reached) -> TopicRead:
    """Its end as the cluster has it; where nobody could decode what is there, or it is gone, as far as it was read."""
    end = found.end.only([read.source]) if read.contracts else START
    return read.model_copy(update={"end": end.join(reached.both.only([read.source]))})


def target(read: TopicRead, other: Frontier) -> Frontier:
    """Where one role leaves a topic: at its recorded end, or where the other role was by then."""
    return (read.end or START).join(other.only([read.source]))


def leaving(history: TopicsHistory, reached: Reached) -> dict[str, Frontier]:
    """The topics, by source, that a role has still to read before it leaves them, and up to where."""
    targets = {s: target(read, reached.other) for s, read in history.read.items() if read.end is not None}
    return {source: until for source, until in targets.items() if not until <= reached.mine}


def positions(history: TopicsHistory, mine: Frontier, until: Mapping[str, Frontier], found: Found) -> Frontier:
    """The next offset to read of every partition of the topics that are there.

    Where the ledger says nothing of a partition, that is its topic's origin; what an operator accepted as gone is
    passed over, as far as it is gone. `until`: of topics that are left. Raises RECORDS_EXPIRED with the first range
    that is not there any more: at a log's beginning, or (a loss) its end, or with the whole topic.
    """
    accepted, at = history.accepted, dict[Partition, int]()
    for partition, first in found.earliest.items():
        position = max(_position(history, mine, partition), min(first, accepted[partition]))
        if partition.source in until and position >= until[partition.source][partition]:
            position = max(first, min(position, found.end[partition]))  # nothing more is read of it
        _check(partition, position, first, found.end[partition])
        at[partition] = position
    for source, frontier in until.items():
        for partition, last in frontier.items() if source not in found.topics else ():
            stands = max(mine[partition], accepted[partition])
            if stands < last:
                raise expired(partition, stands, last, _why_gone(history.read[source]))
    return Frontier(at)


def _position(history: TopicsHistory, mine: Frontier, partition: Partition) -> int:
    read = history.read.get(partition.source)
    return mine[partition] if partition in mine or read is None else read.origin[partition]


def _check(partition: Partition, at: int, first: int, end: int) -> None:
    if at < first:
        raise expired(partition, at, first, "Kafka's retention has deleted them")
    if at > end:
        raise expired(partition, end, at, "the log ends before them: the cluster has lost its tail")


def _why_gone(read: TopicRead) -> str:
    if not read.contracts:
        return "no contract names their topic any more, and only one of speed and archive has read them"
    return "their topic is not in the cluster any more"


def owed(history: TopicsHistory, reached: Reached, found: Found, at: Frontier) -> Frontier:
    """How far a role's frontier may go at once, over what was accepted as gone."""
    gone = {Partition(one.source, one.partition) for one in history.gone}
    there = Frontier({partition: offset for partition, offset in at.items() if partition in gone})
    lost = [until for source, until in leaving(history, reached).items() if source not in found.topics]
    return joined([there, *lost])


Loss = Literal["lost", "imported"]


def gone_now(
    history: TopicsHistory, name: str, found: Found, speed: Frontier, archive: Frontier, how: Loss, now: datetime
) -> tuple[Gone, ...]:
    """Every range of a topic that either role has not read and that Kafka has no more.

    Also of a topic of that name that was deleted, or made again under another id: up to where the other role read it.
    """
    ranges: list[Gone] = []
    sources = history.read.keys() | speed.sources | archive.sources
    for source in sorted(s for s in sources if topic_of(s) == name):
        there = found.earliest.only([source])
        read = history.read.get(source)
        last = there if source in found.topics else speed.only([source]).join(archive).only([source])
        if source not in found.topics and read is not None and read.end is not None:
            last = last.join(read.end)
        for partition, end in last.items():
            start = min(max(_position(history, m, partition), history.accepted[partition]) for m in (speed, archive))
            if start < end:
                ranges.append(Gone(source=source, partition=partition.number, start=start, end=end, known=how, at=now))
    return tuple(ranges)


def given_up(history: TopicsHistory, name: str, found: Found, both: Frontier) -> tuple[TopicRead, ...]:
    """The topics as they are read once those of that name that the cluster has no more are left where they stand."""
    return tuple(
        read.model_copy(update={"end": (read.end or START).join(both.only([read.source]))})
        if topic_of(read.source) == name and read.source not in found.topics
        else read
        for read in _all(history, both)
    )


def _all(history: TopicsHistory, both: Frontier) -> Iterable[TopicRead]:
    yield from history.read.values()
    for source in sorted(both.sources - history.read.keys()):
        yield TopicRead(source=source, contracts={}, origin=START)


def nothing_gone(name: str) -> TerminalError:
    """There is nothing to accept."""
    return TerminalError(
        Condition.RECORDS_EXPIRED,
        f"nothing of topic {name} is gone that speed and archive have not read",
        detail="a topic of which 'seamline run' says RECORDS_EXPIRED or TOPIC_RECREATED",
        hint="there is nothing to accept: start the roles",
        where=name,
    )
