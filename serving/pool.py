"""Readers that do not block each other: cursors of one hardened DuckDB, so that memory and threads are bounded once.

A cursor that is used again for the same snapshot finds its views already defined.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from seamline.errors import Condition, SeamlineError, TerminalError, UserError
from seamline.kernel import Limits, connect, parquet, quote
from seamline.schemas.definition import Definition
from seamline.serving.failures import said, undefined
from seamline.serving.functions import statements
from seamline.serving.guard import TREE, Reference, check, check_text, too_deep
from seamline.serving.measure import TILES, Measured, Parser, measured
from seamline.serving.named import Names, named
from seamline.serving.plain import PlainCall, plain_calls
from seamline.serving.remerge import tiles

if TYPE_CHECKING:
    from seamline.serving.snapshot import Served

KEPT = 8
"""Idle cursors that are kept."""

LARGEST = 512 * 1024 * 1024
"""Bytes of one answer."""

AGGREGATES = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"


class Pool:
    """Hands out cursors. Safe to share between threads."""

    def __init__(self, limits: Limits, seconds: float) -> None:
        self.seconds = seconds
        self._root = connect(limits)
        for made in statements():  # cursors share the root's catalogue
            self._root.execute(made)
        self._idle: list[Cursor] = []
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, _close, self._root, self._idle)  # also when the interpreter ends
        self.asked = lru_cache(maxsize=512)(self._asked)
        self.measured = lru_cache(maxsize=512)(self._measured)

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A cursor for one query; the one used last is the first to be used again."""
        with self._lock:
            cursor = self._idle.pop() if self._idle else Cursor(self._root.cursor())
        try:
            yield cursor
        finally:
            with self._lock:
                keep = len(self._idle) < KEPT
                if keep:
                    self._idle.append(cursor)
            if not keep:
                cursor.close()

    def _asked(self, sql: str) -> Asked:
        """What an allowed query asks. Raises QUERY_INVALID or QUERY_REFUSED. Kept: the text decides it alone."""
        check_text(sql)
        with self.cursor() as cursor:
            checked = check(sql, cursor.tree(sql))
        try:
            names = None if checked.measured else named(checked.node)
            return Asked(checked.references, checked.measured, plain_calls(sql, checked.node), names)
        except RecursionError:
            raise too_deep() from None

    def _measured(self, sql: str, definitions: tuple[Definition, ...]) -> Measured:
        """An allowed query with its MEASURE calls written out for these definitions. Raises QUERY_INVALID. Kept."""
        with self.cursor() as cursor:
            try:
                return measured(sql, {one.view: one for one in definitions}, cursor.parser)
            except RecursionError:
                raise too_deep() from None


@dataclass(frozen=True)
class Asked:
    """What a query's text says: its views, whether it has MEASURE, its plain aggregates over columns, and the columns
    that it can name."""

    references: tuple[Reference, ...]
    measured: bool
    calls: tuple[PlainCall, ...]
    names: Names


@dataclass(frozen=True)
class Text:
    """A checked query as it runs; `plain`: the user's words where they are others, by which places are told."""

    sql: str
    plain: str = ""


def _close(root: duckdb.DuckDBPyConnection, idle: list[Cursor]) -> None:
    for cursor in idle:
        cursor.close()
    root.close()


class Cursor:
    """One connection, used by one thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._defined: dict[str, tuple[Served, Definition]] = {}
        self._guard = threading.Lock()
        self._running: object | None = None

    def tree(self, sql: str) -> str:
        """DuckDB's syntax tree of a text, as JSON."""
        try:
            found = self._connection.execute(TREE, [sql]).fetchall()
        except duckdb.Error as error:
            if "expression depth" in str(error):
                raise too_deep() from error
            raise UserError(Condition.QUERY_INVALID, str(error).splitlines()[0], mend="mend the query") from error
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

    def define(self, view: str, served: Served, names: Names = None) -> None:
        """Makes `view` the merged answer of a snapshot. DuckDB inlines it: a query's filters reach the Parquet scan.

        It binds every column of it for each query, though, which for lists and sketches takes longer than many an
        answer: where `names` leaves some out, they are left out.
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

    def _stands(self, name: str, served: Served, definition: Definition) -> bool:
        last = self._defined.get(name)
        return last is not None and last[0] is served and last[1] is definition

    def define_tiles(self, view: str, served: Served) -> None:
        """Makes the tiles of a view that is defined: its rows with their merged partials, for MEASURE."""
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

    def run(self, text: Text, seconds: float) -> pa.Table:
        """Runs a checked query. Raises QUERY_TIMEOUT, QUERY_INVALID, VALUE_OUT_OF_RANGE or STORE_UNAVAILABLE."""
        token = object()
        timer = threading.Timer(seconds, self._interrupt, [token])
        timer.daemon = True
        self._running = token
        timer.start()
        try:
            with self._connection.sql(text.sql).to_arrow_reader() as reader:  # closed, or the cursor stays busy
                return _read(reader)
        except duckdb.Error as error:
            raise self._placed(text, error, seconds) from error
        except (pa.ArrowException, OSError) as error:  # DuckDB's, raised while rows are made: pyarrow knows its text
            raise said(error, seconds) from error
        finally:
            with self._guard:
                self._running = None
            timer.cancel()

    def explain(self, text: Text) -> str:
        """The plan of a checked query."""
        return str(self._connection.execute(f"EXPLAIN {text.sql}").fetchall()[0][1])

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _placed(self, text: Text, error: duckdb.Error, seconds: float) -> SeamlineError:
        """The error; where the query does not bind, with the place, which DuckDB says to `execute` only."""
        if isinstance(error, duckdb.BinderException | duckdb.CatalogException):
            for view, (served, definition) in list(self._defined.items()):
                if definition is not served.definition:
                    self.define(view, served)  # whole, so that DuckDB can say which column may have been meant
            try:
                self._connection.execute(f"EXPLAIN\n{text.plain or text.sql}").fetchall()
            except duckdb.Error as again:
                return said(again, seconds, before=1)
        told = said(error, seconds)
        if text.plain:
            told.where = ""  # it would be the place in the text that was written out
        return told

    def _interrupt(self, token: object) -> None:
        with self._guard:  # never the next query's
            if self._running is token:
                self._connection.interrupt()


def _inputs(view: str) -> tuple[str, str]:
    """The names that a view's speed partials, and its batch partials where they are in memory, are registered by."""
    return f"_speed_{view}", f"_batch_{view}"


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


def statement(served: Served, definition: Definition, rows: Callable[[Definition], str] = finished) -> str:
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
        nothing = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
        sources.append(f"SELECT {nothing} WHERE false")
    union = " UNION ALL ".join(sources)
    return f"WITH partials AS NOT MATERIALIZED ({union})\n{rows(definition)}"


def _read(reader: pa.RecordBatchReader) -> pa.Table:
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > LARGEST:
            raise UserError(
                Condition.QUERY_REFUSED,
                f"an answer of more than {LARGEST >> 20} MB",
                allowed=f"{LARGEST >> 20} MB",
                mend="add LIMIT, or aggregate further",
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, schema=reader.schema)
