"""How many objects a lake keeps beside raw: at 100 events a second, after 6 hours and after 24.

The speed layer's commits and upkeep as they are, the archive's entries and the upkeep of its log, and a clock that is
passed in. Every ten minutes each view's cut moves on, as `seamline up` refreshes, and every hour retention of the batch
layer passes. Raw tables take no part.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import obstore
import pyarrow as pa
from figures import Figure, Size
from lakes import CONTRACT, SOURCE

from seamline.clock import ManualClock, system_clock
from seamline.config import Settings
from seamline.entries.archive import Archived
from seamline.entries.base import Claim, Counts
from seamline.entries.batch import Audit, Reserved, Version
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.retention import retain
from seamline.kernel import KERNEL_VERSION
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas import states
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.views.text import parse_views
from seamline.streaming.archive.snapshots import Snapshots
from seamline.streaming.gathered import Gathered, gather
from seamline.streaming.speed.epoch import Speed, commit_epoch
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import POSITIONS, RECORDS, Job, Task, decode_task

RATE, EPOCHS, ARCHIVED = 100, 5_650, 1_800
"""Events a second, epochs and the archive's entries an hour: as many as were seen of three views at that rate."""
VIEWS = 3
REFRESH = timedelta(minutes=10)
RETAIN = timedelta(hours=1)
HOURS = {Size.SMALL: (1, 3), Size.WHOLE: (6, 24)}
FEW = 100
"""Epochs, beside which opening is measured."""
TRIES = 10
REPLICAS = 3
REPLICA = """import sys, time
from seamline.config import Settings
from seamline.lake import Lake
from seamline.serving.serving import Serving
began = time.process_time()
serving = Serving(Lake.open(sys.argv[1]), Settings())
took = time.process_time() - began
assert serving.query("SELECT sum(clicks) FROM pages0").table.num_rows == 1
print(took)
serving.close()
"""
MOST = 3_000
"""Objects."""
RANDOM = np.random.default_rng(1)

VIEW = """CREATE MATERIALIZED VIEW pages{n} AS SELECT time_bucket(INTERVAL '1 hour', seen) AS hour, page,
count(*) AS clicks, sum(ms) AS ms, max(ms) AS slowest FROM clicks GROUP BY ALL;"""


def measure(size: Size) -> list[Figure]:
    """Objects after a while and after a longer one, by where they are, and what an epoch's commit and upkeep take."""
    with tempfile.TemporaryDirectory() as folder:
        growing, found, opening = Growing(Path(folder)), list[Figure](), list[Figure]()
        began = time.process_time()
        growing.goes_on_to(timedelta(hours=FEW / EPOCHS))
        few, replica = growing.opening(), growing.replica()
        for hours in HOURS[size]:
            growing.goes_on_to(timedelta(hours=hours))
            objects = growing.objects()
            sizes = {"hours": hours, "epochs": growing.speed.history.last_epoch, **objects}
            name = f"objects beside raw, {RATE} events/s, {VIEWS} views"
            found.append(Figure(f"{name}, {hours} h", sum(objects.values()), "objects", "", sizes, f"under {MOST:,}"))
            took, gets = growing.opening()
            sizes = {"hours": hours, "epochs": growing.speed.history.last_epoch, "gets": gets, "gets at first": few[1]}
            name, over = f"opening its logs, {hours} h", f"{FEW} epochs"
            opening.append(Figure(name, took / few[0], "ratio", over, sizes, "at most 2, goal 1.2"))
            opening.append(Figure(name, took, "s of CPU", "", sizes))
            name, took = f"opening a replica, {hours} h", growing.replica()
            opening.append(Figure(name, took / replica, "ratio", over, sizes, "at most 2, goal 1.2"))
            opening.append(Figure(name, took, "s of CPU", "", sizes))
        each = (time.process_time() - began) * 1000 / growing.speed.history.last_epoch
    first, last = (figure.value for figure in found)
    over = f"{HOURS[size][0]} h"
    return [
        *found,
        *opening,
        Figure(f"the same after {HOURS[size][1]} h", last / first, "ratio", over, {}, "at most 1.1"),
        Figure("an epoch's commit and upkeep", each, "ms of CPU", "", {"epochs": growing.speed.history.last_epoch}),
    ]


class Growing:
    """A lake with a stream of clicks and some views, whose time is passed in."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(system_clock())
        self.began = self.clock()
        self.lake, self.settings = Lake.open(str(folder)), Settings()
        self.contract = parse_contract(CONTRACT, "clicks.yaml")
        views = {f"pages{n}": parse_views(VIEW.format(n=n), f"pages{n}.sql")[0] for n in range(VIEWS)}
        states.apply_views(self.lake, views, {"clicks": self.contract}, self.clock)
        self.catalogue = Catalogue(self.lake)
        live = [(d, self.catalogue.contracts(d.hash)) for d in self.catalogue.live("main")]
        writer = Writer.take(self.lake.speed_log("main"), Claim(at=self.clock(), holder="bench"))
        plan = make_plan([self.contract], live)
        self.speed = Speed(self.lake, "main", writer, plan, clock=self.clock)
        self.upkeep = Maintenance(self.speed, self.catalogue, self.settings)
        of_archive = Writer.take(self.lake.archive_log("main"), Claim(at=self.clock(), holder="bench"))
        self.archive = ArchiveHistory(of_archive.log)
        self.snapshots = Snapshots(self.archive, of_archive, self.clock)
        self.archiver = of_archive
        beats = {self._archive: timedelta(hours=1) / ARCHIVED, self._summed: timedelta(seconds=10)}
        self.every = beats | {self._refresh: REFRESH, self._retain: RETAIN}
        self.sent, self.due = 0, dict.fromkeys(self.every, self.began)
        self.like = self._decoded()

    def goes_on_to(self, end: timedelta) -> None:
        """Epoch after epoch, until that much time has passed since it began."""
        while self.clock() < self.began + end:
            self.clock.advance(timedelta(hours=1) / EPOCHS)
            self._commit()
            self.upkeep.after_epoch()
            self.upkeep.between_batches()
            for work, every in self.every.items():
                if self.clock() >= self.due[work] + every:
                    self.due[work] = self.clock()
                    work()

    def opening(self) -> tuple[float, int]:
        """Seconds of CPU until the logs are read by somebody who did not know them, as a replica does: the least of
        some tries; and how many objects that got."""
        tries, got, get = list[float](), list[str](), obstore.get
        for _ in range(TRIES):
            began = time.process_time()
            self._open()
            tries.append(time.process_time() - began)

        def counted(store: Any, path: str) -> Any:
            got.append(path)
            return get(store, path)

        with patch.object(obstore, "get", counted):
            self._open()
        return min(tries), len(got)

    def replica(self) -> float:
        """Seconds of CPU until a process that has just begun, its imports done, can answer: the least of some tries."""
        asked = [sys.executable, "-c", REPLICA, self.lake.uri]
        return min(float(subprocess.run(asked, check=True, capture_output=True).stdout) for _ in range(REPLICAS))

    def _open(self) -> None:
        catalogue = Catalogue(self.lake)
        SpeedHistory(self.lake.speed_log("main"))
        ArchiveHistory(self.lake.archive_log("main"))
        for state in catalogue.states.values():
            BatchHistory(self.lake.batch_log(str(state.served)))

    def objects(self) -> dict[str, int]:
        """By the first part of their paths; the smaller ones together."""
        of_ledger = {f"ledger/{kind}": 0 for kind in ("speed", "archive", "views", "batch")}
        found = {**of_ledger, "ledger": 0, "speed": 0, "hints": 0, "other": 0}
        for item in self.lake.listed(""):
            found[next((name for name in found if item["path"].startswith(f"{name}/")), "other")] += 1
        return found

    def _commit(self) -> None:
        """The same partial rows again and again, with ids of their own: what is in them is nothing to their number."""
        at, rows = self.clock(), self.like.ids.num_rows
        self.sent += rows
        fresh = {name: pa.array(RANDOM.integers(2**64, size=rows, dtype=np.uint64)) for name in ("hi", "lo")}
        ids = self.like.ids
        for name, values in fresh.items():
            ids = ids.set_column(ids.schema.get_field_index(name), ids.schema.field(name), values)
        at_end, partition = Frontier({Partition(SOURCE, 0): self.sent}), Partition(SOURCE, 0)
        seen = replace(self.like, ids=ids, end=at_end, newest={partition: at})
        commit_epoch(self.speed, seen, POSITIONS.empty_table(), at)

    def _decoded(self) -> Gathered:
        """What the tasks make of the records of one epoch."""
        rows, at = RATE * 3600 // EPOCHS, self.clock()
        values = [
            f'{{"id": "{n}", "seen": "{at:%Y-%m-%dT%H:%M:%SZ}", "page": "p{n % 20}", "ms": {n}}}'.encode()
            for n in range(rows)
        ]
        columns = [[SOURCE] * rows, [0] * rows, list(range(rows)), [at] * rows, [None] * rows, values]
        task = partial(decode_task, job=Job(self.speed.frontier))
        return gather(Task(self.speed.plan, task)(pa.table(columns, schema=RECORDS)))

    def _archive(self) -> None:
        """The entry of what was read since the last, as if its files were in a raw table."""
        end, table = Frontier({Partition(SOURCE, 0): self.sent}), "raw/clicks"
        versions = {table: self.archive.tables.get(table, 0) + 1}
        entry = Archived(
            at=self.clock(), claim=self.archiver.claim, start=self.archive.frontier, end=end, tables=versions,
            dates={table: (self.clock().date(),)}, counts={"clicks": Counts(read=200, counted=200)},
        )  # fmt: skip
        self.archiver.put(entry)
        self.archive.catch_up()

    def _summed(self) -> None:
        self.snapshots.keep()

    def _refresh(self) -> None:
        """Each view has a new version, which ends where the newest epoch did."""
        cut, now = Frontier({Partition(SOURCE, 0): self.sent}), self.clock()
        for view in [definition.view for definition in self.catalogue.live("main")]:
            self.catalogue.catch_up()
            state = self.catalogue.states[view]
            log, served = self.lake.batch_log(str(state.served)), str(state.served)
            run = f"{view}-{log.last()}"
            until = now + timedelta(minutes=60)
            log.put_last(log.last() + 1, Reserved(at=now, run=run, cut=cut, until=until, archive_entry=1))
            number = log.last() + 1
            version = Version(
                at=now, run=run, cut=cut, base=None, complete=True, units={}, archive_entry=1,
                audit=Audit(compared=True), kernel=KERNEL_VERSION, layout=LAYOUT,
            )  # fmt: skip
            log.put_last(number, version)
            states.publish(self.lake, state, served, number, "bench", now, number)

    def _retain(self) -> None:
        retain(self.lake, self.settings, self.clock)
