"""The audit of one run: which files held what was served up to the new cut, and what they should have held."""

from __future__ import annotations

import filecmp
from dataclasses import replace
from typing import TYPE_CHECKING

from seamline.entries import Audit, ColumnDrift, DataFile, Epoch, Version, new_attempt
from seamline.errors import SeamlineError, TerminalError
from seamline.frontier import Frontier
from seamline.jobs.audit import compare, explain, not_compared
from seamline.jobs.plan import ArchiveAt, table_of
from seamline.jobs.raw import by_day, raw_files
from seamline.jobs.reading import foreign, reading
from seamline.jobs.statements import Served, unit_statements
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.schemas.contracts import Contract
from seamline.schemas.stored import check_segments, check_version
from seamline.segment import build_chain
from seamline.slices import forget
from seamline.units import whole_name

if TYPE_CHECKING:
    from seamline.jobs.run import Run

EPOCHS = "epochs"
"""Where files of epochs stand, beside those of units."""


def audit_version(run: Run, results: list[UnitResult]) -> Audit:
    """Old version + epochs up to the new cut against the new version, over the units that were rewritten.

    The other units stand in both, and merging the same partials to both sides changes nothing.
    """
    disagreeing = sum(r.disagreeing for r in results)
    before = _before(run)
    try:
        served = _served_files(run, before, {r.unit for r in results})
    except TerminalError as error:
        return not_compared(f"nothing to compare with up to this cut: {error.got}", disagreeing)
    groups, found = _differences(run, served, results)
    if not found:
        return Audit(compared=True, groups=groups, disagreeing_copies=disagreeing)
    expected, why = _expected(run, before)
    if expected is None:
        return Audit(compared=True, groups=groups, drift=found, disagreeing_copies=disagreeing, note=why)
    _, left = _compare(run, _paths(served), expected)
    explained = explain(found, left, why)
    return Audit(compared=True, groups=groups, drift=left, explained=explained, disagreeing_copies=disagreeing)


def _differences(
    run: Run, served: dict[str, list[DataFile]], results: list[UnitResult]
) -> tuple[int, tuple[ColumnDrift, ...]]:
    """Groups compared and columns that differ; units whose files are the same bytes are not read again.

    They stand in both, too. Where the others differ without them, they may be why: then all are compared.
    """
    same = {r.unit: r.file.rows for r in results if r.file and _is_same(run, served.get(r.unit, []), r.file)}
    rest = [unit for unit in served if unit not in same]
    fresh = [r.file.path for r in results if r.file and r.unit not in same]
    if same:
        old = _paths({unit: served[unit] for unit in rest})
        groups, found = _compare(run, old, fresh) if old or fresh else (0, ())
        if not found:
            return groups + sum(same.values()), ()
    return _compare(run, _paths(served), [r.file.path for r in results if r.file])


def _is_same(run: Run, older: list[DataFile], file: DataFile) -> bool:
    """Whether both hold the same bytes, as they do where nothing new fell into a unit: a kernel with one thread writes
    the same rows in the same order. Not asked of object stores, where reading both costs as much as comparing them."""
    if run.lake.local is None or [one.rows for one in older] != [file.rows]:
        return False
    return filecmp.cmp(run.lake.absolute(older[0].path), run.lake.absolute(file.path), shallow=False)


def _compare(run: Run, served: list[str], recomputed: list[str]) -> tuple[int, tuple[ColumnDrift, ...]]:
    engine = run.lake.kernel(run.batch.kernel.memory, run.batch.kernel.threads)
    return compare(run.lake, engine, run.definition, served, recomputed)


def _paths(files: dict[str, list[DataFile]]) -> list[str]:
    return [file.path for of_unit in files.values() for file in of_unit]


def _before(run: Run) -> Version | None:
    return run.logs.batch.versions.get(run.plan.against) if run.plan.against is not None else None


def _served_files(run: Run, before: Version | None, units: set[str]) -> dict[str, list[DataFile]]:
    """Files of the older version's same units, by unit, and of the epochs between both cuts, under EPOCHS.

    Raises SEAM_HOLE if none do, KERNEL_VERSION if they cannot be read.
    """
    speed, definition = run.logs.speed, run.definition.hash
    start = before.cut if before else (speed.origin or Frontier())
    if before is not None and run.plan.against is not None:
        check_version(run.definition, run.logs.batch, run.plan.against)
    chain = build_chain(definition, run.plan.against, start, speed.segments(definition), run.plan.cut)
    check_segments(run.definition, chain.segments)
    epochs = [DataFile(path=path, rows=0) for segment in chain.segments for path in segment.files]
    if before is None or run.plan.against is None:
        return {EPOCHS: epochs}
    whole, dates = run.plan.dates is None, {whole_name(unit) for unit in units}
    of_units = run.logs.batch.files(run.plan.against)
    return {EPOCHS: epochs, **{u: list(files) for u, files in of_units.items() if whole or whole_name(u) in dates}}


def _expected(run: Run, before: Version | None) -> tuple[list[str] | None, str]:
    """Files of what should have been served, recomputed from raw as the older version read it; and why it differs.

    None where raw no longer stands as it was read then.
    """
    scratch: list[str] = []
    try:
        results = list(run.run_tasks(_tasks(run, before, scratch)))
    except (SeamlineError, OSError) as error:
        return None, f"raw as the older version read it cannot be read any more: {error}"
    except Exception as error:  # noqa: BLE001 - deltalake raises its own kinds for a version that is gone
        return None, f"raw as the older version read it cannot be read any more: {error}"
    finally:
        forget(run.lake, scratch)
    return [r.file.path for r in results if r.file], _why(run, before, sum(r.beyond for r in results))


def _tasks(run: Run, before: Version | None, scratch: list[str]) -> list[UnitTask]:
    known = _known(run, before)
    cut = before.cut if before else (run.logs.speed.origin or Frontier())
    imports = before.imports if before else ()
    speed = [epoch for _, epoch in sorted(run.logs.speed.epochs.items())]
    readings = {one.name: _write_reading(run, one, speed, cut, scratch) for one in run.contracts if one.event_id}
    tasks = []
    for task in run.raw_tasks():
        files, contract = known.get(task.of.whole.name, ()), run.contract_of(task.of)
        served = Served(
            cut, imports, version=before is not None, known=bool(files), foreign=foreign(speed, contract.decoding)
        )
        statements = unit_statements(
            run.definition, contract, task.of, run.plan.cut, run.plan.imports,
            mended=bool(task.mended), served=served,
        )  # fmt: skip
        read = readings.get(contract.name, "")
        tasks.append(replace(task, run="", statements=statements, known=files, reading=read))
    return tasks


def _write_reading(run: Run, contract: Contract, speed: list[Epoch], cut: Frontier, scratch: list[str]) -> str:
    path = run.lake.batch_path(run.definition.hash, "reading", new_attempt())
    scratch.append(path)
    engine = run.lake.kernel(run.batch.kernel.memory, run.batch.kernel.threads)
    run.lake.write(engine, "FROM reading", {"reading": reading(speed, contract, cut)}, path)
    return path


def _known(run: Run, before: Version | None) -> dict[str, tuple[str, ...]]:
    """By whole event date, the raw files that the older version read."""
    if before is None:
        return {}
    archive = ArchiveAt(run.lake.archive_log(run.stream), before.archive_entry)
    found = {}
    for contract in run.contracts:
        table = table_of(contract)
        for day, files in by_day(raw_files(run.lake, table, archive.tables.get(table))).items():
            found[run.unit(contract, day).name] = tuple(file.path for file in files)
    return found


def _why(run: Run, before: Version | None, beyond: int) -> str:
    imports = set(run.plan.imports) - set(before.imports if before else ())
    causes = []
    if imports:
        causes.append(f"{len(imports)} imported file(s)")
    if beyond:
        of_imports = " or of imported events" if before and before.imports else ""
        causes.append(f"{beyond} copies beyond the dedup horizon{of_imports}")
    if run.plan.archive_entry > (before.archive_entry if before else 0) and not causes:
        causes.append("records that were filed again after a contract was mended")
    return ", ".join(causes)
