"""Fourth step of a run: which files held what was served up to the new cut, and what they should have held.

Nothing is put: what is found goes into the version's entry, and decides whether it is published.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pyarrow import Table

from seamline.attempts import new_attempt
from seamline.entries.archive import Erased
from seamline.entries.base import DataFile
from seamline.entries.batch import Audit, ColumnDrift
from seamline.entries.topics import Gone
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError
from seamline.frontier import START, Frontier, Partition, topic_of
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.jobs.compare import compare, explain, not_compared
from seamline.jobs.compute import MENDED, raw_tasks, unit_task
from seamline.jobs.gone import is_gone, is_whole
from seamline.jobs.plan import Plan, erased_since, table_of
from seamline.jobs.read_order import foreign, reading
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Audited, Recomputed, Reservation, Target
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.unit_statements import Served, late_statement, unit_statements
from seamline.jobs.verify import verify
from seamline.lake import Lake
from seamline.schemas.algebra.forms import numeric
from seamline.schemas.stored import check_segments, check_version
from seamline.schemas.views.definition import Definition
from seamline.segment import build_chain
from seamline.sides.raw import by_day, raw_files
from seamline.units import Unit, whole_name

log = logging.getLogger(__name__)

EPOCHS = "epochs"
"""Where files of epochs stand, beside those of units."""


def audit(resources: Resources, computed: Recomputed) -> Audited:
    """Both checks of a version: against what was served, and of a sample computed another way."""
    found = audit_version(resources, computed)
    found = noted(found, computed.reservation, accepted_as_gone(resources.lake, computed.reservation))
    return Audited(computed, found.model_copy(update={"verified": verify(resources, computed)}))


def audit_version(resources: Resources, computed: Recomputed) -> Audit:
    """Old version + epochs up to the new cut against the new version, over the units that were rewritten.

    The other units stand in both, and merging the same partials to both sides changes nothing.
    """
    disagreeing = sum(result.disagreeing for result in computed.results)
    speed = SpeedHistory(resources.lake.speed_log(computed.target.stream))  # where epochs stand by now
    try:
        served = served_files(computed.reservation, speed, {result.unit for result in computed.results})
    except TerminalError as error:
        return not_compared(f"nothing to compare with up to this cut: {error.message}", disagreeing)
    try:
        groups, found = _differences(resources, computed, served)
    except (OSError, TransientError) as error:
        gone = [path for path in _paths(served) if not resources.lake.exists(path)]
        if not gone:
            raise
        log.warning("files of what was served are gone, so nothing is compared with them: %s", error)
        return not_compared(f"nothing to compare with: {len(gone)} files of what was served are gone", disagreeing)
    if not found:
        return Audit(compared=True, groups=groups, disagreeing_copies=disagreeing)
    expected, why = _expected(resources, computed)
    if expected is None and _erased(computed):
        return not_compared(f"what was served holds records that are forgotten by now, and {why}", disagreeing)
    if expected is None:
        return Audit(compared=True, groups=groups, drift=found, disagreeing_copies=disagreeing, note=why)
    folded = [r for r in computed.results if _is_gone(computed.target, computed.plan, r.unit)]
    try:
        _, left = _compare(resources, computed, _paths(served), [*expected, *_written(folded)])
    finally:
        resources.lake.delete(expected)  # it may hold what is forgotten
    explained = explain(found, left, why)
    return Audit(compared=True, groups=groups, drift=left, explained=explained, disagreeing_copies=disagreeing)


def accepted_as_gone(lake: Lake, reservation: Reservation) -> tuple[Gone, ...]:
    """What of the contracts' topics an operator has accepted as gone, below the cut."""
    names = [contract.name for contract in reservation.target.contracts]
    return TopicsHistory(lake.topics_log(reservation.target.stream)).gone_of(names, reservation.plan.cut)


def noted(audit: Audit, reservation: Reservation, gone: Iterable[Gone]) -> Audit:
    """Says where an operator accepted records as gone between both cuts: one layer may have read what the other has
    not, and nobody can compute that again. Pure."""
    before = reservation.audited_from
    since = before.cut if before is not None else START
    new = [one for one in gone if one.end > since[Partition(one.source, one.partition)]]
    if not new:
        return audit
    said = [f"{topic_of(one.source)}/{one.partition} {one.start} to {one.end} ({one.known})" for one in new]
    note = "; ".join(filter(None, [audit.note, f"accepted as gone: {', '.join(said)}"]))
    return audit.model_copy(update={"note": note})


# --- what was served


def served_files(reservation: Reservation, speed: SpeedHistory, units: set[str]) -> dict[str, list[DataFile]]:
    """Files of the older version's same units, by unit, and of the epochs between both cuts, under EPOCHS. Pure.

    `speed` is newer than the decision: what held an epoch then may be gone, and another hold it.

    Raises SEAM_HOLE if none do, KERNEL_VERSION if they cannot be read, OUT_OF_RETENTION where nothing is built on them.
    """
    target, plan, before = reservation.target, reservation.plan, reservation.audited_from
    batch, definition = target.logs.batch, target.definition
    start = before.cut if before else (target.logs.speed.origin or Frontier())
    if before is not None and not is_whole(before, target.logs.archive, target.contracts):
        why = f"version {plan.against} has not read all of the dates whose raw is gone, so the new one begins anew"
        raise TerminalError(Condition.OUT_OF_RETENTION, why)
    if before is not None and plan.against is not None:
        check_version(definition, batch, plan.against)
    chain = build_chain(
        definition.hash, plan.against, start, speed.segments(definition.hash, start, plan.cut), plan.cut
    )
    check_segments(definition, chain.segments)
    epochs = [DataFile(path=path, rows=0) for segment in chain.segments for path in segment.files]
    if before is None or plan.against is None:
        return {EPOCHS: epochs}
    whole, dates = plan.dates is None, {whole_name(unit) for unit in units}
    stood = {u: list(files) for u, files in batch.files(plan.against).items()}
    if whole:  # but for what is carried, and stands on both sides
        return {EPOCHS: epochs} | {
            u: of for u, of in stood.items() if whole_name(u) in dates or not _is_gone(target, plan, u)
        }
    return {EPOCHS: epochs} | {u: of for u, of in stood.items() if whole_name(u) in dates}


def _is_gone(target: Target, plan: Plan, unit: str) -> bool:
    return is_gone(Unit.parse(unit), target.contracts, plan.gone)


def _differences(
    resources: Resources, computed: Recomputed, served: Mapping[str, Sequence[DataFile]]
) -> tuple[int, tuple[ColumnDrift, ...]]:
    """Groups compared and columns that differ; units whose files are the same bytes are not read again.

    They stand in both, too. Where the others differ without them, they may be why: then all are compared.
    """
    lake, results = resources.lake, computed.results
    same = {r.unit: r.file.rows for r in results if r.file and _is_same(lake, served.get(r.unit, []), r.file)}
    rest = [unit for unit in served if unit not in same]
    fresh = [r.file.path for r in results if r.file and r.unit not in same]
    if same:
        old = _paths({unit: served[unit] for unit in rest})
        groups, found = _compare(resources, computed, old, fresh) if old or fresh else (0, ())
        if not found:
            return groups + sum(same.values()), ()
    return _compare(resources, computed, _paths(served), _written(results))


def _is_same(lake: Lake, older: Sequence[DataFile], file: DataFile) -> bool:
    """Whether both hold the same bytes, as they do where nothing new fell into a unit: a kernel with one thread writes
    the same rows in the same order."""
    return [one.rows for one in older] == [file.rows] and lake.is_same(older[0].path, file.path)


def _compare(
    resources: Resources, computed: Recomputed, served: list[str], recomputed: list[str]
) -> tuple[int, tuple[ColumnDrift, ...]]:
    groups, found = compare(resources.lake, resources.engine, computed.target.definition, served, recomputed)
    return groups, without_values(found, computed.target.definition) if _erased(computed) else found


def _erased(computed: Recomputed) -> tuple[Erased, ...]:
    """What was taken out of raw since the older version had read it."""
    return erased_since(computed.target.logs.archive, computed.reservation.audited_from, computed.plan)


def without_values(found: Iterable[ColumnDrift], definition: Definition) -> tuple[ColumnDrift, ...]:
    """Differences that say no text: it may be one that is forgotten. Pure."""
    numbers = {one.name for one in definition.compared if numeric(one.sql_type)}
    return tuple(one if one.column in numbers else one.model_copy(update={"largest": ""}) for one in found)


def _paths(files: Mapping[str, Sequence[DataFile]]) -> list[str]:
    return [file.path for of_unit in files.values() for file in of_unit]


def _written(results: Iterable[UnitResult]) -> list[str]:
    return [result.file.path for result in results if result.file]


# --- what should have been served


def _expected(resources: Resources, computed: Recomputed) -> tuple[list[str] | None, str]:
    """Files of what should have been served, recomputed from raw as the older version read it; and why it differs.

    None where raw no longer stands as it was read then.
    """
    scratch: list[str] = []
    try:
        results = list(resources.run_units(_tasks(resources, computed, scratch)))
    except (SeamlineError, OSError) as error:
        return None, f"raw as the older version read it cannot be read any more: {error}"
    except Exception as error:  # noqa: BLE001 - deltalake raises its own kinds for a version that is gone
        return None, f"raw as the older version read it cannot be read any more: {error}"
    finally:
        resources.lake.delete(scratch)
    beyond = sum(result.beyond for result in results)
    late = sum(r.counts.counted for r in results if _is_gone(computed.target, computed.plan, r.unit))
    why = why_differs(computed.reservation, beyond, forgotten=bool(_erased(computed)), late=late)
    return _written(results), why


def _tasks(resources: Resources, computed: Recomputed, scratch: list[str]) -> list[UnitTask]:
    """The units as the older version and speed should have counted them; what is written for them goes to `scratch`."""
    target, plan, before = computed.target, computed.plan, computed.reservation.audited_from
    known = _known(resources.lake, computed.reservation)
    cut = before.cut if before else (target.logs.speed.origin or Frontier())
    imports = before.imports if before else ()
    speed = [epoch for _, epoch in sorted(target.logs.speed.epochs.items())]
    readings = {
        contract.name: _write_reading(resources, target.definition.hash, reading(speed, contract, cut), scratch)
        for contract in target.contracts
        if contract.event_id
    }
    tasks = []
    for task in raw_tasks(resources, computed, older=[one.before for one in _erased(computed)]):
        files, contract = known.get(task.of.whole.name, ()), target.contract_of(task.of)
        served = Served(cut, imports, version=before is not None, known=bool(files), foreign=foreign(speed, contract))
        statements = unit_statements(
            target.definition, contract, task.of, plan.cut, plan.imports, mended=bool(task.mended), served=served
        )
        read = readings.get(contract.name, "")
        tasks.append(replace(task, run="", statements=statements, known=files, reading=read))
    return [
        *tasks,
        *_late_tasks(resources, computed, Served(cut, imports, version=before is not None), readings, scratch),
    ]


def _late_tasks(
    resources: Resources, computed: Recomputed, served: Served, readings: Mapping[str, str], scratch: list[str]
) -> list[UnitTask]:
    """Units of dates that are gone, of records for them that came since and that speed counted: raw holds them as
    rejected, wherever it began then."""
    target, plan, found = computed.target, computed.plan, list[UnitTask]()
    for contract in target.contracts:
        table = table_of(contract)
        files = [file for file in raw_files(resources.lake, table, plan.tables.get(table)) if file.rejects]
        wanted = [file for file in files if plan.dates is None or file.date in plan.dates[table]]
        if table not in plan.gone or not wanted:
            continue
        path = resources.lake.batch_path(target.definition.hash, MENDED, new_attempt())
        inputs = {"raw": resources.lake.read([file.path for file in wanted])}
        scratch.append(path)
        if not resources.lake.write(resources.engine, late_statement(contract, served.cut, plan.cut), inputs, path):
            continue
        days = "SELECT DISTINCT _event_date AS day FROM late"
        for day in resources.engine.run(days, {"late": resources.lake.read([path])})["day"].to_pylist():
            unit, read = target.unit(contract, day), readings.get(contract.name, "")
            task = unit_task(resources, computed.reservation, unit, (), path)
            statements = unit_statements(
                target.definition, contract, unit, plan.cut, plan.imports, mended=True, served=served
            )
            found.append(replace(task, run="", statements=statements, reading=read))
    return found


def _write_reading(resources: Resources, definition: str, rows: Table, scratch: list[str]) -> str:
    path = resources.lake.batch_path(definition, "reading", new_attempt())
    scratch.append(path)
    resources.lake.write(resources.engine, "FROM reading", {"reading": rows}, path)
    return path


def _known(lake: Lake, reservation: Reservation) -> dict[str, tuple[str, ...]]:
    """By whole event date, the raw files that the older version read."""
    target, before = reservation.target, reservation.audited_from
    if before is None:
        return {}
    tables = before.tables or {}
    return {
        target.unit(contract, day).name: tuple(file.path for file in files)
        for contract in target.contracts
        for day, files in by_day(raw_files(lake, table_of(contract), tables.get(table_of(contract)))).items()
    }


def why_differs(reservation: Reservation, beyond: int, *, forgotten: bool = False, late: int = 0) -> str:
    """Why what was served may rightly differ from the new version; `beyond`: copies that speed counted again;
    `forgotten`: records were; `late`: events of dates that were gone as they came. Pure."""
    plan, before = reservation.plan, reservation.audited_from
    imports = set(plan.imports) - set(before.imports if before else ())
    causes = []
    if imports:
        causes.append(f"{len(imports)} imported file(s)")
    if beyond:
        of_imports = " or of imported events" if before and before.imports else ""
        causes.append(f"{beyond} copies beyond the dedup horizon{of_imports}")
    if late:
        causes.append(f"{late} events whose date was gone from raw as they came")
    if forgotten:
        causes.append("records that were forgotten")
    if plan.archive_entry > (before.archive_entry if before else 0) and not causes:
        causes.append("records that were filed again after a contract was mended")
    return ", ".join(causes)
