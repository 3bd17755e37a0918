"""A stream whose raw expires, with its layers as they are, and in plain Python what its views answer.

Time and Kafka alone are played. Raw keeps an event date for two days; copies come within their horizon, so that an
event counts once whoever has read it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from lakes import CONTRACT, Bench

from seamline.commitpoint import hooked
from seamline.config import BatchSection, Settings, SpeedSection
from seamline.entries.archive import Imported
from seamline.entries.base import Claim
from seamline.entries.batch import Version
from seamline.errors import ConflictError
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.retention import retain
from seamline.ledger import Writer
from seamline.schemas.catalogue import Catalogue
from seamline.segment import build_chain
from seamline.sides.raw import RawFile, raw_files
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import file_records, make_shelves
from seamline.streaming.gathered import gather
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.tasks import RECORDS

KEPT = 2
DAYS = timedelta(days=1)
TEXT = CONTRACT.replace(" EXTRA", "") + f"  - {{property: seamline.rawRetention, value: {KEPT} days}}\n"

SALES = """CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount
FROM orders GROUP BY ALL"""
MONTHS = """CREATE MATERIALIZED VIEW months AS
SELECT time_bucket(INTERVAL '1 month', placed) AS month, count(*) AS orders, sum(amount) AS amount, min(placed) AS first
FROM orders GROUP BY ALL"""
BY_DAY = """CREATE MATERIALIZED VIEW by_day AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(orders) AS orders, MEASURE(amount) AS amount
FROM sales GROUP BY ALL"""
VIEWS = f"{SALES};\n{MONTHS};\n{BY_DAY}"

CHANGED = SALES.replace("count(*) AS orders", "count(*) AS orders, max(amount) AS most")


SETTINGS = Settings(
    speed=SpeedSection(compact_epochs=2, retention_hours=1, as_of_hours=1),  # type: ignore[call-arg]
    batch=BatchSection(keep_versions=2),  # type: ignore[call-arg]
)


class Killed(BaseException):
    """Power is lost."""


@dataclass(frozen=True)
class Order:
    """A record that parses, as it stands in its source."""

    id: str
    placed: datetime
    shop: str
    amount: int
    timestamp: datetime
    late: bool = False
    """Raw began after its date as it was archived."""

    @property
    def day(self) -> date:
        return self.placed.date()

    @property
    def valid(self) -> bool:
        return self.day >= self.timestamp.date() - KEPT * DAYS

    @property
    def bytes(self) -> bytes:
        said = {
            "id": self.id,
            "placed": self.placed.isoformat(),
            "shop": self.shop,
            "amount": self.amount,
            "weight": 1.0,
        }
        return json.dumps(said).encode()


class ExpiringWorld(Bench):
    """`orders`: what was sent, by position; `imports`: whole files; `late`: which of both came for a date that was
    gone, by source and row."""

    def __init__(self, folder: Path, text: str = TEXT, view: str = VIEWS, **given: Any) -> None:
        self.orders: list[Order | None] = []
        self.imports: dict[str, list[Order]] = {}
        self.late: set[tuple[str, int]] = set()
        self.archived = 0
        self.number = 0
        self._real: Archive | None = None
        super().__init__(folder, view=view, text=text, **given)

    # producers

    def order(self, days_ago: float = 0.0, behind: timedelta = timedelta()) -> Order:
        """A new order, placed so long before its record, whose timestamp lies behind the present."""
        self.number += 1
        at = self.clock() - behind
        return Order(f"o{self.number}", at - days_ago * DAYS, "ab"[self.number % 2], self.number % 7, at)

    def produce(self, *orders: Order | None) -> None:
        """None: what does not parse."""
        for one in orders:
            self.orders.append(one)
            self.log[0].append((self.clock() if one is None else one.timestamp, b"{" if one is None else one.bytes))

    def import_orders(self, *orders: Order) -> None:
        """A whole file, each record at the instant of the import."""
        archive, source = self.process, f"import:{len(self.imports)}"
        rows = [
            {"source": source, "partition": 0, "offset": n, "timestamp": self.clock(), "key": b"", "value": one.bytes}
            for n, one in enumerate(orders)
        ]
        shelves = [shelf for shelf in archive.shelves if shelf.contract == "orders"]
        table = pa.Table.from_pylist(rows, schema=RECORDS)
        seen = gather(file_records(archive.engine, self.lake, shelves, table, {}))
        self._file(source, list(orders), 0)
        self.imports[source] = [Order(o.id, o.placed, o.shop, o.amount, self.clock()) for o in orders]
        archive.take_import(
            Imported(source=source, contract="orders", rows=len(rows)),
            [RawFile(**one) for one in seen.files],
            seen.filed,
        )

    # processes

    @property
    def process(self) -> Archive:
        """The archive's; it starts, or looks at the contracts, first."""
        catalogue = Catalogue(self.lake)
        live = [c for d in catalogue.live("main") for c in catalogue.contracts(d.hash)]
        shelves = make_shelves([self.contract], live, "main")
        if self._real is None:
            writer = Writer.take(self.lake.archive_log("main"), Claim(at=self.clock(), holder="archive"))
            self._real = Archive(
                self.lake, "main", writer, shelves, clock=self.clock, engine=self.lake.kernel(), snapshot_every=5
            )
        elif [shelf.version for shelf in shelves] != [shelf.version for shelf in self._real.shelves]:
            self._real.use(shelves)
        return self._real

    def archive(self, end: Frontier | None = None) -> None:
        archive = self.process
        rows = self.records(archive.frontier, end or self.end)
        self._file(self.source, self.orders[self.archived :], self.archived)
        archive.run_batch(lambda task: task(rows))
        self.archived = archive.frontier[Partition(self.source, 0)]
        archive.maintain()

    def let_go(self) -> dict[str, str]:
        """What is past its retention goes, if nobody needs it."""
        return {contract: str(what) for contract, what in self.process.let_go(self.end).items()}

    def die_at(self, point: str, action: Callable[[], object], meanwhile: Callable[[], object] | None = None) -> bool:
        """Runs an action; at a point, power is lost, or `meanwhile` happens. Whether it came there."""
        there = False

        def hook(name: str) -> None:
            nonlocal there
            if name == point and not there:
                there = True
                if meanwhile is None:
                    raise Killed
                meanwhile()

        try:
            with hooked(hook):
                action()
        except Killed:
            self._speed = self._real = None
        except ConflictError:
            self._real = None
        return there

    def lose_memory(self) -> None:
        """All streaming processes start anew."""
        self._speed = self._real = None

    def days(self, count: int, each: int = 2) -> None:
        """So many days pass, in each of which some orders are read, archived and served."""
        for _ in range(count):
            self.clock.advance(DAYS)
            self.produce(*(self.order(n / 3) for n in range(each)))
            self.both()
            self.refresh_all()
        self.retain()

    def retain(self) -> None:
        """Retention of both layers: two versions of each view are restorable, epochs for an hour after the cut."""
        retain(self.lake, SETTINGS, self.clock)
        if self._speed is not None:
            upkeep = Maintenance(self._speed, Catalogue(self.lake), SETTINGS)
            upkeep.compact()
            upkeep.retire()
            upkeep.remove()

    def refresh_all(self) -> None:
        for view in Catalogue(self.lake).in_order():
            self.batch.refresh(view)

    def age(self) -> None:
        """Ten days pass, in which a few records come, and all of it is served."""
        for days in (7, 3):
            self.clock.advance(days * DAYS)
            self.produce(self.order(), self.order(0.4))
            self.both()
            self.refresh_all()
        self.retain()

    def settle(self, behind: timedelta = timedelta()) -> None:
        """So much is served that nobody goes back to what was before."""
        for _ in range(3):
            self.clock.advance(timedelta(hours=2))
            self.produce(self.order(behind=behind))
            self.both()
            self.refresh_all()
            self.retain()

    # the ledger

    @property
    def history(self) -> ArchiveHistory:
        return ArchiveHistory(self.lake.archive_log("main"))

    @property
    def begins(self) -> date | None:
        """The event date at which raw begins."""
        return self.history.first_date("orders")

    def raw_days(self) -> set[date]:
        """The event dates that raw holds, as the ledger names it."""
        (table,) = (path for path in self.history.tables if "orders-" in path)
        return {file.date for file in raw_files(self.lake, table, self.history.tables[table])}

    def state(self, view: str) -> tuple[str, Version | None]:
        """The definition that a view serves, and the version."""
        state = ViewHistory(self.lake.view_log(view)).state
        assert state is not None
        assert state.served is not None
        batch = BatchHistory(self.lake.batch_log(state.served))
        return state.served, None if state.version is None else batch.versions[state.version]

    # the truth

    def _file(self, source: str, orders: Sequence[Order | None], first: int) -> None:
        begins = self.begins
        if begins is not None:
            self.late |= {(source, first + n) for n, o in enumerate(orders) if o is not None and o.day < begins}

    def events(self, version: Version | None) -> list[Order]:
        """Those that count beside a version: below its cut each that was valid and was not late; above it what speed
        has counted."""
        cut = version.cut[Partition(self.source, 0)] if version else 0
        reached = SpeedHistory(self.lake.speed_log("main")).frontier[Partition(self.source, 0)]
        begins = version.begins.get("orders", date.min) if version else date.min
        sent = [o for n, o in enumerate(self.orders[:cut]) if o is not None and (self.source, n) not in self.late]
        for source in version.imports if version else ():
            sent += [o for n, o in enumerate(self.imports[source]) if (source, n) not in self.late]
        below = [one for one in sent if one.valid and one.day >= begins]
        above = [one for one in self.orders[cut:reached] if one is not None and one.valid]
        once = {(one.id, one.placed): one for one in (*above, *below)}
        return list(once.values())

    def check(self) -> None:
        """Every view's answer is plain Python's over what counts; law 3 holds; no audit found drift."""
        for view in Catalogue(self.lake).states:
            definition, version = self.state(view)
            got, want = self.rows(view), BY_HAND[view](self.events(version), "most" in self._columns(definition))
            assert got == want, f"{view} from {version and version.cut}: {got} is not {want}"
        for definition in self.lake.batches():
            for number, one in BatchHistory(self.lake.batch_log(definition)).versions.items():
                assert one.audit.clean, (definition, number, one.audit)
                assert one.counts.balanced
        history = self.history
        if history.begins:
            assert all(day >= history.begins["orders"].date for day in self.raw_days())
        counted = history.counts.get("orders")
        if counted is not None:
            assert (counted.read, counted.counted) == self.archives_counts(), counted

    def archives_counts(self) -> tuple[int, int]:
        """What the archive has read, and what of it is valid and was not late."""
        sent = [(self.source, n, o) for n, o in enumerate(self.orders[: self.archived])]
        sent += [(source, n, o) for source, orders in self.imports.items() for n, o in enumerate(orders)]
        good = [one for source, n, one in sent if one and one.valid and (source, n) not in self.late]
        return len(sent), len(good)

    def _columns(self, definition: str) -> list[str]:
        return [column.name for column in Catalogue(self.lake).definition(definition).columns]

    def rows(self, view: str) -> list[tuple[Any, ...]]:
        """What a view answers: its version's files and the epochs after its cut."""
        definition, version = self.state(view)
        compiled, speed = Catalogue(self.lake).definition(definition), SpeedHistory(self.lake.speed_log("main"))
        cut, files = speed.origin or Frontier(), list[str]()
        if version is not None:
            batch, cut = BatchHistory(self.lake.batch_log(definition)), version.cut
            number = next(n for n, one in batch.versions.items() if one is version or one == version)
            files = [file.path for of in batch.files(number).values() for file in of]
        chain = build_chain(definition, None, cut, speed.segments(definition), speed.frontier)
        files += [path for segment in chain.segments for path in segment.files]
        table = self.lake.kernel().run(compiled.merge_and_finalise, {"partials": self.lake.read(files)})
        return sorted(tuple(row.values()) for row in table.to_pylist())


def grouped(orders: Iterable[Order], key: Callable[[Order], Any]) -> dict[Any, list[Order]]:
    found: dict[Any, list[Order]] = defaultdict(list)
    for one in orders:
        found[key(one)].append(one)
    return found


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def sales(orders: Iterable[Order], most: bool) -> list[tuple[Any, ...]]:
    return sorted(
        (hour, shop, len(of), *([max(o.amount for o in of)] if most else []), sum(o.amount for o in of))
        for (hour, shop), of in grouped(orders, lambda o: (_hour(o.placed), o.shop)).items()
    )


def months(orders: Iterable[Order], _: bool) -> list[tuple[Any, ...]]:
    return sorted(
        (month, len(of), sum(o.amount for o in of), min(o.placed for o in of))
        for month, of in grouped(orders, lambda o: datetime(o.placed.year, o.placed.month, 1, tzinfo=UTC)).items()
    )


def by_day(orders: Iterable[Order], _: bool) -> list[tuple[Any, ...]]:
    return sorted(
        (day, len(of), sum(o.amount for o in of))
        for day, of in grouped(orders, lambda o: o.placed.replace(hour=0, minute=0, second=0, microsecond=0)).items()
    )


BY_HAND: dict[str, Callable[[Iterable[Order], bool], list[tuple[Any, ...]]]] = {
    "sales": sales,
    "months": months,
    "by_day": by_day,
}
"""Every view in plain Python."""
