"""What a raw table is: a Delta table partitioned by event date, of plain Parquet files, read at the version that the
ledger names. Read from its Delta log, so that no row and no Spark is needed to know its files.

Only the archive writes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from seamline.lake import Lake

DATE, REJECT = "_event_date", "_reject"
"""The column that a table is partitioned by, which stands in the names of folders only; and the one that is not NULL in
rejected records."""


@dataclass(frozen=True)
class RawFile:
    """One Parquet file of a raw table, or one that shall be part of it."""

    table: str

    path: str
    """Relative to the lake."""

    day: str
    """Its event date in ISO form."""

    size: int
    rows: int

    accepted: int | None
    """How many of its rows were not rejected; None where nobody knows."""

    @property
    def date(self) -> date:
        """Its event date."""
        return date.fromisoformat(self.day)

    @property
    def rejects(self) -> bool:
        """Whether it may hold rejected records."""
        return self.accepted != self.rows


def exists(lake: Lake, table: str) -> bool:
    """Whether a table was ever made."""
    return DeltaTable.is_deltatable(lake.absolute(table))


def opened(lake: Lake, table: str, version: int | None = None) -> DeltaTable:
    """A table that was made, at a version or at its newest."""
    return DeltaTable(lake.absolute(table), version=version)


def files_of(delta: DeltaTable, table: str, days: Iterable[str] | None = None) -> tuple[RawFile, ...]:
    """The files of an opened table, or those of some event dates, in the order of their paths."""
    actions = pa.table(delta.get_add_actions(flatten=True))
    if days is not None:
        stands = pc.is_in(pc.cast(actions[f"partition.{DATE}"], pa.string()), pa.array(sorted(days), pa.string()))
        actions = actions.filter(stands)
    wanted = ("path", f"partition.{DATE}", "size_bytes", "num_records", f"null_count.{REJECT}")
    rows = actions.select([name for name in wanted if name in actions.column_names]).to_pylist()
    return tuple(_file(table, row) for row in sorted(rows, key=lambda row: str(row["path"])))


def raw_files(lake: Lake, table: str, version: int | None) -> tuple[RawFile, ...]:
    """The files of a raw table at a Delta version. None: the table was never written."""
    return () if version is None else files_of(opened(lake, table, version), table)


def by_day(files: Iterable[RawFile]) -> dict[date, tuple[RawFile, ...]]:
    """The files of each event date."""
    days: dict[date, list[RawFile]] = {}
    for file in files:
        days.setdefault(file.date, []).append(file)
    return {day: tuple(of_day) for day, of_day in sorted(days.items())}


def fingerprint(lake: Lake, tables: Mapping[str, int | None], dates: Mapping[str, frozenset[date]] | None) -> str:
    """Says which files stand for some event dates of raw tables (None: for all), and when each was last written: what
    was put back in place, without a word in any log, changes it too."""
    stamps = [
        f"{file.path} {lake.stamp(file.path)}"
        for table, version in sorted(tables.items())
        for file in raw_files(lake, table, version)
        if dates is None or file.date in dates[table]
    ]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


def _file(table: str, row: Mapping[str, Any]) -> RawFile:
    rows, day = row.get("num_records"), row[f"partition.{DATE}"]
    return RawFile(
        table,
        f"{table}/{row['path']}",
        day if isinstance(day, str) else day.isoformat(),
        row["size_bytes"],
        rows or 0,
        None if rows is None else row.get(f"null_count.{REJECT}"),
    )
