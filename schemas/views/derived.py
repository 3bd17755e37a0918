"""A view over a view: the coarser one folded from the finer one's partial rows, and from nothing else.

`MEASURE(column)` names a column of the base, re-aggregated as a query's MEASURE does; keys and WHERE are over the
base's keys. The derived view's partial columns are those of the base that its columns need, merged under its own keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from seamline.kernel import quote
from seamline.schemas.algebra.forms import Form
from seamline.schemas.views.binding import Binder, Bound, BoundColumn, BoundMeasure
from seamline.schemas.views.calls import Measure
from seamline.schemas.views.checked import finish
from seamline.schemas.views.clauses import Clauses
from seamline.schemas.views.definition import EVENTS, Base, Definition, Original, Output
from seamline.schemas.views.derived_selection import FORM, Reader
from seamline.schemas.views.language import engine_of
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.rowwise import folded_rows
from seamline.schemas.views.selection import Key, Selection
from seamline.schemas.views.source import Source


def compile_derived(view: ParsedView, base: Definition) -> Definition:
    """The definition of a view over another. Pure, but that DuckDB binds it over no rows. Raises VIEW_INVALID."""
    source = view.source
    _refuse_having(source, view.clauses, base)
    selection = Reader(source, view.clauses, base).selection()
    bound, where = _bind(source, selection, base)
    uses = {EVENTS.name, *(name for measure in bound.measures for name in measure.parts)}
    _check_apart(source, selection, uses)
    partial = tuple(column for column in base.partial_columns if column.name in uses)
    example = f"time_bucket(INTERVAL '1 day', {base.buckets[0]}) AS day"
    known = [f"partials.{quote(name)}" for name in base.buckets]
    finished = finish(view, selection, bound, partial, example, known)
    merges = {name: sql for name, sql in base.merges.items() if name in uses}
    fold = _select([f"{key.sql} AS {quote(key.name)}" for key in bound.keys], merges, where)
    normalised = f"view {view.name} over {base.view}\n{selection.normalised}"
    partials = {contract: f"WITH partials AS (\n{sql}\n)\n{fold}" for contract, sql in base.partials.items()}
    pieces = _pieces(partials)
    definition = Definition(
        view=view.name,
        contracts=base.contracts,
        hash=hashlib.sha256(f"{engine_of(normalised)}\n{normalised}\n{base.hash}".encode()).hexdigest()[:16],
        text=view.text,
        normalised=normalised,
        properties=view.properties,
        keys=finished.keys,
        columns=finished.columns,
        partial_columns=finished.stored,
        partials=partials,
        rows=folded_rows(base.rows, tuple(key.name for key in base.keys), tuple(key.sql for key in bound.keys), where),
        merge=_select([f"partials.{quote(key.name)}" for key in finished.keys], merges),
        merges=merges,
        compared=tuple(one for one in base.compared if uses.issuperset(one.uses)),
        checked=tuple(one for one in base.checked if uses.issuperset(one.uses)),
        having=finished.having,
        original=Original(pieces, ""),
        comment=view.header.comment,
        where=selection.where,
        having_said=selection.having.said if selection.having else "",
        buckets=finished.buckets,
        base=Base(base, fold),
    )
    tail = f"{_closed([*partials.values()][-1])}\n)\n{definition.merge_and_finalise}"
    return replace(definition, original=Original(pieces, tail))


_EVENTS = "(WITH events AS (SELECT * FROM "


def _pieces(partials: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What is run over raw events for the same answer, up to each contract's name: the composition, and no more."""
    before, found = f"WITH partials AS (\n{_EVENTS}", list[tuple[str, str]]()
    for contract, sql in partials.items():
        found.append((before, contract))
        before = f"{_closed(sql)}\nUNION ALL BY NAME\n{_EVENTS}"
    return tuple(found)


def _closed(partial: str) -> str:
    return f") SELECT * FROM (\n{partial}\n))"


def _refuse_having(source: Source, clauses: Clauses, base: Definition) -> None:
    """MEASURE in a query sees the groups that HAVING leaves; partial rows cannot tell which those will be."""
    if base.having:
        message = f"{base.view} has a HAVING: which of its groups count can change with every event"
        hint = f"leave HAVING out of {base.view}, and filter in queries over it"
        raise source.refuse(clauses.table.start, message, "a view without HAVING after FROM", hint)


def _select(keys: Sequence[str], merges: Mapping[str, str], where: str = "") -> str:
    lines = [*keys, *(f"{sql} AS {quote(name)}" for name, sql in merges.items())]
    filtered = f"\nWHERE {where}" if where else ""
    return "SELECT\n  " + ",\n  ".join(lines) + f"\nFROM partials{filtered}\nGROUP BY ALL"


def _check_apart(source: Source, selection: Selection, uses: Iterable[str]) -> None:
    """Refuses a key with the name of a partial column that stands beside it."""
    taken = {name.lower() for name in uses}
    for key in selection.keys:
        if key.name.lower() in taken:
            message = f"key {key.name!r} has the name of a column that is stored under it"
            raise source.refuse(key.offset, message, "another name", "rename the key")


# --- types ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measured(BoundMeasure):
    """A column of the base, as an aggregate whose parts stand in the base's partial rows."""

    output: Output | None = None

    def stored(self, column: str) -> dict[str, str]:
        """What fills its form: the base's own texts over `partials`."""
        found = self.output
        return {"value": found.finished, "check": found.check} if found else {}


def _bind(source: Source, selection: Selection, base: Definition) -> tuple[Bound, str]:
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
        if any(key in output.finished for key in lost):
            message = f"{output.name!r} is computed from a key of {base.view} that this view does not have as it is"
            hint = "select that key by its own name, or measure the aggregates it is made of and compute from those"
            raise source.refuse(measure.offset, message, FORM, hint)
        measures[measure.name] = _measured(measure, output, base)
    items = tuple(
        binder.key(item) if isinstance(item, Key) else BoundColumn(item, measures) for item in selection.items
    )
    return Bound(items, measures, BoundColumn(selection.having, measures) if selection.having else None), where


def _measured(measure: Measure, output: Output, base: Definition) -> _Measured:
    form = Form(
        (), "{value}", output.sql_type, output.exactness, output.bound, "{check}" if output.check else "",
        combines=output.combines,
    )  # fmt: skip
    parts = {name: (name, base.merges[name]) for name in output.uses}
    return _Measured(measure.name, output.aggregate, form, parts, output=output)
