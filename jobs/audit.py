"""Law 6: what was served against what was recomputed, at the same cut, compared by the kernel column by column.

A difference that an import, a record mended since, or a copy beyond the dedup horizon makes is told apart by
recomputing from raw what the older version and the epochs should hold: whatever still differs from that is drift.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamline.entries import Audit, ColumnDrift
from seamline.kernel import Input, Kernel, quote
from seamline.lake import Lake
from seamline.schemas.algebra.forms import numeric
from seamline.schemas.definition import Compared, Definition

TOLERANCE = 1e-9
"""Relative to the value and to its scale, for aggregates over DOUBLE, whose result depends on order."""

GROUP = "(group)"
"""Stands in place of a column for groups that one side does not have at all."""


def compare(
    lake: Lake, engine: Kernel, definition: Definition, served: Sequence[str], recomputed: Sequence[str]
) -> tuple[int, tuple[ColumnDrift, ...]]:
    """Groups compared, and the columns that differ. `served` and `recomputed` are files of partials in the lake."""
    inputs: dict[str, Input] = {}
    for name, files in (("served", served), ("recomputed", recomputed)):
        inputs[name] = lake.read(files) if files else engine.run(empty_partials(definition))
    row = engine.run(compare_statement(definition), inputs).to_pylist()[0]
    drift = [
        ColumnDrift(column=name, groups=row[f"n{i}"], largest=row[f"d{i}"] or "")
        for i, name in enumerate([GROUP, *(one.name for one in definition.compared)])
        if row[f"n{i}"]
    ]
    return int(row["groups"]), tuple(drift)


def compare_statement(definition: Definition) -> str:
    """One row: groups, then for each column how many groups differ (n) and by how much at most (d)."""
    on = " AND ".join(f"a.{quote(k.name)} IS NOT DISTINCT FROM b.{quote(k.name)}" for k in definition.keys) or "1 = 1"
    both = "a._here AND b._here"
    counted = ["count(*) AS groups", "count(*) FILTER (WHERE a._here IS NULL OR b._here IS NULL) AS n0", "NULL AS d0"]
    for number, one in enumerate(definition.compared, start=1):
        a, b = f"a._{number}", f"b._{number}"
        scale = f", abs(a._scale{number}), abs(b._scale{number})" if one.scale else ""
        differs = f"{both} AND {_differs(one, a, b, scale)}"
        counted.append(f"count(*) FILTER (WHERE {differs}) AS n{number}")
        counted.append(f"({_largest(one, a, b)} FILTER (WHERE {differs}))::VARCHAR AS d{number}")
    select = ",\n  ".join(counted)
    return (
        f"WITH a AS (\n{_finished(definition, 'served')}\n), b AS (\n{_finished(definition, 'recomputed')}\n)\n"
        f"SELECT {select}\nFROM a FULL JOIN b ON {on}"
    )


def empty_partials(definition: Definition) -> str:
    """No rows, with the types of partials."""
    columns = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
    return f"SELECT {columns} WHERE false"


def _finished(definition: Definition, source: str) -> str:
    answer = definition.compare_over(f"({definition.merge})")
    return f"SELECT *, true AS _here FROM (\nWITH partials AS (SELECT * FROM {source})\n{answer}\n)"


def _differs(one: Compared, a: str, b: str, scale: str) -> str:
    differs = f"{a} IS DISTINCT FROM {b}"
    if one.exactness != "approximate (float)":
        return differs
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
