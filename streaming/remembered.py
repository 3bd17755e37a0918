"""The identities that speed has counted within each decoding's dedup horizon, in native tables of the kernel.

A little more than 20 bytes each: two 64-bit halves and the second they were counted in. Never in Python objects.
"""

from __future__ import annotations

import atexit
import weakref
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from seamline.entries import new_attempt
from seamline.kernel import Input, Limits, connect, literal, to_arrow
from seamline.streaming.tasks import POSITIONS

_FIND = """
WITH ranked AS (
  SELECT *, row_number() OVER (PARTITION BY hi, lo ORDER BY source, "partition", "offset") AS copy
  FROM ids WHERE decoding = {decoding} AND hi IS NOT NULL
)
SELECT decoding, source, "partition", "offset" FROM ranked
WHERE copy > 1 OR EXISTS (SELECT 1 FROM {table} AS r WHERE r.hi = ranked.hi AND r.lo = ranked.lo)
"""
_COUNTED = """
SELECT hi, lo, {seen}::UINTEGER AS seen FROM ids
ANTI JOIN copies USING (decoding, source, "partition", "offset")
WHERE decoding = {decoding} AND hi IS NOT NULL
"""


class Remembered:
    """The ids of one stream. Positions order copies: of several in one batch the lowest stays."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        if limits not in _connections:
            _connections[limits] = connect(limits)
        self._prefix = f"ids_{new_attempt()}"
        self._horizons: dict[str, timedelta] = {}
        weakref.finalize(self, _forget, limits, self._prefix, self._horizons).atexit = False

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return _connections[self._limits]

    @property
    def decodings(self) -> frozenset[str]:
        """The decodings whose ids are remembered."""
        return frozenset(self._horizons)

    def follow(self, decoding: str, horizon: timedelta, files: list[Input], now: datetime) -> None:
        """Remembers a decoding from now on, beginning with what `files` (written by `commit_epoch`) hold of it."""
        self._horizons[decoding] = horizon
        table = self._table(decoding)
        self._connection.execute(f"CREATE OR REPLACE TABLE {table} (hi UBIGINT, lo UBIGINT, seen UINTEGER)")
        since = int((now - horizon).timestamp())
        for source in files:
            loaded = f"SELECT hi, lo, seen FROM {{}} WHERE decoding = {literal(decoding)} AND seen >= {since}"
            if isinstance(source, pa.Table):
                self._insert(f"INSERT INTO {table} {loaded.format('loaded')}", loaded=source)
            elif source:
                paths = ", ".join(literal(path) for path in source)
                self._connection.execute(f"INSERT INTO {table} {loaded.format(f'read_parquet([{paths}])')}")

    def find_duplicates(self, ids: pa.Table) -> pa.Table:
        """Positions (like POSITIONS) of copies in `ids` (like IDS): within it, and of what is remembered."""
        found = [
            self._find(_FIND.format(decoding=literal(d), table=self._table(d)), ids) for d in sorted(self._horizons)
        ]
        return pa.concat_tables([POSITIONS.empty_table(), *found])

    def add(self, ids: pa.Table, copies: pa.Table, at: datetime) -> None:
        """Remembers `ids` without `copies`, as counted at `at`."""
        for decoding in self._horizons:
            counted = _COUNTED.format(seen=int(at.timestamp()), decoding=literal(decoding))
            self._insert(f"INSERT INTO {self._table(decoding)} {counted}", ids=ids, copies=copies)

    def expire(self, now: datetime) -> None:
        """Forgets what is older than its decoding's horizon."""
        for decoding, horizon in self._horizons.items():
            since = int((now - horizon).timestamp())
            self._connection.execute(f"DELETE FROM {self._table(decoding)} WHERE seen < {since}")

    def __len__(self) -> int:
        counts = [self._connection.execute(f"SELECT count(*) FROM {self._table(d)}").fetchone() for d in self._horizons]
        return sum(int(one[0]) for one in counts if one)

    def _table(self, decoding: str) -> str:
        return f'"{self._prefix}_{decoding}"'

    def _find(self, statement: str, ids: pa.Table) -> pa.Table:
        self._connection.register("ids", ids)
        try:
            return to_arrow(self._connection, statement).cast(POSITIONS)
        finally:
            self._connection.unregister("ids")

    def _insert(self, statement: str, **inputs: pa.Table) -> None:
        for name, table in inputs.items():
            self._connection.register(name, table)
        try:
            self._connection.execute(statement)
        finally:
            for name in inputs:
                self._connection.unregister(name)


_connections: dict[Limits, duckdb.DuckDBPyConnection] = {}
"""A DuckDB of its own for each lake and limits: the kernel proper runs statements only and keeps nothing."""


def _forget(limits: Limits, prefix: str, horizons: dict[str, timedelta]) -> None:
    for decoding in horizons if limits in _connections else ():
        _connections[limits].execute(f'DROP TABLE IF EXISTS "{prefix}_{decoding}"')


@atexit.register
def _close() -> None:
    """As in the kernel: what is still open when the interpreter ends is reported as a leak on stderr."""
    while _connections:
        _connections.popitem()[1].close()
