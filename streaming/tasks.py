"""What one task does with its records: pure functions from Arrow to rows of (kind, name, Arrow IPC bytes).

They run inside Spark's Python workers, in simulations and in tests, with the same kernel and the same statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from seamline.frontier import START, Frontier, Partition, topic_of
from seamline.ipc import from_ipc, to_ipc
from seamline.kernel import Kernel, Limits, kernel
from seamline.portions import in_portions, portion_bytes
from seamline.streaming.split import Split
from seamline.streaming.stream_plan import UNCLAIMED, DecodingPlan, StreamPlan

RECORDS = pa.schema(
    [
        ("source", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)
"""Records as every task reads them."""

POSITIONS = pa.schema(
    [("decoding", pa.string()), ("source", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]
)
"""Records that a decoding leaves out."""

IDS = pa.schema(
    [
        ("decoding", pa.string()),
        ("hi", pa.uint64()),
        ("lo", pa.uint64()),
        ("source", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("seen", pa.uint32()),
    ]
)
"""128-bit identities of valid events, where each was read, and the second of its Kafka timestamp (0: it has none)."""


KEPT_BYTES = 16 << 20
"""A task whose events are no larger than this sends them along: copies are then left out without reading again."""

ONE_THREAD = Limits(threads=1)
"""Of a task's kernel: Spark runs as many tasks as there are cores."""


class Row(NamedTuple):
    """One result of a task."""

    kind: str
    name: str

    payload: bytes
    """A table in Arrow's IPC stream format."""


Plan = TypeVar("Plan")


@dataclass(frozen=True)
class Task(Generic[Plan]):
    """What a task makes of its records. `plan` is what does not change from batch to batch and may be large: as long as
    it is the same object, it is sent to those who do the work but once."""

    plan: Plan
    work: Callable[[pa.Table, Plan], list[Row]]

    def __call__(self, records: pa.Table) -> list[Row]:
        return self.work(records, self.plan)


Tasks = Callable[[Task[Any]], Iterable[Row]]
"""Applies a task to every task's records and gives all rows: a Spark action, or a loop. May be called twice."""


@dataclass(frozen=True)
class Job:
    """What every task of one micro-batch does by the stream's plan."""

    start: Frontier
    """Records below it are covered already and are ignored."""

    without: bytes = b""
    """An IPC table like POSITIONS; with it, only partials are made again."""

    limits: Limits = field(default=ONE_THREAD)
    kept_bytes: int = KEPT_BYTES

    stop: Frontier = START
    """Of a topic that is being left, records from here on are ignored."""


def decode_task(records: pa.Table, plan: StreamPlan, job: Job) -> list[Row]:
    """One task's records, of any partitions, each decoded by every decoding of its topic that claims it.

    Rows: a `range` (positions read), and for each decoding that has records a `tally`, its `ids`, a `partial` for each
    definition, and its `events` where they are few.
    """
    engine = kernel(job.limits)
    rows: list[Row] = []
    records = below(records, job.stop)
    ranges = ranges_of(records)
    records = above(records, ranges, job.start)
    if not records.num_rows:
        return []
    rows.append(Row("range", "", to_ipc(ranges)))
    for source in pc.unique(records["source"]).to_pylist():
        of_source = records.filter(pc.equal(records["source"], source)) if ranges.num_rows > 1 else records
        rows += _decode_source(engine, plan, job, topic_of(source), of_source)
    return rows


def _decode_source(engine: Kernel, plan: StreamPlan, job: Job, topic: str, records: pa.Table) -> list[Row]:
    """The records of one source: each decoding's own, in portions that the kernel can hold, whose partials merge like
    those of tasks. A decoding that claims none of them costs nothing."""
    most, kept = portion_bytes(engine), 0
    rows: list[Row] = []
    split = Split(engine, records)
    without = from_ipc(job.without) if job.without else None
    for one in plan.of_topic(topic):
        left_out = None if without is None else without.filter(pc.equal(without["decoding"], one.decoding))
        if left_out is not None and not left_out.num_rows:
            continue
        if not (mine := split.of(one.claimed)).num_rows:
            continue
        for made in in_portions(partial(_decode, engine, one, job.kept_bytes, left_out), mine, most):
            kept += sum(len(row.payload) for row in made if row.kind == "events")
            rows += made if kept <= job.kept_bytes else [row for row in made if row.kind != "events"]
    unclaimed_by = dict(plan.unclaimed).get(topic)
    if without is None and unclaimed_by and (unclaimed := split.count(unclaimed_by)):
        rows.append(tally(UNCLAIMED, unclaimed, unclaimed))
    return rows


def _decode(
    engine: Kernel, plan: DecodingPlan, kept_bytes: int, left_out: pa.Table | None, records: pa.Table
) -> list[Row]:
    decoded = engine.run(f"SELECT * EXCLUDE (_key, _value) FROM ({plan.statement})", {"records": records})
    events = decoded.filter(pc.is_null(decoded["_reject"]))
    if left_out is not None:
        return partials_without(engine, plan, events, left_out)
    rows = [tally(plan.label, decoded.num_rows, decoded.num_rows - events.num_rows)]
    if plan.has_id and events.num_rows:
        rows.append(Row("ids", plan.decoding, to_ipc(_ids(events, plan))))
        rows += _kept(events, plan, kept_bytes)
    return rows + _partials(engine, plan, events)


def _kept(events: pa.Table, plan: DecodingPlan, limit: int) -> list[Row]:
    kept = events.select([*_PLACE, *plan.uses])
    return [Row("events", plan.decoding, to_ipc(kept))] if plan.partials and kept.nbytes <= limit else []


def partials_without(engine: Kernel, plan: DecodingPlan, events: pa.Table, without: pa.Table) -> list[Row]:
    """A decoding's partials over `events` (positions and the fields that its plan uses) but those at `without`."""
    return _partials(engine, plan, engine.run(_WITHOUT, {"events": events, "without": without}))


def _partials(engine: Kernel, plan: DecodingPlan, events: pa.Table) -> list[Row]:
    if not events.num_rows:
        return []
    made = {d: engine.run(statement, {"events": events}) for d, statement in plan.partials}
    for fold in plan.folds:
        made[fold.definition] = engine.run(fold.statement, {"partials": made[fold.base]})
    sent = {d: table for d, table in made.items() if d not in plan.unsent}
    return [Row("partial", f"{d}/{plan.decoding}", to_ipc(table)) for d, table in sent.items()]


_PLACE = ("_source", "_partition", "_offset")
_WITHOUT = """SELECT * FROM events ANTI JOIN without
ON _source = without.source AND _partition = without."partition" AND _offset = without."offset\""""


def records_table(batches: Sequence[pa.RecordBatch], sources: dict[str, str]) -> pa.Table:
    """Record batches as Spark hands them over (topic in the column `source`) as one table of RECORDS."""
    table = pa.Table.from_batches(batches).cast(RECORDS)
    topics = table["source"].combine_chunks().dictionary_encode()
    named = pa.array([sources[topic] for topic in topics.dictionary.to_pylist()], pa.string())
    return table.set_column(0, "source", named.take(topics.indices))


def ranges_of(records: pa.Table) -> pa.Table:
    """Lowest and highest offset and latest timestamp of each partition."""
    return records.group_by(["source", "partition"]).aggregate(
        [("offset", "min"), ("offset", "max"), ("timestamp", "max")]
    )


def above(records: pa.Table, ranges: pa.Table, start: Frontier) -> pa.Table:
    """Drops records below `start`. There are none where a query was started at the ledger's frontier."""
    for source, partition, first in zip(
        *(ranges[c].to_pylist() for c in ("source", "partition", "offset_min")), strict=True
    ):
        at = start[Partition(source, partition)]
        if first < at:
            here = pc.and_(pc.equal(records["source"], source), pc.equal(records["partition"], partition))
            records = records.filter(pc.invert(pc.and_(here, pc.less(records["offset"], at))))
    return records


def below(records: pa.Table, stop: Frontier) -> pa.Table:
    """Drops records of the sources in `stop` at or above it."""
    for source in stop.sources:
        here = pc.equal(records["source"], source)
        if pc.any(here).as_py():
            under = [
                pc.and_(pc.equal(records["partition"], at.number), pc.less(records["offset"], offset))
                for at, offset in stop.only([source]).items()
            ]
            records = records.filter(pc.or_(pc.invert(here), reduce(pc.or_, under)))
    return records


def _ids(events: pa.Table, plan: DecodingPlan) -> pa.Table:
    decoding = pa.array([plan.decoding], pa.string()).take(pa.array([0] * events.num_rows, pa.int8()))
    columns = [events[c] for c in ("_id_hi", "_id_lo", "_source", "_partition", "_offset")]
    return pa.table([decoding, *columns, seconds(events["_timestamp"])], schema=IDS)


def seconds(timestamps: pa.ChunkedArray) -> pa.ChunkedArray:
    """Kafka timestamps in whole seconds since 1970. 0: the record has none, as 0 and -1 say."""
    found = pc.divide(pc.fill_null(timestamps.cast(pa.int64()), 0), 1_000_000)
    return pc.min_element_wise(pc.max_element_wise(found, 0), 2**32 - 1).cast(pa.uint32())


def tally(label: str, read: int, rejected: int, erased: int = 0) -> Row:
    """How many records one label has read, and rejected, and left out as copies of what was forgotten."""
    return Row("tally", label, to_ipc(pa.table({"read": [read], "rejected": [rejected], "erased": [erased]})))
