"""The SQL of one unit: raw rows below a cut to one row for each position and event, to partials. Pure text.

The inputs are `raw` (the unit's Parquet files), `again` (rows of other decodings, decoded again), `mended`
(records that another decoding had rejected and this one accepts, of every date), `known` (the unit's files as a base
read them) and `reading` (how speed has read what lies beyond the base: `seamline.jobs.read_order`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamline.jobs.conditions import inside, records
from seamline.jobs.copies import POSITION, served_copies
from seamline.jobs.holding import Tally, Whole
from seamline.jobs.sample import Wanted
from seamline.kernel import quote
from seamline.schemas.views.event_columns import EVENT_ID, EVENT_TIME
from seamline.schemas.views.rowwise import key_of
from seamline.slices import UNMERGED, WHOLE, Merging, Slice
from seamline.units import Unit

_SAME = "r._source = c._source AND r._partition = c._partition AND r._offset = c._offset"


@dataclass(frozen=True)
class Statements:
    """The texts one unit runs."""

    below: str
    """Gives the raw rows that belong to the unit's range."""

    own: str
    """The condition that a raw row stands as it is filed."""

    another: str
    """That it does not: it is decoded again."""

    unit: Unit

    fields: tuple[str, ...]
    """Those that are read."""

    used: tuple[str, ...]
    event_id: str | None
    event_time: str
    partial: str

    by_unit: str
    """Its `partial` for several units at once."""

    decode_text: str
    again_below: str = ""
    mended: str = ""

    order: tuple[str, ...] = ()
    """The keys that partial rows are written in order of, if any."""

    served: bool = False
    """The texts are of what was served, all at once where `again_below` holds, and as speed has read it above."""

    foreign: str = ""
    """The positions of which speed remembered nothing, since another decoding had rejected them."""

    merging: Merging = UNMERGED
    rows: str = ""

    whole: Whole | None = None
    """What every row is, where `below` leaves out none and each stands as it is filed."""

    @property
    def tally(self) -> str:
        """One row, as `Tally`. 64 offsets share a group and a word of 64 bits: positions are counted, not guessed."""
        return (
            f"WITH {self._below()},\nblocks AS (\n  SELECT count(*) AS stood,"
            f" count(*) FILTER (WHERE {self.another}) AS foreign_rows,\n"
            "    count(_reject) AS rejected, bit_or(1::UBIGINT << (_offset & 63)::UBIGINT) AS places\n"
            "  FROM below GROUP BY _source, _partition, _offset >> 6\n)\n"
            "SELECT sum(stood) AS stood, sum(foreign_rows) AS foreign_rows, sum(rejected) AS rejected,"
            " sum(bit_count(places)) AS positions,\n  (SELECT count(*) FROM raw) AS held\nFROM blocks"
        )

    @property
    def simple(self) -> bool:
        """Whether every row there is stands in `below`, and copies are copies however far apart."""
        return not self.mended and not self.served

    def hashes(self, tally: Tally) -> str:
        """Of simple rows: a hash of each event that has an id."""
        return (
            f"WITH {self._simple(tally)}\nSELECT {self.hash} AS _hash FROM records_of_unit WHERE {self._id} IS NOT NULL"
        )

    def copies(self, tally: Tally) -> str:
        """Of simple rows: positions of all but the first of each event, and which disagree with others. `doubled` has
        the hashes that stand more than once."""
        used = ", ".join(quote(f) for f in self.used) or "NULL"
        rank = f"ORDER BY {POSITION}"
        return (
            f"WITH {self._simple(tally)},\nsuspects AS (\n"
            f"  SELECT {POSITION}, {self._id} AS _id, {quote(self.event_time)} AS _time, hash({used}) AS _content\n"
            f"  FROM records_of_unit SEMI JOIN doubled ON {self.hash} = doubled._hash WHERE {self._id} IS NOT NULL\n)\n"
            f"SELECT {POSITION}, row_number() OVER (PARTITION BY _id, _time, _content {rank}) = 1 AS _disagrees\n"
            f"FROM suspects QUALIFY row_number() OVER (PARTITION BY _id, _time {rank}) > 1"
        )

    @property
    def hash(self) -> str:
        """A hash of an event: equal ones have equal hashes."""
        return f"hash({self._id}, {quote(self.event_time)})"

    @property
    def _id(self) -> str:
        return quote(self.event_id or "")

    @property
    def decode(self) -> str:
        """Rows of other decodings, decoded again from their bytes."""
        source = records("below", self.another)
        return f"WITH {self._below()},\n{source}\nSELECT * FROM (\n{self.decode_text}\n)"

    def survey(self, *, own: bool, again: bool) -> str:
        """Rows that stand, positions read, rejected, events counted, copies that disagree, copies beyond horizon."""
        id_, time = (quote(self.event_id) if self.event_id else "NULL::VARCHAR"), quote(self.event_time)
        used = ", ".join(quote(f) for f in self.used) or "NULL"
        valid = "FILTER (WHERE _reject IS NULL)"
        places = (
            f"SELECT {POSITION}, count(*) AS _stood, bool_or(_reject IS NULL) AS _valid,\n"
            f"    any_value({id_}) {valid} AS _id, any_value({time}) {valid} AS _time,\n"
            f"    any_value(hash({used})) {valid} AS _content\n"
            f"  FROM records_of_unit GROUP BY {POSITION}"
        )
        events = (
            "SELECT count(DISTINCT _content) AS contents\n"
            "  FROM places WHERE _valid AND _id IS NOT NULL GROUP BY _id, _time"
        )
        ctes = [self._rows(own=own, again=again), f"places AS (\n  {places}\n)", f"copied AS (\n  {events}\n)"]
        beyond = "0"
        if self.served and self.event_id:
            ctes += self._copies()
            ids = "count(DISTINCT (_id, _time))"
            beyond = f"(SELECT count(*) - {ids} FROM suspects) - (SELECT count(*) FROM copies)"
        return (
            "WITH " + ",\n".join([self._below(), *ctes]) + "\nSELECT sum(_stood) AS stood, count(*) AS positions,"
            " count(*) FILTER (WHERE NOT _valid) AS rejected,\n"
            "  count(*) FILTER (WHERE _valid AND _id IS NULL) + (SELECT count(*) FROM copied) AS events,\n"
            f"  (SELECT sum(contents - 1) FROM copied) AS disagreeing, {beyond} AS beyond\nFROM places"
        )

    def simple_partials(self, tally: Tally, *, copies: bool) -> str:
        """The view's partial rows, of simple rows; with `copies`, but for the positions in the input `copies`."""
        source = "records_of_unit AS r ANTI JOIN copies AS c\n    ON " + _SAME if copies else "records_of_unit"
        return self._partials([self._simple(tally)], source)

    def partials(self, *, own: bool, again: bool, repeated: bool, copies: bool) -> str:
        """The view's partial rows. `repeated`: positions may stand twice; `copies`: events may."""
        ctes = [self._below(), self._rows(own=own, again=again, repeated=repeated)]
        source = "records_of_unit"
        if copies and self.event_id:
            ctes += self._copies()
            source = "records_of_unit AS r ANTI JOIN copies AS c\n    ON " + _SAME
        return self._partials(ctes, f"{source}\n  WHERE _reject IS NULL")

    def _partials(self, ctes: list[str], source: str) -> str:
        columns = ", ".join([POSITION, *map(quote, self.fields)])
        ctes.append(f"events AS (\n  SELECT {columns}\n  FROM {source}\n)")
        return "WITH " + ",\n".join(ctes) + f"\nSELECT * FROM (\n{self.partial}\n){self.last}"

    @property
    def last(self) -> str:
        """The ORDER BY clause of partial rows, or nothing."""
        return "\nORDER BY " + ", ".join(map(quote, self.order)) if self.order else ""

    def of_slice(self, one: Slice) -> Statements:
        """The same, whose partials are made of one slice of the events, by their positions: together they merge to the
        partials of all (law 1)."""
        if one == WHOLE:
            return self
        events = one.rows("events", ("_source", "_partition", "_offset"))
        return replace(self, partial=f"WITH events AS ({events})\nSELECT * FROM (\n{self.partial}\n)", order=())

    def sampled(self, wanted: Wanted, tally: Tally, keys: int, *, own: bool, again: bool, copies: bool) -> str:
        """Hash, keys as text and what is read of each event of some groups, no two rows put together. Of `copies`,
        which are looked for here again, the one of the lowest position."""
        if self.simple and tally.plain:
            ctes, accepted = [self._simple(tally)], ""
        else:
            ctes = [self._below(), self._rows(own=own, again=again, repeated=True)]
            accepted = "\n  WHERE _reject IS NULL"
        columns = ", ".join([POSITION, *map(quote, self.fields)])
        named = [key_of(number) for number in range(1, keys + 1)]
        ctes.append(f"events AS NOT MATERIALIZED (\n  SELECT {columns}\n  FROM records_of_unit{accepted}\n)")
        ctes.append(f"sampled AS MATERIALIZED (\n  SELECT * FROM (\n{self.rows}\n  ) WHERE {wanted.among(named)}\n)")
        source = "sampled AS r"
        if self.event_id and copies:
            ctes.append(f"later AS (\n  {self._later()}\n)")
            source += f" ANTI JOIN later AS c\n    ON {_SAME}"
        texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in named)
        hidden = ", ".join([*named, *POSITION.split(", "), EVENT_ID, EVENT_TIME])
        return (
            "WITH " + ",\n".join(ctes) + f"\nSELECT {wanted.hashed(named)} AS _h, {texts}, * EXCLUDE ({hidden})\n"
            f"FROM {source}\nLIMIT {wanted.rows + 1}"
        )

    def _later(self) -> str:
        """Positions of all but the first copy of each event in the sample."""
        id_, time = f"e.{quote(self.event_id or '')}::VARCHAR", f"e.{quote(self.event_time)}"
        return (
            f"SELECT {POSITION} FROM events AS e SEMI JOIN sampled AS s\n"
            f"    ON {id_} = s.{EVENT_ID} AND {time} IS NOT DISTINCT FROM s.{EVENT_TIME}\n"
            f"  QUALIFY row_number() OVER (PARTITION BY {id_}, {time} ORDER BY {POSITION}) > 1"
        )

    def _simple(self, tally: Tally) -> str:
        """The accepted rows. They are read more than once, each time only the columns needed: never materialised.

        What the tally has shown to hold for every row is not asked of each again.
        """
        columns = ", ".join([POSITION, *map(quote, self.fields)])
        source = "raw" if tally.held == tally.stood else f"(\n    {self.below}\n  )"
        where = " WHERE _reject IS NULL" if tally.rejected else ""
        return f"records_of_unit AS NOT MATERIALIZED (\n  SELECT {columns}\n  FROM {source}{where}\n)"

    def _below(self) -> str:
        return f"below AS (\n  {self.below}\n)"

    def _rows(self, *, own: bool, again: bool, repeated: bool = False) -> str:
        """Accepted rows belong to a unit by their event date; rejected ones are counted where they stand."""
        columns = f"{POSITION}, _timestamp, _reject, " + ", ".join(quote(f) for f in self.fields)
        here = f"_event_date = DATE '{self.unit.day.isoformat()}'"
        again_here = f"_reject IS NOT NULL OR {here}"
        if self.unit.hour is not None:
            here = f"{here} AND {inside(self.unit, self.event_time)}"
            again_here = f"_reject IS NOT NULL OR ({here})" if self.unit.first else f"_reject IS NULL AND {here}"
        branches = []
        if own:
            branches.append(f"SELECT {columns} FROM below WHERE {self.own}")
        if again:
            branches.append(f"SELECT {columns} FROM again WHERE {again_here}")
        if self.mended:
            branches.append(f"SELECT {columns} FROM ({self.mended}) WHERE {here}")
        if not branches:
            branches.append(f"SELECT {columns} FROM below WHERE false")
        body = "\n  UNION ALL\n  ".join(branches)
        if repeated:
            first = f"row_number() OVER (PARTITION BY {POSITION} ORDER BY _reject IS NOT NULL) = 1"
            body = f"SELECT * FROM (\n  {body}\n  ) QUALIFY {first}"
        return f"records_of_unit AS (\n  {body}\n)"

    def _copies(self) -> list[str]:
        """CTEs up to `copies`: all but the first of each event; of what was served, as `served_copies` has it."""
        id_, time = quote(self.event_id or ""), quote(self.event_time)
        if self.served:
            return served_copies(id_, time, self.again_below, self.foreign)
        first = f"row_number() OVER (PARTITION BY {id_}, {time} ORDER BY {POSITION})"
        valid = f"FROM records_of_unit WHERE _reject IS NULL AND {id_} IS NOT NULL"
        return [f"copies AS (\n  SELECT {POSITION} {valid}\n  QUALIFY {first} > 1\n)"]
