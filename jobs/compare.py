"""Law 6: what was served against what was recomputed, at the same cut, compared by the kernel column by column.

A difference that an import, a record mended since, or a copy beyond the dedup horizon makes is told apart by
recomputing from raw what the older version and the epochs should hold: whatever still differs from that is drift.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from seamline.attempts import new_attempt
from seamline.entries.batch import Audit, ColumnDrift
from seamline.errors import Condition, SeamlineError
from seamline.kernel import Input, Kernel, quote
from seamline.lake import Lake
from seamline.schemas.algebra.forms import numeric
from seamline.schemas.views.definition import Compared, Definition
from seamline.slices import WHOLE, Slice, in_slices, slices_for, useful, weight

TOLERANCE = 1e-9
"""Relative to the value and to its scale, for aggregates over DOUBLE, whose result depends on order."""

GROUP = "(group)"
"""Stands in place of a column for groups that one side does not have at all."""


def compare(
    lake: Lake, engine: Kernel, definition: Definition, served: Sequence[str], recomputed: Sequence[str]
) -> tuple[int, tuple[ColumnDrift, ...]]:
    """Groups compared, and the columns that differ. `served` and `recomputed` are files of partials in the lake.

    In one statement where that fits into the kernel's memory, else in slices by a hash of the keys. Raises
    KERNEL_MEMORY where one group alone does not fit.
    """
    sides = {"served": list(served), "recomputed": list(recomputed)}
    try:
        return _compare(lake, engine, definition, sides)
    except SeamlineError as error:
        if error.condition is not Condition.KERNEL_MEMORY:
            raise
    whole = [lake.batch_path(definition.hash, "audit", new_attempt()) for _ in sides]
    try:  # a group whose rows of many files do not fit together: they are merged by halves first
        for path, files in zip(whole, sides.values(), strict=True):
            if files:
                definition.merging.write(lake, engine, files, path)
        merged = {name: [path] if sides[name] else [] for name, path in zip(sides, whole, strict=True)}
        return _compare(lake, engine, definition, merged)
    finally:
        lake.delete(whole)


def _compare(
    lake: Lake, engine: Kernel, definition: Definition, sides: Mapping[str, Sequence[str]]
) -> tuple[int, tuple[ColumnDrift, ...]]:
    inputs: dict[str, Input] = {
        name: lake.read(files) if files else engine.run(empty_partials(definition)) for name, files in sides.items()
    }

    def work(one: Slice) -> dict[str, Any]:
        found: dict[str, Any] = engine.run(compare_statement(definition, one), inputs).to_pylist()[0]
        return found

    spills = not any(re.search(r"\[|STRUCT|MAP", column.sql_type) for column in definition.partial_columns)
    size = 0 if spills else sum(map(weight, inputs.values()))
    most = partial(useful, engine, inputs, [key.name for key in definition.keys])
    rows = list(in_slices(work, slices_for(size, engine.limits.memory), most))
    columns = [("", GROUP), *((one.sql_type, one.name) for one in definition.compared)]
    drift = [
        ColumnDrift(column=name, groups=groups, largest=largest([row[f"d{i}"] for row in rows], kind))
        for i, (kind, name) in enumerate(columns)
        if (groups := sum(row[f"n{i}"] for row in rows))
    ]
    return sum(int(row["groups"]) for row in rows), tuple(drift)


def largest(found: Sequence[str | None], kind: str) -> str:
    """Of the largest differences of each slice, as `compare_statement` says them, the largest of all. NaN is above all
    numbers, as in the kernel; texts have no size, and the first of them is shown."""
    said = [text for text in found if text is not None]
    if not said:
        return ""
    return max(said, key=lambda text: (math.isnan(float(text)), float(text))) if numeric(kind) else min(said)


def compare_statement(definition: Definition, one: Slice = WHOLE) -> str:
    """One row: groups, then for each column how many groups differ (n) and by how much at most (d)."""
    on = " AND ".join(f"a.{quote(k.name)} IS NOT DISTINCT FROM b.{quote(k.name)}" for k in definition.keys) or "1 = 1"
    both = "a._here AND b._here"
    counted = ["count(*) AS groups", "count(*) FILTER (WHERE a._here IS NULL OR b._here IS NULL) AS n0", "NULL AS d0"]
    for number, column in enumerate(definition.compared, start=1):
        a, b = f"a._{number}", f"b._{number}"
        differs = f"{both} AND {_differs(column, number)}"
        counted.append(f"count(*) FILTER (WHERE {differs}) AS n{number}")
        counted.append(f"({_largest(column, a, b)} FILTER (WHERE {differs}))::VARCHAR AS d{number}")
    select = ",\n  ".join(counted)
    sides = {name: _finished(definition, source, one) for name, source in (("a", "served"), ("b", "recomputed"))}
    return f"WITH a AS (\n{sides['a']}\n), b AS (\n{sides['b']}\n)\nSELECT {select}\nFROM a FULL JOIN b ON {on}"


def empty_partials(definition: Definition) -> str:
    """No rows, with the types of partials."""
    columns = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
    return f"SELECT {columns} WHERE false"


def _finished(definition: Definition, source: str, one: Slice) -> str:
    answer = definition.compare_over(f"({definition.merge})")
    rows = one.rows(source, [key.name for key in definition.keys])
    return f"SELECT *, true AS _here FROM (\nWITH partials AS ({rows})\n{answer}\n)"


def _differs(one: Compared, number: int) -> str:
    a, b = f"a._{number}", f"b._{number}"
    differs = f"{a} IS DISTINCT FROM {b}"
    if one.exactness != "approximate (float)":
        return differs
    scale = f", abs(a._scale{number}), abs(b._scale{number})" if one.scale else ""
    return f"{differs} AND NOT coalesce(abs({a} - {b}) <= {TOLERANCE} * greatest(abs({a}), abs({b}){scale}), false)"


def _largest(one: Compared, a: str, b: str) -> str:
    if numeric(one.sql_type):
        return f"max(abs({a}::DOUBLE - {b}::DOUBLE))"
    return f"min(coalesce({a}::VARCHAR, 'NULL') || ' became ' || coalesce({b}::VARCHAR, 'NULL'))"


def explain(found: tuple[ColumnDrift, ...], left: tuple[ColumnDrift, ...], why: str) -> tuple[ColumnDrift, ...]:
    """The differences that are explained: those found, but for what is left when `why` is taken into account."""
    remaining = {drift.column: drift.groups for drift in left}
    return tuple(
        drift.model_copy(update={"groups": drift.groups - remaining.get(drift.column, 0), "explained": why})
        for drift in found
        if drift.groups > remaining.get(drift.column, 0)
    )


def not_compared(note: str, disagreeing: int) -> Audit:
    """Where there is nothing to compare with."""
    return Audit(compared=False, disagreeing_copies=disagreeing, note=note)
