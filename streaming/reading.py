"""What one role of a stream reads now: the ledger's word about its topics, followed, and put where it has to change."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from seamline.clock import Clock
from seamline.entries.topics import Gone, TopicRead, Topics
from seamline.errors import ConflictError
from seamline.frontier import START, Frontier, joined, topic_of
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.project import Project
from seamline.streaming.batches import NOTHING, Prepared
from seamline.streaming.following import Following
from seamline.streaming.kafka import Cluster
from seamline.streaming.reach import Reach
from seamline.streaming.reading_plan import (
    Found,
    Loss,
    Reached,
    WantedTopics,
    decide,
    given_up,
    gone_now,
    leaving,
    nothing_gone,
    owed,
    positions,
)
from seamline.streaming.resting import Resting
from seamline.streaming.stream_plan import Leaving

LOOK_SECONDS = 60.0
"""How often is looked whether the other role has read further in a topic that this one has left."""


@dataclass(frozen=True)
class ReadNow:
    """What `prepare` has settled, and `look` since."""

    prepared: Prepared = NOTHING
    """What a query reads, from where."""

    until: Mapping[str, Frontier] = field(default_factory=dict)
    """Recorded ends of the topics that are being left, by source."""

    missing: frozenset[str] = frozenset()
    """Those of them that are not there, or that nobody reads."""

    owed: Frontier = START
    """Up to where there is nothing to read but what was accepted as gone."""


class ReadTopics:
    """The topics of one stream as one of its roles reads them. `mine`, wherever it is asked for: the role's frontier in
    the ledger, the start where it has no entry yet.

    What changes, by `prepare` and `look` alone: the ledger's word as followed, what is settled from it (one value), and
    when the other role is looked at next.
    """

    def __init__(
        self, project: Project, stream: str, role: Literal["speed", "archive"], following: Following, cluster: Cluster
    ) -> None:
        self._following = following
        self._cluster = cluster
        self._partitions = project.settings.kafka.partitions
        self._lake, self._stream = project.lake, stream
        self.history = TopicsHistory(project.lake.topics_log(stream))
        other = project.lake.archive_log if role == "speed" else project.lake.speed_log
        self._other = Reach(other(stream))
        self._resting = Resting(cluster)
        self._now = ReadNow()
        self._look_at = 0.0

    @property
    def prepared(self) -> Prepared:
        """What was prepared last; nothing before that."""
        return self._now.prepared

    @property
    def leaving(self) -> Leaving:
        """The topics that are read up to a recorded end only; those that are not there are not."""
        left = sorted(self._now.until.keys() - self._now.missing)
        return {topic_of(source): contracts_of(self.history.read[source]) for source in left}

    @property
    def stop(self) -> Frontier:
        """Those ends."""
        return joined(self._now.until.values())

    def prepare(self, mine: Frontier, clock: Clock) -> Prepared:
        """Says in the ledger what is read from now on, and gives what of it has to be read, from where.

        Raises TOPIC_RECREATED, TOPIC_MISSING, TOPIC_COMPACTED, RECORDS_EXPIRED, BROKER_UNAVAILABLE.
        """
        named = list(self._following.named.values())
        names = {contract.topic for contract in named}
        self._cluster.create_missing(names, self._partitions)
        there = self._cluster.topics(names)
        wanted = {t.source: {c.name: c.text for c in named if c.topic == name} for name, t in there.items()}
        self.history.catch_up()
        reached = Reached(mine, self._other.load(), self._begun())
        found = find(self._cluster, {*wanted, *self.history.read, *reached.both.sources})
        self._settle(wanted, found, reached, clock)
        until = leaving(self.history, reached)
        read = {s for s in found.topics if s in wanted or (s in until and self.history.read[s].contracts)}
        found = found.only(read)
        self._cluster.check_compaction(found.topics.values())
        at = positions(self.history, mine, until, found)
        prepared = Prepared({topic.name: topic for topic in found.topics.values()}, at)
        missing = frozenset(until.keys() - read)
        self._now = ReadNow(prepared, until, missing, owed(self.history, reached, found, at))
        return prepared

    def look(self, mine: Frontier) -> bool:
        """Reads the ledger on; True where that changes what is being left."""
        changed, left = self.history.catch_up(), any(read.end is not None for read in self.history.read.values())
        if not changed and not left:
            return False
        if self._now.until or time.monotonic() >= self._look_at:
            self._other.catch_up()
            self._look_at = time.monotonic() + LOOK_SECONDS
        before, until = self._now.until, leaving(self.history, Reached(mine, self._other.frontier))
        self._now = replace(self._now, until=until)
        return before != until

    def passed(self, mine: Frontier) -> Frontier:
        """How far there is nothing to read: over what was accepted as gone, and over offsets that hold no record."""
        at = self.prepared.positions
        at = Frontier({partition: max(offset, mine[partition]) for partition, offset in at.items()})
        found = self._resting.passed(at, self.prepared.topics.values())
        stop = self.stop
        held = {p: min(offset, stop[p]) if p.source in stop.sources else offset for p, offset in found.items()}
        return self._now.owed.join(Frontier(held))

    def _begun(self) -> Frontier:
        """Where a stream began whose topics no version has recorded yet."""
        if self.history.number:
            return START
        return SpeedHistory(self._lake.speed_log(self._stream)).origin or START

    def _settle(self, wanted: WantedTopics, found: Found, reached: Reached, clock: Clock) -> None:
        while True:
            read = decide(self.history, wanted, self._known(wanted, reached), found, reached)
            if {one.source: one for one in read} == self.history.read:
                return
            try:
                put_topics(self.history, read, self.history.gone, clock)
            except ConflictError:  # the other role was first
                self.history.catch_up()

    def _known(self, wanted: WantedTopics, reached: Reached) -> WantedTopics:
        """By topics that nothing is recorded of, the contracts that definitions were applied with."""
        if not reached.both.sources - wanted.keys() - self.history.read.keys():
            return {}
        known: dict[str, dict[str, str]] = {}
        for state in self._following.catalogue.states.values():
            for text in (text for one in state.definitions for text in one.contracts.values()):
                contract = parse_contract(text, "ledger")
                known.setdefault(contract.topic, {})[contract.name] = text
        return known


def put_topics(history: TopicsHistory, read: Iterable[TopicRead], gone: tuple[Gone, ...], clock: Clock) -> None:
    """Puts the next state of a stream's topics. Raises LEDGER_CONFLICT where another was put first."""
    history.log.put(history.number + 1, Topics(at=clock(), read=tuple(read), gone=gone))
    history.catch_up()


def find(cluster: Cluster, sources: Iterable[str]) -> Found:
    """What the cluster has of some topics. One that was made again is another."""
    wanted = set(sources)
    topics = {t.source: t for t in cluster.existing(map(topic_of, wanted)).values() if t.source in wanted}
    return Found(topics, cluster.earliest(topics.values()), cluster.end(topics.values(), committed=False))


def contracts_of(read: TopicRead) -> tuple[Contract, ...]:
    """The contracts that named a topic at last."""
    return tuple(parse_contract(text, f"ledger: contract {name}") for name, text in sorted(read.contracts.items()))


def accept(lake: Lake, stream: str, topic: str, cluster: Cluster, how: Loss, clock: Clock) -> tuple[Gone, ...]:
    """An operator's word, for both roles in one entry: what of a topic they have not read and Kafka has no more is
    passed over. Returns those ranges; raises RECORDS_EXPIRED where there are none, and nothing was given up."""
    while True:
        history = TopicsHistory(lake.topics_log(stream))
        speed, archive = Reach(lake.speed_log(stream)).load(), Reach(lake.archive_log(stream)).load()
        found = find(cluster, {*history.read, *speed.sources, *archive.sources})
        gone = gone_now(history, topic, found, speed, archive, how, clock())
        read = given_up(history, topic, found, speed.join(archive))
        if not gone and {one.source: one for one in read} == history.read:
            raise nothing_gone(topic)
        try:
            put_topics(history, read, (*history.gone, *gone), clock)
        except ConflictError:
            continue
        return gone
