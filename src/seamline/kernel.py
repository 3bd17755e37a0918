"""The kernel: one DuckDB per process that gives events and views their meaning.

`run(statement, inputs)` and nothing more. The same statements run in a Spark task of either layer, in
serving and in a test. No extension or network access; local Parquet inside the allowed folders only; time zone UTC;
memory and threads limited, spilling to disk; configuration locked.
"""

from __future__ import annotations

import atexit
import errno
import itertools
import os
import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, overload

import duckdb
import pyarrow as pa

from seamline import floats
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError
from seamline.private import spill_folder

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BINARY = {unit: 1024**power for power, unit in enumerate(_UNITS)}

KERNEL_VERSION = "duckdb-2.0"
"""Stored aggregate states carry this; another layout asks for a rebuild."""

FULL = (*(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)), "max_temp_directory_size")
"""How the operating system, or DuckDB of its spill folder, says that there is no room: it may succeed later."""

GROUP_BYTES = 16 << 20
"""Bytes of a Parquet file's row group before packing, at most, or one row: what one vector of its reader may hold.

Rows of usual size reach the 122,880 of a group first; of 100 KB each, 2,048 would be a vector of 200 MB."""


LEVEL = 1
"""Of zstd in Parquet files: beside DuckDB's default of 3 a file of JSON records or of partial rows takes a third less
CPU, and is as small."""


@dataclass(frozen=True)
class Parted:
    """Parquet files read as one table, and in its column `_unit` the number of the part that a row's file stands in."""

    parts: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Scratch:
    """Rows that a kernel keeps for some runs, by the name of their table; what memory does not hold is spilled."""

    table: str


@dataclass(frozen=True)
class Mixed:
    """Rows that stand in Parquet files and in memory, with the same columns."""

    files: tuple[str, ...]
    table: pa.Table = field(repr=False)


Rows: TypeAlias = "pa.Table | Sequence[str]"
"""An Arrow table, or the paths of Parquet files read as one table."""

Input: TypeAlias = "Rows | Mixed"
"""Rows wherever they stand."""

Given: TypeAlias = "Input | Parted | Scratch"
"""Whatever a statement may read."""


@dataclass(frozen=True)
class Limits:
    """What one kernel may use."""

    folders: tuple[str, ...] = ()
    """The only places that it may read and write."""

    memory: str = "1GB"
    threads: int = 2
    spill: str = ""

    files: tuple[str, ...] = ()
    """All it may open besides."""


WIDTH_BUCKET = """CREATE MACRO width_bucket(x, low, high, n) AS CASE
    WHEN x IS NULL OR low IS NULL OR high IS NULL OR n IS NULL OR n < 1 OR low = high THEN NULL
    WHEN low < high AND x < low OR low > high AND x > low THEN 0
    WHEN low < high AND x >= high OR low > high AND x <= high THEN n::INTEGER + 1
    ELSE least(n::INTEGER, 1 + floor(coalesce(TRY((x - low) * n::BIGINT / (high - low)),
        (x::DOUBLE - low::DOUBLE) / (high::DOUBLE - low::DOUBLE) * n))::INTEGER)
END"""
"""The SQL standard's function, which DuckDB lacks: the number of the one of n equal ranges from low to high that x lies
in, 0 below the first, n + 1 from high on; with low above high they count downwards. Decimals and integers are taken
exactly. NULL where the standard has an error."""


ZIP = "system.main.list_zip"
"""DuckDB's own list_zip, for statements that look at no element before they know it to be one."""


def _element(value: str) -> str:
    return f"CASE WHEN {value} IS NOT NULL THEN {value} END"


_PAIRS = f"lambda p__: row({_element('p__[1]')}, {_element('p__[2]')})"
_CHOSEN = f"list_transform(system.main.list_select(l, i), lambda e__: {_element('e__')})"

GUARDED = tuple(
    f"CREATE MACRO {name}{definition}"
    for name, definition in {
        **dict.fromkeys(
            ("list_zip", "array_zip"),
            f"(a) AS {ZIP}(a), (a, b) AS list_transform({ZIP}(a, b), {_PAIRS}),"
            f" (a, b, shortest) AS list_transform({ZIP}(a, b, shortest::BOOLEAN), {_PAIRS})",
        ),
        **dict.fromkeys(("list_select", "array_select"), f"(l, i) AS {_CHOSEN}"),
    }.items()
)
"""DuckDB's functions by the same names, but for what is missing: it gives a NULL struct for that, whose fields are not
NULL but what stands next in memory, another row's. Nothing else that gives NULL structs does so: a test asks them all.
list_zip takes at most two lists, since the kernel must know how many to look at."""


class Kernel:
    """A locked-down DuckDB connection. Safe to share between threads: runs are serialised."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._connection = connect(limits)
        self._numbers = itertools.count()

    @overload
    def run(self, statement: str, inputs: Mapping[str, Given] | None = None) -> pa.Table: ...
    @overload
    def run(self, statement: str, inputs: Mapping[str, Given] | None = None, *, into: str) -> int: ...

    def run(
        self, statement: str, inputs: Mapping[str, Given] | None = None, *, into: str | None = None
    ) -> pa.Table | int:
        """Runs one SELECT over `inputs` (name to table); returns Arrow, or writes Parquet `into` and returns its rows.

        Raises TransientError STORE_UNAVAILABLE where the disk is full or a file is not there, TerminalError
        KERNEL_MEMORY where the statement takes more memory than the limit and cannot spill, else TerminalError
        KERNEL_FAILED: by law 7 no compiled statement can fail on data, so this is a defect or a damaged file, never a
        bad record.
        """
        try:
            with self._lock, _bound(self._connection, inputs or {}):
                if into is None:
                    return to_arrow(self._connection, statement)
                return _write(self._connection, statement, into)
        except duckdb.Error as error:
            raise _failed(error, into or "", self.limits.memory) from error

    @contextmanager
    def scratch(self, statement: str, inputs: Mapping[str, Given]) -> Iterator[Scratch]:
        """The rows of one SELECT, in the order it gives them, as an input of further runs inside the block. Raises like
        `run`."""
        table = f"_scratch_{next(self._numbers)}"
        try:
            with self._lock, _bound(self._connection, inputs):
                self._connection.execute(f"CREATE TEMP TABLE {table} AS {statement}")
        except duckdb.Error as error:
            raise _failed(error, "", self.limits.memory) from error
        try:
            yield Scratch(table)
        finally:
            with self._lock:
                self._connection.execute(f"DROP TABLE {table}")

    def describe(self, statement: str, inputs: Mapping[str, Given] | None = None) -> dict[str, str]:
        """Column names and DuckDB types of a SELECT, in order. Raises duckdb.Error where it does not bind."""
        with self._lock, _bound(self._connection, inputs or {}):
            rows = self._connection.execute(f"DESCRIBE {statement}").fetchall()
        return {name: kind for name, kind, *_ in rows}

    def close(self) -> None:
        """Ends and drops the connection; the kernel cannot run anything afterwards."""
        self._connection.close()
        del self._connection

    def interrupt(self) -> None:
        """Stops the statement that is running, from another thread."""
        self._connection.interrupt()


HOISTING = "common_subexpressions"
"""This optimizer takes what two expressions share out of their TRY(), which then catches nothing: one bad value would
fail the whole statement. What is the same whole is computed twice without it, at a cost that only long scalar
expressions notice."""


def settings(limits: Limits, further: Sequence[str] = ()) -> tuple[str, ...]:
    """What makes a DuckDB in memory a hardened one. The order matters: the last statement locks the others."""
    spill = limits.spill or str(spill_folder())
    folders = [*limits.folders, spill]
    return (
        "SET GLOBAL TimeZone = 'UTC'",  # global: cursors have it too
        f"SET allowed_directories = [{', '.join(literal(f'{Path(folder)}/') for folder in folders)}]",
        f"SET allowed_paths = [{', '.join(map(literal, limits.files))}]",
        f"SET temp_directory = '{_text(spill)}'",
        "SET enable_external_access = false",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        f"SET memory_limit = '{_text(limits.memory)}'",
        f"SET threads = {int(limits.threads)}",
        f"SET disabled_optimizers = '{HOISTING}'",
        WIDTH_BUCKET,
        *GUARDED,
        *(f"CREATE MACRO {macro}" for macro in floats.MACROS),
        *further,
        "SET lock_configuration = true",
    )


_OF_PYTHON = (
    "SET python_enable_replacements = false",  # a name after FROM is no variable of Python's
    "SET enable_progress_bar = false",
)


def connect(
    limits: Limits, further: Sequence[str] = (), begin: Mapping[str, str] = MappingProxyType({})
) -> duckdb.DuckDBPyConnection:
    """A hardened in-memory DuckDB, with further settings; `begin`: those that it begins with."""
    connection = duckdb.connect(":memory:", config=dict(begin))
    for statement in (*_OF_PYTHON, *settings(limits, further)):
        connection.execute(statement)
    return connection


warnings.filterwarnings("ignore", "Arrow output on a DB-API result makes an extra copy", UserWarning)


def to_arrow(connection: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
    """Runs one SELECT. `connection.sql` would bind it twice: 7 of 19 ms for a decode statement over few records.

    Rows come in the order that the statement asks for, as long as `preserve_insertion_order` stands at its default.
    """
    return connection.execute(statement).to_arrow_table()


_kernels: OrderedDict[Limits, Kernel] = OrderedDict()  # the one used last is the last
_kernels_lock = threading.Lock()

KEPT = 16
"""Kernels that a process keeps. One beyond that is let go: it ends once nobody has it any more."""


def kernel(limits: Limits = Limits()) -> Kernel:
    """This process's kernel for these limits: connecting costs 18 ms, so it is kept."""
    with _kernels_lock:
        if limits not in _kernels:
            _kernels[limits] = Kernel(limits)
        _kernels.move_to_end(limits)
        if len(_kernels) > KEPT:
            _kernels.popitem(last=False)
        return _kernels[limits]


@atexit.register
def _close_kernels() -> None:
    """A connection that is open when the interpreter ends makes DuckDB's binding write a leak report to stderr."""
    for one in _kernels.values():
        one.close()
    _kernels.clear()


def _failed(error: duckdb.Error, where: str, memory: str) -> SeamlineError:
    message = f"{type(error).__name__}: {error}"
    if any(words in message for words in FULL):
        hint = "make room there: what has no entry never happened, and is made again"
        return TransientError(Condition.STORE_UNAVAILABLE, message, hint=hint, where=where)
    if isinstance(error, duckdb.OutOfMemoryException):
        return out_of_memory(str(error).splitlines()[0], memory, where)
    if isinstance(error, duckdb.IOException):
        hint = "it is tried again; where a file is gone for good, restore it, or run 'seamline batch rebuild'"
        return TransientError(Condition.STORE_UNAVAILABLE, str(error).splitlines()[0], hint=hint, where=where)
    hint = "where a file is damaged, restore it from a copy; else this is a defect: report it"
    return TerminalError(Condition.KERNEL_FAILED, message, hint=hint, where=where)


def out_of_memory(message: str, memory: str = "", where: str = "") -> TerminalError:
    """What to raise where a statement does not fit into `kernel.memory`, and cannot spill what it holds."""
    return TerminalError(
        Condition.KERNEL_MEMORY,
        message,
        detail=f"kernel.memory = {memory}" if memory else "kernel.memory",
        hint="raise kernel.memory in seamline.toml (each process and each task has so much), or give the view finer"
        " keys or coarser sketches",
        where=where,
    )


def in_bytes(memory: str) -> int:
    """A memory limit as the kernel takes it: `1GB`, `512 MiB`; 0 where it says something else."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(i?)B?(?:ytes)?\s*", memory, re.IGNORECASE)
    if found is None:
        return 0
    return int(float(found[1]) * (_BINARY if found[3] else _UNITS)[found[2].upper()])


def quote(name: str) -> str:
    """An SQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def fold(name: object) -> str:
    """An identifier as DuckDB compares it: in ASCII only. (Python's lower() makes a k of the Kelvin sign, too.)"""
    return str(name).encode(errors="surrogatepass").lower().decode(errors="surrogatepass")


def literal(text: str) -> str:
    """An SQL string literal."""
    return f"'{_text(text)}'"


def parquet(paths: Sequence[str], *, alike: bool = False) -> str:
    """Parquet files as one table of SQL: their own columns, those of every file. `alike`: all have the same ones.

    Names of folders say nothing: left to itself, DuckDB puts what stands in a folder `shop=zz`, the lake's own parents
    among them, in place of a column `shop`.
    """
    listed = ", ".join(literal(path) for path in paths)
    by_name = "" if alike or len(paths) == 1 else ", union_by_name = true"  # it opens every file once more
    return f"read_parquet([{listed}], hive_partitioning = false{by_name})"


def _rows_of(source: Sequence[str] | Parted | Scratch) -> str:
    if isinstance(source, Scratch):
        return f"SELECT * FROM {source.table}"
    if isinstance(source, Parted):
        paths = [path for _, part in source.parts for path in part]
        numbers = [number for number, part in source.parts for _ in part]
        return f"SELECT *, ({numbers})[file_index::BIGINT + 1] AS _unit FROM {parquet(paths)}"
    return f"SELECT * FROM {parquet(source)}"


def _text(text: str) -> str:
    return text.replace("'", "''")


def _write(connection: duckdb.DuckDBPyConnection, statement: str, into: str) -> int:
    options = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {LEVEL}, ROW_GROUP_SIZE_BYTES {GROUP_BYTES}"
    written = connection.execute(f"COPY ({statement}) TO {literal(into)} ({options})").fetchone()
    return int(written[0]) if written else 0


@contextmanager
def _bound(connection: duckdb.DuckDBPyConnection, inputs: Mapping[str, Given]) -> Iterator[None]:
    """Names the inputs for one run, and forgets them after it."""
    views = []
    try:
        for name, source in inputs.items():
            if isinstance(source, pa.Table):
                connection.register(name, source)
            else:
                if isinstance(source, Mixed):
                    connection.register(in_memory := f"{name} in memory", source.table)
                    views.append(in_memory)
                    rows = f"{_rows_of(source.files)} UNION ALL BY NAME SELECT * FROM {quote(in_memory)}"
                else:
                    rows = _rows_of(source)
                connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS {rows}")
            views.append(name)
        yield
    finally:
        for name in views:
            connection.execute(f"DROP VIEW IF EXISTS {quote(name)}")
