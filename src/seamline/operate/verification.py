"""What a view serves, against its own SELECT over the raw events of the same cut: one pass, and no merging.

Compared is the served batch version, at its cut: raw as that version read it, whole imports as it holds them, copies
left out by the same law. Epochs after the cut are the audit's to look at, when they are in a version.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa

from seamline.attempts import new_attempt
from seamline.clock import Clock, system_clock
from seamline.entries.batch import ColumnDrift, Version
from seamline.entries.verified import Comparison
from seamline.errors import Condition, ConflictError, SeamlineError, TerminalError, UserError
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.audit import without_values
from seamline.jobs.compare import GROUP, TOLERANCE, empty_partials
from seamline.jobs.decide import newest_state
from seamline.jobs.gone import begin_of, is_gone, out_of_retention
from seamline.jobs.plan import table_of
from seamline.jobs.sample import hashed
from seamline.jobs.straight import another_statement, straight_statement
from seamline.kernel import Given, Kernel, Scratch, literal, quote
from seamline.lake import Lake
from seamline.schemas.algebra.forms import numeric
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.contracts.judged import settled
from seamline.schemas.project import Project
from seamline.schemas.stored import check_version
from seamline.schemas.views.alike import fields_read
from seamline.schemas.views.definition import Definition, Output, select
from seamline.schemas.views.event_columns import empty_events
from seamline.sides.raw import RawFile, raw_files
from seamline.units import Unit

ALL_DATES = DateRange()

SKETCH = "a sketch: the SELECT's own is another one"
"""Why an approximate column is not compared; each version's sample looks at it."""


@dataclass(frozen=True)
class Subject:
    """What is verified: a batch version that is served, and what it was made of."""

    definition: Definition
    contracts: tuple[Contract, ...]
    number: int
    version: Version
    files: Mapping[str, Sequence[str]]
    """By unit, those of its partial rows."""


@dataclass(frozen=True)
class RawEvents:
    """The raw files of one contract, as the version read them."""

    contract: Contract
    fields: tuple[str, ...]
    files: tuple[RawFile, ...]
    """Of the event dates that are looked at."""

    others: tuple[RawFile, ...]
    """Of other dates, those in which a rejected record may be."""

    again: bool = False
    """Whether some of their rows are filed by another decoding."""


Recompute = Callable[[Subject, Sequence[RawEvents]], tuple[pa.Table, dict[str, str]]]
"""The view's rows of raw events, and why columns are not in them (they are NULL)."""


@dataclass(frozen=True)
class Verification:
    """What was found."""

    view: str
    comparison: Comparison
    cut: str

    rows: pa.Table = field(repr=False)
    """The differences: the view's keys, `_column`, and as text what is `_served` and what is `_recomputed`."""

    @property
    def agrees(self) -> bool:
        """Whether there is none."""
        return not self.comparison.drift


def verify_view(
    project: Project,
    view: str,
    dates: DateRange = ALL_DATES,
    sample: int | None = None,
    other: Recompute | None = None,
    clock: Clock = system_clock,
) -> Verification:
    """Compares a view's served rows with those of raw, and records what was found.

    Takes the time of a pass over the raw files of the dates that are looked at, all of their copies told apart at once;
    of a sample, over the dates that hold its groups. Dates whose raw is gone are left out: OUT_OF_RETENTION where
    those that are asked for all are. `other`: an engine that is
    not the kernel.

    Raises VIEW_UNKNOWN; VIEW_NOT_READY where no batch version is served; OUT_OF_RETENTION where raw no longer stands as
    it was read too; QUERY_REFUSED where the engine cannot say the view; VALUE_OUT_OF_RANGE where a group is.
    """
    began, lake, settings = time.monotonic(), project.lake, project.settings.kernel
    kernel = lake.kernel(settings.memory, settings.threads)
    found = subject_of(lake, view)
    units = {unit: Unit.parse(unit) for unit in found.files}
    there = {name for name, one in units.items() if not is_gone(one, found.contracts, found.version.gone)}
    asked = {name for name, one in units.items() if one.day in dates}
    if asked and not asked & there:
        first = max(begin_of(found.version.gone).values())
        raise out_of_retention(view, {units[name].day for name in asked}, first)
    found = replace(found, files={u: of for u, of in found.files.items() if u in there & asked})
    salt, days = new_attempt(), None
    most = None
    if sample is not None:
        most, days = _sampled(lake, kernel, found, salt, sample)
    raw = [events for contract in found.contracts if (events := _raw(lake, kernel, found, contract, dates, days))]
    left_out = {c.name: SKETCH for c in found.definition.columns if c.exactness == "approximate"}
    with ExitStack() as stack:
        served = stack.enter_context(_served(lake, kernel, found))
        if other is None:
            straight = stack.enter_context(_straight(lake, kernel, found, raw, dates))
        else:
            table, unsaid = other(found, raw)
            left_out = unsaid | left_out
            straight = stack.enter_context(kernel.scratch(_as_served(found.definition), {"given": table}))
        names = [column.name for column in found.definition.columns if column.name not in left_out]
        kept = None if most is None else (salt, most)
        keys, drift, rows = _compared(kernel, found.definition, served, straight, kept, names, other is not None)
    comparison = Comparison(
        at=clock(), definition=found.definition.hash, version=found.number, engine="spark" if other else "duckdb",
        dates=dates.name if dates != ALL_DATES else "", sample=sample, keys=keys, drift=drift,
        left_out=left_out, gone=begin_of(found.version.gone), seconds=round(time.monotonic() - began, 2),
    )  # fmt: skip
    told = without_values(drift, found.definition)  # what stands in a log may outlive a record that is forgotten
    record(lake, view, comparison.model_copy(update={"drift": told}))
    return Verification(view, comparison, str(found.version.cut), rows)


def subject_of(lake: Lake, view: str) -> Subject:
    """The version that a view serves. Raises VIEW_UNKNOWN, VIEW_NOT_READY, KERNEL_VERSION, or OUT_OF_RETENTION where a
    release has made it that did not say what it read."""
    catalogue = Catalogue(lake)
    state = newest_state(catalogue, view)
    if state.served is None or state.version is None:
        raise UserError(
            Condition.VIEW_NOT_READY,
            f"view {view} serves no batch version: there is nothing that raw could be held against",
            hint=f"run 'seamline batch refresh {view}'",
        )
    definition, history = catalogue.definition(state.served), BatchHistory(lake.batch_log(state.served))
    check_version(definition, history, state.version)
    version, speed = history.versions[state.version], SpeedHistory(lake.speed_log(catalogue.stream(state.served)))
    if version.tables is None:
        raise _gone(view, f"batch version {state.version} does not say which raw tables it read")
    contracts = tuple(settled(one, speed.handovers) for one in catalogue.contracts(state.served))
    files = {unit: [file.path for file in files] for unit, files in history.files(state.version).items()}
    return Subject(definition, contracts, state.version, version, files)


def _gone(view: str, why: str) -> TerminalError:
    return TerminalError(
        Condition.OUT_OF_RETENTION, why, detail="raw as the served version read it",
        hint=f"run 'seamline batch rebuild {view}': its version is made of raw as it stands now",
    )  # fmt: skip


def record(lake: Lake, view: str, comparison: Comparison) -> None:
    """Puts what was found into the view's log of verifications. It says what was so whatever else is there, so one that
    another came before is put after that. Raises LEDGER_CONFLICT where many did."""
    log, tries = lake.verified_log(view), 8
    for left in reversed(range(tries)):
        try:
            log.put_untold(log.last() + 1, comparison)
        except ConflictError:
            if not left:
                raise
        else:
            return


def past_comparisons(project: Project, view: str, most: int = 20) -> list[Comparison]:
    """What was found of a view, the newest first. Raises VIEW_UNKNOWN."""
    Catalogue(project.lake).history(view)
    log = project.lake.verified_log(view)
    found = (log.read(number) for number in log.numbers()[::-1][:most])
    return [one for one in found if isinstance(one, Comparison)]


# --- what is looked at


def _sampled(lake: Lake, engine: Kernel, found: Subject, salt: str, sample: int) -> tuple[int, frozenset[date]]:
    """The largest hash of a sample of groups, and the dates that hold it. A statement for each unit."""
    value = hashed(salt, [quote(key.name) for key in found.definition.keys])
    least: set[int] = set()
    of_unit: dict[str, set[int]] = {}
    names = [key.name for key in found.definition.keys]
    for unit, files in found.files.items():
        if files:
            statement = f"SELECT DISTINCT {value} AS h FROM stored ORDER BY h LIMIT {sample}"
            hashes = engine.run(statement, {"stored": lake.read(files, names)})["h"].to_pylist()
            of_unit[unit] = set(hashes)
            least |= of_unit[unit]
    chosen = set(sorted(least)[:sample])
    days = frozenset(Unit.parse(unit).day for unit, hashes in of_unit.items() if hashes & chosen)
    return max(chosen, default=0), days


def _raw(
    lake: Lake, engine: Kernel, found: Subject, contract: Contract, dates: DateRange, days: frozenset[date] | None
) -> RawEvents | None:
    """The raw files of a contract as the version read them; None where it has none. Raises OUT_OF_RETENTION."""
    table = table_of(contract)
    try:
        files = raw_files(lake, table, (found.version.tables or {}).get(table))
    except Exception as error:  # deltalake raises its own kinds for a version that is gone
        if isinstance(error, SeamlineError):
            raise
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise _gone(
            found.definition.view, f"raw as version {found.number} read it cannot be read any more: {said}"
        ) from error
    inside = tuple(file for file in files if file.date in dates and (days is None or file.date in days))
    others = tuple(file for file in files if file.rejects and file not in inside)
    fields = tuple(one.name for one in fields_read(found.definition, contract))
    events = RawEvents(contract, fields, inside, others)
    if not inside and not others:
        return None
    inputs = _inputs(lake, events)
    statement = another_statement(contract, found.version.cut, found.version.imports, inputs)
    return replace(events, again=engine.run(statement, inputs)["n"][0].as_py() > 0)


def _inputs(lake: Lake, events: RawEvents) -> dict[str, Given]:
    listed = {"raw": events.files, "others": events.others}
    return {name: lake.read([file.path for file in files]) for name, files in listed.items() if files}


# --- both sides


def _served(lake: Lake, engine: Kernel, found: Subject) -> AbstractContextManager[Scratch]:
    """The view's rows as serving would finish them from the version alone, and what a rounding error is relative to."""
    definition, paths = found.definition, [path for files in found.files.values() for path in files]
    lines = [f"{output.finalise} AS {quote(output.name)}" for output in definition.columns]
    lines += [f"{scale} AS _scale{n}" for n, scale in _scales(definition).items()]
    statement = select(lines, f"({definition.merge}) AS partials", definition.having)
    partials = lake.read(paths) if paths else engine.run(empty_partials(definition), {})
    return engine.scratch(statement, {"partials": partials})


def _scales(definition: Definition) -> dict[int, str]:
    """By a column's number, what its rounding is relative to besides its value."""
    known = {one.name: one.scale for one in definition.compared if one.scale}
    return {n: known[one.name] for n, one in enumerate(definition.columns) if one.name in known}


@contextmanager
def _straight(
    lake: Lake, engine: Kernel, found: Subject, raw: Sequence[RawEvents], dates: DateRange
) -> Iterator[Scratch]:
    """The view's own SELECT over the events."""
    tables, inputs, version = {}, dict[str, Given](), found.version
    with ExitStack() as stack:
        for number, contract in enumerate(found.contracts):
            events = next((one for one in raw if one.contract == contract), None)
            if events is None:
                tables[contract.name] = f"({empty_events(event_schema(contract))})"
                continue
            of = _inputs(lake, events)
            statement = straight_statement(
                contract,
                events.fields,
                version.cut,
                version.imports,
                _there(dates, version, contract),
                of,
                again=events.again,
            )
            tables[contract.name] = f"events_{number}"
            inputs[f"events_{number}"] = stack.enter_context(engine.scratch(statement, of))
        yield stack.enter_context(engine.scratch(found.definition.select_over(tables), inputs))


def _there(dates: DateRange, version: Version, contract: Contract) -> DateRange:
    """The dates of which raw still held anything."""
    first = version.gone.get(table_of(contract))
    return dates if first is None else replace(dates, first=max(first, dates.first or first))


def _as_served(definition: Definition) -> str:
    """`given`, rows that something else has made, with the view's types."""
    return (
        "SELECT "
        + ", ".join(f"{quote(c.name)}::{c.sql_type} AS {quote(c.name)}" for c in definition.columns)
        + " FROM given"
    )


# --- what differs


def _compared(
    engine: Kernel, definition: Definition, served: Scratch, straight: Scratch, sample: tuple[str, int] | None,
    names: Sequence[str], loose: bool,
) -> tuple[int, tuple[ColumnDrift, ...], pa.Table]:  # fmt: skip
    """Groups, the columns that differ, and every difference. `names`: the columns that are compared."""
    keys = [column.name for column in definition.columns if not column.aggregate]
    columns = [(n, one) for n, one in enumerate(definition.columns) if one.aggregate and one.name in names]
    with engine.scratch(_joined(definition, keys, sample), {"served": served, "straight": straight}) as both:
        tests = {GROUP: "_a IS NULL OR _b IS NULL"}
        tests |= {one.name: f"_a AND _b AND ({_differs(one, n, definition, loose)})" for n, one in columns}
        counted = [f"count(*) FILTER (WHERE {test}) AS n{n}" for n, test in enumerate(tests.values())]
        largest = [
            "NULL AS d0",
            *(_largest(one, n, tests[one.name], at) for at, (n, one) in enumerate(columns, start=1)),
        ]
        statement = f"SELECT count(*) AS groups, {', '.join([*counted, *largest])} FROM both_sides"
        (found,) = engine.run(statement, {"both_sides": both}).to_pylist()
        drift = tuple(
            ColumnDrift(column=name, groups=found[f"n{n}"], largest=found[f"d{n}"] or "")
            for n, name in enumerate(tests)
            if found[f"n{n}"]
        )
        shown = ", ".join(map(quote, keys))
        told = {GROUP: ("CASE WHEN _a THEN 'stands' END", "CASE WHEN _b THEN 'stands' END")}
        told |= {one.name: (f"_s{n}::VARCHAR", f"_r{n}::VARCHAR") for n, one in columns}
        parts = [
            f"SELECT {shown}, {literal(name)} AS _column, {told[name][0]} AS _served, {told[name][1]} AS _recomputed\n"
            f"FROM both_sides WHERE {test}"
            for name, test in tests.items()
        ]
        rows = engine.run("\nUNION ALL\n".join(parts) + f"\nORDER BY {shown}, _column", {"both_sides": both})
    return int(found["groups"]), drift, rows


def _joined(definition: Definition, keys: Sequence[str], sample: tuple[str, int] | None) -> str:
    """Both sides of each group; of a sample, of its groups alone."""
    where = f" WHERE {hashed(sample[0], [quote(key) for key in keys])} <= {sample[1]}::UBIGINT" if sample else ""
    on = " AND ".join(f"a.{quote(key)} IS NOT DISTINCT FROM b.{quote(key)}" for key in keys) or "true"
    lines = [f"CASE WHEN a._here THEN a.{quote(key)} ELSE b.{quote(key)} END AS {quote(key)}" for key in keys]
    lines += ["a._here AS _a", "b._here AS _b", *(f"a._scale{n} AS _scale{n}" for n in _scales(definition))]
    for number, one in enumerate(definition.columns):
        lines += [f"a.{quote(one.name)} AS _s{number}", f"b.{quote(one.name)} AS _r{number}"]
    sides = {side: f"(SELECT *, true AS _here FROM {side}{where})" for side in ("served", "straight")}
    return f"SELECT {', '.join(lines)}\nFROM {sides['served']} AS a FULL JOIN {sides['straight']} AS b ON {on}"


def _differs(one: Output, number: int, definition: Definition, loose: bool) -> str:
    a, b = f"_s{number}", f"_r{number}"
    differs = f"{a} IS DISTINCT FROM {b}"
    rounded = one.exactness == "approximate (float)" or (loose and one.sql_type in ("DOUBLE", "FLOAT"))
    if not rounded or not numeric(one.sql_type):
        return differs
    scale = f", abs(_scale{number})" if number in _scales(definition) else ""
    return f"{differs} AND NOT coalesce(abs({a} - {b}) <= {TOLERANCE} * greatest(abs({a}), abs({b}){scale}), false)"


def _largest(one: Output, number: int, test: str, at: int) -> str:
    a, b = f"_s{number}", f"_r{number}"
    if numeric(one.sql_type):
        return f"(max(abs({a}::DOUBLE - {b}::DOUBLE)) FILTER (WHERE {test}))::VARCHAR AS d{at}"
    said = f"coalesce({a}::VARCHAR, 'NULL') || ' became ' || coalesce({b}::VARCHAR, 'NULL')"
    return f"min({said}) FILTER (WHERE {test}) AS d{at}"
