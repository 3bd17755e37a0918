"""Numbers that are divided by cause, and their arithmetic: parts that add up to a difference exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from seamline.schemas.algebra.forms import INTEGERS, decimal_of
from seamline.schemas.views.definition import Definition, Output

Number: TypeAlias = "int | Decimal"
Key: TypeAlias = "tuple[Any, ...]"

CAUSES = {
    "new": "events that were read between the two epochs",
    "late": "the same, below the newest event time of their partition when they were read",
    "duplicates": "copies that were counted again, and that a version has left out since (or not yet)",
    "imports": "events of files that were imported, in a version since",
    "backfill": "what a version computed otherwise of the same events: a backfill, a rebuild, records filed again",
    "definition": "the view was defined otherwise",
    "forgotten": "events that were erased",
}
"""Why a number changes, and what each means. What is computed for one stands in `_parts`, or in what is left."""

ADDITIVE = ("count", "count_if", "regr_count", "sum")
"""Aggregates whose value over two sets of events is the sum of their values."""

ROUNDED = "a sum over DOUBLE is rounded: its parts would not add up to it"


@dataclass(frozen=True)
class NumberChange:
    """One column of one group."""

    key: Key
    column: str
    difference: Number

    parts: Mapping[str, Number]
    """By cause, those that are not 0; they add up to the difference."""


def additive(old: Definition, new: Definition) -> tuple[list[Output], dict[str, str]]:
    """The columns whose difference can be divided, and why others cannot. Pure."""
    before = {column.name: column for column in old.columns if _is_additive(column)}
    columns = [column for column in new.columns if _is_additive(column) and column.name in before]
    left_out = {}
    for column in new.columns:
        if column.aggregate and column not in columns:
            rounded = column.aggregate == "sum" and not _is_exact(column)
            why = ROUNDED if rounded else "no count or sum" if not _is_additive(column) else "no such column before"
            left_out[column.name] = why
    return columns, left_out


def _is_additive(column: Output) -> bool:
    return column.aggregate in ADDITIVE and _is_exact(column)


def _is_exact(column: Output) -> bool:
    return column.sql_type in (*INTEGERS, "HUGEINT") or decimal_of(column.sql_type) is not None


def by_cause(rows: pa.Table) -> Iterable[tuple[str, int, pa.Table]]:
    """Events by cause and sign."""
    if not rows.num_rows:
        return
    for cause in sorted(set(rows["_cause"].to_pylist())):
        for sign in (1, -1):
            mine = rows.filter(pc.and_(pc.equal(rows["_cause"], cause), pc.equal(rows["_sign"], sign)))
            if mine.num_rows:
                yield cause, sign, mine.drop_columns(["_cause", "_sign"])


def add_to(into: dict[tuple[Key, int], Number], values: Iterable[tuple[Key, list[Number]]], sign: int) -> None:
    """Adds values by group, by the number of their column; or takes them away."""
    for key, of_group in values:
        for number, value in enumerate(of_group):
            if value:
                into[key, number] = into.get((key, number), 0) + sign * value


def divided(
    differences: Mapping[tuple[Key, int], Number], parts: Mapping[str, Mapping[tuple[Key, int], Number]], rest: str
) -> dict[tuple[Key, int], tuple[Number, dict[str, Number]]]:
    """Each difference with its parts; what no cause explains is the rest's. Pure."""
    found: dict[tuple[Key, int], tuple[Number, dict[str, Number]]] = {}
    for at in {*differences, *(at for of_cause in parts.values() for at in of_cause)}:
        difference: Number = differences.get(at, 0)
        mine = {cause: parts[cause].get(at, 0) for cause in CAUSES if cause in parts}
        left = difference - sum(mine.values(), start=Decimal(0) if isinstance(difference, Decimal) else 0)
        mine[rest] = mine.get(rest, 0) + left
        mine = {cause: mine[cause] for cause in CAUSES if mine.get(cause)}
        if mine:
            found[at] = difference, mine
    return found


def totals_of(groups: Sequence[NumberChange], names: Sequence[str]) -> Iterable[NumberChange]:
    """Of all groups together, by column."""
    for name in names:
        mine = [one for one in groups if one.column == name]
        parts = {cause: sum(one.parts.get(cause, 0) for one in mine) for cause in CAUSES}
        yield NumberChange((), name, sum(one.difference for one in mine), {c: n for c, n in parts.items() if n})


def in_order(item: tuple[tuple[Key, int], Any]) -> tuple[list[str], int]:
    """By which changes are sorted: their groups' keys as text, then their columns."""
    return [str(value) for value in item[0][0]], item[0][1]
