"""Readers that do not block each other: cursors of one hardened DuckDB, so that memory and threads are bounded once.

A cursor that is used again for the same snapshot finds its views already defined.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.kernel import Limits, connect, literal, quote
from seamline.serving.functions import statements
from seamline.serving.guard import TREE, Reference, check, check_text, too_deep

if TYPE_CHECKING:
    from seamline.serving.snapshot import Served

KEPT = 8
"""Idle cursors that are kept."""

LARGEST = 512 * 1024 * 1024
"""Bytes of one answer."""


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
        self.references = lru_cache(maxsize=512)(self._references)

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

    def _references(self, sql: str) -> tuple[Reference, ...]:
        """The views of an allowed query. Raises QUERY_INVALID or QUERY_REFUSED. Kept: the text decides it alone."""
        check_text(sql)
        with self.cursor() as cursor:
            return check(sql, cursor.tree(sql))


def _close(root: duckdb.DuckDBPyConnection, idle: list[Cursor]) -> None:
    for cursor in idle:
        cursor.close()
    root.close()


class Cursor:
    """One connection, used by one thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._defined: dict[str, Served] = {}
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

    def define(self, view: str, served: Served) -> None:
        """Makes `view` the merged answer of a snapshot. DuckDB inlines it: a query's filters reach the Parquet scan."""
        if self._defined.get(view) is served:
            return
        self._defined.pop(view, None)
        source = f"_speed_{view}"
        inputs = [source]
        try:
            if served.speed is not None:
                self._connection.register(source, served.speed)
            if isinstance(served.batch, pa.Table):
                inputs.append(f"_batch_{view}")
                self._connection.register(inputs[-1], served.batch)
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS {statement(served, *inputs)}")
        except duckdb.Error as error:
            raise _undefined(view, error) from error
        self._defined[view] = served

    def run(self, sql: str, seconds: float) -> pa.Table:
        """Runs a checked query. Raises QUERY_TIMEOUT, QUERY_INVALID, VALUE_OUT_OF_RANGE or STORE_UNAVAILABLE."""
        token = object()
        timer = threading.Timer(seconds, self._interrupt, [token])
        timer.daemon = True
        self._running = token
        timer.start()
        try:
            with self._connection.sql(sql).to_arrow_reader() as reader:  # closed, or the cursor stays busy
                return _read(reader)
        except duckdb.Error as error:
            raise self._placed(sql, error, seconds) from error
        except (pa.ArrowException, OSError) as error:  # DuckDB's, raised while rows are made: pyarrow knows its text
            raise _said(error, seconds) from error
        finally:
            with self._guard:
                self._running = None
            timer.cancel()

    def explain(self, sql: str) -> str:
        """The plan of a checked query."""
        return str(self._connection.execute(f"EXPLAIN {sql}").fetchall()[0][1])

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _placed(self, sql: str, error: duckdb.Error, seconds: float) -> SeamlineError:
        """The error; where the query does not bind, with the place, which DuckDB says to `execute` only."""
        if isinstance(error, duckdb.BinderException | duckdb.CatalogException):
            try:
                self._connection.execute(f"EXPLAIN\n{sql}").fetchall()
            except duckdb.Error as again:
                return _said(again, seconds, before=1)
        return _said(error, seconds)

    def _interrupt(self, token: object) -> None:
        with self._guard:  # never the next query's
            if self._running is token:
                self._connection.interrupt()


def statement(served: Served, speed: str, batch: str = "") -> str:
    """A view's SELECT: finalise(merge(batch partials UNION ALL speed partials))."""
    columns = ", ".join(f"{quote(c.name)}::{c.sql_type} AS {quote(c.name)}" for c in served.definition.partial_columns)
    sources = []
    if served.batch is not None:
        paths = [] if isinstance(served.batch, pa.Table) else served.batch
        files = f"read_parquet([{', '.join(literal(path) for path in paths)}])"
        sources.append(f"SELECT {columns} FROM {quote(batch) if batch else files}")
    if served.speed is not None:
        sources.append(f"SELECT {columns} FROM {quote(speed)}")
    if not sources:
        nothing = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in served.definition.partial_columns)
        sources.append(f"SELECT {nothing} WHERE false")
    union = " UNION ALL ".join(sources)
    return f"WITH partials AS NOT MATERIALIZED ({union})\n{served.definition.merge_and_finalise}"


def _undefined(view: str, error: duckdb.Error) -> SeamlineError:
    """A view's own statement failed: a file is out of reach, or there is a defect."""
    if isinstance(error, duckdb.IOException):
        return TransientError(Condition.STORE_UNAVAILABLE, f"view {view}: {error}", mend="ask again")
    return TerminalError(Condition.KERNEL_FAILED, f"view {view}: {type(error).__name__}: {error}")


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


def _said(error: Exception, seconds: float, before: int = 0) -> SeamlineError:
    """DuckDB's error in the words of a query that stands `before` lines down."""
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in first:
        return UserError(
            Condition.QUERY_TIMEOUT, f"the query ran longer than {seconds:g} s",
            mend="narrow it (a filter on the time bucket is pushed down), or raise serving.query_seconds",
        )  # fmt: skip
    if "VALUE_OUT_OF_RANGE" in text:
        return UserError(
            Condition.VALUE_OUT_OF_RANGE, first, allowed="values inside their column's type",
            mend="leave that group or that column out; docs/views.md says which ranges sums have",
        )  # fmt: skip
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in first:
        return UserError(
            Condition.QUERY_REFUSED, f"the query needs more memory: {first}", allowed="kernel.memory",
            mend="narrow the query, or raise kernel.memory",
        )  # fmt: skip
    if isinstance(error, duckdb.IOException) or first.startswith("IO Error"):
        return TransientError(Condition.STORE_UNAVAILABLE, first, mend="ask again")
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return TerminalError(Condition.KERNEL_FAILED, first)
    told, _, shown = text.partition("\n\nLINE ")
    hint = " ".join(told.splitlines()[1:])
    return UserError(Condition.QUERY_INVALID, first, mend=hint or "mend the query", where=_caret(shown, before))


def _caret(shown: str, before: int) -> str:
    """`line:column` from `1: SELECT …` and the caret under it; the line alone where DuckDB shortened it."""
    head, _, line = shown.partition(": ")
    text, _, marks = line.partition("\n")
    if not head.isdigit() or "^" not in marks:
        return ""
    number = int(head) - before
    column = marks.index("^") - len(f"LINE {head}: ") + 1
    return str(number) if text.startswith("...") else f"{number}:{column}"
