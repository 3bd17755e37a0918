"""A lake as the streaming layers leave it, made by SQL: a raw table of clicks, epochs over it, and archive entries.

Clicks of one date fall on all its hours and on as many pages as give about 100 clicks an (hour, page); 1 in 100 is
a copy of the one before it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from seamline.attempts import new_attempt
from seamline.clock import system_clock
from seamline.entries.archive import Archived
from seamline.entries.base import Claim, DataFile
from seamline.entries.speed import Epoch
from seamline.frontier import START, Frontier, Partition, topic_source
from seamline.kernel import KERNEL_VERSION
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.states import apply_views
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import parse_views

SOURCE = topic_source("clicks", "bench")
FIRST_DATE = date(2026, 1, 1)
EVENT_ID = "  - {property: seamline.eventId, value: id}\n"
CONTRACT = f"""\
apiVersion: v3.1.0
kind: DataContract
id: clicks
version: 1.0.0
status: active
schema:
  - name: clicks
    properties:
      - {{name: id, logicalType: string, required: true}}
      - {{name: seen, logicalType: timestamp, required: true}}
      - {{name: page, logicalType: string, required: true}}
      - {{name: ms, logicalType: integer}}
customProperties:
  - {{property: seamline.eventTime, value: seen}}
{EVENT_ID}  - {{property: seamline.topic, value: clicks}}
"""
GROUPS = "SELECT {bucket} AS hour, page, count(*) AS clicks, sum(ms) AS ms, max(ms) AS slowest"
VIEW = f"""CREATE MATERIALIZED VIEW pages AS
{GROUPS.format(bucket="time_bucket(INTERVAL '1 hour', seen)")} FROM clicks GROUP BY ALL"""


class Clicks:
    """One lake. `each`: clicks of one date; `dedup`: whether the contract has an event id; `view`: the text of its
    views."""

    def __init__(self, folder: Path, each: int, *, dedup: bool = True, view: str = VIEW) -> None:
        self.lake, self.each = Lake.open(str(folder)), each
        self.contract = parse_contract(CONTRACT if dedup else CONTRACT.replace(EVENT_ID, ""), "clicks.yaml")
        views = {view.name: view for view in parse_views(view, "pages.sql")}
        apply_views(self.lake, views, {"clicks": self.contract}, system_clock)
        self.definitions = Catalogue(self.lake).live("main")
        self.table = self.lake.raw_path(self.contract.name, self.contract.layout)
        self.engine = self.lake.kernel("4GB")
        claim = Claim(at=system_clock(), holder="bench")
        self.speed = Writer.take(self.lake.speed_log("main"), claim)
        self.archive = Writer.take(self.lake.archive_log("main"), claim)
        self.frontier = START
        self.epochs = 0

    @property
    def definition(self) -> Definition:
        """The only view's."""
        (one,) = self.definitions
        return one

    @property
    def events(self) -> int:
        """Records sent so far."""
        return self.frontier[Partition(SOURCE, 0)]

    @property
    def files(self) -> list[str]:
        """Full paths of the raw files."""
        return list(DeltaTable(self.lake.absolute(self.table)).file_uris())

    def send(self, dates: int, each: int = 0, first: int = 0, *, at_once: bool = False) -> None:
        """`each` clicks for every one of some dates, archived, and covered by an epoch for each date, or by one."""
        each = each or self.each
        days = [FIRST_DATE + timedelta(days=first + n) for n in range(dates)]
        for some in [days] if at_once else [[day] for day in days]:
            rows = pa.concat_tables(self._rows(day, each, self.events + n * each) for n, day in enumerate(some))
            write_deltalake(self.lake.absolute(self.table), rows, mode="append", partition_by=["_event_date"])
            files = {one.hash: self._partials(one, rows) for one in self.definitions}
            self.frontier = Frontier({Partition(SOURCE, 0): self.events + rows.num_rows})
            self._epoch(files, rows.num_rows)
        entry = Archived(
            at=datetime.now(UTC), claim=self.archive.claim, start=self._archived, end=self.frontier,
            tables={self.table: DeltaTable(self.lake.absolute(self.table)).version()}, dates={self.table: tuple(days)},
        )  # fmt: skip
        self.archive.put(entry)
        self._archived = self.frontier

    _archived = START

    def _epoch(self, files: dict[str, DataFile | None], rows: int) -> None:
        self.epochs += 1
        start = Frontier({Partition(SOURCE, 0): self.events - rows}) if self.epochs > 1 else START
        self.speed.put(
            Epoch(
                at=datetime.now(UTC), number=self.epochs, claim=self.speed.claim, start=start, end=self.frontier,
                files=files, decodings=(self.contract.decoding,),
                kernel=KERNEL_VERSION, layout=LAYOUT,
            )
        )  # fmt: skip

    def _partials(self, definition: Definition, rows: pa.Table) -> DataFile | None:
        """What the speed layer would have made of these records, each event counted once."""
        path = self.lake.speed_path("main", definition.hash, new_attempt())
        one = "DISTINCT ON (id, seen)" if self.contract.event_id else ""
        events = f"SELECT {one} id, seen, page, ms FROM rows ORDER BY _offset"  # of copies the first, as batch has it
        statement = f"WITH events AS ({events})\n{definition.partial}"
        return DataFile(path=path, rows=self.lake.write(self.engine, statement, {"rows": rows}, path))

    def _rows(self, day: date, each: int, start: int) -> pa.Table:
        kept = "(CASE WHEN i % 100 = 99 THEN i - 1 ELSE i END)"
        midnight = f"TIMESTAMPTZ '{day} 00:00:00+00'"
        return self.engine.run(
            f"SELECT '{SOURCE}' AS _source, 0::INTEGER AS _partition, (i + {start})::BIGINT AS _offset,"
            f" {midnight} + to_milliseconds((i * 86400000 // {each})::BIGINT) AS _timestamp,"
            " NULL::BLOB AS _key, ('{\"id\":\"' || i || '\"}')::BLOB AS _value,"
            f" '{self.contract.decoding}' AS _contract_version, NULL::VARCHAR AS _reject, DATE '{day}' AS _event_date,"
            f" '{start}-' || {kept} AS id, {midnight} + to_milliseconds(({kept} * 86400000 // {each})::BIGINT) AS seen,"
            f" 'page' || (hash(i) % {max(1, self.each // 200)}) AS page, (hash(i, 1) % 5000)::BIGINT AS ms"
            f" FROM range({each}) r(i)"
        )
