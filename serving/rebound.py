"""A second opinion on a checked text, DuckDB's own: it is bound where there is nothing but its views, without a row.

The connection can open no file, and holds no tables but empty ones of the views that the text names. A name that the
guard took for a WITH name and DuckDB does not is unknown there; and what DuckDB's plan then reads must be those tables,
or nothing stored at all. So an answer's provenance says of everything it was read from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from seamline.errors import SeamlineError
from seamline.kernel import quote
from seamline.serving.allowed import WORDS
from seamline.serving.failures import said
from seamline.serving.guard import refused
from seamline.serving.parameters import NONE_GIVEN, Given

_WORD = "_word_"
"""Before a word, in the name of a table that is not there."""


def _unbound(word: str) -> str:
    """Makes the function that DuckDB takes a word for one that does not bind."""
    table = quote(_WORD + word)
    macro = f"CREATE MACRO {quote(word)}() AS (SELECT x FROM {table})"
    return f"CREATE TABLE {table} (x INTEGER); {macro}; DROP TABLE {table}"


SETTINGS = ("SET GLOBAL explain_output = 'all'", *map(_unbound, WORDS))
"""With the first, EXPLAIN tells the plan as it was bound, before anything was found to be empty and left out."""

_PLAN = "logical_plan"
_TABLE = "SEQ_SCAN"
_STEPS = "DUMMY_SCAN CTE_SCAN DELIM_SCAN COLUMN_DATA_SCAN EMPTY_RESULT EXPRESSION_SCAN UNNEST RANGE GENERATE_SERIES"
_UNSTORED = frozenset(_STEPS.split())
"""Where a plan may begin beside tables: constants, what the plan itself made, and the allowed table functions."""


@dataclass(frozen=True)
class Text:
    """A checked query as it runs."""

    sql: str

    plain: str = ""
    """The user's words where they are others, by which places are told."""

    before: int = 0
    """How many lines stand above the user's."""

    given: Given = NONE_GIVEN
    """The values of its parameters."""


@contextmanager
def over(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> Iterator[None]:
    """Inside the block there are empty `tables` (their columns in SQL, by name)."""
    try:
        for name, columns in tables.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} ({columns})")
        yield
    finally:
        for name in tables:
            connection.execute(f"DROP TABLE IF EXISTS {quote(name)}")


def bind(connection: duckdb.DuckDBPyConnection, text: Text, tables: Mapping[str, str], seconds: float) -> None:
    """Binds a checked text over empty `tables` (their columns in SQL, by name).

    Raises QUERY_INVALID where it does not bind, with the place where DuckDB knows it; QUERY_REFUSED where it reads
    something else.
    """
    with over(connection, tables):
        try:
            plan = _explained(connection, text)
        except duckdb.Error as error:
            raise _placed(connection, text, error, seconds) from error
    allowed = {f'"temp".main.{name}' for name in tables} | {f'"temp".main.{quote(name)}' for name in tables}
    for operator in _leaves(plan):
        table = operator.get("extra_info", {}).get("Table")
        if not (table in allowed if operator["name"] == _TABLE else operator["name"] in _UNSTORED):
            raise refused(
                f"a query that reads {table or operator['name'].lower()}, for which there would be no provenance",
                "the views that it names after FROM", "name a view after FROM",
            )  # fmt: skip


def _explained(connection: duckdb.DuckDBPyConnection, text: Text) -> Any:
    rows = dict(connection.execute(f"EXPLAIN (FORMAT json)\n{text.sql}", text.given.values).fetchall())
    return json.loads(rows[_PLAN])


def _placed(connection: duckdb.DuckDBPyConnection, text: Text, error: duckdb.Error, seconds: float) -> SeamlineError:
    """The error; of a text that was written out, the place in the user's own words."""
    if found := re.search(rf"{_WORD}(\w+)", str(error)):
        detail, hint = "columns, and functions that compute from their arguments alone", "name a column of the view"
        return refused(f"function {found[1]}", detail, hint)
    if text.plain:
        try:
            connection.execute(f"EXPLAIN\n{text.plain}", text.given.values).fetchall()
        except duckdb.Error as again:
            return said(again, seconds, before=1)
    told = said(error, seconds, before=1)
    return told.but(where="") if text.plain else told  # the place is in the text that was written out


def _leaves(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for one in node:
            yield from _leaves(one)
    elif node["children"]:
        yield from _leaves(node["children"])
    else:
        yield node
