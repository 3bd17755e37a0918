"""Why a row of a view says what it says: exactly the events that count in it, and the row computed again from them.

What is told is what readers are told at the newest epoch that the archive has passed: raw holds every record below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, TransientError, UserError
from seamline.frontier import Position
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.compare import TOLERANCE, empty_partials
from seamline.jobs.plan import dirty_dates, table_of
from seamline.kernel import Kernel, quote
from seamline.lake import Lake
from seamline.operate.askedkey import KeyValues, check_keys, key_tests
from seamline.operate.changed_told import Told, files_of, told_at
from seamline.operate.counted_events import GONE, ContractEvents, TwoSides, two_sides
from seamline.operate.why_events import GroupEvents, GroupReader, rejected_near
from seamline.schemas.catalogue import Catalogue, dropped_view
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.masking import MASK
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.event_columns import EVENT_ID, EVENT_TIME
from seamline.serving.chains import out_of_retention, topics_only
from seamline.units import Unit

ALIKE = 10
"""Rows that are named where a key stands for several."""


@dataclass(frozen=True)
class CountedEvent:
    """One event that counts in the row."""

    contract: str
    at: Position
    id: str | None
    time: datetime

    times: int
    """How many of the view's rows it makes: elements of a list, or one."""

    fields: Mapping[str, Any]
    """What the view reads of it; what the contract hides is masked."""


@dataclass(frozen=True)
class LeftOut:
    """One copy that does not count."""

    contract: str
    at: Position

    counts: Position
    """Where the event counts in its place."""


@dataclass(frozen=True)
class RejectedNear:
    """One rejected record near those that count."""

    contract: str
    at: Position
    reason: str


@dataclass(frozen=True)
class Why:
    """A row, and what it is made of."""

    told: Told

    newest: int
    """The newest epoch; the row is as of `told.epoch`, up to which raw is whole."""

    key: Mapping[str, Any]

    row: Mapping[str, Any]
    """As it is served."""

    recomputed: Mapping[str, Any]
    """From the events here, and nothing else."""

    differs: tuple[str, ...]
    """Columns in which the two are not the same; sketches are not compared."""

    hidden: bool
    """Whether the view's HAVING leaves the row out."""

    events: int
    """How many count in it."""

    page: tuple[CountedEvent, ...]
    """Those that were asked for, by contract and position."""

    copies: tuple[LeftOut, ...]

    rejected: int
    """How many records near those that count were rejected,"""
    near: tuple[RejectedNear, ...]
    """and the nearest of them."""

    notes: tuple[str, ...]
    """What raw cannot tell any more."""


@dataclass(frozen=True)
class Page:
    """Which of the events are told one by one."""

    skip: int = 0
    limit: int = 50
    rejected: int = 10


def why(project: Project, view: str, key: KeyValues, page: Page = Page()) -> Why:
    """Why a row says what it says. Raises as `find_why`."""
    settings = project.settings.kernel
    return find_why(project.lake, project.lake.kernel(settings.memory, settings.threads), view, key, page)


def find_why(lake: Lake, engine: Kernel, view: str, key: KeyValues, page: Page = Page()) -> Why:
    """The same of a lake. Reads the view's stored rows of that key, and the raw files of the event dates that gave to
    them, or were touched since the version's cut; memory follows the largest such date, and the events of the row.

    Raises VIEW_UNKNOWN; INPUT_INVALID for what is no key, or stands for no row or for several; OUT_OF_RETENTION where
    raw as the version read it is gone; VIEW_NOT_READY where the archive has passed no epoch yet.
    """
    catalogue = Catalogue(lake)
    state = catalogue.history(view).state
    if state is None or state.served is None:
        raise dropped_view(view)
    speed = SpeedHistory(lake.speed_log(catalogue.stream(state.served)), lake.packs.keep)
    epoch = _passed(lake, catalogue.stream(state.served), speed, view)
    told = told_at(lake, catalogue, catalogue.history(view), speed, view, epoch)
    definition = catalogue.definition(told.definition)
    check_keys(key, [one.name for one in definition.keys])
    row = _Row.found(lake, engine, definition, told, key)
    try:
        asked = two_sides(lake, engine, catalogue, speed, told, told)
        dates = row.dates(asked)
        parts = [_Part.read(asked, one, row.key, None if dates is None else dates[one.name]) for one in asked.contracts]
    except GONE as error:
        raise out_of_retention(view, epoch, speed) from error
    return _said(row, speed.last_epoch, parts, page)


def _passed(lake: Lake, stream: str, speed: SpeedHistory, view: str) -> int:
    """The newest epoch below which raw holds every record."""
    archived = ArchiveHistory(lake.archive_log(stream)).frontier
    for epoch in reversed(speed.ends):
        end = speed.end_of(epoch)
        if end is not None and topics_only(end) <= archived:
            return epoch
    raise TransientError(
        Condition.VIEW_NOT_READY,
        f"view {view}: the archive has not passed the end of any epoch that still stands",
        detail=f"the archive is at {archived}",
        hint="ask again in a moment; 'seamline status' says how far it is",
    )


@dataclass(frozen=True)
class _Row:
    """One stored row of a view, as it was told."""

    lake: Lake
    engine: Kernel
    definition: Definition
    told: Told

    key: KeyValues
    """Of every key of the view."""

    partials: pa.Table
    """Merged: one row."""

    @staticmethod
    def found(lake: Lake, engine: Kernel, definition: Definition, told: Told, asked: KeyValues) -> _Row:
        """The row that some keys stand for. Raises INPUT_INVALID where there is not just one."""
        files, names = sorted(files_of(lake, told)), [one.name for one in definition.keys]
        stored = lake.read(files) if files else engine.run(empty_partials(definition))
        texts = ", ".join(f"{quote(name)}::VARCHAR AS {quote(name)}" for name in names)
        tests = key_tests(engine, asked, definition.keys)
        text = f"SELECT DISTINCT {texts} FROM stored WHERE {tests} ORDER BY ALL LIMIT {ALIKE + 1}"
        rows = engine.run(text, {"stored": stored}).to_pylist()
        if len(rows) != 1:
            raise _not_one(definition.view, names, rows)
        (key,) = rows
        partials = f"SELECT * FROM stored WHERE {key_tests(engine, key, definition.keys)}"
        return _Row(lake, engine, definition, told, key, engine.run(partials, {"stored": stored}))

    def finished(self, partials: pa.Table, *, having: str = "") -> list[dict[str, Any]]:
        """Partial rows to the view's row; none where `having` leaves it out."""
        whole = replace(self.definition, having=having)
        rows: list[dict[str, Any]] = self.engine.run(whole.merge_and_finalise, {"partials": partials}).to_pylist()
        return rows

    def dates(self, asked: TwoSides) -> Mapping[str, set[date]] | None:
        """By contract, the event dates that can have given to the row: those whose files hold it, and those touched
        since the version's cut. None: any."""
        if asked.after.version is None:
            return None
        touched = dirty_dates(asked.archive, asked.contracts, asked.after.version, asked.after.end)
        if touched is None:
            return None
        units = list(self._units())
        return {
            one.name: {*touched[table_of(one)], *(unit.day for unit in units if unit.contract in ("", one.name))}
            for one in asked.contracts
        }

    def _units(self) -> Iterator[Unit]:
        """Those of the version whose files hold the row."""
        files = BatchHistory(self.lake.batch_log(self.told.definition)).files(self.told.version or 0)
        names = [name for name, of in files.items() if any(file.rows for file in of)]
        parts = {n: [file.path for file in files[name] if file.rows] for n, name in enumerate(names)}
        if parts:
            tests = key_tests(self.engine, self.key, self.definition.keys)
            text = f"SELECT DISTINCT _unit FROM stored WHERE {tests}"
            for one in self.engine.run(text, {"stored": self.lake.read_parted(parts)}).to_pylist():
                yield Unit.parse(names[one["_unit"]])


def _not_one(view: str, names: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> UserError:
    """INPUT_INVALID for a key of no row, or of several."""
    if not rows:
        return UserError(
            Condition.INPUT_INVALID, f"no row of {view} has that key", detail=f"a row's {', '.join(names)}",
            hint="'seamline query' shows the rows that there are",
        )  # fmt: skip
    said = "; ".join(", ".join(f"{name}={row[name]}" for name in names) for row in rows[:ALIKE])
    more = "; …" if len(rows) > ALIKE else ""
    return UserError(
        Condition.INPUT_INVALID, f"several rows of {view} have that key", detail=f"one of them: {said}{more}",
        hint="give the values of more keys",
    )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """What one contract gives to a row."""

    events: ContractEvents
    group: GroupEvents

    gone: date | None
    """The event date before which its raw is gone, where the row may be made of that too."""

    @staticmethod
    def read(asked: TwoSides, contract: Contract, key: KeyValues, days: set[date] | None) -> _Part:
        """Of the event dates that can have given to the row of a key; None: any."""
        events = ContractEvents(asked, contract)
        first = asked.archive.first_date(contract.name)
        every = {*events.dates, *events.mended["_event_date"].to_pylist()}
        wanted = every if days is None else days
        there = {day for day in wanted if first is None or first <= day}
        gone = first if days is None or there != wanted else None
        return _Part(events, GroupReader(events, key).read(there), gone)

    def counted(self) -> Iterator[CountedEvent]:
        """Each event, by position."""
        contract = self.events.contract
        hidden = {path[0] for path in contract.hidden}
        masks = {one.name for one in contract.fields if one.key in hidden}
        beside = {"_source", "_partition", "_offset", EVENT_ID, EVENT_TIME, "_rows"}
        order = [("_source", "ascending"), ("_partition", "ascending"), ("_offset", "ascending")]
        for row in self.group.counted.sort_by(order).to_pylist():
            fields = {name: MASK if name in masks else value for name, value in row.items() if name not in beside}
            id_ = MASK if contract.event_id in masks and row[EVENT_ID] is not None else row[EVENT_ID]
            yield CountedEvent(contract.name, _place(row), id_, row[EVENT_TIME], row["_rows"], fields)


def _said(row: _Row, newest: int, parts: Sequence[_Part], page: Page) -> Why:
    partials = pa.concat_tables([part.group.partials for part in parts], promote_options="permissive")
    (served,), again = row.finished(row.partials), row.finished(partials)
    near = [(part, *rejected_near(part.events, part.group.counted, page.rejected)) for part in parts]
    return Why(
        told=row.told,
        newest=newest,
        key={one.name: served.get(one.name, row.key[one.name]) for one in row.definition.keys},
        row=served,
        recomputed=again[0] if again else {},
        differs=_differing(row.definition, served, again[0] if again else {}),
        hidden=not row.finished(row.partials, having=row.definition.having),
        events=sum(part.group.counted.num_rows for part in parts),
        page=tuple(_paged(parts, page)),
        copies=tuple(
            LeftOut(part.events.contract.name, _place(one), _place(one, "_counts"))
            for part in parts
            for one in part.group.copies.to_pylist()
        ),
        rejected=sum(count for _, count, _ in near),
        near=tuple(
            RejectedNear(part.events.contract.name, _place(one), str(one["_reject"]))
            for part, _, rows in near
            for one in rows
        ),
        notes=tuple(_notes(parts)),
    )


def _paged(parts: Sequence[_Part], page: Page) -> Iterator[CountedEvent]:
    return islice((one for part in parts for one in part.counted()), page.skip, page.skip + page.limit)


def _notes(parts: Sequence[_Part]) -> Iterator[str]:
    for part in parts:
        name = part.events.contract.name
        if part.gone is not None:
            yield f"raw of {name} is gone before {part.gone}: what counts in the row from before is not told"
        if part.events.erased.lost:
            requests = ", ".join(map(str, part.events.erased.lost))
            yield f"raw as it was before request {requests} to forget records is gone"


def _differing(definition: Definition, served: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns of which the two rows say not the same; sums of floats to TOLERANCE, sketches not at all."""
    return tuple(
        one.name
        for one in definition.columns
        if one.exactness != "approximate" and not _same(served.get(one.name), again.get(one.name))
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=TOLERANCE)
    return bool(a == b)


def _place(row: Mapping[str, Any], prefix: str = "") -> Position:
    return Position(*(row[f"{prefix}{name}"] for name in ("_source", "_partition", "_offset")))
