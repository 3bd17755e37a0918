"""Which events two answers counted otherwise, and why: read from raw, on the event dates where they may differ.

What an answer has counted follows from its version's cut and imports and from the epochs after it, by the statements
that the audit expects them by: below the cut each event once, above it again what speed did not remember. Records that
were erased since are read from raw as it stood before (`changed_erased`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from seamline.entries.batch import Version
from seamline.entries.forget import Forget
from seamline.entries.speed import Epoch
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.forget import ForgetHistory
from seamline.jobs.conditions import own
from seamline.jobs.copies import POSITION
from seamline.jobs.holding import Tally
from seamline.jobs.plan import dirty_dates, table_of
from seamline.jobs.read_order import foreign, reading
from seamline.jobs.statements import Statements
from seamline.jobs.unit_statements import Served, mended_statement, unit_statements
from seamline.kernel import Given, Kernel, quote
from seamline.lake import Lake
from seamline.operate.changed_erased import DAY, KnownCopies, erased_rows, together
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import within
from seamline.schemas.views.definition import Definition
from seamline.sides.raw import RawFile, by_day, raw_files
from seamline.units import Unit

_SAME = " AND ".join(f"x.{name} = y.{name}" for name in POSITION.split(", "))


@dataclass(frozen=True)
class AnswerSide:
    """What one answer was made of, as far as it decides which events it counts."""

    version: Version | None
    """None: by epochs from the stream's origin."""

    end: Frontier
    """Where its chain ends."""

    @property
    def cut(self) -> Frontier:
        """Below it each event was counted once."""
        return self.version.cut if self.version else START

    @property
    def imports(self) -> tuple[str, ...]:
        """The whole imports that it holds."""
        return self.version.imports if self.version else ()


@dataclass(frozen=True)
class ChangedEvents:
    """The events of one contract that the two sides counted otherwise: positions and fields, `_sign` (1: counted by the
    later side alone, -1: by the earlier), and `_cause`."""

    contract: Contract
    rows: pa.Table

    lost: tuple[int, ...]
    """The requests of which nobody can say any more what they have erased."""


@dataclass(frozen=True)
class TwoSides:
    """Two sides of one definition, and what the lake holds of its stream."""

    lake: Lake
    engine: Kernel
    definition: Definition
    contracts: tuple[Contract, ...]
    before: AnswerSide
    after: AnswerSide
    archive: ArchiveHistory
    epochs: Sequence[Epoch]
    """As they were read, in order."""

    forgets: ForgetHistory


def changed_events(asked: TwoSides) -> Iterator[ChangedEvents]:
    """By contract. Takes time by the raw files of the dates that were touched since the earlier version's cut, for both
    sides; memory follows the events that changed and the records between both ends. Raises FileNotFoundError or
    DeltaError where raw as a version read it is gone."""
    dates = _dates(asked)
    for contract in asked.contracts:
        of = _OfContract(asked, contract, None if dates is None else dates[table_of(contract)])
        yield ChangedEvents(contract, of.changed(), of.erased.lost)


def _dates(asked: TwoSides) -> Mapping[str, frozenset[date]] | None:
    """By raw table, the dates where a side may have counted otherwise than the other one's version; None: any."""
    found = [
        dirty_dates(asked.archive, asked.contracts, side.version, asked.after.end) if side.version else None
        for side in (asked.before, asked.after)
    ]
    if None in found:
        return None
    tables = map(table_of, asked.contracts)
    return {table: frozenset().union(*(dates[table] for dates in found if dates)) for table in tables}


@dataclass(frozen=True)
class _OfSide:
    """A side, and what it read of one contract."""

    side: AnswerSide

    known: Mapping[date, tuple[RawFile, ...]] | None
    """The raw files that its version read, by event date; None where it read none of this table."""

    reading: pa.Table
    """How its epochs read."""


class _OfContract:
    """One contract's raw files, and what is read of them."""

    def __init__(self, asked: TwoSides, contract: Contract, dates: frozenset[date] | None) -> None:
        self.asked, self.contract, self.dates = asked, contract, dates
        self.table = table_of(contract)
        self.files = raw_files(asked.lake, self.table, asked.archive.tables.get(self.table))
        self.days = by_day(self.files)
        self.erased = erased_rows(asked.lake, asked.engine, asked.archive, self.table, self._erasing())
        self.known_copies = KnownCopies(
            asked.lake, asked.engine, self.table, contract, self._requests() if contract.event_id else {}, asked.epochs
        )
        self.before, self.after = self._of_side(asked.before), self._of_side(asked.after)
        self.mended = self._mended()

    def changed(self) -> pa.Table:
        """Every event that only one side counted, and why."""
        first = self.asked.archive.first_date(self.contract.name) or date.min  # of what is gone there is nothing to say
        every = {*self._days, *self.mended["_event_date"].to_pylist()}
        days = sorted(day for day in (every if self.dates is None else self.dates) if first <= day)
        found, read = list[pa.Table](), list[pa.Table]()
        for day in days:
            changed, came = self._of_day(day)
            found.append(changed)
            read.append(came)
        if not found:
            return pa.table({})
        rows = pa.concat_tables(found, promote_options="permissive")
        return self._late(rows, pa.concat_tables(read, promote_options="permissive"))

    # --- one event date

    def _of_day(self, day: date) -> tuple[pa.Table, pa.Table]:
        """Its events that only one side counted; and the times of all that were read between both ends."""
        engine, asked = self.asked.engine, self.asked
        before, after = (self._counted(one, day, copies=True) for one in (self.before, self.after))
        rows = engine.run(self._differing(), {"before": before, "after": after, "erased": self.erased.rows})
        came = self._counted(self.after, day, copies=False)
        columns = f"{POSITION}, {quote(self.contract.event_time)} AS _time"
        between = f"({within(asked.after.end, ())}) AND NOT ({within(asked.before.end, ())})"
        placed = f"SELECT {columns} FROM came"
        gone = self._erased_on(day)
        if gone.num_rows:  # a version may have read them no more, and yet what came after them was late
            placed += f" UNION ALL SELECT {columns} FROM gone WHERE {own(self.contract)} AND _reject IS NULL"
        return rows, engine.run(f"SELECT DISTINCT * FROM ({placed}) WHERE {between}", {"came": came, "gone": gone})

    def _counted(self, of: _OfSide, day: date, *, copies: bool) -> pa.Table:
        """The events that a side counted on a date; or, with the `copies` that it left out, all it has read."""
        asked, contract, side, known = self.asked, self.contract, of.side, of.known
        unit = Unit(contract.name if len(asked.contracts) > 1 else "", day)
        mended = self.mended.filter(pc.equal(self.mended["_event_date"], pa.scalar(day)))
        served = Served(
            side.cut, side.imports, version=known is not None, known=bool(known and known.get(day)),
            foreign=foreign(asked.epochs, contract),
        )  # fmt: skip
        statements = unit_statements(
            asked.definition, contract, unit, side.end, side.imports, mended=mended.num_rows > 0, served=served
        )
        inputs: dict[str, Given] = {"reading": of.reading}
        paths = [file.path for file in self.days.get(day, ())]
        other = [file.path for file in (known or {}).get(day, ())]
        gone = self._erased_on(day)
        if not paths and not other and not mended.num_rows and not gone.num_rows:
            return self._none()
        inputs["raw"] = together(asked.lake.read(paths) if paths else self._no_rows(other), gone)
        if other:
            inputs["known"] = asked.lake.read(other)
        if mended.num_rows:
            inputs["mended"] = mended
        rows = self._run(statements, inputs, copies=copies)
        passed = self.known_copies.on(day, inputs["raw"]) if copies and self.known_copies.requests else None
        if passed is None or not passed.num_rows:
            return rows
        text = f"FROM rows AS x WHERE ({within(side.cut, side.imports)}) OR NOT EXISTS (FROM passed AS y WHERE {_SAME})"
        return self.asked.engine.run(text, {"rows": rows, "passed": passed})

    def _run(self, statements: Statements, inputs: dict[str, Given], *, copies: bool) -> pa.Table:
        engine = self.asked.engine
        (row,) = engine.run(statements.tally, inputs).to_pylist()
        tally = Tally(*(int(value or 0) for value in row.values()))
        if tally.foreign:
            inputs = {**inputs, "again": engine.run(statements.decode, inputs)}
        whole = replace(statements, partial="SELECT * FROM events", order=())
        text = whole.partials(own=tally.stood > tally.foreign, again=tally.foreign > 0, repeated=True, copies=copies)
        return engine.run(text, inputs)

    def _no_rows(self, other: Sequence[str]) -> pa.Table | None:
        """Raw without rows, for a date that has no files now; None where none has."""
        paths = other or [file.path for file in self.files[:1]]
        return self.asked.engine.run("FROM raw LIMIT 0", {"raw": self.asked.lake.read(paths)}) if paths else None

    def _none(self) -> pa.Table:
        kinds = {one.name: one.sql_type for one in self.contract.fields}
        statements = unit_statements(self.asked.definition, self.contract, Unit("", date.min), START, ())
        columns = ["NULL::VARCHAR AS _source", "NULL::INTEGER AS _partition", "NULL::BIGINT AS _offset"]
        columns += [f"NULL::{kinds[name]} AS {quote(name)}" for name in statements.fields]
        return self.asked.engine.run(f"SELECT {', '.join(columns)} WHERE false", {})

    def _differing(self) -> str:
        """`before` and `after` to what only one of them has. An event that both counted, at another position or more
        often, is a matter of its copies."""
        contract = self.contract
        read = within(self.asked.before.end, ())
        causes = {
            "after": f"WHEN starts_with(x._source, 'import:') THEN 'imports' WHEN {read} THEN 'backfill' ELSE 'new'",
            "before": f"WHEN EXISTS (SELECT 1 FROM erased AS y WHERE {_SAME}) THEN 'forgotten'"
            " WHEN starts_with(x._source, 'import:') THEN 'imports' ELSE 'backfill'",
        }
        parts = []
        for side, other, sign in (("after", "before", 1), ("before", "after", -1)):
            copied = "false"
            if contract.event_id:
                id_, time = quote(contract.event_id), quote(contract.event_time)
                copied = f"EXISTS (SELECT 1 FROM {other} AS z WHERE z.{id_} = x.{id_} AND z.{time} = x.{time})"
            parts.append(
                f"SELECT x.*, {sign} AS _sign, CASE WHEN {copied} THEN 'duplicates' {causes[side]} END AS _cause\n"
                f"FROM {side} AS x ANTI JOIN {other} AS y ON {_SAME}"
            )
        return "\nUNION ALL BY NAME\n".join(parts)

    # --- late

    def _late(self, rows: pa.Table, came: pa.Table) -> pa.Table:
        """Of the new ones, those below the newest event time of their partition when they were read."""
        latest = "max(c._time) OVER (PARTITION BY c._source, c._partition ORDER BY c._offset"
        text = (
            f"WITH placed AS (\n  SELECT c._source, c._partition, c._offset, c._time < greatest(n.newest, {latest}"
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS _late\n"
            "  FROM came AS c LEFT JOIN newest AS n ON n._source = c._source AND n._partition = c._partition\n)\n"
            "SELECT x.* REPLACE (CASE WHEN x._cause = 'new' AND y._late THEN 'late' ELSE x._cause END AS _cause)\n"
            f"FROM changed AS x LEFT JOIN placed AS y ON {_SAME}"
        )
        return self.asked.engine.run(text, {"changed": rows, "came": came, "newest": self._newest(came)})

    def _newest(self, came: pa.Table) -> pa.Table:
        """By partition, the newest event time that had been read by the earlier end. The newest dates are read first,
        until each partition that was read since has been met."""
        wanted = {(row["_source"], row["_partition"]) for row in came.select(["_source", "_partition"]).to_pylist()}
        found: dict[tuple[str, int], object] = {}
        time, read = quote(self.contract.event_time), within(self.asked.before.end, ())
        text = (
            f"SELECT _source, _partition, max({time}) AS newest FROM raw\n"
            f"WHERE ({read}) AND {own(self.contract)} AND _reject IS NULL GROUP BY ALL"
        )
        for day in sorted(self._days, reverse=True):
            if wanted <= found.keys():
                break
            paths = [file.path for file in self.days.get(day, ())]
            raw = together(self.asked.lake.read(paths) if paths else None, self._erased_on(day))
            table = self.asked.engine.run(text, {"raw": raw})
            for row in table.to_pylist():
                found.setdefault((row["_source"], row["_partition"]), row["newest"])
        listed = [(source, partition, newest) for (source, partition), newest in found.items()]
        columns = [list(column) for column in zip(*listed, strict=True)] or [[], [], []]
        kinds = (("_source", pa.string()), ("_partition", pa.int32()), ("newest", pa.timestamp("us", "UTC")))
        return pa.table(columns, schema=pa.schema(kinds))

    # --- raw

    def _requests(self) -> dict[int, Forget]:
        """Those of the contract of which raw may hold records, or whose records a side may have counted."""
        erased, counted = self.asked.archive.erased, self._erasing()
        mine = {n: one for n, one in self.asked.forgets.requests.items() if one.contract == self.contract.name}
        return {n: one for n, one in mine.items() if n not in erased or n in counted}

    def _erasing(self) -> set[int]:
        """The requests whose records a side may have counted though raw is without them: its version had read it
        before, or ends before they do, so that its epochs told of them."""
        sides = (self.asked.before, self.asked.after)
        since = min(side.version.archive_entry if side.version else 0 for side in sides)
        cut, requests = self.asked.before.cut.meet(self.asked.after.cut), self.asked.forgets.requests
        erased = self.asked.archive.erased.items()
        return {n for n, one in erased if one.entry > since or not requests[n].until <= cut}

    def _of_side(self, side: AnswerSide) -> _OfSide:
        tables = (side.version.tables or {}) if side.version else {}
        known = by_day(raw_files(self.asked.lake, self.table, tables[self.table])) if self.table in tables else None
        return _OfSide(side, known, reading(self.asked.epochs, self.contract, side.cut))

    def _mended(self) -> pa.Table:
        """Records that another decoding rejected and the contract accepts, with their own event dates."""
        asked = self.asked
        imports = tuple(sorted({*asked.before.imports, *asked.after.imports}))
        text = mended_statement(self.contract, asked.after.end, imports)
        paths = [file.path for file in self.files if file.rejects]
        if not paths and not self.erased.rows.num_rows:
            return pa.table({"_event_date": pa.array([], pa.date32())})
        raw = together(asked.lake.read(paths) if paths else None, self.erased.rows)
        return asked.engine.run(text, {"raw": raw})

    def _erased_on(self, day: date) -> pa.Table:
        return self.erased.rows.filter(pc.equal(self.erased.rows[DAY], pa.scalar(day)))

    @property
    def _days(self) -> set[date]:
        """Those of raw files, and of what was erased."""
        return {*self.days, *self.erased.rows[DAY].to_pylist()}


GONE = (FileNotFoundError, DeltaError)
"""What is raised where raw as a version read it is gone."""
