"""Small units together: which of them one statement computes, and the texts for it. Pure.

A statement over few rows costs some 4 ms for being bound and for the files it opens, and a unit alone takes five of
them. So the files of several units are read as one table in which each row says its unit, `_unit`, and whatever is
grouped, ranked or joined goes by that first: no row of one unit meets one of another, and each gets what it gets alone.

Only the simple case is told so. A unit that needs a closer look is computed alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

from seamline.jobs.conditions import by_another
from seamline.jobs.copies import POSITION
from seamline.jobs.sample import hashed
from seamline.jobs.statements import Statements, Tally
from seamline.jobs.unit import UnitTask
from seamline.kernel import quote
from seamline.schemas.views.definition import EVENTS
from seamline.schemas.views.event_columns import UNIT
from seamline.units import Unit

MOST_ROWS = 300_000
"""Raw rows of one bundle: beside them a statement costs little, and they fit into any kernel."""

MOST_BYTES = 32 << 20
"""Bytes of its files, where rows are large."""

MOST_UNITS = 256
"""Its units: for each, all partial rows of the bundle are looked through."""

Bundle: TypeAlias = tuple[UnitTask, ...]
"""Tasks that go together, or one alone."""

_ANY = Unit("", date.min)


def bundles(tasks: Iterable[UnitTask]) -> list[Bundle]:
    """Every task once, those that differ in nothing but their unit together: in the order of their units, as many as
    make MOST_ROWS. So the same tasks make the same bundles, whatever order they come in."""
    alone, alike = list[Bundle](), dict[UnitTask, list[UnitTask]]()
    for task in tasks:
        if isinstance(task.statements, Statements) and _may(task, task.statements):
            kind = replace(task.statements, unit=_ANY)
            shared = replace(task, of=_ANY, files=(), size=0, rows=0, threads=1, statements=kind)
            alike.setdefault(shared, []).append(task)
        else:
            alone.append((task,))
    together = [bundle for of_kind in alike.values() for bundle in _filled(sorted(of_kind, key=lambda t: t.unit))]
    return together + alone


def _may(task: UnitTask, statements: Statements) -> bool:
    """Whether a task may go with others: what it writes is computed from a whole date's raw files and nothing else."""
    return statements.simple and task.of.hour is None and task.wanted is None and not task.known


def _filled(tasks: Iterable[UnitTask]) -> Iterator[Bundle]:
    bundle, rows, size = list[UnitTask](), 0, 0
    for task in tasks:
        rows, size = rows + task.rows, size + task.size
        if bundle and (rows > MOST_ROWS or size > MOST_BYTES or len(bundle) == MOST_UNITS):
            yield tuple(bundle)
            bundle, rows, size = [], task.rows, task.size
        bundle.append(task)
    if bundle:
        yield tuple(bundle)


@dataclass(frozen=True)
class BundleStatements:
    """The texts that a bundle runs over its input `raw`, whose rows have a column `_unit`."""

    of: Statements
    """Any of its units'."""

    @property
    def tallies(self) -> str:
        """A row for each unit that holds any: its number, and what `Statements.tally` says of it."""
        foreign = f"count(*) FILTER (WHERE {by_another(self.of.decodings)})"
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

    def doubled(self, tally: Tally) -> str:
        """The events that stand more than once in a unit, and in how many rows."""
        id_, time = quote(self.of.event_id or ""), quote(self.of.event_time)
        return (
            f"WITH {self._simple(tally)}\nSELECT {UNIT}, {id_} AS _id, {time} AS _time, count(*) AS _stood\n"
            f"FROM records_of_unit WHERE {id_} IS NOT NULL GROUP BY ALL HAVING count(*) > 1"
        )

    def copies(self, tally: Tally) -> str:
        """Positions of all but the first of each event in `doubled`, their units, and which disagree with others."""
        on = f"r.{UNIT} = d.{UNIT} AND r.{quote(self.of.event_id or '')} = d._id"
        on += f" AND r.{quote(self.of.event_time)} IS NOT DISTINCT FROM d._time"
        used = ", ".join(f"r.{quote(f)}" for f in self.of.used) or "NULL"
        event = f"PARTITION BY {UNIT}, _id, _time"
        rank = f"ORDER BY {POSITION}"
        return (
            f"WITH {self._simple(tally)},\nsuspects AS (\n"
            f"  SELECT r.{UNIT}, {POSITION}, d._id, d._time, hash({used}) AS _content\n"
            f"  FROM records_of_unit AS r JOIN doubled AS d ON {on}\n)\n"
            f"SELECT {UNIT}, {POSITION}, row_number() OVER ({event}, _content {rank}) = 1 AS _disagrees\n"
            f"FROM suspects QUALIFY row_number() OVER ({event} {rank}) > 1"
        )

    def partials(self, tally: Tally, *, copies: bool) -> str:
        """The view's partial rows, each with its unit; with `copies`, but for the positions in the input `copies`."""
        source = "records_of_unit"
        if copies:
            same = (f"r.{name} = c.{name}" for name in (UNIT, *POSITION.split(", ")))
            source = f"records_of_unit AS r ANTI JOIN copies AS c\n    ON {' AND '.join(same)}"
        events = f"events AS (\n  SELECT {self._columns}\n  FROM {source}\n)"
        return f"WITH {self._simple(tally)},\n{events}\nSELECT * FROM (\n{self.of.by_unit}\n)"

    def of_unit(self, number: int) -> str:
        """One unit's rows among all `partials`."""
        return f"SELECT * EXCLUDE ({UNIT}) FROM partials WHERE {UNIT} = {number}{self.of.last}"

    def least(self, salt: str, groups: int) -> str:
        """A row for each of the groups of the least hashes of each unit in `partials`: unit, hash and events."""
        value = hashed(salt, map(quote, self.of.merging.keys))
        ranked = f"row_number() OVER (PARTITION BY {UNIT} ORDER BY h)"
        return (
            f"SELECT * FROM (SELECT {UNIT}, {value} AS h, {quote(EVENTS.name)} AS n FROM partials)\n"
            f"QUALIFY {ranked} <= {groups} ORDER BY {UNIT}, h"
        )

    @property
    def _columns(self) -> str:
        return ", ".join([UNIT, *POSITION.split(", "), *map(quote, self.of.fields)])

    def _simple(self, tally: Tally) -> str:
        """The accepted rows, as `Statements` has them of one unit."""
        source = "raw" if tally.held == tally.stood else f"(\n    {self.of.below}\n  )"
        where = " WHERE _reject IS NULL" if tally.rejected else ""
        return f"records_of_unit AS NOT MATERIALIZED (\n  SELECT {self._columns}\n  FROM {source}{where}\n)"


def together(tallies: Mapping[int, Tally]) -> Tally:
    """What the files of several units hold."""
    sums = zip(*((t.stood, t.foreign, t.rejected, t.positions, t.held) for t in tallies.values()), strict=True)
    return Tally(*map(sum, sums))
