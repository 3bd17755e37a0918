"""Which events two answers counted otherwise, and why: read from raw, on the event dates where they may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from seamline.jobs.conditions import own
from seamline.jobs.copies import POSITION
from seamline.jobs.plan import dirty_dates, table_of
from seamline.kernel import quote
from seamline.operate.changed_erased import together
from seamline.operate.counted_events import SAME, ContractEvents, TwoSides
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import within


@dataclass(frozen=True)
class ChangedEvents:
    """The events of one contract that the two sides counted otherwise: positions and fields, `_sign` (1: counted by the
    later side alone, -1: by the earlier), and `_cause`."""

    contract: Contract
    rows: pa.Table

    lost: tuple[int, ...]
    """The requests of which nobody can say any more what they have erased."""


def changed_events(asked: TwoSides) -> Iterator[ChangedEvents]:
    """By contract. Takes time by the raw files of the dates that were touched since the earlier version's cut, for both
    sides; memory follows the events that changed and the records between both ends. Raises FileNotFoundError or
    DeltaError where raw as a version read it is gone."""
    dates = _dates(asked)
    for contract in asked.contracts:
        events = ContractEvents(asked, contract)
        changed = _Changed(events, None if dates is None else dates[table_of(contract)]).rows()
        yield ChangedEvents(contract, changed, events.erased.lost)


def _dates(asked: TwoSides) -> Mapping[str, frozenset[date]] | None:
    """By raw table, the dates where a side may have counted otherwise than the other one's version; None: any."""
    found = [
        dirty_dates(asked.archive, asked.contracts, side.version, asked.after.end) if side.version else None
        for side in (asked.before, asked.after)
    ]
    if None in found:
        return None
    tables = map(table_of, asked.contracts)
    return {table: frozenset().union(*(dates[table] for dates in found if dates)) for table in tables}


@dataclass(frozen=True)
class _Changed:
    """What of one contract's events the two sides counted otherwise."""

    events: ContractEvents

    dates: frozenset[date] | None
    """Where they may have; None: on any."""

    def rows(self) -> pa.Table:
        """Every event that only one side counted, and why."""
        archive, contract = self.events.asked.archive, self.events.contract
        first = archive.first_date(contract.name) or date.min  # of what is gone there is nothing to say
        every = {*self.events.dates, *self.events.mended["_event_date"].to_pylist()}
        days = sorted(day for day in (every if self.dates is None else self.dates) if first <= day)
        found, read = list[pa.Table](), list[pa.Table]()
        for day in days:
            changed, came = self._of_day(day)
            found.append(changed)
            read.append(came)
        if not found:
            return pa.table({})
        rows = pa.concat_tables(found, promote_options="permissive")
        return self._late(rows, pa.concat_tables(read, promote_options="permissive"))

    def _of_day(self, day: date) -> tuple[pa.Table, pa.Table]:
        """Its events that only one side counted; and the times of all that were read between both ends."""
        engine, asked = self.events.asked.engine, self.events.asked
        before, after = (self.events.counted(one, day, copies=True) for one in (self.events.before, self.events.after))
        rows = engine.run(self._differing(), {"before": before, "after": after, "erased": self.events.erased.rows})
        came = self.events.counted(self.events.after, day, copies=False)
        columns = f"{POSITION}, {quote(self.events.contract.event_time)} AS _time"
        between = f"({within(asked.after.end, ())}) AND NOT ({within(asked.before.end, ())})"
        placed = f"SELECT {columns} FROM came"
        gone = self.events.gone_on(day)
        if gone.num_rows:  # a version may have read them no more, and yet what came after them was late
            placed += f" UNION ALL SELECT {columns} FROM gone WHERE {own(self.events.contract)} AND _reject IS NULL"
        return rows, engine.run(f"SELECT DISTINCT * FROM ({placed}) WHERE {between}", {"came": came, "gone": gone})

    def _differing(self) -> str:
        """`before` and `after` to what only one of them has. An event that both counted, at another position or more
        often, is a matter of its copies."""
        contract = self.events.contract
        read = within(self.events.asked.before.end, ())
        causes = {
            "after": f"WHEN starts_with(x._source, 'import:') THEN 'imports' WHEN {read} THEN 'backfill' ELSE 'new'",
            "before": f"WHEN EXISTS (SELECT 1 FROM erased AS y WHERE {SAME}) THEN 'forgotten'"
            " WHEN starts_with(x._source, 'import:') THEN 'imports' ELSE 'backfill'",
        }
        parts = []
        for side, other, sign in (("after", "before", 1), ("before", "after", -1)):
            copied = "false"
            if contract.event_id:
                id_, time = quote(contract.event_id), quote(contract.event_time)
                copied = f"EXISTS (SELECT 1 FROM {other} AS z WHERE z.{id_} = x.{id_} AND z.{time} = x.{time})"
            parts.append(
                f"SELECT x.*, {sign} AS _sign, CASE WHEN {copied} THEN 'duplicates' {causes[side]} END AS _cause\n"
                f"FROM {side} AS x ANTI JOIN {other} AS y ON {SAME}"
            )
        return "\nUNION ALL BY NAME\n".join(parts)

    def _late(self, rows: pa.Table, came: pa.Table) -> pa.Table:
        """Of the new ones, those below the newest event time of their partition when they were read."""
        latest = "max(c._time) OVER (PARTITION BY c._source, c._partition ORDER BY c._offset"
        text = (
            f"WITH placed AS (\n  SELECT c._source, c._partition, c._offset, c._time < greatest(n.newest, {latest}"
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS _late\n"
            "  FROM came AS c LEFT JOIN newest AS n ON n._source = c._source AND n._partition = c._partition\n)\n"
            "SELECT x.* REPLACE (CASE WHEN x._cause = 'new' AND y._late THEN 'late' ELSE x._cause END AS _cause)\n"
            f"FROM changed AS x LEFT JOIN placed AS y ON {SAME}"
        )
        return self.events.asked.engine.run(text, {"changed": rows, "came": came, "newest": self._newest(came)})

    def _newest(self, came: pa.Table) -> pa.Table:
        """By partition, the newest event time that had been read by the earlier end. The newest dates are read first,
        until each partition that was read since has been met."""
        wanted = {(row["_source"], row["_partition"]) for row in came.select(["_source", "_partition"]).to_pylist()}
        found: dict[tuple[str, int], object] = {}
        time, read = quote(self.events.contract.event_time), within(self.events.asked.before.end, ())
        text = (
            f"SELECT _source, _partition, max({time}) AS newest FROM raw\n"
            f"WHERE ({read}) AND {own(self.events.contract)} AND _reject IS NULL GROUP BY ALL"
        )
        for day in sorted(self.events.dates, reverse=True):
            if wanted <= found.keys():
                break
            paths = [file.path for file in self.events.days.get(day, ())]
            raw = together(self.events.asked.lake.read(paths) if paths else None, self.events.gone_on(day))
            table = self.events.asked.engine.run(text, {"raw": raw})
            for row in table.to_pylist():
                found.setdefault((row["_source"], row["_partition"]), row["newest"])
        listed = [(source, partition, newest) for (source, partition), newest in found.items()]
        columns = [list(column) for column in zip(*listed, strict=True)] or [[], [], []]
        kinds = (("_source", pa.string()), ("_partition", pa.int32()), ("newest", pa.timestamp("us", "UTC")))
        return pa.table(columns, schema=pa.schema(kinds))
