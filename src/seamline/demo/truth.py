"""The truth, found without Seamline: plain DuckDB over the source files, and over what was sent up to a position.

Nothing here uses the kernel, the algebra or a compiled definition: only the user's own SELECT.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

APPROXIMATE = re.compile(r"\bapprox_count_distinct\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class Deviation:
    """One column, served against true."""

    column: str
    exactness: str
    groups: int
    differing: int

    largest: float
    """The largest absolute difference (relative for `approximate`)."""

    bound: float

    @property
    def holds(self) -> bool:
        """No difference where the column is exact; within its bound where it is not."""
        return self.differing == 0 if self.exactness == "exact" else self.largest <= self.bound


def true_answer(view_sql: str, contract: str, columns: Mapping[str, str], files: Sequence[Path]) -> pa.Table:
    """The view's SELECT over the files (JSON lines), with distinct counts counted exactly."""
    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    shape = ", ".join(f"{_quoted(name)}: '{kind}'" for name, kind in columns.items())
    paths = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    connection.execute(
        f"CREATE VIEW {_quoted(contract)} AS "
        f"SELECT * FROM read_json([{paths}], format = 'newline_delimited', columns = {{{shape}}})"
    )
    select = view_sql[re.search(r"\bAS\s+(?=SELECT\b)", view_sql, re.IGNORECASE).end() :]  # type: ignore[union-attr]
    return connection.sql(APPROXIMATE.sub("count(DISTINCT ", select)).to_arrow_table()


def differences(
    served: pa.Table, true: pa.Table, keys: Sequence[str], exactness: Mapping[str, str], bounds: Mapping[str, float]
) -> list[Deviation]:
    """Column by column over the full join on the keys; a group that only one side has differs in every column."""
    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("served", served)
    connection.register("truth", true)
    on = " AND ".join(f"s.{_quoted(k)} IS NOT DISTINCT FROM t.{_quoted(k)}" for k in keys) or "true"
    found = []
    for column in (name for name in true.column_names if name not in keys):
        kind, name = exactness.get(column, "exact"), _quoted(column)
        off = (
            f"max(abs(s.{name}::DOUBLE - t.{name}::DOUBLE) / greatest(abs(t.{name}::DOUBLE), 1))"
            if kind != "exact"
            else "0.0"
        )
        row = connection.execute(
            f"SELECT count(*), count(*) FILTER (s.{name} IS DISTINCT FROM t.{name} OR s._here IS NULL "
            f"OR t._here IS NULL), coalesce({off}, 0) "
            f"FROM (SELECT *, 1 AS _here FROM served) s FULL JOIN (SELECT *, 1 AS _here FROM truth) t ON {on}"
        ).fetchone()
        groups, differing, largest = row if row else (0, 0, 0.0)
        found.append(Deviation(column, kind, groups, differing, float(largest), bounds.get(column, 0.0)))
    return found


class Prefixes:
    """Every record that was sent, with its position, so that the truth below any frontier can be counted.

    `records`: (partition, offset, bytes). An event counts once by id and event time, wherever its copies lie.
    """

    def __init__(self, records: Iterable[tuple[int, int, bytes | None]], columns: Mapping[str, str]) -> None:
        rows = list(records)
        self._connection = duckdb.connect(":memory:", config={"threads": 2})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register(
            "sent",
            pa.table(
                {
                    "p": pa.array([r[0] for r in rows], pa.int32()),
                    "o": pa.array([r[1] for r in rows], pa.int64()),
                    "v": pa.array([_text(r[2]) for r in rows], pa.string()),
                }
            ),
        )
        fields = ", ".join(
            f"TRY_CAST(json_extract_string(v, '$.{name}') AS {kind}) AS {_quoted(name)}"
            for name, kind in columns.items()
        )
        self._connection.execute(
            f"CREATE TABLE events AS SELECT p, o, {fields} FROM sent "
            f"WHERE json_valid(v) AND (json_type(v, '$.commits') IS NULL OR json_type(v, '$.commits') = 'UBIGINT')"
        )

    def ask(self, select: str, frontier: Mapping[int, int]) -> tuple[Any, ...]:
        """One row of a SELECT over `events`: the distinct valid records below the frontier (partition to offset)."""
        below = " OR ".join(f"(p = {partition} AND o < {offset})" for partition, offset in frontier.items()) or "false"
        row = self._connection.execute(
            f"WITH events AS (SELECT DISTINCT ON (id, dt) * FROM events WHERE ({below}) AND dt IS NOT NULL "
            f"AND year(dt) < 9999 AND id IS NOT NULL) {select}"
        ).fetchone()
        return tuple(row) if row else ()


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
