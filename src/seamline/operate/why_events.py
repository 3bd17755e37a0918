"""The events of one group of a view: those of a contract that count in it, and the copies that do not, from raw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from seamline.jobs.copies import POSITION
from seamline.kernel import Kernel, quote
from seamline.operate.askedkey import KeyValues, key_tests
from seamline.operate.counted_events import SAME, ContractEvents
from seamline.schemas.contracts.judged import within
from seamline.schemas.views.alike import fields_read
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.event_columns import EVENT_ID, EVENT_TIME
from seamline.schemas.views.rowwise import key_of

NEAR = 100
"""Offsets from the first or last event of a group within which a rejected record is near it."""


@dataclass(frozen=True)
class GroupEvents:
    """What one contract gives to a group."""

    counted: pa.Table
    """Position, `_event_id`, `_event_time`, how many `_rows` it makes (elements of a list), and the fields read."""

    copies: pa.Table
    """Position of each copy that does not count, and of the one that does in its place, as `_counts_…`."""

    partials: pa.Table
    """The group's partial rows, of just these events."""


class GroupReader:
    """Reads one group's events of one contract."""

    def __init__(self, events: ContractEvents, asked: KeyValues) -> None:
        self._events = events
        self._engine: Kernel = events.asked.engine
        self._definition: Definition = events.asked.definition
        keys = self._definition.keys
        self._of_rows = key_tests(self._engine, asked, keys, key_of)
        self._of_partials = key_tests(self._engine, asked, keys)

    def read(self, days: Iterable[date]) -> GroupEvents:
        """Of some event dates, one after the other: memory follows the largest of them, and the group."""
        found = [self._of_day(day) for day in sorted(days)] or [self._of_day(date.min)]
        counted, copies, partials = (
            pa.concat_tables([getattr(one, name) for one in found], promote_options="permissive")
            for name in ("counted", "copies", "partials")
        )
        return GroupEvents(counted, copies, partials)

    def _of_day(self, day: date) -> GroupEvents:
        engine, events = self._engine, self._events
        name = events.contract.name
        counted = events.counted(events.after, day, copies=True)
        rows = self._rows(counted)
        partials = engine.run(
            f"SELECT * FROM (\n{self._definition.partials[name]}\n) WHERE {self._of_partials}", {"events": counted}
        )
        fields = ", ".join(f"x.{quote(f.name)}" for f in fields_read(self._definition, events.contract))
        told = engine.run(
            f"SELECT y.*{', ' + fields if fields else ''} FROM counted AS x JOIN group_rows AS y ON {SAME}",
            {"counted": counted, "group_rows": rows},
        )
        return GroupEvents(told, self._copies(counted, rows, day), partials)

    def _rows(self, read: pa.Table) -> pa.Table:
        """The group's, of some events: each once, and how many rows it makes."""
        rows = self._definition.rows[self._events.contract.name]
        text = (
            f"SELECT {POSITION}, any_value({EVENT_ID}) AS {EVENT_ID}, any_value({EVENT_TIME}) AS {EVENT_TIME},"
            f" count(*) AS _rows\nFROM (\n{rows}\n) WHERE {self._of_rows} GROUP BY {POSITION}"
        )
        return self._engine.run(text, {"events": read})

    def _copies(self, counted: pa.Table, group: pa.Table, day: date) -> pa.Table:
        """Copies that do not count: of the group's events, and such as would be in the group themselves."""
        contract, events = self._events.contract, self._events
        if not contract.event_id:
            return self._none()
        read = events.counted(events.after, day, copies=False)
        if read.num_rows == counted.num_rows:
            return self._none()
        id_, time = quote(contract.event_id), quote(contract.event_time)
        left = ", ".join(f"x.{name}" for name in POSITION.split(", "))
        place = "(c._source, c._partition, c._offset)"
        first = ", ".join(f"min_by(c.{name}, {place}) AS _counts{name}" for name in POSITION.split(", "))
        text = (
            f"WITH left_out AS (SELECT * FROM read_rows AS x ANTI JOIN counted AS y ON {SAME})\n"
            f"SELECT {left}, {first}\n"
            f"FROM left_out AS x JOIN counted AS c ON c.{id_} = x.{id_} AND c.{time} = x.{time}\n"
            f"WHERE EXISTS (FROM theirs AS y WHERE {SAME})"
            f" OR EXISTS (FROM group_rows AS y WHERE {SAME.replace('x.', 'c.')})\nGROUP BY {left}"
        )
        inputs = {"read_rows": read, "counted": counted, "group_rows": group, "theirs": self._rows(read)}
        return self._engine.run(text, inputs)

    def _none(self) -> pa.Table:
        kinds = ("VARCHAR", "INTEGER", "BIGINT")
        columns = [
            f"NULL::{kind} AS {prefix}{name}"
            for prefix in ("", "_counts")
            for name, kind in zip(POSITION.split(", "), kinds, strict=True)
        ]
        return self._engine.run(f"SELECT {', '.join(columns)} WHERE false")


def rejected_near(events: ContractEvents, counted: pa.Table, most: int) -> tuple[int, list[dict[str, object]]]:
    """How many records were rejected between the first and last of some events, or NEAR offsets from them, in each
    partition; and the nearest, with their reasons. Reads the positions of raw files that hold rejected records."""
    files = [file.path for file in events.files if file.rejects]
    if not files or not counted.num_rows:
        return 0, []
    asked, mended = events.asked, events.mended
    standing = f" AND NOT EXISTS (FROM mended AS x WHERE {SAME.replace('y.', 'r.')})" if mended.num_rows else ""
    text = (
        "WITH spans AS (\n  SELECT _source, _partition, min(_offset) AS _first, max(_offset) AS _last FROM counted"
        " GROUP BY ALL\n),\nnear AS (\n  SELECT DISTINCT r._source, r._partition, r._offset, r._reject,"
        " greatest(_first - r._offset, r._offset - _last, 0) AS _distance\n"
        "  FROM raw AS r JOIN spans AS s ON r._source = s._source AND r._partition = s._partition\n"
        f"    AND r._offset BETWEEN _first - {NEAR} AND _last + {NEAR}\n"
        f"  WHERE r._reject IS NOT NULL{standing}\n)\n"
        f"SELECT *, count(*) OVER () AS _all FROM near WHERE ({within(asked.after.end, asked.after.imports)})\n"
        f"ORDER BY _distance, {POSITION} LIMIT {most}"
    )
    inputs = {"raw": asked.lake.read(files), "counted": counted, **({"mended": mended} if mended.num_rows else {})}
    rows = asked.engine.run(text, inputs).to_pylist()
    return (rows[0]["_all"] if rows else 0), rows
