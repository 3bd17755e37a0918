"""An answer's columns as Arrow has them without loss: what Arrow has no type for, or a narrower one, goes as text.

Left to itself, DuckDB gives an UHUGEINT of 2^128 - 1 as -1, a TIME WITH TIME ZONE without its zone, BIT and BIGNUM as
bytes of their own, and an interval of 300 years of hours as minus 288 years.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from duckdb.sqltypes import DuckDBPyType

from seamline.kernel import quote
from seamline.sql import tokens

_TEXT = frozenset(["uhugeint", "time with time zone", "bit", "bignum", "variant", "geometry"])
"""DuckDB's types that go as text wherever they stand."""

HOURS = 2**63 // 3_600_000_000_000
"""Arrow counts an interval's time in nanoseconds: so many whole hours at most."""


def exported(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The same rows, names and order; what Arrow would change is cast. An interval of too many hours is
    VALUE_OUT_OF_RANGE."""
    wanted = _projection(relation.columns, relation.types)
    return relation.project(wanted) if wanted else relation


def exporting(sql: str, columns: Sequence[tuple[str, str]], *, whole: bool = False) -> str:
    """The same of a text, by the names and types of its columns: a relation with parameters would hold all its rows.
    `whole`: as one that may stand in another."""
    wanted = _projection([name for name, _ in columns], [DuckDBPyType(kind) for _, kind in columns])
    if not (wanted or whole):
        return sql
    return f"SELECT {wanted or '*'} FROM (\n{_without_end(sql)}\n) AS answer"


def _projection(names: Sequence[str], kinds: Sequence[DuckDBPyType]) -> str:
    """What is selected instead; '' where nothing changes."""
    columns = [_column(number, kind) for number, kind in enumerate(kinds, start=1)]
    if columns == [f"#{number}" for number in range(1, len(columns) + 1)]:
        return ""
    return ", ".join(f"{sql} AS {quote(name)}" for sql, name in zip(columns, names, strict=True))


def _without_end(sql: str) -> str:
    """A statement without the semicolons after it."""
    written = [token for token in tokens(sql) if token.kind != "comment"]
    while written and written[-1].sign == ";":
        sql = sql[: written.pop().start]
    return sql


def _column(number: int, kind: DuckDBPyType) -> str:
    if kind.id == "interval":
        inside = f"#{number} IS NULL OR date_part('hour', #{number}) BETWEEN {1 - HOURS} AND {HOURS - 1}"
        return (
            f"CASE WHEN {inside} THEN #{number} ELSE error('VALUE_OUT_OF_RANGE: an interval of over {HOURS} hours') END"
        )
    wanted = _type(kind)
    return f"#{number}" if wanted == str(kind) else f"CAST(#{number} AS {wanted})"


def _type(kind: DuckDBPyType) -> str:
    """A type as SQL, with VARCHAR in the place of what Arrow would change; an interval inside another value is text."""
    if kind.id in _TEXT:
        return "VARCHAR"
    if kind.id not in ("list", "array", "struct", "tuple", "map", "union"):
        return str(kind)
    inner = [(name, child) for name, child in kind.children if not isinstance(child, int | list)]
    inner = inner[1:] if kind.id == "union" else inner  # the first is its tag
    wanted = ["VARCHAR" if child.id == "interval" else _type(child) for _, child in inner]
    if wanted == [str(child) for _, child in inner]:
        return str(kind)
    if kind.id in ("list", "array"):
        return f"{wanted[0]}[{dict(kind.children).get('size', '')}]"
    if kind.id in ("struct", "union"):
        wanted = [f"{quote(name)} {sql}" for (name, _), sql in zip(inner, wanted, strict=True)]
    return f"{kind.id.upper()}({', '.join(wanted)})"
