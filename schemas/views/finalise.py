"""The last step of a view: merged partial columns to the view's own, with their types and exactness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from seamline.kernel import quote
from seamline.schemas.algebra.forms import Exactness, failing, fill, storable
from seamline.schemas.views.binding import BoundColumn, BoundKey, BoundMeasure, BoundSelect
from seamline.schemas.views.calls import Measure
from seamline.schemas.views.definition import EVENTS, EVENTS_COMPARED, Column, Compared, Output
from seamline.schemas.views.engine import types_of
from seamline.schemas.views.selection import KeyUse
from seamline.schemas.views.source import Source

EVENTS_ALONE = Compared(
    EVENTS_COMPARED, f"partials.{quote(EVENTS.name)}", EVENTS.sql_type, "exact", uses=(EVENTS.name,)
)

_WORST: tuple[Exactness, ...] = ("exact", "approximate (float)", "approximate")


@dataclass(frozen=True)
class Finaliser:
    """Finishes the columns of one view. Raises VIEW_INVALID at a column."""

    source: Source
    bound: BoundSelect

    stored: tuple[Column, ...]
    """The partial columns that they are finished from."""

    @cached_property
    def named(self) -> tuple[tuple[str, BoundMeasure], ...]:
        """Every aggregate once, those of computed columns and of HAVING too, by the name of its column, or by that and
        which call of it is meant."""
        found: dict[str, tuple[str, BoundMeasure]] = {}
        columns = [item for item in self.bound.items if isinstance(item, BoundColumn)]
        for item in [*columns, *([self.bound.having] if self.bound.having else [])]:
            of = "HAVING" if item is self.bound.having else item.column.name
            for call in item.column.measures:
                measure = item.measures[call.name]
                found.setdefault(measure.name, (of if item.plain else f"{of}: {call.said}", measure))
        return tuple(found.values())

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """The view's columns, in the user's order."""
        return tuple(
            Output(item.name, item.sql_type, finalise=f"partials.{quote(item.name)}", said=item.said)
            if isinstance(item, BoundKey)
            else self._output(item)
            for item in self.bound.items
        )

    @cached_property
    def having(self) -> str:
        """The condition over merged partials that a group must meet, or ''. One that fails leaves the group out."""
        column = self.bound.having
        if column is None:
            return ""
        check = self._check(column)
        condition = f"TRY({self._expression(column)})"
        if (kind := self._type(condition, column)) != "BOOLEAN":
            message = f"a condition of type {kind}"
            raise self.source.refuse(column.column.offset, message, "BOOLEAN", "write a comparison")
        return f"CASE WHEN {check} IS NULL THEN {condition} ELSE ({check})::BOOLEAN END" if check else condition

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """How many events a group has, and every aggregate: what is computed from them follows."""
        return (EVENTS_ALONE, *(one for name, measure in self.named for one in self._compared(measure, name)))

    def _compared(self, measure: BoundMeasure, name: str) -> tuple[Compared, ...]:
        """What stays the same in any tree of merges to the bit; and the value, where that is not all there is to it."""
        form, stored = measure.form, measure.stored(name)
        uses = tuple(dict.fromkeys(column for column, _ in measure.parts.values()))
        sketch = form.exactness == "approximate"
        said = name if sketch else f"{name}: counts"
        behind = (Compared(said, fill(form.audit, stored), "", "exact", uses=uses),) if form.audit else ()
        if behind and sketch:
            return behind
        value = fill(form.finalise, stored)
        if form.check:
            value = f"CASE WHEN ({fill(form.check, stored)}) IS NULL THEN {value} END"
        scale = fill(form.scale, stored)
        return (*behind, Compared(name, value, form.sql_type, form.exactness, scale, uses))

    def _output(self, item: BoundColumn) -> Output:
        name, plain = item.column.name, item.plain
        measures = item.used
        uses = tuple(dict.fromkeys(c for m in measures for c, _ in m.parts.values()))
        check = self._check(item)
        if plain is not None:
            form, value = plain.form, fill(plain.form.finalise, plain.stored(name))
            return Output(
                name, form.sql_type, form.exactness, plain.aggregate, form.bound, value, check, uses, form.combines,
                said=item.column.said, spark=plain.in_spark(name),
            )  # fmt: skip
        value = f"TRY({self._expression(item)})"
        kind = self._type(value, item)
        if kind in ("HUGEINT", "UHUGEINT"):
            value, kind = f"TRY_CAST({value} AS DECIMAL(38,0))", "DECIMAL(38,0)"
        if not storable(kind):
            hint = "cast it: (expression)::VARCHAR"
            raise self.source.refuse(
                item.column.offset, f"column {name!r} has type {kind}", "a type that can be stored", hint
            )
        if check:
            value = f"CASE WHEN {check} IS NULL THEN {value} ELSE {failing(check, kind)} END"
        exactness = max((m.form.exactness for m in measures), key=_WORST.index)
        bound = "; ".join(dict.fromkeys(m.form.bound for m in measures if m.form.bound))
        return Output(name, kind, exactness, "expression", bound, value, check, uses, said=item.column.said)

    def _expression(self, item: BoundColumn) -> str:
        """The user's expression with every aggregate finished in its place, of DuckDB's own type."""
        return "".join(
            piece
            if isinstance(piece, str)
            else self._inner(item.measures[piece.name], item.column.name)
            if isinstance(piece, Measure)
            else self._named(piece.name)
            for piece in item.column.pieces
        )

    def _inner(self, measure: BoundMeasure, column: str) -> str:
        value = fill(measure.form.finalise, measure.stored(column))
        return f"(({value})::{measure.form.native})" if measure.form.native else f"({value})"

    def _named(self, name: str) -> str:
        """A key, or (in HAVING) another column."""
        if any(key.name == name for key in self.bound.keys):
            return f"partials.{quote(name)}"
        return f"({next(output.finalise for output in self.outputs if output.name == name)})"

    def _check(self, item: BoundColumn) -> str:
        """NULL, or which of a column's aggregates is out of range; '' where none can be."""
        found = [fill(m.form.check, m.stored(item.column.name)) for m in _distinct(item.used) if m.form.check]
        named = {piece.name for piece in item.column.pieces if isinstance(piece, KeyUse)}
        if item is self.bound.having:
            found += [output.check for output in self.outputs if output.name in named and output.check]
        return f"coalesce({', '.join(found)})" if len(found) > 1 else f"({found[0]})" if found else ""

    def _type(self, sql: str, item: BoundColumn) -> str:
        columns = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in self.stored)
        select = f"SELECT {sql} AS x FROM (SELECT {columns}) AS partials"
        return types_of(self.source, item.column.offset, select)["x"]


def _distinct(measures: Iterable[BoundMeasure]) -> list[BoundMeasure]:
    return list({measure.name: measure for measure in measures}.values())
