"""One connection to a hardened DuckDB: it parses, binds and runs, one query at a time, and stops in time.

A cursor that is used again for the same snapshot finds its views already defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa

from seamline.errors import Condition, TerminalError, UserError
from seamline.kernel import parquet, quote
from seamline.schemas.views.definition import Column, Definition
from seamline.serving import beyond
from seamline.serving.bounds import NUMBER, BatchFiles, Paths, unbounded
from seamline.serving.deadline import deadline
from seamline.serving.exported import exported, exporting
from seamline.serving.failures import said, undefined
from seamline.serving.guard import too_deep
from seamline.serving.measure import Parser
from seamline.serving.named import Names
from seamline.serving.parameters import NONE_GIVEN, Given
from seamline.serving.pruning import Pruning
from seamline.serving.rebound import Text, bind, over
from seamline.serving.remerge import tiles
from seamline.serving.reserved import BATCH, BOUNDS, SPEED, TILES
from seamline.serving.snapshot import ServedView
from seamline.sql import TREE

LARGEST = 512 * 1024 * 1024
"""Bytes of one answer."""

EVERY = 2**63 - 1
"""Rows of a LIMIT that leaves none out. No filter passes it: a query's own conditions see no row that a policy hides,
not even to fail by it."""

AGGREGATES = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"


@dataclass(frozen=True)
class Defined:
    """What a name stands for on a cursor."""

    served: ServedView
    definition: Definition

    paths: Paths | None
    """Of the batch files that are read; None: all."""

    def is_same(self, other: Defined) -> bool:
        """Whether the other is of the very same snapshot and definition, and of the same files."""
        return self.served is other.served and self.definition is other.definition and self.paths == other.paths


class Cursor:
    """One connection, used by one thread at a time; whether it is in a moment changes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._defined: dict[str, Defined | None] = {}
        self._given: dict[str, tuple[ServedView | None, Paths | None]] = {}
        self._bounds: dict[str, BatchFiles] = {}
        self._moment = False

    @property
    def names(self) -> frozenset[str]:
        """What is defined on it, and the views of which it has rows."""
        return frozenset([*self._defined, *self._given])

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
        return Parser(self.tree, self.text, frozenset(str(name) for (name,) in found))

    def text(self, tree: str) -> str:
        """DuckDB's text of a syntax tree as JSON. Raises KERNEL_FAILED."""
        try:
            return str(self._connection.execute("SELECT json_deserialize_sql(?)", [tree]).fetchall()[0][0])
        except duckdb.Error as error:
            raise TerminalError(Condition.KERNEL_FAILED, str(error).splitlines()[0]) from error

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Inside the block it is one time: now() says the same to `pruned` and to the query. What is defined inside is
        not, once something was raised."""
        self._connection.begin()
        self._moment = True
        try:
            yield
        except BaseException:
            self._undo()
            raise
        if self._moment:
            self._moment = False
            self._connection.commit()

    def _undo(self) -> None:
        """Ends a moment in which something failed: DuckDB runs nothing more in it."""
        if self._moment:
            self._moment = False
            self._connection.rollback()
            self._defined.update(dict.fromkeys(self._defined))  # what stands may be older, and what it reads gone
            self._given.update(dict.fromkeys(self._given, (None, None)))
            self._bounds.clear()

    def pruned(
        self, view: str, files: BatchFiles, pruning: Pruning, seconds: float, given: Given = NONE_GIVEN
    ) -> Paths | None:
        """Those of a view's batch files in which there may be rows that a query asks for; None: all. Raises like
        `reading`."""
        name = BOUNDS + view
        if self._bounds.get(name) is not files:
            self._bounds.pop(name, None)
            self._connection.register(name, files.bounds)
            self._bounds[name] = files
        try:
            asked = _numbers(quote(name), pruning)
            found = self._connection.execute(asked, given.of(pruning.parameters)).fetchall()
        except duckdb.Error as error:
            raise said(error, seconds) from error
        return None if len(found) == len(files.paths) else tuple(files.paths[n] for (n,) in sorted(found))

    def binds(self, pruning: Pruning, keys: Iterable[Column], given: Given) -> bool:
        """Whether a condition over the bounds of these time keys is one that DuckDB can ask."""
        try:
            self.describe(_numbers(f"({unbounded(keys)})", pruning), given.of(pruning.parameters))
        except duckdb.Error:
            return False
        return True

    def define(self, view: str, served: ServedView, names: Names = None, paths: Paths | None = None) -> None:
        """Makes `view` the merged answer of a snapshot, as far as it stands at these paths of its batch files (None: at
        all). DuckDB inlines it: a query's filters reach the Parquet scan.

        It binds every column of it for each query, though, which for lists and sketches takes longer than many an
        answer: where `names` leaves some out, they are left out. Raises STORE_UNAVAILABLE
        or KERNEL_FAILED.
        """
        self.give(served, paths)
        self._define(view, Defined(served, light(served.definition, names), served.opened(paths)), finished)

    def define_tiles(self, view: str, served: ServedView, paths: Paths | None = None) -> None:
        """Makes the tiles of a view that is defined: its rows with their merged partials, for MEASURE."""
        self._define(TILES + view, Defined(served, served.definition, served.opened(paths)), tiles)

    def define_rows(self, name: str, served: ServedView, rows: Callable[[Definition], str]) -> None:
        """Makes `name` other rows of a view, over all its merged `partials`. Raises like `define`."""
        self.give(served)
        self._define(name, Defined(served, served.definition, None), rows)

    def _define(self, name: str, wanted: Defined, rows: Callable[[Definition], str]) -> None:
        last = self._defined.get(name)
        if last is None or not last.is_same(wanted):
            self._defined[name] = None
            try:
                text = statement(wanted.served, wanted.definition, rows, wanted.paths)
                self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS {text}")
            except duckdb.Error as error:
                raise undefined(wanted.definition.view, error) from error
        self._defined[name] = wanted

    def give(self, served: ServedView, paths: Paths | None = None) -> None:
        """Registers what a view's statement reads of memory; of batch partials what stands at these paths."""
        view = served.definition.view
        last, given = self._given.get(view, (None, None))
        if last is served and given == paths:
            return
        self._given[view] = None, None
        speed, batch = _inputs(view)
        try:
            if served.speed is not None and last is not served:
                self._connection.register(speed, served.speed)
            if (rows := served.in_memory(paths)) is not None:
                self._connection.register(batch, rows)
        except duckdb.Error as error:
            raise undefined(view, error) from error
        self._given[view] = served, paths

    def bind(self, text: Text, tables: Mapping[str, str], seconds: float) -> None:
        """Binds a checked query over empty tables, and nothing else. Raises QUERY_INVALID, _REFUSED or _TIMEOUT."""
        with deadline(self._connection, seconds):
            bind(self._connection, text, tables, seconds)

    def describe(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
        """Names and types of a statement's columns. `values`: of its parameters."""
        found = self._connection.execute(f"DESCRIBE\n{statement}", values or None).fetchall()
        return [(name, kind) for name, kind, *_ in found]

    def empty(self, text: Text, tables: Mapping[str, str], seconds: float) -> tuple[pa.Schema, tuple[str, ...]]:
        """The columns of a text that `bind` took, as Arrow has them in an answer, and their types' names in DuckDB."""
        with deadline(self._connection, seconds), over(self._connection, tables):
            columns = self.describe(text.sql, text.given.values)
            none = f"SELECT * FROM ({exporting(text.sql, columns, whole=True)}) AS answer LIMIT 0"  # is not even begun
            made: pa.Table = self._connection.execute(none, text.given.values or None).to_arrow_table()
            return made.schema, tuple(kind for _, kind in columns)

    def run(self, text: Text, seconds: float) -> pa.Table:
        """All of `reading`."""
        with self.reading(text, seconds) as reader:
            return whole(reader)

    @contextmanager
    def reading(self, text: Text, seconds: float) -> Iterator[pa.RecordBatchReader]:
        """Runs a checked query; its rows come piece by piece, and what the block does with them counts as its time.
        Raises QUERY_TIMEOUT, QUERY_INVALID, VALUE_OUT_OF_RANGE or STORE_UNAVAILABLE."""
        try:
            with (
                deadline(self._connection, seconds),
                self._reader(text) as reader,  # closed, or the cursor stays busy
            ):
                yield reader
        except (duckdb.Error, pa.ArrowException, OSError) as error:  # rows that are made fail in pyarrow's words
            told = said(error, seconds, text.before)
            raise (told.but(where="") if text.plain else told) from error  # the place is in the text written out

    def _reader(self, text: Text) -> pa.RecordBatchReader:
        if not text.given.values:
            return exported(self._connection.sql(text.sql)).to_arrow_reader()
        made = exporting(text.sql, self.describe(text.sql, text.given.values))
        return self._connection.execute(made, text.given.values).to_arrow_reader()

    def beyond(self, column: str, served: ServedView, seconds: float) -> pa.Table:
        """The keys of groups of a view in which a column is out of range. Raises like `reading`."""
        rows = beyond.rows(column)
        if not rows(served.definition):
            return pa.table({})
        self._undo()
        self.give(served)
        with deadline(self._connection, seconds):
            try:
                return self._connection.execute(statement(served, served.definition, rows)).to_arrow_table()
            except duckdb.Error as error:
                raise said(error, seconds) from error

    def explain(self, text: Text) -> str:
        """The plan of a checked query."""
        return str(self._connection.execute(f"EXPLAIN {text.sql}", text.given.values or None).fetchall()[0][1])

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _inputs(view: str) -> tuple[str, str]:
    """The names that a view's speed partials, and its batch partials where they are in memory, are registered by."""
    return SPEED + view, BATCH + view


def _numbers(bounds: str, pruning: Pruning) -> str:
    """The numbers of the files that a query can reach. One of which that cannot be told counts."""
    return f"SELECT {NUMBER} FROM {bounds} WHERE coalesce(TRY({pruning.condition}), true)"


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


def statement(
    served: ServedView,
    definition: Definition,
    rows: Callable[[Definition], str] = finished,
    paths: Paths | None = None,
) -> str:
    """A view's SELECT: finalise(merge(batch partials UNION ALL speed partials)); `rows` says which columns.

    `definition` is what is served, or a narrower one; `paths`: those of its batch files that are read (None: all)."""
    speed, batch = _inputs(definition.view)
    columns = stored(definition)
    sources = []
    if isinstance(served.batch, BatchFiles) and not served.batch.held:
        if read := served.batch.paths if paths is None else paths:
            sources.append(f"SELECT {columns} FROM {parquet(read, alike=True)}")
    elif served.batch is not None:
        sources.append(f"SELECT {columns} FROM {quote(batch)}")
    if served.speed is not None:
        sources.append(f"SELECT {columns} FROM {quote(speed)}")
    if not sources:
        return unread(definition, rows)
    union = " UNION ALL ".join(sources)
    if served.where:
        union = f"SELECT * FROM ({union}) AS {quote(definition.view)} WHERE ({served.where}\n) LIMIT {EVERY}"
    return f"WITH partials AS NOT MATERIALIZED ({union})\n{rows(definition)}"


def stored(definition: Definition) -> str:
    """A view's partial columns, of their types, as a SELECT's list."""
    return ", ".join(f"{quote(c.name)}::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)


def unread(definition: Definition, rows: Callable[[Definition], str] = finished) -> str:
    """A view's SELECT where it has no partials."""
    nothing = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
    return f"WITH partials AS (SELECT {nothing} WHERE false)\n{rows(definition)}"


def whole(reader: pa.RecordBatchReader) -> pa.Table:
    """All rows. Raises QUERY_REFUSED where they are too many for one table."""
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
