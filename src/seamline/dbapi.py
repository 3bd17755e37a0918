"""PEP 249 (DB-API 2.0) over `seamline.connect`, for programs and libraries that speak it. docs/python.md shows it.

It reads: each statement is one SELECT, answered from one snapshot, and there whole before its first row is given.
`commit` and `rollback` have nothing to do. Threads may share the module and its connections, but not a cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import pyarrow as pa
from pyarrow import types

import seamline
from seamline import dbapierrors
from seamline.connection import AskedView, Connection, Values
from seamline.dbapierrors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004
    translated,
)
from seamline.errors import SeamlineError
from seamline.result import Result

__all__ = [
    "BINARY", "DATETIME", "NUMBER", "ROWID", "STRING", "Binary", "DataError", "DatabaseError", "Date",
    "DateFromTicks", "DbapiConnection", "DbapiCursor", "Error", "IntegrityError", "InterfaceError", "InternalError",
    "NotSupportedError", "OperationalError", "ProgrammingError", "Time", "TimeFromTicks", "Timestamp",
    "TimestampFromTicks", "Warning", "apilevel", "connect", "paramstyle", "threadsafety",
]  # fmt: skip

apilevel = "2.0"
threadsafety = 2
paramstyle = "qmark"
"""`?`, in order. DuckDB's own `$1`, and `$name` with a mapping, are taken too."""

Described: TypeAlias = tuple[str, pa.DataType, None, int | None, int | None, int | None, None]


class TypeObject:
    """Equal to each type of a column (`description` has them as Arrow does) that is of its kind."""

    def __init__(self, name: str, *tests: Callable[[pa.DataType], bool]) -> None:
        self._name, self._tests = name, tests

    def __eq__(self, other: object) -> bool:
        if isinstance(other, pa.DataType):
            return any(test(other) for test in self._tests)
        return self is other

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return self._name


STRING = TypeObject("STRING", types.is_string, types.is_large_string)
BINARY = TypeObject("BINARY", types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
NUMBER = TypeObject("NUMBER", types.is_boolean, types.is_integer, types.is_floating, types.is_decimal)
DATETIME = TypeObject("DATETIME", types.is_temporal)
ROWID = TypeObject("ROWID")

Date, Time, Timestamp, Binary = date, time, datetime, bytes  # PEP 249's names


def DateFromTicks(ticks: float) -> date:  # noqa: N802
    """The day, in UTC, of so many seconds since 1970."""
    return TimestampFromTicks(ticks).date()


def TimeFromTicks(ticks: float) -> time:  # noqa: N802
    """The time of day, in UTC, of so many seconds since 1970."""
    return TimestampFromTicks(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime:  # noqa: N802
    """The instant of so many seconds since 1970."""
    return datetime.fromtimestamp(ticks, UTC)


def connect(
    project: str | Path,
    *,
    token: str | None = None,
    authority: str | Path | None = None,
    timeout: float = 60.0,
) -> DbapiConnection:
    """As `seamline.connect`: to a project's folder, or to the URL of a serving role. Raises this module's errors."""
    with _ours():
        return DbapiConnection(seamline.connect(project, token=token, authority=authority, timeout=timeout))


@contextmanager
def _ours() -> Iterator[None]:
    try:
        yield
    except SeamlineError as error:
        raise translated(error) from error


class DbapiConnection:
    """A connection of PEP 249. What it changes: whether it is closed."""

    Warning = dbapierrors.Warning
    Error = Error
    InterfaceError = InterfaceError
    DatabaseError = DatabaseError
    DataError = DataError
    OperationalError = OperationalError
    IntegrityError = IntegrityError
    InternalError = InternalError
    ProgrammingError = ProgrammingError
    NotSupportedError = NotSupportedError

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection

    @property
    def seamline(self) -> Connection:
        """What is asked: views, status. Raises InterfaceError once it is closed."""
        if self._connection is None:
            raise InterfaceError("the connection is closed")
        return self._connection

    def views(self) -> tuple[AskedView, ...]:
        """The views that may be asked, as `Connection.views` has them. Raises this module's errors."""
        asked = self.seamline
        with _ours():
            return asked.views()

    def cursor(self) -> DbapiCursor:
        """A new cursor. Raises InterfaceError once the connection is closed."""
        return DbapiCursor(self, self.seamline)

    def commit(self) -> None:
        """Nothing was written. Raises InterfaceError once the connection is closed."""
        _ = self.seamline

    def rollback(self) -> None:
        """Nothing was written. Raises InterfaceError once the connection is closed."""
        _ = self.seamline

    def close(self) -> None:
        """Ends it, and its cursors; once more does nothing."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DbapiCursor:
    """A cursor of PEP 249. What it changes: the answer to what was executed last, and how much of it was fetched."""

    def __init__(self, connection: DbapiConnection, asked: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        self._asked: Connection | None = asked
        self._result: Result | None = None
        self._at = 0

    def execute(self, operation: str, parameters: Values = (), *, as_of: int | None = None) -> DbapiCursor:
        """Asks one SELECT; returns this cursor. as_of: the number of a past epoch."""
        asked = self._open()
        self._result, self._at = None, 0
        with _ours():
            self._result = asked.query(operation, parameters or (), as_of=as_of)
        return self

    def executemany(self, operation: str, seq_of_parameters: Sequence[Values]) -> None:
        """Raises NotSupportedError: it is for writing."""
        self._open()
        raise NotSupportedError("executemany is for statements that write, and there is none")

    @property
    def description(self) -> list[Described] | None:
        """By column: name, Arrow's type (equal to one of the type objects), None, bytes where all values have as many,
        digits and digits after the point of decimals, None. None where nothing was asked."""
        return None if self._result is None else [_described(one) for one in self._result.table.schema]

    @property
    def rowcount(self) -> int:
        """Rows of the answer; -1 where nothing was asked."""
        return -1 if self._result is None else len(self._result)

    @property
    def rownumber(self) -> int | None:
        """How many rows were fetched; None where nothing was asked."""
        return None if self._result is None else self._at

    @property
    def lastrowid(self) -> None:
        """None: nothing is written."""
        return

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the answer rests on, as `Result.provenance` has it. Raises InterfaceError before there is one."""
        return self._answer().provenance

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to beware of in the answer. Raises InterfaceError before there is one."""
        return self._answer().warnings

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None after the last."""
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, `arraysize` or `size` of them, fewer at the end. Only these become values of Python."""
        return self._take(self.arraysize if size is None else size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return self._take(len(self._answer()))

    def fetch_arrow_table(self) -> pa.Table:
        """All rows that are left, as an Arrow table: nothing becomes a value of Python."""
        rest = self._answer().table.slice(self._at)
        self._at += rest.num_rows
        return rest

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Does nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Lets the answer go; once more does nothing."""
        self._asked = self._result = None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> Connection:
        if self._asked is None:
            raise InterfaceError("the cursor is closed")
        return self.connection.seamline

    def _answer(self) -> Result:
        self._open()
        if self._result is None:
            raise InterfaceError("no answer: execute a query first")
        return self._result

    def _take(self, count: int) -> list[tuple[Any, ...]]:
        answer = self._answer()
        part = answer.table.slice(self._at, max(0, count))
        with _ours():
            found = Result(part, answer.provenance).rows()
        self._at += len(found)
        return found


def _described(column: pa.Field) -> Described:
    kind = column.type
    size = kind.bit_width // 8 if types.is_primitive(kind) else None
    digits, after = (kind.precision, kind.scale) if types.is_decimal(kind) else (None, None)
    return column.name, kind, None, size, digits, after, None
