"""The files of a batch version, and between which values of a view's time keys the rows of each lie.

The files say so themselves: a Parquet footer has the least and the largest value of each column. A footer is read once:
when the role sees the version, or else when a question first needs to choose among the files. Files of the next version
that are the same are known then, and of no others anything is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from seamline.errors import SeamlineError
from seamline.objects import unavailable
from seamline.schemas.views.definition import Column, Definition

_STAMP = "Timestamp(isAdjustedToUTC={}, timeUnit=microseconds,"
_STORED: dict[str, tuple[pa.DataType, pa.DataType, str]] = {
    "DATE": (pa.int32(), pa.date32(), "Date"),
    "TIMESTAMP": (pa.int64(), pa.timestamp("us"), _STAMP.format("false")),
    "TIMESTAMP WITH TIME ZONE": (pa.int64(), pa.timestamp("us", "UTC"), _STAMP.format("true")),
}
"""By a key's type: how its values stand in a file, what they are in Arrow, and how a footer begins to name them."""

Range = tuple[int, int] | None
"""The least and the largest value of a key in a file, as they are stored; None: any value may be there."""

Paths = tuple[str, ...]
"""Some of a view's batch files."""

NUMBER = "number"
"""The column of `bounds` that says which of the paths a row is about."""


def time_keys(definition: Definition) -> tuple[Column, ...]:
    """The keys by which files can be told apart: those that a query can name, of a date's or a timestamp's type."""
    shown = {output.name for output in definition.columns}
    return tuple(key for key in definition.keys if key.sql_type in _STORED and key.name in shown)


def limits(key: int) -> tuple[str, str]:
    """The columns of `bounds` with the least and the largest value of a time key, by its number."""
    return f"least{key}", f"most{key}"


def unbounded(keys: Iterable[Column]) -> str:
    """A SELECT of the columns of `bounds` for these time keys, over no file."""
    sides = (f"NULL::{key.sql_type} AS {name}" for number, key in enumerate(keys) for name in limits(number))
    return f"SELECT {', '.join([f'0 AS {NUMBER}', *sides])}"


@dataclass(frozen=True)
class BatchFiles:
    """Parquet files that are read in place, or in memory."""

    paths: tuple[str, ...]

    rows: tuple[int, ...]
    """How many each has."""

    keys: tuple[Column, ...]
    """The view's time keys."""

    footer: Callable[[str], Any] = field(repr=False, compare=False)
    """What the file at a path says of itself: pyarrow's FileMetaData."""

    known: Mapping[str, tuple[Range, ...]] = field(default_factory=dict, repr=False, compare=False)
    """What is known of some files already."""

    held: Mapping[str, pa.Table] | None = field(default=None, repr=False, compare=False)
    """The rows of each file where they are in memory, or none; None: this is not decided (`seamline.serving.held`)."""

    earlier: Mapping[str, pa.Table] = field(default_factory=dict, repr=False, compare=False)
    """Rows of some files, held for the version before."""

    @cached_property
    def ranges(self) -> dict[str, tuple[Range, ...]]:
        """The range of each time key in each file. Raises STORE_UNAVAILABLE. A file whose footer was not read yet costs
        0.2 ms, any other a look into a dict."""
        return {path: self.known.get(path) or self._said(path) for path in self.paths}

    def prepare(self) -> None:
        """Reads what a question may need, where there is more than one file. What cannot be read is told by the one
        that needs it."""
        if len(self.paths) > 1:
            with suppress(SeamlineError):
                _ = self.bounds

    def _said(self, path: str) -> tuple[Range, ...]:
        try:
            return tuple(_ranges(self.footer(path), self.keys))
        except (OSError, pa.ArrowException) as error:
            raise unavailable(error, path) from error

    @property
    def kept(self) -> tuple[Mapping[str, tuple[Range, ...]], Mapping[str, pa.Table]]:
        """What the next version need not read again: of footers, and of rows."""
        return self.found, self.held or self.earlier

    @property
    def found(self) -> Mapping[str, tuple[Range, ...]]:
        """What is known of files by now; of others nothing is read."""
        return self.ranges if "ranges" in self.__dict__ else self.known

    def table(self, paths: Paths | None) -> pa.Table:
        """The rows in memory of some files, or of all. Copies none: a microsecond a file."""
        if paths is None:
            return self._table
        return pa.concat_tables([(self.held or {})[path] for path in paths]) if paths else self._table.slice(0, 0)

    @cached_property
    def _table(self) -> pa.Table:
        return pa.concat_tables((self.held or {}).values())

    @cached_property
    def bounds(self) -> pa.Table:
        """A row for each path: its number, and for each time key what `limits` names, NULL where any value may
        be there. Raises STORE_UNAVAILABLE."""
        columns: dict[str, pa.Array] = {NUMBER: pa.array(range(len(self.paths)), pa.int32())}
        for number, key in enumerate(self.keys):
            stored, kind, _ = _STORED[key.sql_type]
            of_key = [self.ranges[path][number] for path in self.paths]
            for side, name in enumerate(limits(number)):
                values = pa.array([one and one[side] for one in of_key], stored)
                columns[name] = values.view(kind)
        return pa.table(columns)


def _ranges(footer: Any, keys: Iterable[Column]) -> Iterable[Range]:
    schema = footer.schema
    paths = [schema.column(number).path for number in range(len(schema))]
    for key in keys:
        places = [number for number, path in enumerate(paths) if path == key.name]  # a field `b` of `a` is `a.b` too
        said = [str(schema.column(place).logical_type) for place in places]
        named = len(said) == 1 and said[0].startswith(_STORED[key.sql_type][2])
        yield _range(footer, places[0]) if named else None


def _range(footer: Any, column: int) -> Range:
    said = [footer.row_group(group).column(column).statistics for group in range(footer.num_row_groups)]
    if not said or any(one is None or not one.has_min_max for one in said):
        return None
    return min(one.min_raw for one in said), max(one.max_raw for one in said)
