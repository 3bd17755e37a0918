"""Types: DuckDB binds each expression against an empty table of the contract's types, before any data is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seamline.errors import SeamlineError
from seamline.kernel import quote
from seamline.schemas.algebra import ALGEBRA, Aggregate, Call, Form, Part
from seamline.schemas.algebra.forms import InSpark, canonical, evaluated, fill, storable
from seamline.schemas.views.buckets import without_calendar
from seamline.schemas.views.calls import Measure
from seamline.schemas.views.definition import EVENTS
from seamline.schemas.views.engine import types_of
from seamline.schemas.views.event_columns import empty_events
from seamline.schemas.views.order import UNORDERED, Order
from seamline.schemas.views.selection import Computed, Key, Selection
from seamline.schemas.views.source import Source
from seamline.schemas.views.unnest import Unnested


@dataclass(frozen=True)
class BoundKey:
    """A key with its type."""

    name: str

    sql: str
    """With try semantics."""

    said: str
    """The user's expression, normalised."""

    sql_type: str

    @property
    def grouped(self) -> str:
        """`sql`, without the kernel's calendar where its buckets have a fixed length."""
        return without_calendar(self.sql, self.sql_type)


@dataclass(frozen=True)
class BoundMeasure:
    """An aggregate with the form of its arguments' types."""

    name: str
    aggregate: str
    form: Form

    parts: Mapping[str, tuple[str, str]]
    """Its partial columns' names and the SQL that makes them from events, by suffix; a column that another measure has
    already is shared."""

    own: str = ""
    """What DuckDB itself runs over the events for it, where that is not the call as it is written."""

    arguments: tuple[str, ...] = ()
    """Over one event; none for `*`."""

    where: str = ""
    """FILTER's condition, over one event."""

    types: tuple[str, ...] = ()
    """Those of its arguments that the form was made for."""

    constants: tuple[Any, ...] = ()
    """Those that the form was made for."""

    def stored(self, column: str) -> dict[str, str]:
        """Suffix to the SQL of that partial column, for finalising, and the view column's name for messages."""
        return {"column": column} | {suffix: f"partials.{quote(name)}" for suffix, (name, _) in self.parts.items()}

    def in_spark(self, column: str) -> InSpark | None:
        """The form in Spark SQL by its partial columns' names: merges over `stored`, finalising over `partials`."""
        form = self.form.spark
        if form is None:
            return None
        names = {suffix: name for suffix, (name, _) in self.parts.items()}
        merges = {names[suffix]: fill(sql, {"c": f"stored.`{names[suffix]}`"}) for suffix, sql in form.merges.items()}
        merged = {suffix: f"partials.`{name}`" for suffix, name in names.items()}
        return InSpark(merges, fill(form.finalise, {"column": column, **merged}), form.bound)


@dataclass(frozen=True)
class BoundColumn:
    """A column over aggregates."""

    column: Computed

    measures: Mapping[str, BoundMeasure]
    """By the name of each call; one without pieces around it is plain."""

    @property
    def used(self) -> tuple[BoundMeasure, ...]:
        """The aggregates in it; in HAVING, without those of the columns that it names."""
        return tuple(self.measures[measure.name] for measure in self.column.measures)

    @property
    def plain(self) -> BoundMeasure | None:
        """The one aggregate that the column is, or None where it computes from aggregates."""
        first = self.column.pieces[0]
        return self.measures[first.name] if isinstance(first, Measure) and len(self.column.pieces) == 1 else None


@dataclass(frozen=True)
class BoundSelect:
    """A view's SELECT with types: its keys and columns in the user's order, its condition, and its HAVING."""

    items: tuple[BoundKey | BoundColumn, ...]
    named: Mapping[str, BoundMeasure]
    having: BoundColumn | None

    @property
    def measures(self) -> tuple[BoundMeasure, ...]:
        """Each aggregate once."""
        return tuple({measure.name: measure for measure in self.named.values()}.values())

    def own(self, measure: Measure) -> str:
        """What DuckDB runs over the events for a call, or '' where it is the call as written."""
        return self.named[measure.name].own

    @property
    def keys(self) -> tuple[BoundKey, ...]:
        """What events are grouped by."""
        return tuple(item for item in self.items if isinstance(item, BoundKey))

    @property
    def parts(self) -> dict[str, tuple[Part, str]]:
        """Every partial column that is stored: its part, and the SQL that makes it from events. The last one counts
        them."""
        made = {
            measure.parts[part.suffix][0]: (part, measure.parts[part.suffix][1])
            for measure in self.measures
            for part in measure.form.parts
        }
        return made | {EVENTS.name: (_EVENTS, _EVENTS.partial)}


_EVENTS = Part("", "count(*)", EVENTS.sql_type, "coalesce(sum({c}), 0)::BIGINT", since=5)


def unnested_events(source: Source, unnested: Unnested, events: str) -> str:
    """A SELECT of no rows: the events with the element's column. Raises VIEW_INVALID where there is no array."""
    kind = Binder(source, f"WITH events AS ({events})", UNORDERED).type_of(unnested.sql, unnested.array.offset)
    if not kind.endswith("]"):
        hint = "unnest an array: a list of JSON values is one after from_json(…, '[\"VARCHAR\"]')"
        raise source.refuse(unnested.array.offset, f"unnest() of {kind}", "an array", hint)
    return unnested.over(f"({events}) AS events")


def bind(source: Source, selection: Selection, fields: Mapping[str, str], order: Order) -> BoundSelect:
    """Keys and columns with their types. Raises VIEW_INVALID with DuckDB's reason."""
    events = empty_events(fields)
    if selection.unnested:
        events = unnested_events(source, selection.unnested, events)
    binder = Binder(source, f"WITH events AS ({events})", order)
    if selection.where:
        binder.condition(selection.where, selection.where_offset)
    same: dict[str, BoundMeasure] = {}
    made: dict[tuple[str, str], str] = {}
    measures: dict[str, BoundMeasure] = {}
    for measure in selection.measures:
        if measure.said not in same:
            same[measure.said] = binder.measure(measure, made)
        measures[measure.name] = same[measure.said]
    items = tuple(
        binder.key(item) if isinstance(item, Key) else BoundColumn(item, measures) for item in selection.items
    )
    having = BoundColumn(selection.having, measures) if selection.having else None
    return BoundSelect(items, measures, having)


@dataclass(frozen=True)
class Binder:
    """Types of expressions over one row."""

    source: Source

    rows: str
    """The text (a WITH clause) that gives `table`."""

    order: Order = UNORDERED
    """That of events."""

    table: str = "events"

    def type_of(self, sql: str, offset: int) -> str:
        """The type of an expression over one row."""
        return types_of(self.source, offset, f"{self.rows} SELECT {sql} AS x FROM {self.table}")["x"]

    def condition(self, sql: str, offset: int) -> str:
        """A condition with try semantics. Raises VIEW_INVALID where it is no BOOLEAN."""
        kind = self.type_of(f"TRY({sql})", offset)
        if kind != "BOOLEAN":
            hint = "write a comparison"
            raise self.source.refuse(offset, f"a condition of type {kind}", "BOOLEAN", hint)
        return f"TRY({sql})"

    def key(self, item: Key) -> BoundKey:
        """A key with its type and try semantics. Raises VIEW_INVALID where its type cannot be stored."""
        sql = item.sql if item.bare else f"TRY({item.sql})"
        kind = self.type_of(sql, item.offset)
        if not storable(kind):
            raise self.source.refuse(item.offset, f"key {item.name!r} has type {kind}", _STORABLE, _cast(kind))
        return BoundKey(item.name, canonical(sql, kind), item.said, kind)

    def measure(self, item: Measure, made: dict[tuple[str, str], str]) -> BoundMeasure:
        """`made`: the partial columns that stand already, by how they are made and merged; new ones are added."""
        entry = ALGEBRA[item.aggregate]
        where = self.condition(item.filter, item.offset) if item.filter else ""
        arguments = [argument.sql if argument.bare else f"TRY({argument.sql})" for argument in item.arguments]
        types = tuple(
            "BIGINT" if sql == "*" else self.type_of(sql, argument.offset)
            for sql, argument in zip(arguments, item.arguments, strict=True)
        )
        call = Call(types, self.constants(item), item.constants)
        form = self.form(entry, item, call)
        values = {
            **dict(zip("xyz", arguments, strict=False)),
            "filter": f" FILTER (WHERE {where})" if where else "",
            "where": where or "true",
            "at": self.order.at(),
        }
        parts = {}
        for part in form.parts:
            partial = fill(part.partial, values)
            column = f"{item.name}__{part.suffix}" if part.suffix else item.name
            parts[part.suffix] = (made.setdefault((partial, part.merge), column), partial)
        own = fill(form.own, self.own_values(item)) if form.own else ""
        read = tuple(sql for sql in arguments if sql != "*")
        return BoundMeasure(item.name, item.aggregate, form, parts, own, read, where, types, call.constants)

    def own_values(self, item: Measure) -> dict[str, str]:
        """What stands for the arguments in the user's own SELECT: the very characters."""
        texts = dict(zip("xyz", (argument.text for argument in item.arguments), strict=False))
        where = item.filter_text
        filtered = {"filter": f" FILTER (WHERE {where})" if where else "", "where": where or "true"}
        return {**texts, **filtered, "order": self.order.own()}

    def form(self, entry: Aggregate, item: Measure, call: Call) -> Form:
        """The entry's form for these types. Raises VIEW_INVALID where it takes no such types or constants."""
        name = item.aggregate.partition(" ")[0]
        try:
            form = entry.form(call)
        except ValueError as error:
            message = f"{name}(…, {', '.join(item.constants)})"
            raise self.source.refuse(
                item.offset, message, f"{entry.signature}: {error}", "write such a value"
            ) from error
        if form is None:
            message = f"{name}() of {', '.join(call.types)}"
            detail = f"{entry.signature} takes {entry.takes}"
            raise self.source.refuse(item.offset, message, detail, self.fitting(entry, call))
        return form

    @staticmethod
    def fitting(entry: Aggregate, call: Call) -> str:
        """How to make arguments fit that an entry does not take: a cast, where there is one to what it takes."""
        refused = next((kind for kind in call.types if not storable(kind)), None)
        if refused is not None:
            return _cast(refused)
        for kind in _FROM_TEXT if call.type == "VARCHAR" else ("VARCHAR",):
            if entry.form(Call((kind, *call.types[1:]), call.constants, call.texts)) is not None:
                return f"cast it: (expression)::{kind}"
        return "give it an expression of such a type"

    def constants(self, item: Measure) -> tuple[Any, ...]:
        """The values of an aggregate's constants. Raises VIEW_INVALID for one that is not constant."""
        if not item.constants:
            return ()
        self.type_of(f"({item.constants[0]})", item.offset)
        try:
            return evaluated(item.constants)
        except SeamlineError as error:
            raise self.source.refuse(item.offset, error.message, hint="write the constants out") from error


_FROM_TEXT = ("DECIMAL(18,2)", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP WITH TIME ZONE")

_STORABLE = (
    "BOOLEAN, integers up to 64 bits, DECIMAL, FLOAT, DOUBLE, VARCHAR, BLOB, DATE, TIME, TIMESTAMP, lists, structs"
)


def _cast(kind: str) -> str:
    target = "DECIMAL(38,0)" if kind in ("HUGEINT", "UHUGEINT", "BIGNUM") else "VARCHAR"
    return f"cast it: (expression)::{target}"
