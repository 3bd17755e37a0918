"""A view's answer of records that both layers have read, in one way of many: without Spark, broker and ledger.

What makes epochs and units is what the layers run: the tasks of the speed layer and its memory of ids, the archive's
files and the batch layer's units over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from seamline.entries.base import Counts
from seamline.frontier import START, Frontier, Partition, topic_source
from seamline.jobs.bundle import bundles
from seamline.jobs.bundle_work import run_bundle
from seamline.jobs.compare import empty_partials
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.unit_statements import unit_statements
from seamline.jobs.work import run_unit
from seamline.kernel import Kernel
from seamline.lake import Lake
from seamline.operate.viewcases import CaseRecord
from seamline.schemas.views.project_views import Compiled
from seamline.sides.raw import RawFile, by_day
from seamline.streaming.archive.filing import file_records, make_shelves
from seamline.streaming.gathered import Gathered, gather
from seamline.streaming.speed.dedup import Generation, Kept, Remembered
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import RECORDS, Job, Row, decode_task, partials_without
from seamline.units import Unit

PARTITIONS = 2
ALL = 1 << 62
"""Bytes of events that tasks send along."""

_STREAM = "tests"

ArrivalOrder = tuple[int, ...]
"""Numbers of records, from 0, as they were read."""


@dataclass(frozen=True)
class WayRead:
    """One way in which records may have been read."""

    order: ArrivalOrder

    cut: int
    """How many of them a batch version covers."""

    ends: tuple[int, ...]
    """Where each epoch after it ends, counted like the cut; the last where records end, none where the cut is there."""


class BothLayers:
    """Answers of one view over the same records, however they were read. Parts that several readings share are made
    once: a statement or two for each epoch, each unit below a cut, and each answer. `lake` keeps the files."""

    def __init__(
        self, lake: Lake, engine: Kernel, view: Compiled, sent: Sequence[CaseRecord], received: datetime
    ) -> None:
        self._lake, self._engine, self._view, self._received = lake, engine, view, received
        self._plan = make_plan(view.contracts, [(view.definition, view.contracts)])
        self._shelves = [one for one in make_shelves(view.contracts, view.contracts, _STREAM) if one.contract]
        topics = {contract.name: topic_source(contract.topic, "test") for contract in view.contracts}
        self._records = [(topics[one.contract], one.value) for one in sent]
        self._groups = list(range(len(sent)))
        self._laid: dict[ArrivalOrder, _Laid] = {}
        self._epochs: dict[tuple[ArrivalOrder, int, int], list[pa.Table]] = {}
        self._units: dict[tuple[ArrivalOrder, int], list[UnitResult]] = {}
        self._groups = self._told_apart()

    def answer(self, reading: WayRead) -> pa.Table:
        """The view's rows. Raises SeamlineError where a group is out of range."""
        spans = list(pairwise((reading.cut, *reading.ends)))
        tables = [table for start, end in spans for table in self._epoch(reading.order, start, end)]
        files = [one.file.path for one in self._below(reading.order, reading.cut) if one.file]
        if files:
            tables.append(self._engine.run("FROM version", {"version": self._lake.read(files)}))
        definition = self._view.definition
        tables = tables or [self._engine.run(empty_partials(definition), {})]
        partials = pa.concat_tables(tables, promote_options="permissive")
        return self._engine.run(definition.merge_and_finalise, {"partials": partials})

    def counts(self) -> Counts:
        """Law 3's, of a batch version of all records."""
        everything = self._below(tuple(range(len(self._records))), len(self._records))
        return sum((one.counts for one in everything), Counts())

    @property
    def copies(self) -> list[list[int]]:
        """The records of each event, in the order of the file: one alone where it has no copy."""
        found: dict[int, list[int]] = {}
        for number, group in enumerate(self._groups):
            found.setdefault(group, []).append(number)
        return list(found.values())

    def _told_apart(self) -> list[int]:
        """For each record the number of the first one of the same event. Those stay in one partition and in order, as
        which of several copies counts is for their order to say."""
        order = tuple(range(len(self._records)))
        laid, first, groups = self._lay(order), dict[tuple[int, int], int](), list(order)
        for row in laid.seen.ids.to_pylist():
            if row["hi"] is not None:
                number = laid.place[row["source"], row["partition"], row["offset"]]
                groups[number] = first.setdefault((row["hi"], row["lo"]), number)
        self._laid.clear()
        return groups

    # --- the speed layer

    def _epoch(self, order: ArrivalOrder, start: int, end: int) -> list[pa.Table]:
        """The partial rows of one epoch: copies of what was read before it, or within it, are left out.

        As the speed layer makes them where it has found copies, from the events that its tasks sent along; so records
        are decoded once for all epochs of an order. Events without an id have no copies, and are not sent."""
        key = order, start, end
        if key not in self._epochs:
            laid, made = self._lay(order), list[Row]()
            copies = self._remembered(laid, start).find_duplicates(laid.within(laid.seen.ids, "", start, end))
            for one in self._plan.decodings:
                left_out = copies.filter(pc.equal(copies["decoding"], one.decoding))
                for sent in laid.seen.events.get(one.decoding, []):
                    made += partials_without(self._engine, one, laid.within(sent, "_", start, end), left_out)
            found = dict(gather(made).partials)
            if not all(one.has_id for one in self._plan.decodings):
                read = self._read(laid.records.slice(start, end - start)).partials
                found |= {of: tables for of, tables in read.items() if of[1] not in self._with_ids}
            self._epochs[key] = [table for tables in found.values() for table in tables]
        return self._epochs[key]

    @property
    def _with_ids(self) -> set[str]:
        return {one.decoding for one in self._plan.decodings if one.has_id}

    def _remembered(self, laid: _Laid, before: int) -> Remembered:
        """Every id of the records before one."""
        remembered, origin = Remembered(), (Generation(1, START),)
        named = [one for one in self._plan.decodings if one.has_id]
        remembered.keep({one.decoding: Kept(one, ((1, one.decoding),), True, origin) for one in named})
        known = laid.within(laid.seen.ids, "", 0, before)
        remembered.read(1, START, known, self._received)
        return remembered

    def _read(self, records: pa.Table) -> Gathered:
        return gather(decode_task(records, self._plan, Job(START, kept_bytes=ALL)))

    # --- the batch layer

    def _below(self, order: ArrivalOrder, cut: int) -> list[UnitResult]:
        """The units of a batch version that ends there."""
        key = order, cut
        if key not in self._units:
            laid, several = self._lay(order), len(self._view.contracts) > 1
            tasks = []
            for contract in self._view.contracts if cut else ():
                mine = [
                    file for file in laid.files if file.table == self._lake.raw_path(contract.name, contract.layout)
                ]
                for day, files in by_day(mine).items():
                    unit = Unit(contract.name if several else "", day)
                    statements = unit_statements(self._view.definition, contract, unit, laid.frontier(cut), ())
                    paths, rows = tuple(file.path for file in files), sum(file.rows for file in files)
                    tasks.append(
                        UnitTask(self._lake.uri, self._view.definition.hash, "", unit, paths, statements, rows=rows)
                    )
            self._units[key] = [result for bundle in bundles(tasks) for result in self._run(bundle)]
        return self._units[key]

    def _run(self, bundle: Sequence[UnitTask]) -> list[UnitResult]:
        made = run_bundle(self._lake, self._engine, bundle)
        left = [task for place, task in enumerate(bundle) if place not in made]
        return [*made.values(), *(run_unit(self._lake, self._engine, task) for task in left)]

    # --- the log

    def _lay(self, order: ArrivalOrder) -> _Laid:
        """The records of an order as they lie in the topics' partitions, and all that is read of them at once."""
        if order not in self._laid:
            ends: dict[Partition, int] = {}
            places, frontiers = list[tuple[str, int, int]](), [START]
            for number in order:
                at = Partition(self._records[number][0], self._groups[number] % PARTITIONS)
                places.append((at.source, at.number, ends.get(at, 0)))
                ends[at] = ends.get(at, 0) + 1
                frontiers.append(Frontier(ends))
            columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
            values = [self._records[number][1] for number in order]
            keys = [[self._received] * len(values), [b""] * len(values)]
            records = pa.table([*columns, *keys, values], schema=RECORDS)
            files = [RawFile(**file) for file in self._file(records).files]
            seen = self._read(records)
            self._laid[order] = _Laid(records, files, seen, {place: n for n, place in enumerate(places)}, frontiers)
        return self._laid[order]

    def _file(self, records: pa.Table) -> Gathered:
        filed = []
        for source in sorted({source for source, _ in self._records}):
            mine = records.filter(pa.array([one == source for one in records["source"].to_pylist()], pa.bool_()))
            shelves = [shelf for shelf in self._shelves if source in {topic_source(t, "test") for t in shelf.topics}]
            filed += file_records(self._engine, self._lake, shelves, mine)
        return gather(filed)


@dataclass(frozen=True)
class _Laid:
    """Records in one order."""

    records: pa.Table
    files: list[RawFile]
    seen: Gathered

    place: dict[tuple[str, int, int], int]
    """By position, which in the order."""

    frontiers: list[Frontier]

    def within(self, rows: pa.Table, mark: str, start: int, end: int) -> pa.Table:
        """Rows of the records from `start` to `end`, by their columns of positions, whose names begin with `mark`."""
        places = zip(*(rows[f"{mark}{name}"].to_pylist() for name in ("source", "partition", "offset")), strict=True)
        return rows.filter(pa.array([start <= self.place[place] < end for place in places], pa.bool_()))

    def frontier(self, count: int) -> Frontier:
        """After so many of them."""
        return self.frontiers[count]
