"""Small lakes for tests: records go through the real decoding, epochs and raw Delta tables, without Spark and Kafka.

`Bench.send` appends records to partitions; `speed` commits one epoch over what it has not read, `archive` one append.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from obstore.store import LocalStore, MemoryStore

from seamline.clock import ManualClock
from seamline.config import BatchSection
from seamline.entries.archive import Archived, Imported
from seamline.entries.base import Claim
from seamline.frontier import Frontier, Partition, topic_source
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.batch import Batch
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.packs import CARRIED
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.states import apply_views
from seamline.schemas.views.text import parse_views
from seamline.segment import build_chain
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import RECORDS

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: string}
      - {name: placed, logicalType: timestamp}
      - {name: shop, logicalType: string}
      - {name: amount, logicalType: integer EXTRA}
      - {name: weight, logicalType: number}
customProperties:
  - {property: seamline.eventTime, value: placed}
  - {property: seamline.eventId, value: id}
  - {property: seamline.topic, value: orders}
"""

VIEW = """\
CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       avg(weight) AS weight, approx_count_distinct(id) AS ids, max(placed) AS latest
FROM orders GROUP BY ALL
"""

DAY = datetime(2024, 5, 1, 12, tzinfo=UTC)


def contract(extra: str = "") -> Contract:
    """The contract `orders`; `extra` goes after the type of `amount`, such as `, logicalTypeOptions: {minimum: 0}`."""
    return parse_contract(CONTRACT.replace(" EXTRA", extra), "orders.yaml")


def order(id_: str, at: datetime = DAY, *, shop: str = "a", amount: object = 1, weight: float = 0.5) -> bytes:
    """One record's bytes."""
    fields = {"id": id_, "placed": at.isoformat(), "shop": shop, "amount": amount, "weight": weight}
    return json.dumps(fields).encode()


class Bench:
    """One stream of a lake whose topic is two lists of records."""

    def __init__(
        self, folder: Path, *, view: str = VIEW, extra: str = "", store: Any = None, text: str = CONTRACT
    ) -> None:
        self.folder = folder
        self.clock = ManualClock(datetime(2024, 6, 1, tzinfo=UTC))
        self.lake = Lake(str(folder), store if store is not None else MemoryStore())
        self.settings = BatchSection()  # type: ignore[call-arg]
        self.carried = CARRIED
        self.contract = parse_contract(text.replace(" EXTRA", extra), "orders.yaml")
        self.source = topic_source("orders", "id1")
        self.log: dict[int, list[tuple[datetime, bytes | None]]] = {0: [], 1: []}
        self.apply(view)
        self._speed: Speed | None = None
        self._archive: Writer | None = None

    # the views

    def apply(self, view: str) -> str:
        """Applies views' texts over the bench's contract; returns the last definition's hash."""
        texts = {v.name: v for v in parse_views(view, "views.sql")}
        return apply_views(self.lake, texts, {"orders": self.contract}, self.clock)[-1].definition

    @property
    def batch(self) -> Batch:
        """The batch layer, with units run in this process."""
        return Batch(self.lake, settings=self.settings, clock=self.clock)

    @property
    def served(self) -> tuple[str | None, int | None]:
        """Definition and version served now."""
        state = ViewHistory(self.lake.view_log("sales")).state
        assert state is not None
        return state.served, state.version

    def versions(self, definition: str | None = None) -> BatchHistory:
        """The batch log of a definition (default: the served one)."""
        return BatchHistory(self.lake.batch_log(definition or self.served[0] or ""))

    # the topic

    def send(self, *values: bytes | None, partition: int = 0) -> None:
        """Appends records with the present Kafka timestamp."""
        self.log[partition] += [(self.clock(), value) for value in values]

    @property
    def end(self) -> Frontier:
        """The topic's end."""
        return Frontier({Partition(self.source, p): len(rows) for p, rows in self.log.items()})

    def records(self, start: Frontier, end: Frontier) -> pa.Table:
        """Records of (start, end] like RECORDS."""
        rows = [
            {"source": p.source, "partition": p.number, "offset": n, "timestamp": at, "key": b"", "value": value}
            for p in end
            for n, (at, value) in enumerate(self.log[p.number])
            if start[p] <= n < end[p]
        ]
        return pa.Table.from_pylist(rows, schema=RECORDS)

    # the layers

    def speed(self, end: Frontier | None = None) -> int:
        """Commits one epoch up to `end` (default: all); returns its number."""
        catalogue = Catalogue(self.lake)
        live = [(d, catalogue.contracts(d.hash)) for d in catalogue.live("main")]
        log = self.lake.speed_log("main")
        newest = (self._speed.history if self._speed else SpeedHistory(log)).newest_epoch
        plan = make_plan([self.contract], live, newest=newest)
        if self._speed is None:
            writer = Writer.take(log, Claim(at=self.clock(), holder="test"))
            engine, ends = self.lake.kernel(), lambda: self.end
            self._speed = Speed(
                self.lake, "main", writer, plan, clock=self.clock, engine=engine, ends=ends, carried=self.carried
            )
        elif plan != self._speed.plan:
            self._speed.use(plan)
        table = self.records(self._speed.frontier, end or self.end)
        self._speed.run_batch(lambda task: task(table))
        return self._speed.history.last_epoch

    def archive(self, end: Frontier | None = None) -> None:
        """Appends what was not archived yet, decoded by the bench's contract."""
        history = ArchiveHistory(self.lake.archive_log("main"))
        end = end or self.end
        self._append(self.records(history.frontier, end), history, end, ())

    def import_file(self, name: str, *values: bytes) -> str:
        """Archives a whole file of records; returns its source."""
        source = f"import:{name}"
        rows = [
            {"source": source, "partition": 0, "offset": n, "timestamp": self.clock(), "key": b"", "value": value}
            for n, value in enumerate(values)
        ]
        history = ArchiveHistory(self.lake.archive_log("main"))
        imported = Imported(source=source, contract="orders", rows=len(rows))
        self._append(pa.Table.from_pylist(rows, schema=RECORDS), history, history.frontier, (imported,))
        return source

    def _append(self, records: pa.Table, history: ArchiveHistory, end: Frontier, imports: tuple[Imported, ...]) -> None:
        table = self.lake.raw_path("orders", self.contract.layout)
        statement = f"SELECT * EXCLUDE (_id_hi, _id_lo) FROM ({decode_statement(self.contract)})"
        rows = self.lake.kernel().run(statement, {"records": records})
        uri = self.lake.absolute(table)
        write_deltalake(uri, rows, partition_by=["_event_date"], mode="append", schema_mode="merge")
        if self._archive is None:
            self._archive = Writer.take(self.lake.archive_log("main"), Claim(at=self.clock(), holder="test"))
        entry = Archived(
            at=self.clock(),
            claim=self._archive.claim,
            start=history.frontier,
            end=end,
            tables={table: DeltaTable(uri).version()},
            dates={table: tuple(sorted(set(rows["_event_date"].to_pylist())))},
            imports=imports,
        )
        self._archive.put(entry)

    def both(self) -> None:
        """One epoch and one append over everything sent."""
        self.speed()
        self.archive()

    # answers

    def answer(self) -> list[dict[str, Any]]:
        """The served view's rows: its version's files and the epochs after its cut, merged and finished."""
        definition, version = self.served
        assert definition is not None
        compiled = Catalogue(self.lake).definition(definition)
        speed = SpeedHistory(self.lake.speed_log("main"))
        cut, files = speed.origin or Frontier(), list[str]()
        if version is not None:
            history = self.versions()
            cut = history.versions[version].cut
            files = [f.path for unit in history.files(version).values() for f in unit]
        chain = build_chain(definition, version, cut, speed.segments(definition), speed.frontier)
        files += [path for segment in chain.segments for path in segment.files]
        rows = self.lake.kernel().run(compiled.merge_and_finalise, {"partials": self.lake.read(files)})
        return _sorted(rows)

    def expected(self, *values: bytes, definition: str | None = None) -> list[dict[str, Any]]:
        """The view's own SELECT run straight over distinct records."""
        rows = [
            {"source": "x", "partition": 0, "offset": n, "timestamp": self.clock(), "key": b"", "value": value}
            for n, value in enumerate(dict.fromkeys(values))
        ]
        engine = self.lake.kernel()
        records = pa.Table.from_pylist(rows, schema=RECORDS)
        valid = f"SELECT * FROM ({decode_statement(self.contract)}) WHERE _reject IS NULL"
        events = engine.run(valid, {"records": records})
        compiled = Catalogue(self.lake).definition(definition or self.served[0] or "")
        return _sorted(engine.run(compiled.select_over("events"), {"events": events}))

    def wait(self, **by: float) -> None:
        """Moves the clock."""
        self.clock.advance(timedelta(**by))


def project(folder: Path, settings: str = "", extra: str = "") -> Bench:
    """A project's folder with the bench's contract, view and lake; `settings` stand in its seamline.toml."""
    for name, text in (("contracts/orders.yaml", CONTRACT.replace(" EXTRA", extra)), ("views/sales.sql", VIEW)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "seamline.toml").write_text(f'[lake]\nuri = "lake"\n{settings}')
    (folder / "lake").mkdir()
    return Bench(folder / "lake", store=LocalStore(str(folder / "lake")), extra=extra)


class Counting:
    """A runner that remembers which units it ran."""

    def __init__(self, bench: Bench) -> None:
        self.units: list[str] = []
        self._run = local_runner(bench.lake)

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        for task, result in zip(tasks, self._run(tasks), strict=True):
            if task.wanted is None:  # a sample is read once more, to be verified
                self.units.append(result.unit)
            yield result


def _sorted(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: [str(value) for value in row.values()])


def orders(count: int, prefix: str = "o", at: datetime = DAY, step: timedelta = timedelta(0)) -> Sequence[bytes]:
    """`count` distinct orders."""
    return [order(f"{prefix}{n}", at + n * step, shop="ab"[n % 2], amount=n) for n in range(count)]
