"""The SQL of a bundle: what one statement makes for several units, and several views, each as if it had run alone.

Each row of the input `raw` says its unit, `_unit`, and whatever is grouped, ranked or joined goes by that first: no row
of one unit meets one of another. Only the simple case is told so (`Statements.simple`). Pure text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seamline.jobs.copies import POSITION
from seamline.jobs.holding import Tally
from seamline.jobs.sample import hashed
from seamline.jobs.statements import Statements
from seamline.kernel import quote
from seamline.schemas.views.definition import EVENTS
from seamline.schemas.views.event_columns import UNIT


@dataclass(frozen=True)
class BundleStatements:
    """The texts that a bundle runs over its input `raw`, whose rows have a column `_unit`."""

    views: tuple[Statements, ...]
    """Those of one unit of each of its views."""

    @property
    def of(self) -> Statements:
        """What all of them have in common, of any."""
        return self.views[0]

    @property
    def contents(self) -> tuple[tuple[str, ...], ...]:
        """The fields that a view reads, of all views, each set once."""
        return tuple(dict.fromkeys(one.used for one in self.views))

    @property
    def tallies(self) -> str:
        """A row for each unit that holds any: its number, and what `Statements.tally` says of it."""
        foreign = f"count(*) FILTER (WHERE {self.of.another})"
        return (
            f"WITH below AS (\n  {self.of.below}\n),\nblocks AS (\n  SELECT {UNIT}, count(*) AS stood,"
            f" {foreign} AS foreign_rows,\n"
            "    count(_reject) AS rejected, bit_or(1::UBIGINT << (_offset & 63)::UBIGINT) AS places\n"
            f"  FROM below GROUP BY {UNIT}, _source, _partition, _offset >> 6\n),\n"
            f"found AS (\n  SELECT {UNIT}, sum(stood) AS stood, sum(foreign_rows) AS foreign_rows,"
            f" sum(rejected) AS rejected,\n    sum(bit_count(places)) AS positions\n  FROM blocks GROUP BY {UNIT}\n),\n"
            f"whole AS (\n  SELECT {UNIT}, count(*) AS held FROM raw GROUP BY {UNIT}\n)\n"
            f"SELECT {UNIT}, stood, foreign_rows, rejected, positions, held\n"
            f"FROM whole LEFT JOIN found USING ({UNIT})"
        )

    def hashes(self, tally: Tally) -> str:
        """A hash of each event that has an id."""
        id_ = quote(self.of.event_id or "")
        return (
            f"WITH {self._simple(tally)}\nSELECT {self.of.hash} AS _hash FROM records_of_unit WHERE {id_} IS NOT NULL"
        )

    def copies(self, tally: Tally) -> str:
        """Positions of all but the first of each event of a unit, their units, and which disagree with others in what
        views read: `_disagrees0`, … in the order of `contents`. `doubled` has the hashes that stand more than once."""
        id_, time = quote(self.of.event_id or ""), quote(self.of.event_time)
        event, rank = f"PARTITION BY {UNIT}, _id, _time", f"ORDER BY {POSITION}"
        contents = [f"hash({', '.join(map(quote, used)) or 'NULL'})" for used in self.contents]
        told = [f"row_number() OVER ({event}, _content{n} {rank}) = 1" for n in range(len(contents))]
        return (
            f"WITH {self._simple(tally)},\nsuspects AS (\n"
            f"  SELECT {UNIT}, {POSITION}, {id_} AS _id, {time} AS _time, {_named(contents, '_content')}\n"
            f"  FROM records_of_unit SEMI JOIN doubled ON {self.of.hash} = doubled._hash WHERE {id_} IS NOT NULL\n)\n"
            f"SELECT {UNIT}, {POSITION}, {_named(told, '_disagrees')}\n"
            f"FROM suspects QUALIFY row_number() OVER ({event} {rank}) > 1"
        )

    def events(self, tally: Tally, *, copies: bool) -> str:
        """What any of the views reads of each event that is counted; with `copies`, not of the positions in the input
        `copies`."""
        read = [f for f in self._fields if any(f in one.used or quote(f) in one.by_unit for one in self.views)]
        columns = ", ".join([UNIT, *POSITION.split(", "), *map(quote, read)])
        source = "records_of_unit"
        if copies:
            same = (f"r.{name} = c.{name}" for name in (UNIT, *POSITION.split(", ")))
            source = f"records_of_unit AS r ANTI JOIN copies AS c\n    ON {' AND '.join(same)}"
        return f"WITH {self._simple(tally)}\nSELECT {columns}\nFROM {source}"

    @property
    def _fields(self) -> tuple[str, ...]:
        """Those that any of the views reads, and what copies are told by."""
        return tuple(dict.fromkeys(field for one in self.views for field in one.fields))

    def _simple(self, tally: Tally) -> str:
        """The accepted rows, as `Statements` has them of one unit."""
        source = "raw" if tally.held == tally.stood else f"(\n    {self.of.below}\n  )"
        where = " WHERE _reject IS NULL" if tally.rejected else ""
        columns = ", ".join([UNIT, *POSITION.split(", "), *map(quote, self._fields)])
        return f"records_of_unit AS NOT MATERIALIZED (\n  SELECT {columns}\n  FROM {source}{where}\n)"


def partials_of(view: Statements, events: str) -> str:
    """A view's partial rows, each with its unit, of the events that a SELECT gives."""
    return f"WITH events AS (\n{events}\n)\nSELECT * FROM (\n{view.by_unit}\n)"


def rows_of(view: Statements, number: int) -> str:
    """One unit's rows among all `partials` of a view."""
    return f"SELECT * EXCLUDE ({UNIT}) FROM partials WHERE {UNIT} = {number}{view.last}"


def least_of(view: Statements, salt: str, groups: int) -> str:
    """A row for each of the groups of the least hashes of each unit in `partials`: unit, hash and events."""
    value = hashed(salt, map(quote, view.merging.keys))
    ranked = f"row_number() OVER (PARTITION BY {UNIT} ORDER BY h)"
    return (
        f"SELECT * FROM (SELECT {UNIT}, {value} AS h, {quote(EVENTS.name)} AS n FROM partials)\n"
        f"QUALIFY {ranked} <= {groups} ORDER BY {UNIT}, h"
    )


def _named(columns: Iterable[str], name: str) -> str:
    return ", ".join(f"{column} AS {name}{n}" for n, column in enumerate(columns))


def together(tallies: Mapping[int, Tally]) -> Tally:
    """What the files of several units hold."""
    sums = zip(*((t.stood, t.foreign, t.rejected, t.positions, t.held) for t in tallies.values()), strict=True)
    return Tally(*map(sum, sums))
