"""Rejected records: which there are, why, since when, and their bytes, in the raw tables as the ledger names them.

What a mended contract accepts is filed under its date by the archive, and is no part of it any more."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from seamline.history.archive import ArchiveHistory
from seamline.kernel import literal
from seamline.operate.standing import POSITION, RejectingTable, portions_of, rejecting_tables, rows_of
from seamline.schemas.contracts.masking import masked, whole_masked
from seamline.schemas.contracts.types import instant_literal
from seamline.schemas.project import Project

SHOWN = 4096
"""Bytes of a value that are shown."""

_NAMED = "split_part(_reject, ': ', 2)"


@dataclass(frozen=True)
class Rejects:
    """Records of one contract that are rejected for one reason."""

    contract: str
    """`_unclaimed`: those of a topic that no contract claims."""

    reason: str

    field: str
    """What the reason names, as `address.city`; '' where it names no field."""

    records: int

    first: datetime | None
    last: datetime | None
    """By Kafka's timestamps."""


@dataclass(frozen=True)
class Rejected:
    """One rejected record."""

    contract: str
    topic: str
    """Or the source of an import."""

    partition: int
    offset: int
    timestamp: datetime | None
    reason: str

    value: bytes | None
    """As it may be shown."""

    masked: bool
    """Whether some of it, or all, is masked."""

    @property
    def words(self) -> str:
        """Its value as text, as far as it is some, and not all of it where it is long."""
        if self.value is None:
            return "(null)"
        text = self.value[:SHOWN].decode("utf-8", "backslashreplace")
        return text + (f"… ({len(self.value)} bytes)" if len(self.value) > SHOWN else "")

    def line(self) -> str:
        """One JSON object: the value as text, or in base64 where it is none."""
        said: dict[str, Any] = {
            "contract": self.contract, "topic": self.topic, "partition": self.partition, "offset": self.offset,
            "timestamp": self.timestamp.isoformat() if self.timestamp else None, "reason": self.reason,
            **({"masked": True} if self.masked else {}),
        }  # fmt: skip
        try:
            said["value"] = None if self.value is None else self.value.decode()
        except UnicodeDecodeError:
            said["value_base64"] = base64.b64encode(self.value or b"").decode()
        return json.dumps(said, ensure_ascii=False)


@dataclass(frozen=True)
class Sought:
    """Which rejected records are meant: all that each part says; None says nothing."""

    contract: str | None = None

    reason: str | None = None
    """What theirs begins with."""

    field: str | None = None
    """What theirs names, or something inside it."""

    since: datetime | None = None
    until: datetime | None = None
    """By Kafka's timestamps, `until` left out."""

    @property
    def condition(self) -> str:
        """As SQL over raw rows."""
        parts = ["true"]
        if self.reason is not None:
            parts.append(f"starts_with(_reject, {literal(self.reason)})")
        if self.field is not None:
            inside = " OR ".join(f"starts_with({_NAMED}, {literal(self.field + mark)})" for mark in ".[")
            parts.append(f"({_NAMED} = {literal(self.field)} OR {inside})")
        parts += [f"_timestamp >= {instant_literal(self.since)}"] if self.since else []
        parts += [f"_timestamp < {instant_literal(self.until)}"] if self.until else []
        return " AND ".join(parts)


def rejects(project: Project, sought: Sought = Sought()) -> list[Rejects]:
    """What is rejected, the most first. Takes time by the files that hold rejected records; where older decodings have
    rejected some, also by the table's positions. Raises CONTRACT_UNKNOWN."""
    summed = "_reject AS reason, count(*) AS records, min(_timestamp) AS first, max(_timestamp) AS last"
    statement = f"SELECT {summed} FROM standing WHERE {sought.condition} GROUP BY ALL"
    found = [
        Rejects(table.contract, row["reason"], _field_of(row["reason"]), row["records"], row["first"], row["last"])
        for table in rejecting_tables(project, sought.contract)
        for row in rows_of(project, table, statement)
    ]
    by_reason: dict[tuple[str, str], Rejects] = {}
    for one in found:  # a contract has a table for each of its layouts
        key = one.contract, one.reason
        by_reason[key] = _added(by_reason[key], one) if key in by_reason else one
    return sorted(by_reason.values(), key=lambda one: (-one.records, one.contract, one.reason))


def _field_of(reason: str) -> str:
    return reason.partition(": ")[2]


def _added(one: Rejects, other: Rejects) -> Rejects:
    firsts = [at for at in (one.first, other.first) if at]
    lasts = [at for at in (one.last, other.last) if at]
    records = one.records + other.records
    return replace(one, records=records, first=min(firsts, default=None), last=max(lasts, default=None))


def counted(project: Project) -> dict[str, int]:
    """How many records of each contract law 3 counts as rejected: what quarantine holds, unless an event time, id or
    discriminator has changed since, as then all records are judged again and none is counted again."""
    found: dict[str, int] = {}
    for stream in project.streams:
        for name, counts in ArchiveHistory(project.lake.archive_log(stream)).counts.items():
            found[name] = found.get(name, 0) + counts.rejected
    return found


def trend(project: Project, sought: Sought = Sought()) -> list[dict[str, Any]]:
    """How many came when: by contract, reason, and the hour of Kafka's timestamps. Raises CONTRACT_UNKNOWN."""
    hour = "time_bucket(INTERVAL '1 hour', _timestamp) AS hour"
    counts = (
        f"SELECT {hour}, _reject AS reason, count(*) AS records FROM standing WHERE {sought.condition} GROUP BY ALL"
    )
    found = [
        {"contract": table.contract, **row}
        for table in rejecting_tables(project, sought.contract)
        for row in rows_of(project, table, counts)
    ]
    return sorted(found, key=lambda one: (str(one["hour"]), one["contract"], one["reason"]))


def records(
    project: Project, sought: Sought = Sought(), most: int | None = None, *, unmasked: bool = False
) -> Iterator[Rejected]:
    """Rejected records, by contract the newest first, at most `most` of each. Raises CONTRACT_UNKNOWN.

    What contracts hide is masked unless `unmasked`; all of a record where no contract can say what of it is hidden: of
    a topic of several contracts that none claims, and of a contract that is not in the project. Memory is the kernel's,
    which spills, and BYTES of values.
    """
    limit = f"LIMIT {most}" if most is not None else ""
    columns = f"{POSITION}, _timestamp, _reject, _value"
    order = f"ORDER BY _timestamp DESC, {POSITION} {limit}"
    statement = f"SELECT {columns} FROM standing WHERE {sought.condition} {order}"
    for table in rejecting_tables(project, sought.contract):
        for row in portions_of(project, table, statement):
            source, partition, offset, at, why, value = row.values()
            shown = value if unmasked or value is None else _shown(table, value)
            yield Rejected(
                table.contract, source.partition("@")[0], partition, offset, at, why, shown, masked=shown != value
            )


def _shown(table: RejectingTable, value: bytes) -> bytes:
    if table.masks:
        return whole_masked(value)
    return masked(value, table.now) if table.now else value
