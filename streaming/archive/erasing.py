"""Records that are forgotten, taken out of raw: each file that holds one is written once more without it.

Which they are a request of the forget log says, by positions; and what tells copies of them, which may have come since.
Files are written here, and the archive commits them to each table and puts one entry over an empty range. Dying before
it changes nothing; afterwards there is nothing left to do.

It reads the positions of every raw file, and the bytes of what came after the requests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce

import pyarrow as pa

from seamline.attempts import new_attempt
from seamline.entries.base import Counts
from seamline.entries.forget import FORGOTTEN, Forget
from seamline.frontier import Frontier
from seamline.kernel import Input, Kernel, literal
from seamline.lake import UNCLAIMED as NO_CONTRACT
from seamline.lake import Lake
from seamline.portions import in_portions, portion_bytes
from seamline.schemas.contracts.judged import within
from seamline.sides.raw import DATE, RawFile
from seamline.streaming.archive.filing import Shelf
from seamline.streaming.archive.tables import RawTable, Rewritten
from seamline.streaming.stream_plan import UNCLAIMED

POSITION = "_source, _partition, _offset"
_RECORDS = """SELECT _source AS source, _partition AS "partition", _offset AS "offset", _timestamp AS "timestamp",
  _key AS key, _value AS value"""


@dataclass(frozen=True)
class Erasing:
    """The records of some requests."""

    lake: Lake
    engine: Kernel
    requests: Mapping[int, Forget]

    def of(self, shelf: Shelf | None, table: RawTable) -> Iterator[Rewritten]:
        """The files of a table that hold one, written without it. `shelf`: what files there, if anything does still."""
        rows = self._rows(None if shelf is None or shelf.label == UNCLAIMED else shelf.contract)
        if not rows.num_rows:
            return
        for file in table.listed:
            copies = [] if shelf is None or shelf.label == UNCLAIMED else self._copies(shelf, rows, file)
            places = pa.concat_tables([rows.select(FORGOTTEN[:3]), *copies])
            gone = self._among(file, places)
            if gone.num_rows:
                yield Rewritten(file, self._without(file, gone), gone)

    def left(self, table: str, days: Iterable[date], stands: Collection[str]) -> Iterator[str]:
        """Files of a table's dates that hold one, but for those that stand."""
        rows = self._rows(None)
        for day in days:
            for item in self.lake.listed(f"{table}/{DATE}={day.isoformat()}/"):
                if item["path"].endswith(".parquet") and item["path"] not in stands:
                    places = {"raw": self.lake.read([item["path"]]), "places": rows}
                    held = f"SELECT count(*) AS n FROM raw SEMI JOIN places USING ({POSITION})"
                    if self.engine.run(held, places)["n"][0].as_py():
                        yield item["path"]

    def _rows(self, contract: str | None) -> pa.Table:
        """What the requests for a contract, or for any, have found."""
        paths = [one.file for one in self.requests.values() if contract in (None, one.contract)]
        return self.engine.run("FROM found", {"found": self.lake.read(paths)}) if paths else pa.table({})

    def _copies(self, shelf: Shelf, rows: pa.Table, file: RawFile) -> Iterator[pa.Table]:
        """Positions of copies that came after the requests: nobody has looked at those."""
        mine = [one for one in self.requests.values() if one.contract == shelf.contract]
        until = reduce(Frontier.meet, (one.until for one in mine))
        known = frozenset[str].intersection(*(frozenset(one.imports) for one in mine))
        later = f"_reject IS NULL AND NOT ({within(until, tuple(sorted(known)))})"
        records = self.engine.run(f"{_RECORDS} FROM raw WHERE {later}", {"raw": self.lake.read([file.path])})
        statement = (
            f"SELECT {POSITION} FROM ({shelf.decode}) SEMI JOIN found USING (_id_hi, _id_lo) WHERE _reject IS NULL"
        )
        if records.num_rows:
            yield from in_portions(
                lambda one: self.engine.run(statement, {"records": one, "found": rows}),
                records,
                portion_bytes(self.engine),
            )

    def _among(self, file: RawFile, places: pa.Table) -> pa.Table:
        statement = f"SELECT {POSITION}, _reject IS NULL AS accepted FROM raw SEMI JOIN places USING ({POSITION})"
        return self.engine.run(statement, {"raw": self.lake.read([file.path]), "places": places})

    def _without(self, file: RawFile, gone: pa.Table) -> RawFile | None:
        inputs: dict[str, Input] = {"raw": self.lake.read([file.path]), "gone": gone}
        path = f"{file.table}/{DATE}={file.day}/{new_attempt()}.parquet"
        rows = self.lake.write(self.engine, f"SELECT * FROM raw ANTI JOIN gone USING ({POSITION})", inputs, path)
        if not rows:
            self.lake.delete([path])
            return None
        counted = self.engine.run(
            "SELECT count(*) FILTER (WHERE _reject IS NULL) AS n FROM raw", {"raw": self.lake.read([path])}
        )
        return RawFile(file.table, path, file.day, self.lake.size(path), rows, counted["n"][0].as_py())

    def counts(self, rewritten: Iterable[Rewritten]) -> dict[str, Counts]:
        """Law 3's, by contract: each record once, wherever it stood; as one that no contract claims only where it stood
        in no contract's table."""
        parts = [
            self.engine.run(f"SELECT {literal(_label(one.former.table))} AS label, * FROM gone", {"gone": one.gone})
            for one in rewritten
        ]
        if not parts:
            return {}
        once = f"SELECT max(label) AS label, bool_or(accepted) AS accepted FROM gone GROUP BY {POSITION}"
        tallies = "count(*) AS n, count(*) FILTER (WHERE accepted) AS counted"
        summed = f"SELECT label, {tallies} FROM ({once}) GROUP BY label"
        rows = self.engine.run(summed, {"gone": pa.concat_tables(parts)}).to_pylist()
        return {
            row["label"]: Counts(counted=-row["counted"], rejected=row["counted"] - row["n"], erased=row["n"])
            for row in rows
        }

    def dates(self, rewritten: Iterable[Rewritten]) -> dict[str, tuple[date, ...]]:
        """By raw table the dates that count otherwise now."""
        found: dict[str, set[date]] = {}
        for one in rewritten:
            found.setdefault(one.former.table, set()).add(one.former.date)
        for request in self.requests.values():
            for table, days in request.dates.items():
                found.setdefault(table, set()).update(days)
        return {table: tuple(sorted(days)) for table, days in sorted(found.items())}


def _label(table: str) -> str:
    """What the records of a raw table are counted under."""
    contract = Lake.contract_of(table)
    return UNCLAIMED if contract == NO_CONTRACT else contract
