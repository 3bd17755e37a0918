"""A view's finished answer in Spark SQL, for scans too large for one machine.

The chain is the one that serving would answer from: a batch version's files and those of the epochs after its cut.
Spark's tasks put their partial rows together by key, and the kernel merges and finishes each task's groups with the
statement that serving runs, so every entry of the algebra is there, and no number is made in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, IntegerType, StructField, StructType

from seamline.clock import Clock, system_clock
from seamline.entries.base import DataFile
from seamline.entries.batch import Verified
from seamline.entries.topics import Gone
from seamline.errors import Condition, SeamlineError, UserError
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory, Forgetting
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.ipc import to_ipc
from seamline.kernel import kernel, quote
from seamline.lake import Lake
from seamline.packs import is_carried
from seamline.schemas.catalogue import Catalogue, unknown_view
from seamline.schemas.project import Project
from seamline.schemas.stored import check_segments
from seamline.schemas.views.definition import Definition, Output
from seamline.schemas.views.language import close
from seamline.segment import Chain
from seamline.serving.chains import (
    answered_without,
    chain_from,
    is_seam,
    past_chain,
    served_base,
    served_definition,
)
from seamline.serving.going_back import goes_back_to
from seamline.serving.provenance import Provenance
from seamline.serving.spark.finalising import BUCKET, PIECE, Finalising, Sorting
from seamline.serving.spark.sparktypes import Seen, seen

MEMORY = "1GB"
"""Of each task's kernel, where no project says otherwise."""

_SENT = StructType([StructField(BUCKET, IntegerType()), StructField("rows", BinaryType())])


@dataclass(frozen=True)
class Registered:
    """A view in a Spark session: its rows, and what they rest on. Spark reads the files anew for each action."""

    frame: DataFrame
    provenance: Provenance


def register(
    spark: SparkSession,
    place: Project | Lake,
    view: str,
    *,
    name: str | None = None,
    as_of: int | None = None,
    columns: Sequence[str] | None = None,
    partitions: int | None = None,
    clock: Clock = system_clock,
) -> Registered:
    """Makes the temp view `name` (default: the view's own name), at the frontier of now, or as of a past epoch.

    columns: those that are wanted (default: all): only their partials are read, and only their values can be out of
    range; partitions: tasks that merge, each of which holds its share of the partial rows in memory.
    No data is read before an action, but what entries of the newest epochs carry. Then a value out of its column's
    range fails it with VALUE_OUT_OF_RANGE.
    Raises VIEW_UNKNOWN, VIEW_NOT_READY, SEAM_HOLE, SEAM_OVERLAP, KERNEL_VERSION, OUT_OF_RETENTION as serving does, and
    QUERY_INVALID for a column that the view has not.
    """
    lake, memory = (place.lake, place.settings.kernel.memory) if isinstance(place, Project) else (place, MEMORY)
    reading = _read(lake, view, as_of)
    definition = reading.definition
    wanted = _wanted(definition, columns)
    types = spark_types(wanted)
    schema = StructType([StructField(one.name, types[one.name].kind) for one in wanted])
    parallel = spark.sparkContext.defaultParallelism
    buckets = partitions or max(parallel, -(-sum(file.rows for file in reading.files) // PIECE))
    carried, files = _carried(lake, reading.files)
    shares: list[Sequence[str | bytes]] = [[carried]] if carried else []
    shares += share_out([DataFile(path=lake.absolute(f.path), rows=f.rows) for f in files], 2 * parallel)
    frame = spark.createDataFrame([], schema)
    if shares:
        stored = definition.needed(wanted)
        sorting = Sorting(sorting_statement(definition, stored, buckets), stored, memory)
        arrow = to_arrow_schema(schema, timezone="UTC")
        finalising = Finalising(finalise_statement(definition, wanted, types, stored), arrow, memory)
        sent = spark.range(0, len(shares), 1, len(shares)).mapInArrow(_sorted(sorting, shares), _SENT)
        frame = sent.repartitionById(buckets, BUCKET).mapInArrow(finalising.run, schema)
    frame.createOrReplaceTempView(name or view)
    return Registered(frame, reading.provenance(clock()))


def _carried(lake: Lake, files: Sequence[DataFile]) -> tuple[bytes, list[DataFile]]:
    """The rows that ledger entries carry, which goes with the tasks (entries are soon held by others); and the rest."""
    of_entries = [file.path for file in files if is_carried(file.path)]
    tables = lake.packs.tables(of_entries)
    rows = to_ipc(pa.concat_tables(tables, promote_options="permissive")) if tables else b""
    return rows, [file for file in files if not is_carried(file.path)]


def _sorted(
    sorting: Sorting, shares: Sequence[Sequence[str | bytes]]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from sorting.run(shares[number])

    return apply


# --- which files answer ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """One view at one frontier: its chain and the files of it."""

    definition: Definition
    stream: str
    chain: Chain
    files: tuple[DataFile, ...]
    newest: datetime | None
    committed: datetime | None
    gone: tuple[Gone, ...]
    erased: Forgetting | None
    verified: Verified | None
    back_to: int | None
    skipped: tuple[str, ...]
    begins: Mapping[str, date]

    def provenance(self, asked: datetime) -> Provenance:
        return Provenance.of(
            self.definition, self.stream, self.chain, asked, newest=self.newest, committed=self.committed,
            gone=self.gone, erased=self.erased, verified=self.verified, back_to=self.back_to, skipped=self.skipped,
            begins=self.begins,
        )  # fmt: skip


def _read(lake: Lake, view: str, as_of: int | None) -> _Reading:
    """What was missing may have been put, or retired, while the ledger was read: then it is read once more."""
    try:
        return _read_once(lake, view, as_of)
    except SeamlineError as error:
        if not is_seam(error):
            raise
        return _read_once(lake, view, as_of)


def _read_once(lake: Lake, view: str, as_of: int | None) -> _Reading:
    """The views first, then batch versions, then epochs, so that what is named was put before it is read."""
    catalogue = Catalogue(lake)
    state = catalogue.states.get(view)
    if state is None:
        raise unknown_view(view, list(catalogue.states))
    definition, stream = served_definition(catalogue, state)
    batch = BatchHistory(lake.batch_log(definition.hash))
    history = SpeedHistory(lake.speed_log(stream))
    stood = catalogue.history(view).stood(definition.hash)
    if as_of is None:
        base = served_base(state, definition, batch, history)
        chain = chain_from(view, definition.hash, base, history, history.frontier)
        last, newest = history.epochs.get(history.last_epoch), history.newest
    else:
        chain = past_chain(definition, stood, batch, history, as_of)
        last = history.epochs.get(as_of)
        newest = last.newest if last else None
    check_segments(definition, chain.segments)
    units = batch.files(chain.version) if chain.version is not None else {}
    files = [file for of_unit in units.values() for file in of_unit]
    files += [DataFile(path=path, rows=link.rows) for link in chain.segments for path in link.files]
    held = tuple(file for file in files if file.rows)
    names = [contract.name for contract in catalogue.contracts(definition.hash)]
    gone = TopicsHistory(lake.topics_log(stream)).gone_of(names, chain.reached)
    erased = answered_without(ForgetHistory(lake.forget_log(stream)), view, names)
    version = batch.versions[chain.version] if chain.version is not None else None
    told = (version.audit.verified, tuple(version.skipped), version.begins) if version else (None, (), {})
    verified, skipped, begins = told
    back_to = goes_back_to(definition, stood, batch, history)
    return _Reading(
        definition,
        stream,
        chain,
        held,
        newest,
        last.at if last else None,
        gone,
        erased,
        verified,
        back_to,
        skipped,
        begins,
    )


# --- what is decided before any data is read: pure -------------------------------------------------------


def share_out(files: Sequence[DataFile], most: int) -> list[list[str]]:
    """The files' paths in at most so many shares of about the same rows; none is empty."""
    shares: list[list[str]] = [[] for _ in range(min(most, len(files)))]
    rows = [0] * len(shares)
    for file in sorted(files, key=lambda file: -file.rows):
        least = rows.index(min(rows))
        shares[least].append(file.path)
        rows[least] += max(1, file.rows)
    return shares


def _wanted(definition: Definition, columns: Sequence[str] | None) -> tuple[Output, ...]:
    if columns is None:
        return definition.columns
    known = {column.name: column for column in definition.columns}
    for column in columns:
        if column not in known:
            message = f"view {definition.view} has no column {column!r}"
            hint = f"{close(column, known)}name columns of the view"
            raise UserError(Condition.QUERY_INVALID, message, detail=", ".join(known), hint=hint)
    return tuple(known[column] for column in dict.fromkeys(columns)) or definition.columns


def spark_types(columns: Sequence[Output]) -> dict[str, Seen]:
    """Columns' types as Spark has them, from the view's Arrow schema. Raises QUERY_REFUSED where Spark has none."""
    typed = ", ".join(f"NULL::{column.sql_type} AS {quote(column.name)}" for column in columns)
    schema = kernel().run(f"SELECT {typed} WHERE false").schema
    return {field.name: seen(field.type, field.name) for field in schema}


def sorting_statement(definition: Definition, stored: Sequence[str], buckets: int) -> str:
    """`partials` with the bucket of each row: equal keys, as the kernel sees them, have the same."""
    keys = ", ".join(quote(key.name) for key in definition.keys)
    listed = ", ".join(quote(name) for name in stored)
    return f"SELECT {listed}, (hash({keys}) % {buckets})::INTEGER AS {BUCKET} FROM partials ORDER BY {BUCKET}"


def finalise_statement(
    definition: Definition, columns: Sequence[Output], types: dict[str, Seen], stored: Sequence[str]
) -> str:
    """`sent` partial rows of any split to the columns, in Spark's types; what is not `stored` is NULL and unused."""
    kept = ", ".join(
        f"{quote(c.name) if c.name in stored else 'NULL'}::{c.sql_type} AS {quote(c.name)}"
        for c in definition.partial_columns
    )
    listed = ", ".join(f"{quote(c.name)}::{types[c.name].sql} AS {quote(c.name)}" for c in columns)
    return (
        f"WITH partials AS NOT MATERIALIZED (SELECT {kept} FROM sent)\n"
        f"SELECT {listed} FROM (\n{definition.merge_and_finalise}\n)"
    )
