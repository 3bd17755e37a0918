"""Which events an answer has counted, read from raw, one event date after the other.

That follows from its version's cut and imports and from the epochs after it, by the statements that the audit expects
them by: below the cut each event once, above it again what speed did not remember. Records that were erased since are
read from raw as it stood before (`changed_erased`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from seamline.entries.batch import Version
from seamline.entries.forget import Forget
from seamline.entries.speed import Epoch
from seamline.errors import Condition, TransientError
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.copies import POSITION
from seamline.jobs.holding import Tally
from seamline.jobs.plan import table_of
from seamline.jobs.read_order import foreign, reading
from seamline.jobs.statements import Statements
from seamline.jobs.unit_statements import Served, mended_statement, unit_statements
from seamline.kernel import Given, Kernel, quote
from seamline.lake import Lake
from seamline.operate.changed_erased import DAY, KnownCopies, erased_rows, together
from seamline.operate.changed_told import Told
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import settled, within
from seamline.schemas.views.definition import Definition
from seamline.serving.chains import out_of_retention, topics_only
from seamline.sides.raw import RawFile, by_day, raw_files
from seamline.units import Unit

SAME = " AND ".join(f"x.{name} = y.{name}" for name in POSITION.split(", "))
"""That two rows, `x` and `y`, are of one position."""


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


def two_sides(
    lake: Lake, engine: Kernel, catalogue: Catalogue, speed: SpeedHistory, before: Told, after: Told
) -> TwoSides:
    """Both sides by the later one's definition. Raises VIEW_NOT_READY where the archive has not come to its end yet,
    OUT_OF_RETENTION where it is not known any more how a version read raw."""
    stream = catalogue.stream(after.definition)
    archive = ArchiveHistory(lake.archive_log(stream))
    if not topics_only(after.chain.reached) <= archive.frontier:
        raise TransientError(
            Condition.VIEW_NOT_READY,
            f"raw does not hold all of epoch {after.epoch} yet: the archive is at {archive.frontier}",
            hint="ask again once it is further, or up to an earlier epoch",
        )
    return TwoSides(
        lake,
        engine,
        definition := catalogue.definition(after.definition),
        tuple(settled(one, speed.handovers) for one in catalogue.contracts(after.definition)),
        _side(lake, definition.view, before, speed),
        _side(lake, definition.view, after, speed),
        archive,
        [epoch for _, epoch in sorted(speed.epochs.items())],
        ForgetHistory(lake.forget_log(stream)),
    )


def _side(lake: Lake, view: str, told: Told, speed: SpeedHistory) -> AnswerSide:
    end = topics_only(told.chain.reached)
    if told.version is None:
        return AnswerSide(None, end)
    version = BatchHistory(lake.batch_log(told.definition)).versions[told.version]
    if version.tables is None:
        raise out_of_retention(view, told.epoch, speed)
    return AnswerSide(version, end)


@dataclass(frozen=True)
class SideRead:
    """A side, and what it read of one contract."""

    side: AnswerSide

    known: Mapping[date, tuple[RawFile, ...]] | None
    """The raw files that its version read, by event date; None where it read none of this table."""

    reading: pa.Table
    """How its epochs read."""


class ContractEvents:
    """One contract's raw files, and the events of them that each side counted.

    Making it and asking it raise FileNotFoundError or DeltaError where raw as a version read it is gone.
    """

    def __init__(self, asked: TwoSides, contract: Contract) -> None:
        self.asked, self.contract = asked, contract
        self.table = table_of(contract)
        self.files = raw_files(asked.lake, self.table, asked.archive.tables.get(self.table))
        self.days = by_day(self.files)
        self.erased = erased_rows(asked.lake, asked.engine, asked.archive, self.table, self._erasing())
        self.known_copies = KnownCopies(
            asked.lake, asked.engine, self.table, contract, self._requests() if contract.event_id else {}, asked.epochs
        )
        self.after = self._of_side(asked.after)
        self.before = self.after if asked.before == asked.after else self._of_side(asked.before)
        self.mended = self._mended()

    @property
    def dates(self) -> set[date]:
        """Those of raw files, and of what was erased."""
        return {*self.days, *self.erased.rows[DAY].to_pylist()}

    def counted(self, of: SideRead, day: date, *, copies: bool) -> pa.Table:
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
        gone = self.gone_on(day)
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
        text = f"FROM rows AS x WHERE ({within(side.cut, side.imports)}) OR NOT EXISTS (FROM passed AS y WHERE {SAME})"
        return self.asked.engine.run(text, {"rows": rows, "passed": passed})

    def gone_on(self, day: date) -> pa.Table:
        """What was erased of a date since both sides' versions read it."""
        return self.erased.rows.filter(pc.equal(self.erased.rows[DAY], pa.scalar(day)))

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

    def _of_side(self, side: AnswerSide) -> SideRead:
        tables = (side.version.tables or {}) if side.version else {}
        known = by_day(raw_files(self.asked.lake, self.table, tables[self.table])) if self.table in tables else None
        return SideRead(side, known, reading(self.asked.epochs, self.contract, side.cut))

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


GONE = (FileNotFoundError, DeltaError)
"""What is raised where raw as a version read it is gone."""
