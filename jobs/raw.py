"""The file lists of a raw table: read from its Delta log, so that no row and no Spark is needed to plan a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable

from seamline.lake import Lake


@dataclass(frozen=True)
class RawFile:
    """One Parquet file of a raw table. `rejects`: whether it may hold rejected records."""

    path: str
    day: date
    size: int
    rejects: bool


def raw_files(lake: Lake, table: str, version: int | None) -> tuple[RawFile, ...]:
    """The files of a raw table at a Delta version, paths relative to the lake. None: the table was never written."""
    if version is None:
        return ()
    actions = DeltaTable(lake.absolute(table), version=version).get_add_actions(flatten=True)
    rows = pa.table(actions).to_pylist()
    return tuple(
        RawFile(f"{table}/{row['path']}", _day(row["partition._event_date"]), row["size_bytes"], _rejects(row))
        for row in sorted(rows, key=lambda row: str(row["path"]))
    )


def by_day(files: tuple[RawFile, ...]) -> dict[date, tuple[RawFile, ...]]:
    """The files of each event date."""
    days: dict[date, list[RawFile]] = {}
    for file in files:
        days.setdefault(file.day, []).append(file)
    return {day: tuple(of_day) for day, of_day in sorted(days.items())}


def fingerprint(lake: Lake, tables: Mapping[str, int | None], dates: Mapping[str, frozenset[date]] | None) -> str:
    """Says which files stand for some event dates of raw tables (None: for all), and when each was last written: what
    was put back in place, without a word in any log, changes it too."""
    files = [
        file.path
        for table, version in sorted(tables.items())
        for file in raw_files(lake, table, version)
        if dates is None or file.day in dates[table]
    ]
    return hashlib.sha256("\n".join(_stamps(lake, files)).encode()).hexdigest()[:16]


def _stamps(lake: Lake, files: Iterable[str]) -> Iterable[str]:
    for path in files:
        yield f"{path} {lake.stamp(path)}"


def _day(value: date | str) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _rejects(row: dict[str, object]) -> bool:
    """From the table's statistics; where there are none, it may."""
    nulls, rows = row.get("null_count._reject"), row.get("num_records")
    return not (isinstance(nulls, int) and isinstance(rows, int) and nulls == rows)
