"""What the page of an archive or speed role says, read from what the role knows, and from Kafka where logs end.

Nothing is kept for it but where the counts of speed stood when the process began: a counter of Prometheus counts from
there. (What raw holds is no counter: a mended contract moves records from rejected to counted.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from seamline.claims import Holder, Lease
from seamline.clock import Clock
from seamline.entries.base import Counts
from seamline.errors import SeamlineError
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.observe.meters import METERS, Figure
from seamline.schemas.service_levels import Promised, levels, waiting_seconds
from seamline.streaming.kafka import Cluster, Topic

UNCLAIMED_CONTRACT = "(unclaimed)"
SLA_UNITS = {"freshness": "seconds", "completeness": "ratio"}
ASK_SECONDS = 2.0
"""How long Kafka may take, and for how long its answer does for further scrapes."""


class KafkaEnds:
    """Where Kafka's logs end, for scrapes: a connection of their own, asked only when somebody scrapes. Thread-safe."""

    def __init__(self, cluster: Cluster, address: Callable[[], str], topics: Callable[[], Iterable[Topic]]) -> None:
        self._cluster = Cluster(cluster.bootstrap, cluster.options, patience=ASK_SECONDS)
        self._address = address
        self._topics = topics
        self._mutex = threading.Lock()
        self._known: Frontier | None = None
        self._until = 0.0

    def now(self) -> Frontier | None:
        """None where Kafka does not say it, or nothing is read."""
        with self._mutex:
            if time.monotonic() >= self._until:
                self._known = self._asked()
                self._until = time.monotonic() + ASK_SECONDS
            return self._known

    def _asked(self) -> Frontier | None:
        topics = list(self._topics())
        if not topics:
            return None
        try:
            self._cluster.move(self._address())
            return self._cluster.end(topics)
        except SeamlineError:
            return None  # that the role waits is told by itself


def speed_reading(
    stream: str,
    history: SpeedHistory,
    writer: Holder,
    ends: KafkaEnds,
    clock: Clock,
    promises: Callable[[], Iterable[Promised]],
) -> AbstractContextManager[None]:
    """The page of a speed role, as long as the block lasts. `promises`: those of the stream's contracts and views."""
    before = dict(history.counts)

    def read() -> Iterator[Figure]:
        end = ends.now()
        yield from count_samples(stream, before, history.counts)
        yield from lag_samples(stream, "speed", history.frontier, end)
        yield from promise_samples(promises(), history, end, clock())
        yield from writer_samples(stream, "speed", writer.claim, writer.lease.told, clock())
        yield from epoch_samples(stream, history)

    return METERS.reading(f"speed-{stream}", read)


def archive_reading(
    stream: str, history: ArchiveHistory, writer: Holder, ends: KafkaEnds, clock: Clock
) -> AbstractContextManager[None]:
    """The page of an archive role, as long as the block lasts."""

    def read() -> Iterator[Figure]:
        yield from archived_samples(stream, history.counts)
        yield from lag_samples(stream, "archive", history.frontier, ends.now())
        yield from writer_samples(stream, "archive", writer.claim, writer.lease.told, clock())

    return METERS.reading(f"archive-{stream}", read)


def count_samples(stream: str, before: Mapping[str, Counts], counts: Mapping[str, Counts]) -> Iterator[Figure]:
    """Law 3's terms since `before`."""
    for contract, now in sorted(dict(counts).items()):
        since = now - before.get(contract, Counts())
        labels = {"stream": stream, "contract": contract or UNCLAIMED_CONTRACT}
        yield Figure("seamline_records_read_total", since.read, labels)
        for outcome in ("counted", "rejected", "duplicate"):
            yield Figure("seamline_records_total", getattr(since, outcome), {**labels, "outcome": outcome})


def archived_samples(stream: str, counts: Mapping[str, Counts]) -> Iterator[Figure]:
    """What raw holds."""
    for contract, now in sorted(dict(counts).items()):
        labels = {"stream": stream, "contract": contract or UNCLAIMED_CONTRACT}
        for outcome in ("counted", "rejected"):
            yield Figure("seamline_archived_records", getattr(now, outcome), {**labels, "outcome": outcome})


def lag_samples(stream: str, layer: str, frontier: Frontier, end: Frontier | None) -> Iterator[Figure]:
    """How many offsets a layer is behind, where Kafka's ends are known."""
    if end is not None:
        yield Figure("seamline_stream_lag_records", frontier.distance(end), {"stream": stream, "layer": layer})


def promise_samples(
    promises: Iterable[Promised], history: SpeedHistory, end: Frontier | None, now: datetime
) -> Iterator[Figure]:
    """What is promised, how it is, and whether that is kept."""
    lag = None if end is None else history.frontier.distance(end)
    age = None if history.newest is None else (now - history.newest).total_seconds()
    waiting, counts = waiting_seconds(history.frontier, lag, age), dict(history.counts)
    for one in (level for of in promises for level in levels(of, waiting, counts)):
        kind, labels = one.promise.kind, {"product": one.product}
        unit = SLA_UNITS[kind]
        yield Figure(f"seamline_sla_{kind}_limit_{unit}", one.promise.limit, labels)
        if one.found is not None:
            yield Figure(f"seamline_sla_{kind}_{unit}", one.found, labels)
            yield Figure("seamline_sla_missed", float(one.missed), {**labels, "promise": kind})


def writer_samples(stream: str, layer: str, claim: int, lease: Lease, now: datetime) -> Iterator[Figure]:
    """The claim, and how long its holder has waited."""
    labels = {"stream": stream, "layer": layer}
    waited = (now - datetime.fromisoformat(lease.since)).total_seconds() if lease.since else 0.0
    yield Figure("seamline_writer_claim", claim, labels)
    yield Figure("seamline_writer_waiting_seconds", max(0.0, waited), labels)


def epoch_samples(stream: str, history: SpeedHistory) -> Iterator[Figure]:
    """The newest epoch."""
    labels, newest = {"stream": stream}, history.newest_epoch
    yield Figure("seamline_stream_epoch", history.last_epoch, labels)
    if newest is not None:
        yield Figure("seamline_stream_committed_timestamp_seconds", newest.at.timestamp(), labels)
    if history.newest is not None:
        yield Figure("seamline_stream_newest_timestamp_seconds", history.newest.timestamp(), labels)
