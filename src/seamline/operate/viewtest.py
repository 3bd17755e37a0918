"""A project's tests of its views: each case read in many ways through both layers, and its rows compared."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isnan
from random import Random
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, UserError
from seamline.jobs.compare import TOLERANCE
from seamline.kernel import Kernel, Limits, literal, quote
from seamline.lake import Lake
from seamline.operate.bothlayers import ArrivalOrder, BothLayers, WayRead
from seamline.operate.viewcases import FOLDER, ViewCase, read_cases
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.project_views import Compiled, compile_all

PARTS = 4
"""Epochs that the records of an order are cut into, at most; each of their ends is a cut too."""

ORDERS = 2
"""Orders of the records besides the file's and the same backwards."""

RowList = list[dict[str, Any]]


@dataclass(frozen=True)
class Differing:
    """Where a view's rows were other than expected."""

    reading: WayRead
    """The one of the fewest epochs that shows it, and of no fewer when any two neighbours of them are put together."""

    columns: tuple[str, ...]

    rows: tuple[tuple[str, dict[str, Any]], ...]
    """`expected` or `found`, and the row; those that are alike are not among them."""


@dataclass(frozen=True)
class CaseResult:
    """What became of one case."""

    case: ViewCase

    readings: int
    """In how many ways it was read."""

    differing: Differing | None = None

    counted: tuple[str, ...] = ()
    """What was expected of `rejected` and `duplicates` and is not so, in words."""

    @property
    def holds(self) -> bool:
        """Whether all was as expected."""
        return self.differing is None and not self.counted


@dataclass(frozen=True)
class TestedViews:
    """What became of a project's tests."""

    cases: tuple[CaseResult, ...]

    untested: tuple[str, ...]
    """Views that no file of `tests/` is of."""

    @property
    def hold(self) -> bool:
        """Whether every case does."""
        return all(case.holds for case in self.cases)


def run_view_tests(project: Project, views: Sequence[str] = ()) -> TestedViews:
    """Runs the cases of `tests/`, of some views or of all. Needs no lake, and no Spark.

    Time follows, for each case, its orders by the statements of PARTS epochs and of as many cuts, which take the event
    dates together. Raises UserError: INPUT_INVALID, VIEW_UNKNOWN, and what a wrong contract or view raises.
    """
    compiled = compile_all(project.views, project.contracts)
    cases = read_cases(project.folder, compiled)
    _check_named(project, views, {case.view for case in cases})
    tested = {case.view for case in cases}
    wanted = [case for case in cases if not views or case.view in views]
    with tempfile.TemporaryDirectory(prefix="seamline-test-") as folder:
        limits = Limits(folders=(folder,), threads=1)
        with closing(Kernel(limits)) as engine:
            found = tuple(run_case(Lake(folder, None), engine, compiled[case.view], case) for case in wanted)
    return TestedViews(found, tuple(sorted(compiled.keys() - tested)))


def _check_named(project: Project, views: Sequence[str], tested: set[str]) -> None:
    for view in views:
        if view not in project.views:
            known = ", ".join(sorted(project.views)) or "(the project has none)"
            raise UserError(Condition.VIEW_UNKNOWN, f"view {view!r}", detail=known, hint="name one of these")
    if not tested or not tested >= set(views):
        which = ", ".join(view for view in views if view not in tested)
        raise UserError(
            Condition.INPUT_INVALID,
            f"no file of {project.folder / FOLDER} is of {which}"
            if which
            else f"{project.folder / FOLDER} has no tests",
            detail="YAML files of events and the rows expected of them",
            hint=f"write {FOLDER}/{views[0] if views else 'VIEW'}.yaml; docs/views.md shows one",
        )


def run_case(lake: Lake, engine: Kernel, view: Compiled, case: ViewCase) -> CaseResult:
    """One case, read in every way of `readings`, up to the first that shows another answer. Raises INPUT_INVALID where
    the expected rows cannot be a view's."""
    expected = _typed(engine, view.definition, case)
    layers = BothLayers(lake, engine, view, case.sent, case.received)
    ways = readings(len(case.sent), orders(layers.copies, len(case.sent)))

    def differing(reading: WayRead) -> Differing | None:
        table = layers.answer(reading)
        found = _compared(view.definition, case.columns or tuple(table.column_names), table, expected)
        return Differing(reading, case.columns or tuple(table.column_names), found) if found else None

    failed = next(filter(None, map(differing, ways)), None)
    if failed is not None:
        failed = _smallest(failed, differing)
    counts, wrong = layers.counts(), []
    for word, wanted, true in (
        ("rejected", case.rejected, counts.rejected), ("duplicates", case.duplicates, counts.duplicate),
    ):  # fmt: skip
        if wanted is not None and wanted != true:
            wrong.append(f"{word}: {true}, not {wanted}")
    return CaseResult(case, len(ways), failed, tuple(wrong))


# --- in which ways it is read


def orders(copies: Sequence[Sequence[int]], count: int) -> list[ArrivalOrder]:
    """The order of the file, the same backwards, and some more; the copies of an event stay in theirs. Pure."""
    forward = tuple(range(count))
    drawn = [forward, forward[::-1]]
    for seed in range(ORDERS):
        mixed = list(forward)
        Random(seed).shuffle(mixed)  # noqa: S311 - the same ones each time
        drawn.append(tuple(mixed))
    return list(dict.fromkeys(_copies_in_order(order, copies) for order in drawn))


def _copies_in_order(order: ArrivalOrder, copies: Sequence[Sequence[int]]) -> ArrivalOrder:
    mended, place = list(order), {number: at for at, number in enumerate(order)}
    for of_one in copies:
        for at, number in zip(sorted(place[number] for number in of_one), of_one, strict=True):
            mended[at] = number
    return tuple(mended)


def readings(count: int, of: Sequence[ArrivalOrder]) -> list[WayRead]:
    """Every cut of every order, with all after it in one epoch and in more; those of fewest epochs first. Pure."""
    points = sorted({round(count * part / PARTS) for part in range(PARTS + 1)})
    found: dict[WayRead, tuple[int, int]] = {}
    for number, order in enumerate(of):
        for cut in reversed(points):
            after = tuple(point for point in points if point > cut)
            for ends in ((after[-1],) if after else (), after):
                found.setdefault(WayRead(order, cut, ends), (len(ends), number))
    return sorted(found, key=lambda reading: found[reading])


def _smallest(failed: Differing, differing: Any) -> Differing:
    """The same fault with neighbouring epochs put together as long as it shows."""
    ends = failed.reading.ends
    for at in range(len(ends) - 1):
        fewer = WayRead(failed.reading.order, failed.reading.cut, (*ends[:at], *ends[at + 1 :]))
        found: Differing | None = differing(fewer)
        if found is not None:
            return _smallest(found, differing)
    return failed


def said_of(reading: WayRead) -> str:
    """A reading in words; records are numbered from 1, as they stand in the file. Pure."""
    numbers = [number + 1 for number in reading.order]
    parts = [f"{_numbers(numbers[: reading.cut])} in a batch version"] if reading.cut else []
    for start, end in zip((reading.cut, *reading.ends), reading.ends, strict=False):
        parts.append(f"{_numbers(numbers[start:end])} in an epoch")
    return ", then ".join(parts) or "no records"


def _numbers(numbers: Sequence[int]) -> str:
    """`1-3 7`: what follows on is put together."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


# --- the rows


def _typed(engine: Kernel, definition: Definition, case: ViewCase) -> RowList:
    """The rows that are expected, as values of the view's types. Raises INPUT_INVALID where one is none."""
    types = {column.name: column.sql_type for column in definition.columns}
    for column in case.columns:
        if column not in types:
            raise case.error(
                f"view {case.view} has no column {column!r}", "rows", 0, column, detail=", ".join(types),
                hint="name one of these",
            )  # fmt: skip
    if not case.rows:
        return []
    lines = [
        ", ".join(_cast(row[name], types[name]) + f" AS {quote(name)}" for name in case.columns) for row in case.rows
    ]
    table = engine.run("\nUNION ALL BY NAME\n".join(f"SELECT {n} AS _n, {line}" for n, line in enumerate(lines)), {})
    found: RowList = table.sort_by("_n").drop_columns("_n").to_pylist()
    for number, (row, said) in enumerate(zip(found, case.rows, strict=True)):
        for name, value in row.items():
            if value is None and said[name] is not None:
                hint = f"write a {types[name]}"
                message = f"{name}: {said[name]!r} is no {types[name]}"
                raise case.error(message, "rows", number, name, detail=f"values of {name}'s type", hint=hint)
    return found


def _cast(value: Any, kind: str) -> str:
    if value is None:
        return f"NULL::{kind}"
    if isinstance(value, dict | list):
        return f"TRY_CAST({literal(json.dumps(value))}::JSON AS {kind})"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"TRY_CAST({literal(text)} AS {kind})"


def _compared(
    definition: Definition, columns: Sequence[str], table: pa.Table, expected: RowList
) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The rows that only one side has, by key, what was expected first."""
    kept = {column.name: column for column in definition.columns if column.name in columns}
    loose = {name for name, column in kept.items() if column.exactness == "approximate (float)"}
    keys = [name for name, column in kept.items() if not column.aggregate]
    found = {"expected": expected, "found": table.select(list(columns)).to_pylist()}
    by_key: dict[str, dict[str, RowList]] = {}
    for side, rows in found.items():
        for row in rows:
            by_key.setdefault(repr([row[key] for key in keys]), {}).setdefault(side, []).append(row)
    differing: list[tuple[str, dict[str, Any]]] = []
    for _, sides in sorted(by_key.items()):
        left = list(_unmatched(sides.get("expected", []), sides.get("found", []), loose))
        differing += left
    return tuple(differing)


def _unmatched(expected: RowList, found: RowList, loose: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    rest = list(found)
    for row in expected:
        same = next((at for at, other in enumerate(rest) if _alike(row, other, loose)), None)
        if same is None:
            yield "expected", row
        else:
            del rest[same]
    yield from (("found", row) for row in rest)


def _alike(row: Mapping[str, Any], other: Mapping[str, Any], loose: set[str]) -> bool:
    return all(_same(value, other[name], name in loose) for name, value in row.items())


def _same(a: Any, b: Any, loose: bool) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        if isnan(a) or isnan(b):
            return isnan(a) and isnan(b)
        return a == b or (loose and abs(a - b) <= TOLERANCE * max(abs(a), abs(b)))
    return bool(a == b)
