"""Which units go together: small ones of one contract, and those of several views over the same files. Pure.

A statement over few rows costs some 4 ms for being bound and for the files it opens, and a unit alone takes five of
them, for each view. So the files of several units are read as one table in which each row says its unit, once for all
views (`seamline.jobs.bundle_work`). A unit of one view stays what is written, marked, retried and resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import TypeAlias

from seamline.jobs.statements import Statements
from seamline.jobs.unit import UnitTask
from seamline.slices import UNMERGED
from seamline.units import Unit

MOST_ROWS = 300_000
"""Raw rows of one bundle of several units: beside them a statement costs little, and they fit into any kernel."""

MOST_BYTES = 32 << 20
"""Bytes of its files, where rows are large."""

MOST_UNITS = 256
"""Its units: for each, all partial rows of the bundle are looked through."""

HALVED = 64
"""Tasks of a bundle, at least, that is halved where a core would be idle: some 0.2 s for their files alone."""

Bundle: TypeAlias = tuple[UnitTask, ...]
"""Tasks that go together, or one alone."""

_ANY = Unit("", date.min)


def bundles(tasks: Iterable[UnitTask]) -> list[Bundle]:
    """Every task once. Together go those that read alike, whatever view they are of: in the order of their units, all
    views of each, as many as make MOST_ROWS. So the same tasks make the same bundles, whatever order they come in."""
    alone, alike = list[Bundle](), dict[UnitTask, dict[tuple[Unit, tuple[str, ...]], list[UnitTask]]]()
    for task in tasks:
        if isinstance(task.statements, Statements) and _may(task, task.statements):
            units = alike.setdefault(_reading(task, task.statements), {})
            units.setdefault((replace(task.of, contract=""), task.files), []).append(task)
        else:
            alone.append((task,))
    ordered = ([units[one] for one in sorted(units, key=lambda of: (of[0].name, of[1]))] for units in alike.values())
    return [bundle for units in ordered for bundle in _filled(units)] + alone


def spread(found: Sequence[Bundle], cores: int) -> list[Bundle]:
    """The same bundles, the largest of them halved while there are fewer than cores and it is worth another task. The
    tasks of one unit stay together. Pure."""
    by_tasks = sorted(found, key=len)
    while by_tasks and len(by_tasks) < cores and len(by_tasks[-1]) >= HALVED:
        halves = _halves(by_tasks.pop())
        if len(halves) == 1:
            return [*by_tasks, *halves]
        by_tasks = sorted([*by_tasks, *halves], key=len)
    return by_tasks


def _halves(bundle: Bundle) -> list[Bundle]:
    """About half of the tasks each; one bundle where all are of one unit."""
    middle = len(bundle) // 2
    while middle < len(bundle) and bundle[middle].files == bundle[middle - 1].files:
        middle += 1
    return [part for part in (bundle[:middle], bundle[middle:]) if part]


def is_shared(bundle: Bundle) -> bool:
    """Whether it holds units of several views."""
    return len({(task.definition, task.run) for task in bundle}) > 1


def _may(task: UnitTask, statements: Statements) -> bool:
    """Whether a task may go with others: what it writes is computed from a whole date's raw files and nothing else."""
    return statements.simple and task.of.hour is None and task.wanted is None and not task.known


def _reading(task: UnitTask, statements: Statements) -> UnitTask:
    """The same of all tasks that read alike, and only of them: what is left without the unit and the view. Nothing is
    decoded again in a bundle."""
    of_rows = replace(statements, unit=_ANY, fields=(), used=(), decode_text="")
    read = replace(of_rows, partial="", by_unit="", order=(), merging=UNMERGED, rows="")
    return replace(task, definition="", run="", of=_ANY, files=(), size=0, rows=0, threads=1, statements=read)


def _filled(units: Iterable[list[UnitTask]]) -> Iterator[Bundle]:
    """`units`: the tasks of each, which read the same files."""
    bundle, held, rows, size = list[UnitTask](), 0, 0, 0
    for tasks in units:
        held, rows, size = held + 1, rows + tasks[0].rows, size + tasks[0].size
        if bundle and (rows > MOST_ROWS or size > MOST_BYTES or held > MOST_UNITS):
            yield tuple(bundle)
            bundle, held, rows, size = [], 1, tasks[0].rows, tasks[0].size
        bundle += tasks
    if bundle:
        yield tuple(bundle)
