"""Which raw table a record is filed in, and by which statement: the archive's plan, and what one of its tasks does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from seamline.errors import UserError
from seamline.frontier import START, Frontier, topic_of
from seamline.ipc import to_ipc
from seamline.kernel import Kernel, Limits, kernel, literal, quote
from seamline.lake import Lake
from seamline.portions import in_portions, portion_bytes
from seamline.schemas.contracts.claimed import Claimed, claimed_by, unclaimed_by
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import claims_version, decode_statement, filed_from, unclaimed_statement
from seamline.streaming.archive.tables import RawTable, files_table, write_raw
from seamline.streaming.split import Split
from seamline.streaming.stream_plan import UNCLAIMED, Leaving, sharing, topics_read
from seamline.streaming.tasks import RECORDS, Row, above, below, ranges_of, tally

BYTES = "bytes:"
"""Put before the contract version of rows whose typed columns the table cannot hold: readers decode them from bytes."""


LeftOut: TypeAlias = Mapping[str, tuple[str, ...]]
"""By contract, the files of requests that say which records of it were forgotten."""


@dataclass(frozen=True)
class Shelf:
    """One raw table for the records of some topics."""

    table: str
    topics: tuple[str, ...]
    label: str
    contract: str
    version: str

    decode: str
    """The statement from `records` to the table's rows."""

    claimed: Claimed
    """Which of the topics' records those are."""

    left_out: tuple[str, ...] = ()
    """Columns that the table holds with another type."""

    fields: tuple[str, ...] = ()
    """The event's columns."""

    kept: timedelta | None = None
    """How long an event date stays in the table after its end, by the contract that is in force: its raw retention, and
    its dedup horizon; None: for good."""

    begins: date | None = None
    """What lies before this event date is gone, and nothing is filed there any more."""

    @property
    def statement(self) -> str:
        """The SELECT whose rows are filed."""
        return self._filed(self.decode)

    def but_for(self, forgotten: str) -> str:
        """The same without copies of events whose hashes a table has."""
        return self._filed(f"SELECT * FROM ({self.decode}) ANTI JOIN {forgotten} USING (_id_hi, _id_lo)")

    def _filed(self, rows: str) -> str:
        columns = ", ".join(map(quote, ("_id_hi", "_id_lo", *self.left_out)))
        rows = filed_from(rows, self.fields, self.begins) if self.begins else rows
        version = f" REPLACE ({literal(self.marked)} AS _contract_version)" if self.left_out else ""
        return f"SELECT * EXCLUDE ({columns}){version} FROM ({rows})"

    @property
    def marked(self) -> str:
        """The version its rows carry."""
        return f"{BYTES}{self.version}" if self.left_out else self.version

    def schema(self, engine: Kernel) -> pa.Schema:
        """Columns and types of its rows."""
        return engine.run(self.statement, {"records": RECORDS.empty_table()}).schema


def make_shelves(
    contracts: Iterable[Contract], live: Iterable[Contract], stream: str, leaving: Leaving = MappingProxyType({})
) -> tuple[Shelf, ...]:
    """The raw tables of a stream: one for each contract and layout, and one for what no contract claims.

    `contracts` are the project's and go before those that live on in a definition alone.
    """
    current = {contract.name: contract for contract in contracts}
    others = sorted(live, key=lambda contract: contract.decoding)
    for contract in others:
        current.setdefault(contract.name, contract)
    read = topics_read(current, leaving)
    by_table = {(contract.name, contract.layout): contract for contract in current.values()}
    for contract in others:
        by_table.setdefault((contract.name, contract.layout), contract)
    shelves = [
        Shelf(
            table=Lake.raw_path(name, layout),
            topics=read[name],
            label=name if current[name].layout == layout else f"{name}@{layout}",
            contract=name,
            version=contract.decoding,
            decode=decode_statement(contract),
            claimed=claimed_by(contract),
            fields=tuple(field.name for field in contract.fields),
            kept=_kept(current[name]),
        )
        for (name, layout), contract in sorted(by_table.items())
    ]
    for topic in sorted({topic for topics in read.values() for topic in topics}):
        shelves.append(_unclaimed(topic, sharing(topic, current, read), stream))
    return tuple(shelves)


def _kept(contract: Contract) -> timedelta | None:
    return None if contract.raw_retention is None else contract.raw_retention + contract.horizon


def _unclaimed(topic: str, shared: list[Contract], stream: str) -> Shelf:
    try:
        statement = unclaimed_statement(shared)
    except UserError:  # one that lives on in a definition alone clashes with the project's
        shared = shared[:1]
        statement = unclaimed_statement(shared)
    table = Lake.unclaimed_path(stream)
    return Shelf(table, (topic,), UNCLAIMED, UNCLAIMED, claims_version(shared), statement, unclaimed_by(shared))


def fitted(shelf: Shelf, table: RawTable, engine: Kernel, begins: date | None = None) -> Shelf:
    """The shelf as its table can hold it, from the date on at which raw begins: new columns are added to the table,
    those with another type left out."""
    whole = replace(shelf, left_out=(), begins=begins)
    return replace(whole, left_out=table.fit(whole.schema(engine)))


@dataclass(frozen=True)
class FilingJob:
    """What every task of one append does with its shelves."""

    uri: str

    start: Frontier
    """Records below it are covered already and are ignored."""

    limits: Limits

    stop: Frontier = START
    """Of a topic that is being left, records from here on are ignored."""

    forgotten: LeftOut = field(default_factory=dict)
    """Copies of these are left out."""


def filing_task(records: pa.Table, shelves: tuple[Shelf, ...], job: FilingJob) -> list[Row]:
    """One task's records decoded and written as files of the raw tables; no row goes back.

    Rows: a `range`, and for each shelf that has records a `tally` and its `file`s.
    """
    lake, engine = Lake(job.uri, None), kernel(job.limits)
    records = below(records, job.stop)
    ranges = ranges_of(records)
    records = above(records, ranges, job.start)
    if not records.num_rows:
        return []
    rows = [Row("range", "", to_ipc(ranges))]
    for source in pc.unique(records["source"]).to_pylist():
        here = records.filter(pc.equal(records["source"], source))
        of_topic = [shelf for shelf in shelves if topic_of(source) in shelf.topics]
        rows += file_records(engine, lake, of_topic, here, job.forgotten)
    return rows


def file_records(
    engine: Kernel,
    lake: Lake,
    shelves: Sequence[Shelf],
    records: pa.Table,
    forgotten: LeftOut = MappingProxyType({}),
) -> list[Row]:
    """Records of one source, written to every shelf that claims them, in portions that the kernel can hold; but for
    copies of what was forgotten."""
    rows: list[Row] = []
    split = Split(engine, records)
    for shelf in shelves:
        if (mine := split.of(shelf.claimed)).num_rows:
            left_out = forgotten.get(shelf.contract, ())
            file = partial(_file_portion, engine, lake, shelf, left_out)
            for made in in_portions(file, mine, portion_bytes(engine)):
                rows += made
    return rows


def _file_portion(engine: Kernel, lake: Lake, shelf: Shelf, forgotten: Sequence[str], records: pa.Table) -> list[Row]:
    erased = 0
    if forgotten:
        given = {"records": records, "forgotten": lake.read(forgotten, ["_id_hi", "_id_lo"])}
        decoded = engine.run(shelf.but_for("forgotten"), given)
        erased = engine.run(f"SELECT count(*) AS n FROM ({shelf.decode})", {"records": records})["n"][0].as_py()
        erased -= decoded.num_rows
    else:
        decoded = engine.run(shelf.statement, {"records": records})
    if not decoded.num_rows:
        return [tally(shelf.label, erased, 0, erased)] if erased else []
    rejected = decoded.num_rows - decoded["_reject"].null_count
    files = files_table(write_raw(engine, lake, shelf.table, decoded))
    return [tally(shelf.label, decoded.num_rows + erased, rejected, erased), Row("file", shelf.table, to_ipc(files))]
