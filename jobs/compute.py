"""Third step of a run: its units, from raw or from the base's files, computed wherever units run.

A unit that is done leaves its result in the lake. So a run that is stopped here and computed again, from the same
reservation, does only those that are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from seamline.attempts import new_attempt
from seamline.commitpoint import reach
from seamline.jobs.carried import carried
from seamline.jobs.fold import fold_tasks
from seamline.jobs.plan import table_of
from seamline.jobs.repack import repacked
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Recomputed, Reservation
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.unit_statements import mended_statement, unit_statements
from seamline.jobs.work import finished
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.properties import by_hour
from seamline.sides.raw import RawFile, by_day, raw_files
from seamline.units import HOURS, Unit

MENDED = "mended"
"""In place of a unit in the paths of files of records that another decoding rejected."""


def compute(resources: Resources, reservation: Reservation) -> Recomputed:
    """Runs the units that are not done yet. Raises what a unit raises; those that are done stay done."""
    tasks = tasks_of(resources, reservation)
    full = tuple(task for task in tasks if not task.empty)
    done = carried(resources, reservation, full) | finished(resources.lake, reservation.entry.run)
    left = sorted((task for task in full if task.unit not in done), key=lambda task: -task.size)
    results = [done[task.unit] for task in full if task.unit in done]
    results += [nothing_in(task) for task in tasks if task.empty]
    results += resources.run_units(left, len(results), len(tasks))
    reach("batch.after-files")
    return Recomputed(reservation, full, tuple(sorted(results, key=lambda result: result.unit)))


def nothing_in(task: UnitTask) -> UnitResult:
    """The result of a unit that holds nothing any more."""
    return UnitResult(unit=task.unit, file=None, counts=task.known_counts)


def left_of(resources: Resources, reservation: Reservation) -> list[UnitTask]:
    """The units that hold anything and are not done yet."""
    done = finished(resources.lake, reservation.entry.run)
    return [task for task in tasks_of(resources, reservation) if not task.empty and task.unit not in done]


def tasks_of(resources: Resources, reservation: Reservation) -> list[UnitTask]:
    """Every unit of the plan, those that hold nothing any more too."""
    target, plan, memory = reservation.target, reservation.plan, resources.kernel.memory
    if target.source is None:
        tasks = _from_raw(resources, reservation, plan.dates)
    else:
        tasks = fold_tasks(resources.lake, target.definition, plan, target.source, reservation.entry.run, memory)
    return [replace(task, groups=resources.settings.verify_sample) for task in tasks]


def raw_tasks(
    resources: Resources,
    computed: Recomputed,
    dates: Mapping[str, frozenset[date]] | None = None,
    older: Sequence[Mapping[str, int]] = (),
) -> list[UnitTask]:
    """The units as they are read from raw, to look a version over: one that was folded has read none. `dates`: by raw
    table, others than the plan's. `older`: versions of the tables whose files they read besides."""
    if computed.target.source is None and dates is None and not older:
        return list(computed.tasks)
    tasks = _from_raw(resources, computed.reservation, computed.plan.dates if dates is None else dates, older)
    return [task for task in tasks if not task.empty]


def raw_by_day(resources: Resources, reservation: Reservation, contract: Contract) -> dict[date, tuple[RawFile, ...]]:
    """A contract's raw files by event date, as a run reads them."""
    return by_day(_raw_files(resources, reservation, contract))


def _raw_files(
    resources: Resources, reservation: Reservation, contract: Contract, older: Sequence[Mapping[str, int]] = ()
) -> tuple[RawFile, ...]:
    table = table_of(contract)
    versions = dict.fromkeys(tables.get(table) for tables in (reservation.plan.tables, *older))
    files = {file.path: file for version in versions for file in raw_files(resources.lake, table, version)}
    return tuple(files.values())


def _from_raw(
    resources: Resources,
    reservation: Reservation,
    dates: Mapping[str, frozenset[date]] | None,
    older: Sequence[Mapping[str, int]] = (),
) -> list[UnitTask]:
    """Every unit of every contract on some dates (None: on all)."""
    return [
        task
        for contract in reservation.target.contracts
        for task in _of_contract(
            resources, reservation, contract, None if dates is None else dates[table_of(contract)], older
        )
    ]


def _of_contract(
    resources: Resources,
    reservation: Reservation,
    contract: Contract,
    dates: frozenset[date] | None,
    older: Sequence[Mapping[str, int]],
) -> list[UnitTask]:
    files = _raw_files(resources, reservation, contract, older)
    days = by_day(files)
    mended, mended_days = _write_mended(resources, reservation, contract, files)
    if dates is None:
        wanted = frozenset(days) | mended_days
    else:
        fresh = tuple(file for file in files if file.date in dates)
        wanted = dates | (_write_mended(resources, reservation, contract, fresh)[1] if mended else set())
    gone = reservation.plan.gone.get(table_of(contract), date.min)
    return [
        unit_task(resources, reservation, unit, days.get(day, ()), mended if day in mended_days else "")
        for day in sorted(day for day in wanted if gone <= day)
        for unit in units_of(reservation, contract, day, empty=day not in days and day not in mended_days)
    ]


def units_of(reservation: Reservation, contract: Contract, day: date, *, empty: bool) -> tuple[Unit, ...]:
    """The units of one event date: by the view's grain as it is now, whatever its base was written by. Pure."""
    target = reservation.target
    whole = target.unit(contract, day)
    return whole.hours if by_hour(target.definition.properties) and not empty else (whole,)


def unit_task(
    resources: Resources, reservation: Reservation, unit: Unit, files: tuple[RawFile, ...], mended: str
) -> UnitTask:
    """What one unit needs to be computed from raw."""
    target, plan = reservation.target, reservation.plan
    contract = target.contract_of(unit)
    statements = unit_statements(target.definition, contract, unit, plan.cut, plan.imports, mended=bool(mended))
    return UnitTask(
        lake=resources.lake.uri,
        definition=plan.definition,
        run=reservation.entry.run,
        of=unit,
        files=tuple(file.path for file in files),
        statements=statements,
        size=sum(file.size for file in files) // (HOURS if unit.hour is not None else 1),
        rows=sum(file.rows for file in files),
        memory=resources.kernel.memory,
        mended=mended,
    )


def _write_mended(
    resources: Resources, reservation: Reservation, contract: Contract, files: tuple[RawFile, ...]
) -> tuple[str, set[date]]:
    """A contract's records that another decoding rejected and this one accepts, in one file, and their dates.

    They stand under the date of their Kafka timestamp, so no unit could find them by its own files.
    """
    paths = [file.path for file in files if file.rejects]
    if not paths:
        return "", set()
    lake, engine, plan = resources.lake, resources.engine, reservation.plan
    path = lake.batch_path(reservation.target.definition.hash, MENDED, new_attempt())
    statement = mended_statement(contract, plan.cut, plan.imports)
    written = repacked(
        lake,
        engine,
        {"raw": lake.read(paths)},
        lambda inputs: lake.write(engine, statement, inputs, path),
        path.rpartition("/")[0],
    )
    if not written:
        return "", set()
    days = engine.run("SELECT DISTINCT _event_date AS day FROM mended", {"mended": lake.read([path])})
    return path, set(days["day"].to_pylist())
