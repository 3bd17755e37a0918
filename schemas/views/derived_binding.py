"""A view over a view bound to its base: keys with their types, the base's columns as aggregates over its partials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.algebra.forms import Form
from seamline.schemas.views.binding import Binder, BoundColumn, BoundMeasure, BoundSelect
from seamline.schemas.views.calls import Measure
from seamline.schemas.views.clauses import Clauses
from seamline.schemas.views.definition import EVENTS, Column, Definition, Output
from seamline.schemas.views.derived_selection import FORM, Reader
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.selection import Key, Selection
from seamline.schemas.views.source import Source


@dataclass(frozen=True)
class BoundDerived:
    """A parsed view over another view, bound."""

    parsed: ParsedView
    base: Definition

    selection: Selection
    """Its SELECT with the names looked up."""

    select: BoundSelect
    """The same with types."""

    where: str
    """Its condition with try semantics, or ''."""

    partial: tuple[Column, ...]
    """The partial columns of the base that its columns need."""


def bind_derived(parsed: ParsedView, base: Definition) -> BoundDerived:
    """A view over a view. Pure, but that DuckDB binds expressions over no rows. Raises VIEW_INVALID."""
    source = parsed.source
    _refuse_having(source, parsed.clauses, base)
    selection = Reader(source, parsed.clauses, base).selection()
    select, where = _bind(source, selection, base)
    uses = {EVENTS.name, *(name for measure in select.measures for name in measure.parts)}
    _check_apart(source, selection, uses)
    partial = tuple(column for column in base.partial_columns if column.name in uses)
    return BoundDerived(parsed, base, selection, select, where, partial)


def _refuse_having(source: Source, clauses: Clauses, base: Definition) -> None:
    """MEASURE in a query sees the groups that HAVING leaves; partial rows cannot tell which those will be."""
    if base.having:
        message = f"{base.view} has a HAVING: which of its groups count can change with every event"
        hint = f"leave HAVING out of {base.view}, and filter in queries over it"
        raise source.refuse(clauses.table.start, message, "a view without HAVING after FROM", hint)


def _check_apart(source: Source, selection: Selection, uses: Iterable[str]) -> None:
    """Refuses a key with the name of a partial column that stands beside it."""
    taken = {name.lower() for name in uses}
    for key in selection.keys:
        if key.name.lower() in taken:
            message = f"key {key.name!r} has the name of a column that is stored under it"
            raise source.refuse(key.offset, message, "another name", "rename the key")


@dataclass(frozen=True)
class _Measured(BoundMeasure):
    """A column of the base, as an aggregate whose parts stand in the base's partial rows."""

    output: Output | None = None

    def stored(self, column: str) -> dict[str, str]:
        """What fills its form: the base's own texts over `partials`."""
        found = self.output
        return {"value": found.finalise, "check": found.check} if found else {}


def _bind(source: Source, selection: Selection, base: Definition) -> tuple[BoundSelect, str]:
    """Keys and columns with their types, and the condition of WHERE with try semantics, or ''."""
    rows = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in base.partial_columns)
    binder = Binder(source, f"WITH partials AS (SELECT {rows} WHERE false)", table="partials")
    where = binder.condition(selection.where, selection.where_offset) if selection.where else ""
    outputs = {output.name: output for output in base.columns}
    kept = {key.name for key in selection.keys if key.sql == f"partials.{quote(key.name)}"}
    lost = [f"partials.{quote(key.name)}" for key in base.keys if key.name not in kept]
    measures: dict[str, BoundMeasure] = {}
    for measure in selection.measures:
        output = outputs[measure.arguments[0].text]
        if any(key in output.finalise for key in lost):
            message = f"{output.name!r} is computed from a key of {base.view} that this view does not have as it is"
            hint = "select that key by its own name, or measure the aggregates it is made of and compute from those"
            raise source.refuse(measure.offset, message, FORM, hint)
        measures[measure.name] = _measured(measure, output, base)
    items = tuple(
        binder.key(item) if isinstance(item, Key) else BoundColumn(item, measures) for item in selection.items
    )
    return BoundSelect(items, measures, BoundColumn(selection.having, measures) if selection.having else None), where


def _measured(measure: Measure, output: Output, base: Definition) -> _Measured:
    form = Form(
        (), "{value}", output.sql_type, output.exactness, output.bound, "{check}" if output.check else "",
        combines=output.combines,
    )  # fmt: skip
    parts = {name: (name, base.merges[name]) for name in output.uses}
    return _Measured(measure.name, output.aggregate, form, parts, output=output)
