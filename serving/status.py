"""How far every stream and every view is: a pure summary of what was read of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

from seamline.claims import Lease
from seamline.entries.base import Counts
from seamline.entries.batch import Audit
from seamline.entries.topics import Gone, TopicRead
from seamline.entries.views import Published
from seamline.errors import Condition, SeamlineError
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.schemas.service_levels import GAPS, waiting_seconds
from seamline.schemas.views.definition import Definition
from seamline.serving.snapshot import ServedView

T = TypeVar("T")


@dataclass(frozen=True)
class StreamStatus:
    """One stream."""

    name: str
    frontier: Frontier
    last_epoch: int
    committed: datetime | None
    newest: datetime | None
    counts: Mapping[str, Counts]
    archived: Frontier
    archive_counts: Mapping[str, Counts]

    lag_records: int | None
    """Offsets from the frontier to Kafka's ends; None where those were not asked for."""

    lag_seconds: float | None
    archive_lag_records: int

    writers: Mapping[str, Lease]
    """Who holds the logs now (`speed`, `archive`), and what they wait for."""

    topics: tuple[TopicRead, ...] = ()
    """What is read and left."""

    gone: tuple[Gone, ...] = ()
    """What was accepted as gone."""

    filed: datetime | None = None
    """When the archive last filed records of Kafka."""

    recent: Mapping[str, Counts] = field(default_factory=dict)
    """Law 3 by contract over the newest epochs: those that were not put together yet."""

    raw_begins: Mapping[str, date] = field(default_factory=dict)
    """By contract of which raw is gone, the event date that it begins at."""

    def only(self, contracts: Collection[str]) -> StreamStatus:
        """What of it concerns some contracts; who writes it concerns none."""
        return replace(
            self,
            counts=_of(self.counts, contracts),
            archive_counts=_of(self.archive_counts, contracts),
            recent=_of(self.recent, contracts),
            raw_begins=_of(self.raw_begins, contracts),
            topics=(),
            gone=(),
            writers={},
        )

    @property
    def leaving(self) -> dict[str, Frontier]:
        """By source the topics that no contract names any more and of which not all is read yet: where they end."""
        both = self.frontier.meet(self.archived)
        return {one.source: one.end for one in self.topics if one.end is not None and not one.end <= both}

    @property
    def waiting_seconds(self) -> float | None:
        """How old the newest record read is while others wait to be read; 0 where none does; None where that is not
        known."""
        return waiting_seconds(self.frontier, self.lag_records, self.lag_seconds)

    @property
    def archive_waits(self) -> bool:
        """Whether records wait to be archived. A few offsets of each partition may be marks of transactions."""
        return self.archive_lag_records > GAPS * max(1, len(tuple(self.archived)))

    @property
    def total(self) -> Counts:
        """Law 3 over all contracts, for epochs that still stand in the ledger."""
        return sum(self.counts.values(), Counts())

    @property
    def balanced(self) -> bool:
        """Whether the identity of law 3 holds for every contract, in both layers."""
        return all(c.balanced for c in (*self.counts.values(), *self.archive_counts.values()))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "frontier": self.frontier.to_json(),
            "last_epoch": self.last_epoch,
            "committed": _iso(self.committed),
            "newest": _iso(self.newest),
            "counts": {name: counts.model_dump() for name, counts in sorted(self.counts.items())},
            "recent_counts": {name: counts.model_dump() for name, counts in sorted(self.recent.items())},
            "balanced": self.balanced,
            "archived": self.archived.to_json(),
            "archive_counts": {name: counts.model_dump() for name, counts in sorted(self.archive_counts.items())},
            "archive_lag_records": self.archive_lag_records,
            "archive_filed": _iso(self.filed),
            "lag_records": self.lag_records,
            "lag_seconds": self.lag_seconds,
            "raw_begins": {name: day.isoformat() for name, day in sorted(self.raw_begins.items())},
            "leaving": {source: end.to_json() for source, end in self.leaving.items()},
            "gone": [one.said() for one in self.gone],
            "writers": {name: _writer(lease) for name, lease in sorted(self.writers.items())},
        }


@dataclass(frozen=True)
class ViewStatus:
    """One view."""

    name: str
    definition: str | None
    version: int | None

    state: str
    """ready, not ready, hole, overlap, dropped or failed."""

    error: str
    """Why, where it is not ready."""

    cut: Frontier | None
    reached: Frontier | None

    epochs: int
    """Those in the chain."""

    links: int
    """The runs that they are held in."""

    live: tuple[str, ...]

    audit: Audit | None
    """The served version's."""

    newest: datetime | None = None
    """The latest Kafka timestamp that its answers cover."""

    about: Definition | None = None
    """The definition that answers, where one does."""

    pinned: bool = False
    """Whether no run publishes anything, on an operator's word."""

    held: int | None = None
    """The newest version of what is served that was put and, for what its audit found, is not served."""

    why: str = ""
    """The error's message alone."""

    stream: str = ""
    """Whose records it counts, where it answers."""

    begins: Mapping[str, date] = field(default_factory=dict)
    """By contract, the event date before which its version holds nothing, since raw did not when it was first built."""

    @property
    def drift(self) -> str:
        """In a word: `none`, `drift`, `wrong` where an operator serves what another evaluator computes otherwise, or
        `not compared` where no audit could."""
        if self.audit is not None and self.audit.wrong:
            return "wrong"
        if self.audit is None or not self.audit.compared:
            return "not compared"
        return "none" if self.audit.clean else "drift"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "definition": self.definition,
            "version": self.version,
            "state": self.state,
            "error": self.error,
            "cut": None if self.cut is None else self.cut.to_json(),
            "reached": None if self.reached is None else self.reached.to_json(),
            "epochs": self.epochs,
            "links": self.links,
            "live": list(self.live),
            "drift": self.drift,
            "audit": None if self.audit is None else self.audit.model_dump(mode="json"),
            "pinned": self.pinned,
            "held": self.held,
            "begins": {name: day.isoformat() for name, day in sorted(self.begins.items())},
            **({} if self.about is None else columns_of(self.about)),
        }


@dataclass(frozen=True)
class Status:
    """Every stream and view, by name."""

    streams: Mapping[str, StreamStatus]
    views: Mapping[str, ViewStatus]

    def only(self, names: frozenset[str] | None) -> Status:
        """What of it concerns some views (None: all of it): they, and of their streams their contracts."""
        if names is None:
            return self
        views = {name: view for name, view in self.views.items() if name in names}
        contracts: dict[str, set[str]] = {view.stream: set() for view in views.values()}
        for view in views.values():
            contracts[view.stream] |= set(view.about.contracts) if view.about is not None else set()
        streams = {name: one.only(contracts[name]) for name, one in self.streams.items() if name in contracts}
        return Status(streams, views)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "streams": {name: stream.to_json() for name, stream in self.streams.items()},
            "views": {name: view.to_json() for name, view in self.views.items()},
        }


def status_of(
    speed: Mapping[str, SpeedHistory],
    archive: Mapping[str, ArchiveHistory],
    topics: Mapping[str, TopicsHistory],
    batch: Mapping[str, BatchHistory],
    states: Mapping[str, Published],
    views: Mapping[str, ServedView | SeamlineError],
    ends: Mapping[str, Frontier],
    writers: Mapping[str, Mapping[str, Lease]],
    now: datetime,
) -> Status:
    """`speed`, `archive`, `topics`, `ends` and `writers` by stream, `batch` by definition, the others by view."""
    streams = {
        name: stream_status(
            name, speed[name], archive.get(name), topics.get(name), ends.get(name), writers.get(name, {}), now
        )
        for name in sorted(speed)
    }
    shown = {
        name: view_status(state, batch.get(str(state.served)), views.get(name))
        for name, state in sorted(states.items())
    }
    return Status(streams, shown)


def stream_status(
    name: str,
    speed: SpeedHistory,
    archive: ArchiveHistory | None,
    topics: TopicsHistory | None,
    end: Frontier | None,
    writers: Mapping[str, Lease],
    now: datetime,
) -> StreamStatus:
    """`end`: where Kafka's logs of the stream end now."""
    last = speed.epochs.get(speed.last_epoch)
    archived = archive.frontier if archive else START
    return StreamStatus(
        name=name,
        frontier=speed.frontier,
        last_epoch=speed.last_epoch,
        committed=last.at if last else None,
        newest=speed.newest,
        counts=dict(speed.counts),
        archived=archived,
        archive_counts=dict(archive.counts) if archive else {},
        lag_records=None if end is None else speed.frontier.distance(end),
        lag_seconds=None if speed.newest is None else (now - speed.newest).total_seconds(),
        archive_lag_records=archived.distance(speed.frontier if end is None else end),
        writers=writers,
        topics=tuple(topics.read.values()) if topics else (),
        gone=topics.gone if topics else (),
        filed=archive.filed if archive else None,
        recent=recent_counts(speed),
        raw_begins={name: one.date for name, one in archive.begins.items()} if archive else {},
    )


def recent_counts(speed: SpeedHistory) -> dict[str, Counts]:
    """Law 3 by contract over the epochs that stand alone: a few for each level of compaction, in memory already."""
    found: dict[str, Counts] = {}
    for epoch in speed.epochs.alone.values():
        for contract, counts in epoch.counts.items():
            found[contract] = found.get(contract, Counts()) + counts
    return found


def view_status(state: Published, batch: BatchHistory | None, served: ServedView | SeamlineError | None) -> ViewStatus:
    """One view, from its newest state and what the snapshot made of it."""
    version = batch.versions.get(state.version) if batch is not None and state.version is not None else None
    error = served if isinstance(served, SeamlineError) else None
    chain = None if served is None or isinstance(served, SeamlineError) else served.chain
    return ViewStatus(
        name=state.view,
        definition=state.served,
        version=state.version,
        state=_state(error) if chain is None else "ready",
        error="" if error is None else str(error),
        cut=chain.cut if chain else (version.cut if version else None),
        reached=chain.reached if chain else None,
        epochs=sum(s.last - s.first + 1 for s in chain.segments) if chain else 0,
        links=len(chain.segments) if chain else 0,
        live=state.live,
        audit=version.audit if version else None,
        newest=None if served is None or isinstance(served, SeamlineError) else served.newest,
        about=None if served is None or isinstance(served, SeamlineError) else served.definition,
        pinned=state.pinned,
        begins=version.begins if version else {},
        held=held_version(state, batch),
        why=error.message if error else "",
        stream="" if served is None or isinstance(served, SeamlineError) else served.stream,
    )


def held_version(state: Published, batch: BatchHistory | None) -> int | None:
    """The newest version of the served definition, where it stands above the one that is served and its audit was not
    clean. Pure."""
    newest = max(batch.versions, default=None) if batch is not None else None
    if batch is None or newest is None or newest <= (state.version or 0):
        return None
    return None if batch.versions[newest].audit.clean else newest


def _state(error: SeamlineError | None) -> str:
    if error is None:
        return "not ready"
    words = {
        Condition.VIEW_NOT_READY: "not ready",
        Condition.SEAM_HOLE: "hole",
        Condition.SEAM_OVERLAP: "overlap",
        Condition.VIEW_UNKNOWN: "dropped",
    }
    return words.get(error.condition, "failed")


def columns_of(definition: Definition) -> dict[str, Any]:
    """What a definition says of itself and its columns, as JSON values."""
    columns = {
        column.name: {
            "type": column.sql_type,
            "exactness": column.exactness,
            "bound": column.bound,
            "comment": column.comment,
        }
        for column in definition.columns
    }
    return {"comment": definition.comment, "properties": definition.properties, "columns": columns}


def _of(by_contract: Mapping[str, T], contracts: Collection[str]) -> dict[str, T]:
    return {name: one for name, one in by_contract.items() if name in contracts}


def _writer(lease: Lease) -> dict[str, Any]:
    return {
        "holder": lease.holder,
        "host": lease.host,
        "pid": lease.pid,
        "waits": lease.waits or None,
        "since": lease.since or None,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
