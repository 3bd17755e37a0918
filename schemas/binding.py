"""Types: DuckDB binds each expression against an empty table of the contract's types, before any data is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from seamline.errors import UserError
from seamline.kernel import kernel, quote
from seamline.schemas.algebra import ALGEBRA, Form, canonical, storable
from seamline.schemas.language import Source
from seamline.schemas.selection import Key, Measure, Selection


@dataclass(frozen=True)
class BoundKey:
    """A key with its type. `sql` has try semantics."""

    name: str
    sql: str
    sql_type: str


@dataclass(frozen=True)
class BoundMeasure:
    """An aggregate with the form of its argument's type. `argument` and `filter` have try semantics."""

    name: str
    aggregate: str
    argument: str
    filter: str
    form: Form

    def column(self, suffix: str) -> str:
        """The name of a partial column; view columns have no double underscore, so it cannot meet another."""
        return f"{self.name}__{suffix}" if suffix else self.name

    @property
    def stored(self) -> dict[str, str]:
        """Suffix to the SQL of that partial column, for finishing; and the column's own name."""
        return {"column": self.name} | {
            part.suffix: f"partials.{quote(self.column(part.suffix))}" for part in self.form.parts
        }


def empty_events(fields: Mapping[str, str]) -> str:
    """A SELECT of no rows with the events' columns and types."""
    columns = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in fields.items())
    return f"SELECT {columns} WHERE false"


def check_own(source: Source, offset: int, select: str) -> None:
    """Refuses a SELECT that DuckDB itself would not run over the events: the view promises the same answer."""
    try:
        kernel().describe(select)
    except duckdb.Error as error:
        raise _refused(source, offset, error) from error


def _refused(source: Source, offset: int, error: duckdb.Error) -> UserError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0].split("Error: ", 1)[-1]
    hints = " ".join(line for line in lines[1:] if line.startswith(("Candidate", "Did you mean")))
    return source.refuse(offset, reason, hints, "correct the expression or its types")


def bind(source: Source, selection: Selection, fields: Mapping[str, str]) -> tuple[BoundKey | BoundMeasure, ...]:
    """Keys and measures with their types, in order. Raises VIEW_INVALID with DuckDB's reason."""
    binder = _Binder(source, f"WITH events AS ({empty_events(fields)})")
    if selection.where:
        binder.condition(selection.where, selection.where_offset)
    return tuple(binder.key(item) if isinstance(item, Key) else binder.measure(item) for item in selection.items)


@dataclass(frozen=True)
class _Binder:
    source: Source
    events: str

    def type_of(self, sql: str, offset: int) -> str:
        """The type of an expression over one event."""
        try:
            return kernel().describe(f"{self.events} SELECT {sql} AS x FROM events")["x"]
        except duckdb.Error as error:
            raise _refused(self.source, offset, error) from error

    def condition(self, sql: str, offset: int) -> str:
        kind = self.type_of(f"TRY({sql})", offset)
        if kind != "BOOLEAN":
            mend = "write a comparison"
            raise self.source.refuse(offset, f"a condition of type {kind}", "BOOLEAN", mend)
        return f"TRY({sql})"

    def key(self, item: Key) -> BoundKey:
        sql = item.sql if item.bare else f"TRY({item.sql})"
        kind = self.type_of(sql, item.offset)
        if not storable(kind):
            raise self.source.refuse(item.offset, f"key {item.name!r} has type {kind}", _STORABLE, _cast(kind))
        return BoundKey(item.name, canonical(sql, kind), kind)

    def measure(self, item: Measure) -> BoundMeasure:
        entry = ALGEBRA[item.aggregate]
        condition = self.condition(item.filter, item.offset) if item.filter else ""
        argument = item.argument if item.bare else f"TRY({item.argument})"
        kind = "BIGINT" if argument == "*" else self.type_of(argument, item.offset)
        form = entry.form(kind)
        if form is None:
            raise self.source.refuse(
                item.offset, f"{item.aggregate}() of {kind}", f"{item.aggregate}() takes {entry.takes}", _cast(kind)
            )
        return BoundMeasure(item.name, item.aggregate, argument, condition, form)


_STORABLE = (
    "BOOLEAN, integers up to 64 bits, DECIMAL, FLOAT, DOUBLE, VARCHAR, BLOB, DATE, TIME, TIMESTAMP, lists, structs"
)


def _cast(kind: str) -> str:
    target = "DECIMAL(38,0)" if kind in ("HUGEINT", "UHUGEINT", "BIGNUM") else "VARCHAR"
    return f"cast it: (expression)::{target}"
