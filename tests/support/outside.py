"""Readers outside of Seamline, in plain Python, and a topic in memory that keeps what Kafka promises of transactions.

The reader knows the rules of docs/publishing.md and nothing else: a Delta table at a commit, JSON, offsets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from deltalake import DeltaTable

from seamline.commitpoint import reach
from seamline.errors import Condition, ConflictError
from seamline.operate.outside.marks import Marker
from seamline.operate.outside.records import Upsert
from seamline.operate.outside.upsert_topic import MARKER, PublishedRow, partition_of


@dataclass(frozen=True)
class Stored:
    """A record of a partition."""

    key: bytes
    value: bytes | None
    headers: dict[str, bytes]


class Partitions:
    """The broker's side: partitions, and who may write. What a transaction sent is there once it is committed."""

    def __init__(self, partitions: int = 3) -> None:
        self.logs: list[list[Stored]] = [[] for _ in range(partitions)]
        self.owner = 0

    def compact(self) -> None:
        """What a later record of the same key has overwritten goes; offsets stay, as in Kafka."""
        for log in self.logs:
            newest = {one.key: n for n, one in enumerate(log) if one is not None}
            for n, one in enumerate(log):
                if one is not None and newest[one.key] != n:
                    log[n] = None  # type: ignore[call-overload]

    def committed(self) -> list[list[tuple[int, Stored]]]:
        """By partition, what is there, with offsets."""
        return [[(n, one) for n, one in enumerate(log) if one is not None] for log in self.logs]


class TopicInMemory:
    """A publisher's side of it: who opens it fences who did before."""

    def __init__(self, broker: Partitions, name: str = "outside.sales") -> None:
        self.name = name
        self._broker = broker
        broker.owner += 1
        self._me = broker.owner

    def last(self) -> Marker | None:
        found = [one for _, one in self._broker.committed()[0] if one.key == MARKER]
        return Marker.from_bytes(found[-1].value or b"") if found else None

    def read(self, marker: Marker) -> Iterator[PublishedRow]:
        for end, log in zip(marker.ends, self._broker.committed(), strict=True):
            for offset, one in log:
                if offset < end and one.key != MARKER:
                    yield PublishedRow(one.key, one.value, one.headers)

    def send(self, upserts: Iterable[Upsert], marker: Marker) -> Marker:
        ends, sent, rows, gone = list(marker.ends) or [0] * len(self._broker.logs), [], 0, 0
        headers = dict(marker.headers())
        lengths = [len(log) for log in self._broker.logs]
        for key, value in upserts:
            at = partition_of(key, len(ends))
            sent.append((at, Stored(key, value, headers)))
            lengths[at] += 1
            ends[at] = lengths[at]
            rows, gone = rows + (value is not None), gone + (value is None)
        reach("publish.after-rows")
        closed = replace(marker, ends=tuple(ends), rows=rows, gone=gone)
        sent.append((0, Stored(MARKER, closed.to_bytes(), headers)))
        reach("publish.after-marker")
        if self._me != self._broker.owner:
            raise ConflictError(Condition.WRITER_CONFLICT, "fenced")
        for at, one in sent:
            self._broker.logs[at].append(one)
        reach("publish.after-commit")
        return closed

    def check_drops(self) -> None:
        """It may."""

    def drop(self, marker: Marker) -> None:
        for end, log in zip(marker.ends, self._broker.logs, strict=True):
            log[:end] = [None] * end  # type: ignore[list-item]


# --- the reader


def beyond(reached: dict[str, dict[str, int]], cut: dict[str, dict[str, int]]) -> bool:
    """Whether a frontier reaches further than a cut in any partition."""
    return any(
        offset > cut.get(source, {}).get(partition, 0)
        for source, partitions in reached.items()
        for partition, offset in partitions.items()
    )


def text(value: Any) -> Any:
    """A value as JSON has it, of those types that the tests' views have."""
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return format(value, "f") if isinstance(value, Decimal) else value


def delta_rows(base: dict[str, Any], keys: list[str]) -> dict[str, dict[str, Any]]:
    """The rows of a Delta table at a commit, by key."""
    rows = DeltaTable(base["table"], version=base["version"]).to_pyarrow_table().to_pylist()
    found = {}
    for row in rows:
        said = {name: text(value) for name, value in row.items()}
        found[as_key({name: said[name] for name in keys})] = said
    return found


def as_key(of: dict[str, Any]) -> str:
    return json.dumps(of, sort_keys=True)


def merged(records: list[list[tuple[int, Any]]]) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """The last marker of a topic, and what it and its table say together: all that a reader does. `records`: by
    partition, (offset, record); None: nothing was published."""
    markers = [json.loads(one.value) for _, one in records[0] if one.key == b'"seamline"']
    if not markers:
        return None
    marker = markers[-1]
    rows = {} if marker["base"] is None else delta_rows(marker["base"], marker["keys"])
    for end, log in zip(marker["ends"], records, strict=True):
        for offset, one in sorted(log, key=lambda pair: pair[0]):
            if offset >= end or one.key == b'"seamline"':
                continue
            if not beyond(json.loads(dict(one.headers)["seamline.reached"]), marker["cut"]):
                continue
            key = as_key(json.loads(one.key))
            rows.pop(key, None)
            if one.value is not None:
                rows[key] = json.loads(one.value)
    return marker, by_text(rows.values())


class OutsideFollower:
    """A reader who has merged once, and then takes transactions as they come."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.marker: dict[str, Any] | None = None

    def follow(self, records: list[list[tuple[int, Any]]]) -> list[dict[str, Any]] | None:
        """What it has up to the last marker; None: nothing was published."""
        found = merged(records)
        if found is None:
            return None
        marker, rows = found
        if self.marker is None:
            self.rows = {as_key({name: row[name] for name in marker["keys"]}): row for row in rows}
        else:
            for begin, end, log in zip(self.marker["ends"], marker["ends"], records, strict=True):
                self._take([one for offset, one in sorted(log, key=lambda at: at[0]) if begin <= offset < end])
        self.marker = marker
        return by_text(self.rows.values())

    def _take(self, records: list[Any]) -> None:
        for one in records:
            key = as_key(json.loads(one.key))
            if one.value is None:
                self.rows.pop(key, None)
            elif one.key != b'"seamline"':
                self.rows[key] = json.loads(one.value)


def by_text(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """In an order of their own."""
    return sorted(
        ({name: text(value) for name, value in row.items()} for row in rows), key=lambda row: str(sorted(row.items()))
    )
