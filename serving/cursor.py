"""One connection to a hardened DuckDB: it parses, binds and runs, one query at a time, and stops in time.

A cursor that is used again for the same snapshot finds its views already defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import duckdb
import pyarrow as pa

from seamline.errors import Condition, TerminalError, UserError
from seamline.kernel import parquet, quote
from seamline.schemas.views.definition import Definition
from seamline.serving import beyond
from seamline.serving.deadline import deadline
from seamline.serving.exported import exported
from seamline.serving.failures import said, undefined
from seamline.serving.guard import too_deep
from seamline.serving.measure import Parser
from seamline.serving.named import Names
from seamline.serving.rebound import Text, bind
from seamline.serving.remerge import tiles
from seamline.serving.reserved import BATCH, SPEED, TILES
from seamline.serving.snapshot import ServedView
from seamline.sql import TREE

LARGEST = 512 * 1024 * 1024
"""Bytes of one answer."""

AGGREGATES = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"


class Cursor:
    """One connection, used by one thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._defined: dict[str, tuple[ServedView, Definition]] = {}

    @property
    def names(self) -> frozenset[str]:
        """What is defined on it."""
        return frozenset(self._defined)

    def tree(self, sql: str) -> str:
        """DuckDB's syntax tree of a text, as JSON. Raises QUERY_INVALID where it has none, or too deep a one."""
        try:
            found = self._connection.execute(TREE, [sql]).fetchall()
        except duckdb.Error as error:
            if "expression depth" in str(error):
                raise too_deep() from error
            raise UserError(Condition.QUERY_INVALID, str(error).splitlines()[0], hint="correct the query") from error
        return str(found[0][0])

    @property
    def parser(self) -> Parser:
        """DuckDB's parser, both ways."""
        found = self._connection.execute(AGGREGATES).fetchall()
        return Parser(self.tree, self._text, frozenset(str(name) for (name,) in found))

    def _text(self, tree: str) -> str:
        try:
            return str(self._connection.execute("SELECT json_deserialize_sql(?)", [tree]).fetchall()[0][0])
        except duckdb.Error as error:
            raise TerminalError(Condition.KERNEL_FAILED, str(error).splitlines()[0]) from error

    def define(self, view: str, served: ServedView, names: Names = None) -> None:
        """Makes `view` the merged answer of a snapshot. DuckDB inlines it: a query's filters reach the Parquet scan.

        It binds every column of it for each query, though, which for lists and sketches takes longer than many an
        answer: where `names` leaves some out, they are left out. Raises STORE_UNAVAILABLE
        or KERNEL_FAILED.
        """
        definition = light(served.definition, names)
        if self._stands(view, served, definition):
            return
        self._defined.pop(view, None)
        speed, batch = _inputs(view)
        try:
            if served.speed is not None:
                self._connection.register(speed, served.speed)
            if isinstance(served.batch, pa.Table):
                self._connection.register(batch, served.batch)
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS {statement(served, definition)}")
        except duckdb.Error as error:
            raise undefined(view, error) from error
        self._defined[view] = served, definition

    def _stands(self, name: str, served: ServedView, definition: Definition) -> bool:
        last = self._defined.get(name)
        return last is not None and last[0] is served and last[1] is definition

    def define_tiles(self, view: str, served: ServedView) -> None:
        """Makes the tiles of a view that is defined: its rows with their merged partials, for MEASURE. Raises like
        `define`."""
        name = TILES + view
        definition = served.definition
        if self._stands(name, served, definition):
            return
        try:
            text = statement(served, definition, tiles)
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS {text}")
        except duckdb.Error as error:
            raise undefined(view, error) from error
        self._defined[name] = served, definition

    def bind(self, text: Text, tables: Mapping[str, str], seconds: float) -> None:
        """Binds a checked query over empty tables, and nothing else. Raises QUERY_INVALID, _REFUSED or _TIMEOUT."""
        with deadline(self._connection, seconds):
            bind(self._connection, text, tables, seconds)

    def describe(self, statement: str) -> list[tuple[str, str]]:
        """Names and types of a statement's columns."""
        return [(name, kind) for name, kind, *_ in self._connection.execute(f"DESCRIBE {statement}").fetchall()]

    def run(self, text: Text, seconds: float) -> pa.Table:
        """Runs a checked query. Raises QUERY_TIMEOUT, QUERY_INVALID, VALUE_OUT_OF_RANGE or STORE_UNAVAILABLE."""
        try:
            with (
                deadline(self._connection, seconds),
                exported(
                    self._connection.sql(text.sql)
                ).to_arrow_reader() as reader,  # closed, or the cursor stays busy
            ):
                return _read(reader)
        except (duckdb.Error, pa.ArrowException, OSError) as error:  # rows that are made fail in pyarrow's words
            told = said(error, seconds)
            raise (told.but(where="") if text.plain else told) from error  # the place is in the text written out

    def beyond(self, column: str, served: ServedView, seconds: float) -> pa.Table:
        """The keys of groups of a view in which a column is out of range. Raises like `run`."""
        rows = beyond.rows(column)
        if not rows(served.definition):
            return pa.table({})
        with deadline(self._connection, seconds):
            try:
                return self._connection.execute(statement(served, served.definition, rows)).to_arrow_table()
            except duckdb.Error as error:
                raise said(error, seconds) from error

    def explain(self, text: Text) -> str:
        """The plan of a checked query."""
        return str(self._connection.execute(f"EXPLAIN {text.sql}").fetchall()[0][1])

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _inputs(view: str) -> tuple[str, str]:
    """The names that a view's speed partials, and its batch partials where they are in memory, are registered by."""
    return SPEED + view, BATCH + view


def finished(definition: Definition) -> str:
    """A view's columns over `partials` of any split."""
    return definition.merge_and_finalise


@lru_cache(maxsize=512)
def light(definition: Definition, names: Names) -> Definition:
    """A definition without the columns that `names` leaves out, where some of these are made of lists or states."""
    if names is None:
        return definition
    narrow = definition.narrowed(names)
    kept = {column.name for column in narrow.partial_columns}
    left = [column.sql_type for column in definition.partial_columns if column.name not in kept]
    return narrow if any("[" in kind or "STRUCT" in kind for kind in left) else definition


def statement(served: ServedView, definition: Definition, rows: Callable[[Definition], str] = finished) -> str:
    """A view's SELECT: finalise(merge(batch partials UNION ALL speed partials)); `rows` says which columns.

    `definition` is what is served, or a narrower one."""
    speed, batch = _inputs(definition.view)
    columns = ", ".join(f"{quote(c.name)}::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
    sources = []
    if served.batch is not None:
        files = quote(batch) if isinstance(served.batch, pa.Table) else parquet(served.batch, alike=True)
        sources.append(f"SELECT {columns} FROM {files}")
    if served.speed is not None:
        sources.append(f"SELECT {columns} FROM {quote(speed)}")
    if not sources:
        return unread(definition, rows)
    union = " UNION ALL ".join(sources)
    return f"WITH partials AS NOT MATERIALIZED ({union})\n{rows(definition)}"


def unread(definition: Definition, rows: Callable[[Definition], str] = finished) -> str:
    """A view's SELECT where it has no partials."""
    nothing = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
    return f"WITH partials AS (SELECT {nothing} WHERE false)\n{rows(definition)}"


def _read(reader: pa.RecordBatchReader) -> pa.Table:
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > LARGEST:
            raise UserError(
                Condition.QUERY_REFUSED,
                f"an answer of more than {LARGEST >> 20} MB",
                detail=f"{LARGEST >> 20} MB",
                hint="add LIMIT, or aggregate further",
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, schema=reader.schema)
