"""What is done for one unit, wherever it runs: raw files to partial rows in one Parquet file, and a marker.

The kernel reads the unit's Parquet files itself, keeps one row for each position and one for each event, and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from time import process_time
from typing import TypeVar

import obstore
import pyarrow as pa
import pyarrow.compute as pc

from seamline.attempts import new_attempt
from seamline.commitpoint import reach
from seamline.entries.base import Counts, DataFile, Stored
from seamline.errors import Condition, SeamlineError
from seamline.ipc import to_ipc
from seamline.jobs.bundle import bundles
from seamline.jobs.bundle_work import run_bundle
from seamline.jobs.copies import MANY
from seamline.jobs.doubled import doubled
from seamline.jobs.holding import Tally, tally_of
from seamline.jobs.repack import repacked
from seamline.jobs.sample import Wanted, least_statement
from seamline.jobs.statements import Statements
from seamline.jobs.unit import TODAY, Folding, Runner, UnitResult, UnitTask
from seamline.kernel import KERNEL_VERSION, Input, Kernel
from seamline.lake import Lake
from seamline.schemas.algebra import LAYOUT
from seamline.slices import WHOLE, Slice, in_slices

T = TypeVar("T")


def run_unit(lake: Lake, engine: Kernel, task: UnitTask) -> UnitResult:
    """Reads the unit's files, writes its partials as one new Parquet file, and says what it counted. Or, where groups
    are wanted: gives their rows."""
    if task.wanted is not None and isinstance(task.statements, Statements):
        rows = _sampled(lake, engine, task, task.statements, task.wanted)
        return UnitResult(unit=task.unit, file=None, counts=Counts(), rows=rows)
    result = _computed(lake, engine, task)
    if not (task.groups and task.run) or result.file is None:
        return result
    least = least_statement(task.run, task.statements.merging.keys, task.groups)
    found = engine.run(least, {"partials": lake.read([result.file.path])}).to_pylist()
    return result.model_copy(update={"groups": tuple((row["h"], row["n"]) for row in found)})


def _computed(lake: Lake, engine: Kernel, task: UnitTask) -> UnitResult:
    if isinstance(task.statements, Folding):
        folding, inputs = task.statements, {"unsliced": lake.read(task.files)}
        file = _write(lake, engine, task, folding.over, inputs, folding)
        return UnitResult(unit=task.unit, file=file, counts=folding.counts, **TODAY)
    return _from_raw(lake, engine, task, task.statements).model_copy(update=TODAY)


def _from_raw(lake: Lake, engine: Kernel, task: UnitTask, statements: Statements) -> UnitResult:
    def work(inputs: dict[str, Input], tally: Tally) -> UnitResult:
        if statements.simple and tally.plain:
            simple = _simple(lake, engine, task, statements, inputs, tally)
            if simple is not None:
                return simple.model_copy(update={"tally": astuple(tally)})
        own, again = tally.stood > tally.foreign, tally.foreign > 0
        return _careful(lake, engine, task, statements, inputs, own=own, again=again)

    return _over_raw(lake, engine, task, statements, work)


def _sampled(lake: Lake, engine: Kernel, task: UnitTask, statements: Statements, wanted: Wanted) -> bytes:
    def work(inputs: dict[str, Input], tally: Tally) -> bytes:
        own, again = tally.stood > tally.foreign, tally.foreign > 0
        keys = len(statements.merging.keys)
        statement = statements.sampled(wanted, tally, keys, own=own, again=again, copies=task.copies)
        return to_ipc(engine.run(statement, inputs))

    return _over_raw(lake, engine, task, statements, work)


def _over_raw(
    lake: Lake, engine: Kernel, task: UnitTask, statements: Statements, work: Callable[[dict[str, Input], Tally], T]
) -> T:
    """`work` over a unit's raw files, and what they hold; rows of other decodings are decoded again."""
    inputs: dict[str, Input] = {}
    if task.known:
        inputs["known"] = lake.read(task.known)
    if task.mended:
        inputs["mended"] = lake.read([task.mended])
    inputs["raw"] = lake.read(task.files) if task.files else engine.run("FROM mended WHERE false", inputs)
    if task.reading:
        inputs["reading"] = lake.read([task.reading])
    folder = lake.batch_path(task.definition, task.unit, "").rpartition("/")[0]
    return repacked(
        lake, engine, inputs, lambda fitting: _decoded(lake, engine, task, statements, fitting, work), folder
    )


def _decoded(
    lake: Lake,
    engine: Kernel,
    task: UnitTask,
    statements: Statements,
    inputs: dict[str, Input],
    work: Callable[[dict[str, Input], Tally], T],
) -> T:
    told = Tally(*task.tally) if task.tally else tally_of(lake, statements.whole, task.files)
    tally = told or Tally(*_row(engine.run(statements.tally, inputs)))
    if not tally.foreign:
        return work(inputs, tally)
    scratch = lake.batch_path(task.definition, task.unit, f"{new_attempt()}.decoded")
    try:
        lake.write(engine, statements.decode, inputs, scratch)
        inputs["again"] = lake.read([scratch])
        return work(inputs, tally)
    finally:
        lake.delete([scratch])  # one that did not fit into memory may be half written


def _simple(
    lake: Lake, engine: Kernel, task: UnitTask, statements: Statements, inputs: dict[str, Input], tally: Tally
) -> UnitResult | None:
    """A unit whose rows are all of one decoding, each at a position of its own: only copies need a second look.

    None where there are more of them than a task may hold in memory.
    """
    duplicate, disagreeing = 0, 0
    if statements.event_id and tally.stood:
        twice = doubled(engine, statements.hashes(tally), inputs, tally.stood)
        if twice.rows > MANY:
            return None
        if twice.rows:
            copies = engine.run(statements.copies(tally), {**inputs, "doubled": twice.hashes})
            inputs = {**inputs, "copies": copies}
            duplicate, disagreeing = copies.num_rows, pc.sum(copies["_disagrees"]).as_py() or 0
    counted = tally.stood - tally.rejected - duplicate
    counts = Counts(read=tally.stood, rejected=tally.rejected, counted=counted, duplicate=duplicate)

    def partials(one: Slice) -> str:
        return statements.of_slice(one).simple_partials(tally, copies=duplicate > 0)

    file = _write(lake, engine, task, partials, inputs, statements) if counted else None
    return UnitResult(unit=task.unit, file=file, counts=counts, disagreeing=disagreeing)


def _careful(
    lake: Lake,
    engine: Kernel,
    task: UnitTask,
    statements: Statements,
    inputs: dict[str, Input],
    *,
    own: bool,
    again: bool,
) -> UnitResult:
    """Any unit: rows of several decodings, records filed twice, copies that were served as events."""
    survey = engine.run(statements.survey(own=own, again=again), inputs)
    stood, read, rejected, events, disagreeing, beyond = _row(survey)
    duplicate = read - rejected - events - beyond
    counts = Counts(read=read, rejected=rejected, counted=events + beyond, duplicate=duplicate)

    def partials(one: Slice) -> str:
        of_slice = statements.of_slice(one)
        return of_slice.partials(own=own, again=again, repeated=stood != read, copies=duplicate > 0)

    file = _write(lake, engine, task, partials, inputs, statements) if counts.counted else None
    return UnitResult(unit=task.unit, file=file, counts=counts, disagreeing=disagreeing, beyond=beyond)


def _write(
    lake: Lake,
    engine: Kernel,
    task: UnitTask,
    partials: Callable[[Slice], str],
    inputs: dict[str, Input],
    of: Statements | Folding,
) -> DataFile | None:
    """One file of partial rows. Where one statement does not fit into memory, of slices of what it reads, merged."""
    path = lake.batch_path(task.definition, task.unit, new_attempt())
    try:
        rows = lake.write(engine, partials(WHOLE), inputs, path)
        return DataFile(path=path, rows=rows) if rows else None
    except SeamlineError as error:
        if error.condition is not Condition.KERNEL_MEMORY:
            raise
    tried: list[str] = []

    def work(one: Slice) -> str:
        tried.append(lake.batch_path(task.definition, task.unit, new_attempt()))
        lake.write(engine, partials(one), inputs, tried[-1])
        return tried[-1]

    try:
        rows = of.merging.write(lake, engine, list(in_slices(work, 2)), path, of.last)
        return DataFile(path=path, rows=rows) if rows else None
    finally:
        lake.delete(tried)


def _row(table: pa.Table) -> tuple[int, ...]:
    return tuple(int(column[0].as_py() or 0) for column in table.columns)


# --- markers: what a killed run need not do again


def finished(lake: Lake, run: str) -> dict[str, UnitResult]:
    """The units of a run that are done; not those that another release stored, which are done again."""
    done = {}
    for item in lake.listed(lake.marker_prefix(run)):
        result = UnitResult.model_validate_json(bytes(obstore.get(lake.store, item["path"]).bytes()))
        if is_todays(result):
            done[result.unit] = result
    return done


def is_todays(stored: Stored) -> bool:
    """Whether this process would store it alike."""
    return (stored.kernel, stored.layout) == (KERNEL_VERSION, LAYOUT)


def left_by(lake: Lake, task: UnitTask) -> UnitResult | None:
    """The result of a unit that a task has done before it died."""
    marker = lake.marker_path(task.run, task.unit)
    try:
        result = UnitResult.model_validate_json(bytes(obstore.get(lake.store, marker).bytes()))
    except FileNotFoundError:
        return None
    return result if is_todays(result) else None


def resume(lake: Lake, bundle: Sequence[UnitTask]) -> Iterator[UnitResult]:
    """A bundle of which some units may have been done before, by a task that died after them."""
    found = [(task, left_by(lake, task) if task.run else None) for task in bundle]
    yield from (result for _, result in found if result is not None)
    if left := [task for task, result in found if result is None]:
        yield from perform_together(lake, left)


def perform(lake: Lake, task: UnitTask) -> UnitResult:
    """Runs one unit and leaves its marker: file first, then the marker that names it."""
    began = process_time()
    result = run_unit(lake, lake.kernel(task.memory, task.threads), task)
    return _marked(lake, task, result, process_time() - began)


def perform_together(lake: Lake, bundle: Sequence[UnitTask]) -> Iterator[UnitResult]:
    """Runs the units of a bundle, with as few statements as they need, and leaves the marker of each."""
    began = process_time()
    made = run_bundle(lake, lake.kernel(bundle[0].memory, bundle[0].threads), bundle)
    took, read = process_time() - began, sum(result.counts.read for result in made.values())
    for place, result in made.items():
        yield _marked(lake, bundle[place], result, took * result.counts.read / read if read else 0.0)
    for place, task in enumerate(bundle):
        if place not in made and not task.ahead:
            yield perform(lake, task)


def _marked(lake: Lake, task: UnitTask, made: UnitResult, cpu: float) -> UnitResult:
    result = made.model_copy(update={"cpu": cpu})
    if task.run:
        obstore.put(lake.store, lake.marker_path(task.run, task.unit), result.model_dump_json().encode())
    reach("batch.after-unit")
    return result


def local_runner(lake: Lake) -> Runner:
    """Runs units in this process, one bundle after the other."""

    def run(tasks: Sequence[UnitTask]) -> Iterable[UnitResult]:
        for bundle in bundles(tasks):
            yield from perform_together(lake, bundle)

    return run
