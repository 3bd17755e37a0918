"""What must be true: a model of a topic in plain Python, and each view's own SELECT run over it by a plain DuckDB.

Nothing here goes through contracts, decoding, partials or the ledger. A record knows whether it is valid,
because whoever made it up decided that.
"""

from __future__ import annotations

import atexit
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from seamline.frontier import Frontier, Partition, Position, topic_source

SOURCE, RETURNS = topic_source("orders", "id1"), topic_source("returns", "id2")
AHEAD = timedelta(days=1)
"""An event time further ahead of its record's Kafka timestamp is rejected."""

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The timestamp of a record that has none: 0, as a producer may send it."""

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("placed", pa.timestamp("us", "UTC")),
        ("shop", pa.string()),
        ("amount", pa.int64()),
        ("weight", pa.float64()),
        ("buyer", pa.string()),
    ]
)


@dataclass(frozen=True)
class Event:
    """One order. Without an id it has no copies: each record of it is an event of its own."""

    id: str | None
    placed: datetime
    shop: str | None = "a"
    amount: int | None = 1
    weight: float | None = 0.5
    buyer: str | None = "x"

    def encode(self, dress: int = 0) -> bytes:
        """Its bytes; another `dress` writes the same event otherwise."""
        fields = {**vars(self), "placed": self.placed.isoformat()}
        if dress % 2:
            fields = {name: value for name, value in reversed(fields.items()) if value is not None}
        return json.dumps(fields, indent=1 if dress > 1 else None).encode()


@dataclass(frozen=True)
class Record:
    """What stands at one offset. `event` None: nothing valid can be read from `value`."""

    offset: int
    timestamp: datetime
    value: bytes | None
    event: Event | None

    def accepted(self, least: int | None) -> Event | None:
        """The event, where a contract with amounts of at least `least` (None: any) takes it."""
        event = self.event
        if event is None or (self.timestamp > NO_TIME and event.placed > self.timestamp + AHEAD):
            return None
        if least is not None and event.amount is not None and event.amount < least:
            return None
        return event


class Topic:
    """Records by partition, in order of offset. `origin`: the offsets that the partitions begin at; gaps may follow."""

    def __init__(self, origin: Sequence[int], source: str = SOURCE) -> None:
        self.source = source
        self.partitions: list[list[Record]] = [[] for _ in origin]
        self.origin = Frontier({Partition(source, n): first for n, first in enumerate(origin)})
        self._next = list(origin)

    def grow(self, partitions: int) -> None:
        """Partitions were added; they begin at 0."""
        added = range(len(self.partitions), partitions)
        self.partitions += [[] for _ in added]
        self._next += [0 for _ in added]

    def send(self, partition: int, timestamp: datetime, value: bytes | None, event: Event | None, gap: int) -> None:
        """Appends a record, after `gap` offsets that hold none, as transaction markers take."""
        self.place(partition, self._next[partition] + gap, timestamp, value, event)

    def place(self, partition: int, offset: int, timestamp: datetime, value: bytes | None, event: Event | None) -> None:
        """A record where a broker has put it; offsets of one partition come in order."""
        assert offset >= self._next[partition], f"offset {offset} of partition {partition} comes too late"
        self.partitions[partition].append(Record(offset, timestamp, value, event))
        self._next[partition] = offset + 1

    @property
    def end(self) -> Frontier:
        """After the last record of each partition."""
        return Frontier({Partition(self.source, n): offset for n, offset in enumerate(self._next)})

    def between(self, start: Frontier, end: Frontier) -> Iterator[tuple[Position, Record]]:
        """Records of (start, end] in order of position."""
        for number, records in enumerate(self.partitions):
            at = Partition(self.source, number)
            first = bisect_left(records, start[at], key=lambda record: record.offset)
            last = bisect_left(records, end[at], key=lambda record: record.offset)
            for record in records[first:last]:
                yield Position(self.source, number, record.offset), record


@dataclass(frozen=True)
class Tally:
    """Law 3's four terms."""

    read: int
    counted: int
    rejected: int
    duplicate: int


def together(tallies: Iterable[Tally]) -> Tally:
    """The sum of several tallies."""
    listed = [vars(tally) for tally in tallies]
    return Tally(**{name: sum(one[name] for one in listed) for name in Tally.__dataclass_fields__})


class Counting:
    """A single pass over records in order: which events count, and what became of each record."""

    def __init__(self, least: int | None) -> None:
        self.least = least
        self.events: list[Event] = []
        self._seen: set[tuple[str, datetime]] = set()

    def take(self, records: Iterable[tuple[Position, Record]]) -> Tally:
        """Goes on over more records; the tally is theirs alone."""
        said: Counter[str] = Counter()
        for _, record in records:
            event = record.accepted(self.least)
            identity = (event.id, event.placed) if event is not None and event.id is not None else None
            said["read"] += 1
            if event is None:
                said["rejected"] += 1
            elif identity is not None and identity in self._seen:
                said["duplicate"] += 1
            else:
                said["counted"] += 1
                self.events.append(event)
                if identity is not None:
                    self._seen.add(identity)
        return Tally(**{name: said[name] for name in Tally.__dataclass_fields__})


@cache
def _plain() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    atexit.register(_plain.cache_clear)
    atexit.register(connection.close)
    return connection


def events_table(events: Iterable[Event]) -> pa.Table:
    """Events as Arrow, one column a field."""
    return pa.Table.from_pylist([vars(event) for event in events], schema=_SCHEMA)


def answer(view: str, events: Iterable[Event], returns: Iterable[Event] = ()) -> list[dict[str, Any]]:
    """A view's own SELECT (the text after AS) over events, exactly: sketches are replaced by exact counts.

    `returns`: those of the second contract."""
    _, _, select = view.partition(" AS\n")
    exact = select.replace("approx_count_distinct(", "count(DISTINCT ")
    connection = _plain()
    connection.register("orders", events_table(events))
    connection.register("returns", events_table(returns))
    return ordered(connection.sql(exact).to_arrow_table())


def ordered(table: pa.Table) -> list[dict[str, Any]]:
    """Rows in an order of their own."""
    return sorted(table.to_pylist(), key=lambda row: [str(value) for value in row.values()])


def differences(got: list[dict[str, Any]], wanted: list[dict[str, Any]], sketches: frozenset[str]) -> list[str]:
    """Every way in which an answer differs from the truth; a sketch may be off by 2 below 100."""
    if len(got) != len(wanted):
        return [f"{len(got)} rows, not {len(wanted)}: {got} not {wanted}"]
    return [
        f"{name}: {mine[name]!r}, not {true[name]!r}, in {true}"
        for mine, true in zip(got, wanted, strict=True)
        for name in true
        if (abs(mine[name] - true[name]) > 2 if name in sketches else mine[name] != true[name])
    ]
