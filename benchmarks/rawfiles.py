"""How many files and log objects raw tables keep: 100 events a second, an append every two seconds by two tasks.

The archive's commits, its upkeep every second append and its vacuum every hour, as they are, with a clock that is
passed in and a retention of a few hours or minutes, so that what stands shows whether it follows time. The files of an
append are copies of ones that were decoded once; one append in ten has late events of the day before besides.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from figures import Figure, Size
from lakes import CONTRACT, SOURCE

from seamline.clock import ManualClock, system_clock
from seamline.entries.archive import Archived
from seamline.entries.base import Claim
from seamline.frontier import Frontier, Partition
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.contracts.contract import parse_contract
from seamline.sides.raw import RawFile, opened
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import file_records, make_shelves
from seamline.streaming.archive.merges import REST
from seamline.streaming.gathered import gather
from seamline.streaming.tasks import RECORDS

RATE, TASKS, EVERY = 100, 2, timedelta(seconds=2)
LATE = 10
"""One append in so many."""
VACUUM = timedelta(hours=1)
HOURS = {Size.SMALL: (1, 2), Size.WHOLE: (12, 24)}
RETENTION = {Size.SMALL: timedelta(minutes=20), Size.WHOLE: timedelta(hours=3)}
FEW = 20


def measure(size: Size) -> list[Figure]:
    """What stands after a while and after a longer one, and what it took."""
    with tempfile.TemporaryDirectory() as folder:
        growing, found = GrowingRaw(Path(folder), RETENTION[size]), list[Figure]()
        for hours in HOURS[size]:
            growing.goes_on_to(timedelta(hours=hours))
            name, sizes = f"after {hours} h, {RATE} events/s", {"hours": hours, **growing.objects()}
            found += [
                Figure(f"files of the open date, {name}", growing.files_of(growing.today), "files", "", sizes, "30"),
                Figure(f"objects that wait for retention, and Delta's log, {name}", growing.waiting(), "objects"),
                Figure(f"opening the table, {name}", growing.opening(), "ms of CPU"),
            ]
        day = timedelta(days=1) / timedelta(hours=HOURS[size][-1])
        took = {name: seconds * day for name, seconds in growing.took.items()}
        most, rows = growing.most, growing.rows
        growing.rests()
        return [
            *found,
            Figure("most files of the open date", most, "files", "", {"rows": rows}, "30"),
            Figure("files of a date that has ended", growing.files_of(growing.today), "files", "", {}, f"under {FEW}"),
            *(Figure(f"a day's {name}", seconds, "s of CPU") for name, seconds in took.items()),
        ]


class GrowingRaw:
    """A lake with a raw table of clicks, whose time is passed in. Objects are as old as they are in its time."""

    def __init__(self, folder: Path, retention: timedelta) -> None:
        midnight = system_clock().replace(hour=0, minute=0, second=0)
        self.clock = ManualClock(midnight + timedelta(days=9))  # what is as old as this machine says is not aged yet
        self.began = self.vacuumed = self.clock()
        self.today = self.began.date()
        self.lake = Lake.open(str(folder))
        writer = Writer.take(self.lake.archive_log("main"), Claim(at=self.clock(), holder="bench"))
        shelves = make_shelves([parse_contract(CONTRACT, "clicks.yaml")], [], "main")
        self.archive = Archive(self.lake, "main", writer, shelves, clock=self.clock, retention=retention)
        (self.table,) = [shelf.table for shelf in shelves if shelf.contract]
        self.like = self._decoded()
        self.took = {"appends": 0.0, "putting together": 0.0, "vacuums": 0.0}
        self.most = self.rows = self._appends = 0

    def goes_on_to(self, end: timedelta) -> None:
        """Append after append, until that much time has passed since it began."""
        while self.clock() < self.began + end:
            self.clock.advance(EVERY)
            self._append()
            began = time.process_time()
            maintained = self.archive.maintain()
            self.took["putting together"] += time.process_time() - began
            if maintained:
                self._stamp()
            if self.clock() >= self.vacuumed + VACUUM:
                began, self.vacuumed = time.process_time(), self.clock()
                self.archive.vacuum()
                self.took["vacuums"] += time.process_time() - began

    def rests(self) -> None:
        """Nothing comes any more."""
        self.clock.advance(REST + EVERY)
        while self.archive.maintain():
            pass

    def files_of(self, day: date) -> int:
        """Of a date, at the newest version."""
        return len(self.archive.tables[self.table].files(day.isoformat()))

    def objects(self) -> dict[str, int]:
        """By what they are."""
        found = {"data": 0, "log": 0, "live": len(self.archive.tables[self.table].files())}
        for item in self.lake.listed(f"{self.table}/"):
            found["log" if "/_delta_log/" in item["path"] else "data"] += 1
        return found

    def waiting(self) -> int:
        """Objects that are not files of the newest version."""
        found = self.objects()
        return found["data"] + found["log"] - found["live"]

    def opening(self) -> float:
        """Milliseconds of CPU until somebody who did not know the table has its newest version."""
        began = time.process_time()
        opened(self.lake, self.table)
        return (time.process_time() - began) * 1000

    def _append(self) -> None:
        """Files of today, and now and then of yesterday."""
        self._appends += 1
        days = [self.today] * TASKS + ([self.today - timedelta(days=1)] if self._appends % LATE == 0 else [])
        files = [self._copied(day, f"{self._appends}-{number}") for number, day in enumerate(days)]
        self.rows += sum(file.rows for file in files)
        end = Frontier({Partition(SOURCE, 0): self.rows})
        claim, start, began = self.archive.writer.claim, self.archive.frontier, time.process_time()
        entry = Archived(at=self.clock(), claim=claim, start=start, end=end, tables={}, dates={})
        self.archive.commit(entry, files)
        self.took["appends"] += time.process_time() - began
        self._aged(f"{self.table}/_delta_log/{self.archive.tables[self.table].version:020}.json")
        self.most = max(self.most, len(self.archive.tables[self.table].files(self.today.isoformat())))

    def _copied(self, day: date, name: str) -> RawFile:
        path = f"{self.table}/_event_date={day.isoformat()}/{name}.parquet"
        self.lake.put(path, self.like[1])
        self._aged(path)
        return replace(self.like[0], path=path, day=day.isoformat())

    def _stamp(self) -> None:
        """What was put together."""
        table = self.archive.tables[self.table]
        days = [(self.today - timedelta(days=before)).isoformat() for before in (0, 1)]
        made = [file.path for files in table.of_days(days).values() for file in files if file.rows > self.like[0].rows]
        for path in [*made, f"{self.table}/_delta_log/{table.version:020}.json"]:
            if self._written(path) < self.began:
                self._aged(path)

    def _written(self, path: str) -> datetime:
        return datetime.fromtimestamp(Path(self.lake.absolute(path)).stat().st_mtime, self.clock().tzinfo)

    def _aged(self, *paths: str) -> None:
        for path in paths:
            os.utime(self.lake.absolute(path), times=(self.clock().timestamp(),) * 2)

    def _decoded(self) -> tuple[RawFile, bytes]:
        """What a task makes of the records of one append."""
        rows, at = RATE * EVERY // timedelta(seconds=TASKS), self.clock()
        values = [
            f'{{"id": "{os.urandom(8).hex()}", "seen": "{at:%Y-%m-%dT%H:%M:%SZ}", "page": "p{n % 20}", "ms": {n}}}'
            for n in range(rows)
        ]
        columns: list[Iterable[object]] = [
            [SOURCE] * rows, [0] * rows, range(rows), [at] * rows, [None] * rows, map(str.encode, values),
        ]  # fmt: skip
        records = pa.table([list(column) for column in columns], schema=RECORDS)
        (file,) = [
            RawFile(**one)
            for one in gather(file_records(self.archive.engine, self.lake, self.archive.shelves, records)).files
        ]
        return file, Path(self.lake.absolute(file.path)).read_bytes()
