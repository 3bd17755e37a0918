"""Raw tables: Delta tables partitioned by event date, whose Parquet files the kernel writes in place. The Delta rim.

Files first, invisible; a Delta commit makes them part of a table's newest version; only the ledger's entry, which names
that version, makes them part of the archive. A table that is ahead of the ledger is restored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema, WriterProperties
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from seamline.entries import new_attempt
from seamline.errors import Condition, ConflictError
from seamline.kernel import GROUP_BYTES, Kernel
from seamline.lake import Lake

DATE = "_event_date"
SMALL = 32 << 20
"""Files below this many bytes are worth putting together."""

GROUP_ROWS = 122_880
"""Rows of a row group at most, as the kernel writes them."""

CONFIGURATION = {
    "delta.checkpointInterval": "100",
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
}
"""Plain Parquet files with their own column names: the kernel reads them without Delta."""


@dataclass(frozen=True)
class RawFile:
    """One Parquet file of a raw table, not yet part of it. `path` is relative to the lake."""

    table: str
    path: str
    day: str
    size: int
    rows: int
    accepted: int


def write_raw(engine: Kernel, lake: Lake, table: str, rows: pa.Table) -> list[RawFile]:
    """Decoded rows (with `_event_date`) as one Parquet file for each event date."""
    files: list[RawFile] = []
    for day in pc.unique(rows[DATE]).to_pylist():
        path = f"{table}/{DATE}={day.isoformat()}/{new_attempt()}.parquet"
        statement = f"SELECT * EXCLUDE ({DATE}) FROM rows WHERE {DATE} = DATE '{day.isoformat()}'"
        written = lake.write(engine, statement, {"rows": rows}, path)
        here = rows.filter(pc.equal(rows[DATE], day)) if files or written < rows.num_rows else rows
        size = Path(lake.absolute(path)).stat().st_size if lake.local else _remote_size(lake, path)
        files.append(RawFile(table, path, day.isoformat(), size, written, here["_reject"].null_count))
    return files


class RawTable:
    """One raw table at its newest version."""

    def __init__(self, lake: Lake, path: str, schema: pa.Schema | None = None, version: int | None = None) -> None:
        """Opens the table (to read it, at `version`); makes it, empty, as version 0, where `schema` is given."""
        self.lake = lake
        self.path = path
        uri = lake.absolute(path)
        if schema is None or DeltaTable.is_deltatable(uri):
            self._delta = DeltaTable(uri, version=version)
        else:
            self._delta = DeltaTable.create(uri, schema, partition_by=[DATE], configuration=CONFIGURATION)

    @property
    def version(self) -> int:
        """The newest version, as far as this process has seen."""
        return int(self._delta.version())

    def restore(self, version: int) -> bool:
        """Makes the rows what they were at `version`, as a version of its own; False where they are.

        Dying anywhere here is harmless: the ledger goes on naming `version`, and the next start does this again.
        """
        self._delta.update_incremental()
        if self.version == version:
            return False
        self._delta.restore(version)
        self._delta.update_incremental()
        return True

    def fit(self, schema: pa.Schema) -> tuple[str, ...]:
        """Adds the columns the table lacks; returns those that it has with another type, which it cannot take."""
        mine = {field.name.lower() for field in self._delta.schema().fields}
        missing = [field for field in Schema.from_arrow(schema).fields if field.name.lower() not in mine]
        if missing:
            self._delta.alter.add_columns(missing)
            self._delta.update_incremental()
        return clashing(self._delta, schema)

    def add(self, files: Sequence[RawFile]) -> int:
        """Commits files in one version and returns it. Raises WRITER_CONFLICT where another process wrote meanwhile."""
        expected = self.version + 1
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(file.path.removeprefix(f"{self.path}/"), file.size, {DATE: file.day}, now, True, _stats(file))
            for file in files
        ]
        failed: CommitFailedError | None = None
        try:
            self._delta.create_write_transaction(actions, "append", self._delta.schema(), [DATE])
        except CommitFailedError as error:  # another process has restored or widened the table
            failed = error
        self._delta.update_incremental()
        if failed is not None or self.version != expected:
            raise ConflictError(
                Condition.WRITER_CONFLICT,
                f"raw table {self.path} came to version {self.version}, not {expected}: another process wrote it",
                allowed="one archive process a stream",
                mend="stop the other one; on the next start the table is restored to what the ledger names",
                where=self.path,
            ) from failed
        return expected

    def log_files(self, since: int) -> list[str]:
        """What Delta's log holds of the versions after `since`, relative to the lake: commits, checkpoints."""
        log = f"{self.path}/_delta_log"
        root, numbers = self.lake.local, range(since + 1, self.version + 1)
        if root is None:
            return []
        checkpoints = [f"{log}/{n:020}.checkpoint.parquet" for n in numbers]
        made = [path for path in checkpoints if (root / path).exists()]
        return [*(f"{log}/{n:020}.json" for n in numbers), *made, *([f"{log}/_last_checkpoint"] if made else [])]

    def files(self, day: str | None = None) -> list[str]:
        """Paths of its files relative to the lake, of one event date or of all."""
        return [f"{self.path}/{one['path']}" for one in self._actions() if day is None or one["day"] == day]

    def days(self) -> list[str]:
        """Its event dates."""
        return sorted({one["day"] for one in self._actions()})

    def crowded(self, files: int) -> list[str]:
        """Event dates with at least this many small files."""
        small: dict[str, int] = {}
        for one in self._actions():
            if one["size"] < SMALL:
                small[one["day"]] = small.get(one["day"], 0) + 1
        return sorted(day for day, number in small.items() if number >= files)

    def compact(self, days: Iterable[str]) -> int:
        """Puts the small files of some dates together: the same rows at a new version, which is returned.

        Row groups are bounded by bytes, as the kernel bounds them, by what a row of the date takes.
        """
        for day in days:
            of_day = [one for one in self._actions() if one["day"] == day]
            rows, size = sum(one["rows"] for one in of_day), sum(self._unpacked(one["path"]) for one in of_day)
            group = max(1, min(GROUP_ROWS, GROUP_BYTES * rows // max(1, size)))
            self._delta.optimize.compact(
                partition_filters=[(DATE, "=", day)],
                target_size=4 * SMALL,
                max_concurrent_tasks=1,
                writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=group),
            )
        self._delta.update_incremental()
        return self.version

    def vacuum(self, hours: int) -> int:
        """Deletes files that no version of the last `hours` names, those of attempts that died too."""
        self._delta.update_incremental()  # what a newer version names is not to be deleted
        self._delta.vacuum(retention_hours=hours, dry_run=False, full=True, enforce_retention_duration=False)
        self._delta.update_incremental()
        return self.version

    def _unpacked(self, path: str) -> int:
        """Bytes of a file's rows before they were packed, as its footer says."""
        metadata = self.lake.footer(f"{self.path}/{path}")
        return sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))

    def _actions(self) -> list[dict[str, Any]]:
        actions = pa.table(self._delta.get_add_actions(flatten=True)).select(
            ["path", "size_bytes", "num_records", f"partition.{DATE}"]
        )
        return [
            {
                "path": row["path"],
                "size": row["size_bytes"],
                "rows": row["num_records"],
                "day": _iso(row[f"partition.{DATE}"]),
            }
            for row in actions.to_pylist()
        ]


def clashing_columns(lake: Lake, path: str, schema: pa.Schema) -> tuple[str, ...]:
    """Columns of `schema` that a table, where there is one, has with another type."""
    uri = lake.absolute(path)
    return clashing(DeltaTable(uri), schema) if DeltaTable.is_deltatable(uri) else ()


def clashing(table: DeltaTable, schema: pa.Schema) -> tuple[str, ...]:
    """Columns that a table has with another type than `schema`."""
    mine = {field.name.lower(): field.type for field in table.schema().fields}
    wanted = Schema.from_arrow(schema).fields
    return tuple(f.name for f in wanted if f.name.lower() in mine and mine[f.name.lower()] != f.type)


def files_table(files: Sequence[RawFile]) -> pa.Table:
    """Files as Arrow, to travel from a task to the driver."""
    return pa.Table.from_pylist([asdict(file) for file in files])


def _stats(file: RawFile) -> str:
    """What readers may skip a file by: its rows, and how many were not rejected."""
    return json.dumps({"numRecords": file.rows, "nullCount": {"_reject": file.accepted}})


def _iso(day: date | str) -> str:
    return day if isinstance(day, str) else day.isoformat()


def _remote_size(lake: Lake, path: str) -> int:
    from pyarrow import fs

    files, inner = fs.FileSystem.from_uri(lake.absolute(path))
    return int(files.get_file_info(inner).size)
