"""An archive on a lake of this machine, in its own time, and in plain Python what it has archived."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable
from pyarrow import parquet
from stream_parts import NOW, contract, event, open_archive, records, tasks

from seamline.history.archive import ArchiveHistory
from seamline.lake import Lake
from seamline.streaming.archive.archive import Archive

CLICKS = contract()
TABLE = Lake.raw_path("clicks", CLICKS.layout)
DAY = "2026-01-01"

Row = tuple[str, int, int, bytes]
"""Source, partition, offset, bytes."""


def values(number: int) -> list[bytes]:
    """A micro-batch: two dates, one of them late now and then, and a record that does not parse."""
    return [event(number), event(number, day=2 + number % 3), *([b"{"] if number % 5 == 0 else [])]


class World:
    """Objects in the raw table's folder are as old as they were written in its time."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.now, self.truth, self.offset = lake, NOW, list[Row](), 0
        self.named: dict[int, tuple[datetime, int]] = {}
        self.folder = Path(lake.absolute(TABLE))
        self._seen: set[Path] = set()
        self.archive = self.restarted()

    def restarted(self) -> Archive:
        """A new process."""
        self.archive = open_archive(self.lake, [CLICKS], clock=lambda: self.now)
        self.stamp()
        return self.archive

    def batch(self, number: int, after: timedelta = timedelta(seconds=2)) -> None:
        """One append, some time later, and the upkeep after it."""
        self.now += after
        sent = values(number)
        self.archive.run_batch(tasks(records(sent, first=self.offset)))
        self.truth += [("clicks@1", 0, self.offset + at, value) for at, value in enumerate(sent)]
        self.offset += len(sent)
        self.stamp()

    def stamp(self) -> None:
        """What was written since the last time is as old as it would be; which version is named is remembered."""
        for path in set(self.folder.rglob("*.*")) - self._seen:
            if path.is_file():
                os.utime(path, times=(self.now.timestamp(),) * 2)
                self._seen.add(path)
        version = ArchiveHistory(self.lake.archive_log("main")).tables.get(TABLE)
        if version is not None:
            self.named.setdefault(version, (self.now, len(self.truth)))

    def newest(self) -> int:
        """The version that the ledger names."""
        return ArchiveHistory(self.lake.archive_log("main")).tables[TABLE]

    def rows(self, version: int | None = None) -> list[Row]:
        """Of a version (the one that is named), read by pyarrow alone."""
        uris = DeltaTable(self.lake.absolute(TABLE), version=self.newest() if version is None else version).file_uris()
        tables = [parquet.ParquetFile(uri).read(["_source", "_partition", "_offset", "_value"]) for uri in uris]
        return sorted((r["_source"], r["_partition"], r["_offset"], r["_value"]) for t in tables for r in t.to_pylist())

    def check(self) -> None:
        """Every record once."""
        assert self.rows() == self.truth
