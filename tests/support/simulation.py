"""A whole stream of one lake in one process: the real parts of every layer, their deaths, and a model of the truth.

Time, Kafka and Spark alone are played: clocks are moved by hand, the broker's apart from those of processes, which step
both ways; the topic is lists of records, tasks are a loop. The truth is plain Python: `copying` for what speed counts,
`views_by_hand` for what views answer.
What is in memory can be lost at any commit point; what is in the lake cannot.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import views_by_hand
from copying import Copying, Identity
from obstore.store import MemoryStore
from truth import NO_TIME, RETURNS, Counting, Event, Record, Tally, Topic, differences, ordered, together

from seamline.clock import ManualClock
from seamline.commitpoint import hooked
from seamline.config import ArchiveSection, BatchSection, Settings, SpeedSection
from seamline.entries.archive import Imported
from seamline.entries.base import Claim, Counts
from seamline.entries.batch import Audit
from seamline.entries.speed import Epoch
from seamline.entries.views import Published
from seamline.errors import Condition, ConflictError, SeamlineError, TransientError
from seamline.frontier import Frontier, Partition, Position
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.batch import Batch, Outcome
from seamline.jobs.clearing import clear, remove
from seamline.jobs.finding import wanted
from seamline.jobs.forgetting import ask, look
from seamline.jobs.retention import retain
from seamline.jobs.unit import Runner, UnitResult
from seamline.kernel import KERNEL_VERSION, kernel, quote
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.packs import CARRIED
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.states import apply_views, drop_view
from seamline.schemas.views.text import parse_views
from seamline.segment import build_chain, check_seam
from seamline.serving.bounds import BatchFiles
from seamline.serving.chains import topics_only
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView, Snapshot
from seamline.sides.raw import RawFile, raw_files
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import file_records, make_shelves
from seamline.streaming.gathered import gather
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import KEPT_BYTES, RECORDS, Tasks

T = TypeVar("T")

STREAM = "main"
HORIZON = timedelta(hours=10)
BEGIN = datetime(2024, 6, 1, 12, tzinfo=UTC)

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
      - {name: amount, logicalType: integer LEAST}
      - {name: weight, logicalType: number}
      - {name: buyer, logicalType: string}
customProperties:
  - {property: seamline.eventTime, value: placed}
  - {property: seamline.eventId, value: id}
  - {property: seamline.dedupHorizon, value: 10 hours}
"""

LEAST: tuple[int | None, ...] = (0, None)
"""The least amount that the contract takes, before and after it is mended."""

SALES = """CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       min(amount) AS least, max(placed) AS latest, avg(weight) AS weight,
       approx_count_distinct(buyer) FILTER (WHERE amount > 0) AS buyers
FROM orders GROUP BY ALL"""

CHANGED = """CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 month', placed, 'Asia/Seoul') AS month, upper(shop) AS place, count(amount) AS priced,
       avg(amount) FILTER (WHERE buyer = 'x') AS mean, max(weight) AS heaviest, approx_count_distinct(id) AS ids
FROM orders WHERE amount IS DISTINCT FROM 2 GROUP BY ALL"""

CHANGED_AGAIN = """CREATE MATERIALIZED VIEW sales AS
SELECT date_trunc('year', placed) AS year, count(*) AS orders, sum(weight) AS weight, min(placed) AS earliest,
       approx_count_distinct(buyer) AS buyers
FROM orders GROUP BY ALL"""

DAILY = """CREATE MATERIALIZED VIEW daily AS
SELECT time_bucket(INTERVAL '1 day', placed) AS day, buyer, count(*) AS orders, min(shop) AS shop
FROM orders GROUP BY ALL"""

MOVES = """CREATE MATERIALIZED VIEW moves AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, kind, count(*) AS moves, sum(amount) AS amount,
       sum(weight) AS weight, max(shop) AS shop
FROM (SELECT placed, shop, amount, weight, 'sale' AS kind FROM orders
      UNION ALL BY NAME
      SELECT placed, shop, -amount AS amount, 'return' AS kind FROM returns WHERE shop IS NOT NULL) AS e
GROUP BY ALL"""
"""Over both contracts."""

BY_DAY = """;
CREATE MATERIALIZED VIEW by_day AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(orders) AS orders, MEASURE(amount) AS amount,
       MEASURE(least) AS least, MEASURE(weight) AS weight, MEASURE(buyers) AS buyers, MEASURE(latest) AS latest
FROM sales WHERE shop IS DISTINCT FROM 'b' GROUP BY ALL"""

BY_YEAR = """;
CREATE MATERIALIZED VIEW by_day AS
SELECT date_trunc('year', month) AS year, MEASURE(priced) AS priced, MEASURE(mean) AS mean, MEASURE(ids) AS ids
FROM sales GROUP BY ALL"""

DERIVED = {
    BY_DAY: """by_day AS
SELECT time_bucket(INTERVAL '1 day', placed) AS day, count(*) AS orders, sum(amount) AS amount, min(amount) AS least,
       avg(weight) AS weight, approx_count_distinct(buyer) FILTER (WHERE amount > 0) AS buyers, max(placed) AS latest
FROM orders WHERE shop IS DISTINCT FROM 'b' GROUP BY ALL""",
    BY_YEAR: """by_day AS
SELECT date_trunc('year', time_bucket(INTERVAL '1 month', placed, 'Asia/Seoul')) AS year, count(amount) AS priced,
       avg(amount) FILTER (WHERE buyer = 'x') AS mean, approx_count_distinct(id) AS ids
FROM orders WHERE amount IS DISTINCT FROM 2 GROUP BY ALL""",
}
"""Views over `sales` as it is at first, and as it is changed: each with its own SELECT over the events."""


def select_of(text: str) -> str:
    """A view's SELECT."""
    return text.partition(" AS\n")[2]


BY_HAND = {
    select_of(text): view
    for text, view in (
        (SALES, views_by_hand.SALES),
        (CHANGED, views_by_hand.CHANGED),
        (CHANGED_AGAIN, views_by_hand.CHANGED_AGAIN),
        (DAILY, views_by_hand.DAILY),
        (MOVES, views_by_hand.MOVES),
        (DERIVED[BY_DAY], views_by_hand.BY_DAY),
        (DERIVED[BY_YEAR], views_by_hand.BY_YEAR),
    )
}
"""Every SELECT, and the same in plain Python."""

BY_HOUR = SALES.replace("sales AS", "sales TBLPROPERTIES ('partition.grain' = 'hour') AS")
"""The same definition, whose batch work is done by the hour from its next version on."""

SKETCHES = frozenset({"buyers", "ids"})

_PLACES = """SELECT _source, _partition, _offset, max(n) AS most
FROM (
  SELECT _source, _partition, _offset, count(*) AS n
  FROM raw GROUP BY _source, _partition, _offset, _contract_version
)
GROUP BY _source, _partition, _offset ORDER BY ALL"""

SETTINGS = Settings(
    speed=SpeedSection(compact_epochs=2, retention_hours=1),  # type: ignore[call-arg]
    archive=ArchiveSection(),  # type: ignore[call-arg]
    batch=BatchSection(keep_versions=2),  # type: ignore[call-arg]
)


class Killed(BaseException):
    """Power is lost. No layer may know of it, let alone catch it."""


@dataclass(frozen=True)
class Known:
    """What the model remembers of a definition: the view's text, and which amounts its contract takes."""

    text: str
    least: int | None


@dataclass(frozen=True)
class Asked:
    """What the model remembers of a request to forget a buyer."""

    buyer: str
    until: Frontier
    files: frozenset[str]
    """Imports that stood in raw."""

    events: frozenset[Identity]
    """Copies of these go whenever they come."""

    def takes(self, at: Position, record: Record, known: bool = True) -> bool:
        """Whether a record goes; `known`: copies that come later, too."""
        event = record.event
        before = at.offset < self.until[Partition(at.source, at.partition)] or at.source in self.files
        if event is None:
            return before and self.buyer.encode() in (record.value or b"")
        copy = record.accepted(None) is not None and (event.id, event.placed) in self.events
        return (before and event.buyer == self.buyer) or (known and copy)


class World:
    """One stream, its lake, and everything that happens to it, one world at a time. `folder` is made empty; `store`:
    where the ledger stands, in memory unless it is told."""

    running: ClassVar[Serving | None] = None

    def __init__(self, folder: Path, origin: Sequence[int] = (0, 0), store: Any = None) -> None:
        for path in folder.iterdir():
            shutil.rmtree(path)
        self.clock, self.speed_clock, self.kafka_time = (ManualClock(BEGIN) for _ in range(3))
        self.files: dict[str, list[Record]] = {}
        self.lake = Lake(str(folder), store if store is not None else MemoryStore())
        self.topic = Topic(origin)
        self.topics = {"orders": self.topic, "returns": Topic((0,), RETURNS)}
        self.contracts = [
            parse_contract(CONTRACT.replace(" LEAST", rule), "orders.yaml")
            for rule in (", logicalTypeOptions: {minimum: 0}", "")
        ]
        self.returns = parse_contract(CONTRACT.replace("orders", "returns").replace(" LEAST", ""), "returns.yaml")
        self.mended = 0
        self.known: dict[str, Known] = {}
        self.ready: set[str] = set()
        self.audits: list[Audit] = []
        self.deaths = 0
        self.runner: Runner | None = None
        self._speed: tuple[Speed, Maintenance] | None = None
        self._archive: Archive | None = None
        self._copying = Copying()
        self._ends: dict[int, tuple[Frontier, Frontier]] = {}
        self._checked: dict[str, int] = {}
        self.asked: dict[int, Asked] = {}
        self.apply(SALES)
        self.ready.add("sales")
        self.history = SpeedHistory(self.lake.speed_log(STREAM))
        self._serve()

    # what users do

    @property
    def contract(self) -> Contract:
        """The project's contract, as it stands now."""
        return self.contracts[self.mended]

    @property
    def origin(self) -> Frontier:
        """Where both topics begin."""
        return self.topic.origin.join(self.topics["returns"].origin)

    def _end(self) -> Frontier:
        return self.topic.end.join(self.topics["returns"].end)

    def apply(self, text: str) -> None:
        """`seamline views apply`."""
        views = {view.name: view for view in parse_views(text, "views.sql")}
        for applied in apply_views(self.lake, views, {"orders": self.contract, "returns": self.returns}, self.clock):
            said = DERIVED[text[text.index(";") :]] if applied.view == "by_day" else text.partition(";")[0]
            self.known[applied.definition] = Known(said, LEAST[self.mended])

    def drop(self, view: str) -> None:
        """`seamline views drop`: no answer until it is applied again, and then none before its next version."""
        drop_view(self.lake, view, self.clock)
        self.ready.discard(view)

    def send(
        self, partition: int, value: bytes | None, event: Event | None = None, gap: int = 0, topic: str = "orders",
        ahead: timedelta | None = timedelta(),
    ) -> None:  # fmt: skip
        """A producer's record, its timestamp so far `ahead` of the broker's time; None: it has none."""
        at = NO_TIME if ahead is None else self.kafka_time() + ahead
        self.topics[topic].send(partition, at, value, event, gap)

    def wait(self, by: timedelta) -> None:
        """Time passes, for the broker and for every process."""
        for clock in (self.clock, self.speed_clock, self.kafka_time):
            clock.advance(by)

    def import_file(self, records: Sequence[tuple[bytes, Event | None]]) -> None:
        """`seamline import`: a whole file of orders, each record at the instant of the import."""
        archive, source = self.archive, f"import:{len(self.files)}"
        now = self.clock()
        self.files[source] = [Record(n, now, value, event) for n, (value, event) in enumerate(records)]
        shelves = [shelf for shelf in archive.shelves if "orders" in (shelf.contract, *shelf.topics)]
        table = pa.Table.from_pylist([_row(source, 0, record) for record in self.files[source]], schema=RECORDS)
        seen = gather(file_records(archive.engine, self.lake, shelves, table, archive.forgotten))
        imported = Imported(source=source, contract="orders", rows=len(records))
        try:
            archive.take_import(imported, [RawFile(**one) for one in seen.files], seen.filed)
        except ConflictError:
            self._archive = None

    # processes, and their deaths

    def perform(
        self, action: Callable[[], T], die_at: int | str = 0, meanwhile: Callable[[], object] | None = None
    ) -> T | None:
        """Runs an action. At commit point `die_at` (its name, or how many were reached) everything in memory is lost,
        or else `meanwhile` happens."""
        reached = 0

        def hook(point: str) -> None:
            nonlocal reached
            reached += 1
            if die_at in (point, reached):
                if meanwhile is None:
                    raise Killed
                meanwhile()

        try:
            with hooked(hook):
                return action()
        except Killed:
            self.deaths += 1
            self.lose_memory()
            return None

    def lose_memory(self) -> None:
        """Every streaming process is gone; whoever comes next reads the ledger."""
        self._speed = self._archive = None

    @property
    def speed(self) -> Speed:
        """The speed process; it starts, or looks at the views, first."""
        return self._speed_process()[0]

    @property
    def maintenance(self) -> Maintenance:
        """The speed process's upkeep."""
        return self._speed_process()[1]

    def _speed_process(self) -> tuple[Speed, Maintenance]:
        if self._speed is None:
            catalogue = Catalogue(self.lake)
            writer = Writer.take(self.lake.speed_log(STREAM), Claim(at=self.speed_clock(), holder="speed"))
            live = [(d, catalogue.contracts(d.hash)) for d in catalogue.live(STREAM)]
            newest = SpeedHistory(self.lake.speed_log(STREAM)).newest_epoch
            plan = make_plan([self.contract, self.returns], live, newest=newest)
            kept = (KEPT_BYTES, 0)[self.deaths % 2]  # each life leaves copies out in the other of two ways
            carried = (CARRIED, 0)[self.deaths // 2 % 2]  # and every second one has its packs in objects of their own
            speed = Speed(
                self.lake,
                STREAM,
                writer,
                plan,
                clock=self.speed_clock,
                origin=self.origin,
                carried=carried,
                kept_bytes=kept,
                ends=self._end,
            )
            self._speed = speed, Maintenance(speed, catalogue, SETTINGS, snapshot_every=3)
        speed, maintenance = self._speed
        catalogue = maintenance.catalogue
        catalogue.catch_up()
        live = [(d, catalogue.contracts(d.hash)) for d in catalogue.live(STREAM)]
        plan = make_plan([self.contract, self.returns], live, newest=speed.history.newest_epoch)
        if plan != speed.plan:
            speed.use(plan)
        return self._speed

    @property
    def archive(self) -> Archive:
        """The archive process; it starts, or looks at the contracts, first."""
        live = (d.hash for d in Catalogue(self.lake).live(STREAM))
        catalogue = Catalogue(self.lake)
        shelves = make_shelves([self.contract, self.returns], [c for d in live for c in catalogue.contracts(d)], STREAM)
        if self._archive is None:
            writer = Writer.take(self.lake.archive_log(STREAM), Claim(at=self.clock(), holder="archive"))
            self._archive = Archive(
                self.lake,
                STREAM,
                writer,
                shelves,
                clock=self.clock,
                origin=self.origin,
                engine=self.lake.kernel(),
                snapshot_every=2,
            )
        elif [s.version for s in shelves] != [s.version for s in self._archive.shelves]:
            self._archive.use(shelves)
        return self._archive

    @property
    def batch(self) -> Batch:
        """A batch job."""
        return Batch(self.lake, self.runner, settings=SETTINGS.batch, clock=self.clock)

    # what processes do

    def run_speed(self, takes: Sequence[int], split: int = 1, again: int = 0) -> Epoch | None:
        """One micro-batch: up to so many records of each partition, in so many tasks, some of them delivered again."""
        speed = self.speed
        return speed.run_batch(self._tasks(speed.frontier, takes, split, again))

    def run_archive(self, takes: Sequence[int], again: int = 0) -> None:
        """One append. A second archive process may have written the table meanwhile: then it starts afresh."""
        try:
            archive = self.archive
            archive.run_batch(self._tasks(archive.frontier, takes, 1, again))
        except ConflictError:
            self._archive = None

    def upkeep(self) -> None:
        """The archive's: files of raw dates that grew, or rest by now, are put together; what nobody reads goes."""
        try:
            self.archive.maintain()
            self.archive.vacuum()
        except ConflictError:
            self._archive = None

    def refresh(self, view: str, *, rebuild: bool = False) -> Outcome:
        """One batch run. Whatever it publishes is audited and counted right."""
        try:
            outcome = self.batch.rebuild(view) if rebuild else self.batch.refresh(view)
        except TransientError as error:  # clocks that differ may end a reservation early: the next run starts afresh
            assert error.condition is Condition.RESERVATION_EXPIRED, error
            self.wait(timedelta(minutes=SETTINGS.batch.reservation_minutes + 1))
            return Outcome(view)
        if outcome.version is not None:
            self.ready.add(view)
        return outcome

    def forget(self, buyer: str) -> None:
        """`seamline forget`: whatever orders raw holds of a buyer, by a contract's text that is in force anywhere."""
        self.check()
        engine, catalogue = self.lake.kernel(), Catalogue(self.lake)
        texts = [self.contract, *(c for d in catalogue.live(STREAM) for c in catalogue.contracts(d.hash))]
        texts = [text for text in texts if text.name == "orders"]
        looked = look(self.lake, engine, texts, wanted(engine, self.contract, "buyer", [buyer]))
        if not looked.found.rows.num_rows:
            return
        until, files = looked.archive.frontier, frozenset(looked.archive.imports)
        mine = Asked(buyer, until, files, frozenset())
        least = {LEAST[self.contracts.index(self.contract)]}
        least |= {self.known[d].least for state in catalogue.states.values() for d in state.live}
        stood = [(at, r) for at, r in self._archived("orders", looked.archive) if mine.takes(at, r, known=False)]
        events = {(e.id, e.placed) for _, r in stood for one in least if (e := r.accepted(one)) and e.id is not None}
        mine = replace(mine, events=frozenset(events))
        try:
            ask(self.lake, engine, looked, self.clock)
        finally:  # it may die right after the entry
            requests = ForgetHistory(self.lake.forget_log(STREAM)).requests.keys() - self.asked.keys()
            self.asked |= dict.fromkeys(requests, mine)

    def hear(self) -> None:
        """The speed process looks for what was forgotten, and says so."""
        self.speed.look_for_forgotten()
        self.speed.announce()

    def clear(self) -> str:
        """Goes on with all requests, as far as each process can."""
        self.hear()
        try:
            self.archive.forget()
        except ConflictError:
            self._archive = None
        try:
            why = clear(self.batch, STREAM)
        except TransientError as error:
            assert error.condition is Condition.RESERVATION_EXPIRED, error
            self.wait(timedelta(minutes=SETTINGS.batch.reservation_minutes + 1))
            why = str(error)
        self.maintenance.forget()
        try:
            self.archive.clear()
        except ConflictError:
            self._archive = None
        remove(self.lake, STREAM, self.clock())
        return why

    def _left(self, of: str, entry: int) -> Callable[[tuple[Position, Record]], bool]:
        """Which of a contract's records are left in raw at an entry of the archive."""
        erased = ArchiveHistory(self.lake.archive_log(STREAM)).erased
        gone = [self.asked[n] for n, one in erased.items() if one.entry <= entry] if of == "orders" else []
        return lambda one: not any(asked.takes(*one) for asked in gone)

    def _archived(self, of: str, history: ArchiveHistory) -> list[tuple[Position, Record]]:
        of_topic = self.topics[of].between(Frontier(), history.frontier)
        return [*self._imported(of, history.imports), *of_topic]

    def rollback(self, view: str, choice: int) -> None:
        """An operator serves another version that still stands, perhaps of the former definition."""
        state = Catalogue(self.lake).states[view]
        choices: list[tuple[str, int | None]] = [
            (d, n) for d in state.live for n in (None, *BatchHistory(self.lake.batch_log(d)).versions)
        ]
        definition, version = choices[choice % len(choices)] if choices else ("", None)
        try:
            self.batch.rollback(view, version, definition)
        except SeamlineError as error:
            allowed = (Condition.SEAM_HOLE, Condition.OUT_OF_RETENTION)
            assert error.condition in (allowed if choices else (Condition.VIEW_UNKNOWN,)), error

    def retain(self) -> None:
        """Retention of the batch layer; what is served, restorable or reserved is there afterwards."""
        retain(self.lake, SETTINGS, self.clock)

    def second_speed(self) -> None:
        """Another speed process takes the claim; the first one's next entry is refused, and changes nothing."""
        old = self.speed
        self._speed = None
        number = self.speed.writer.claim
        try:
            epoch = old.run_batch(self._tasks(old.frontier, [99] * 9, 1, 0))
        except ConflictError as error:
            assert error.condition is Condition.WRITER_CONFLICT
        else:
            assert epoch is None, "two writers"
        assert self.lake.speed_log(STREAM).last() == number

    def second_archive(self) -> None:
        """The same for the archive, whose first process dies between its Delta commit and the refused entry."""
        old = self.archive
        self._archive = None
        number = self.archive.writer.claim
        number = max(number, self.lake.archive_log(STREAM).last())
        try:
            old.run_batch(self._tasks(old.frontier, [99] * 9, 1, 0))
        except ConflictError as error:
            assert error.condition is Condition.WRITER_CONFLICT
        assert self.lake.archive_log(STREAM).last() == number

    def another_release(self) -> int:
        """What is installed is another release now, which reads no state of the units that a dead run had done.

        Their files are emptied, so that whoever reads one after all is caught. How many there were.
        """
        versions = [v for d in self.known for v in BatchHistory(self.lake.batch_log(d)).versions.values()]
        named = {file.path for version in versions for files in version.units.values() for file in files}
        aged = 0
        for item in [item for listed in self.lake.store.list("runs/") for item in listed]:
            done = UnitResult.model_validate_json(bytes(self.lake.store.get(item["path"]).bytes()))
            if done.kernel == KERNEL_VERSION and (done.file is None or done.file.path not in named):
                made = done.model_copy(update={"kernel": "duckdb-1.4"}).model_dump_json()
                self.lake.store.put(item["path"], made.encode())
                if done.file is not None:
                    Path(self.lake.absolute(done.file.path)).write_bytes(b"")
                aged += 1
        return aged

    def _tasks(self, start: Frontier, takes: Sequence[int], split: int, again: int) -> Tasks:
        rows: list[dict[str, Any]] = []
        partitions = [(t.source, n, rs) for t in self.topics.values() for n, rs in enumerate(t.partitions)]
        for source, number, records in partitions:
            at = start[Partition(source, number)]
            below = [r for r in records if r.offset < at]
            above = [r for r in records if r.offset >= at]
            rows += [_row(source, number, r) for r in (below[len(below) - again :] if again else [])]
            rows += [_row(source, number, r) for r in above[: takes[number % len(takes)]]]
        parts = [rows[n::split] for n in range(split)][::-1]
        tables = [pa.Table.from_pylist(part, schema=RECORDS) for part in parts if part]
        return lambda task: [row for table in tables for row in task(table)]

    # the truth

    def check(self) -> None:
        """Every law, as far as what is committed shows it."""
        self._check_archive()
        if not self.serving.catch_up():
            return
        self.history.catch_up()
        self._check_epochs()
        snapshot = self.serving.snapshot()
        for view in self.serving.catalogue.states:
            self.check_view(snapshot, view, self.history.frontier)
            self.check_past(view, max(1, self.history.last_epoch - self.history.number % 5))
        self._check_versions()

    def check_view(self, snapshot: Snapshot, view: str, until: Frontier) -> None:
        """Laws 2 and 5: one chain that reaches `until`, and the answer of a single pass over exactly that."""
        state = self.serving.catalogue.states[view]
        served = snapshot.views[view]
        if isinstance(served, SeamlineError):
            assert not self.history.last_epoch or view not in self.ready, served
            assert served.condition is self._early(state), served
            return
        proof = served.provenance(self.serving.clock())
        proof.check()
        assert proof.reached == until, (proof.reached, until)
        known = self.known[proof.definition]
        truth = {of: self._truth(of, known.least, served.base.version, proof, until) for of in self.topics}
        wanted = views_by_hand.answer(BY_HAND[select_of(known.text)], truth["orders"], truth["returns"])
        for got in (self._answer(served), self._from_files(served, until)):
            wrong = differences(got, wanted, SKETCHES)
            assert not wrong, f"{view} at {until} from {proof.cut} ({proof.version}): {wrong}"

    def _truth(self, of: str, least: int | None, version: int | None, proof: Any, until: Frontier) -> list[Event]:
        """A contract's events in an answer: below the cut each once; after it those that speed counted, by the rule."""
        cut = topics_only(proof.cut)
        counting = Counting(least if of == "orders" else None)
        if version is not None:
            entry = BatchHistory(self.lake.batch_log(proof.definition)).versions[version]
            records = [*self._imported(of, entry.imports), *self.topics[of].between(Frontier(), cut)]
            counting.take(filter(self._left(of, entry.archive_entry), records))
        decoding = self.returns.decoding if of == "returns" else self.contracts[LEAST.index(least)].decoding
        counted = self._copying.readers[decoding].counted if decoding in self._copying.readers else {}
        after = [n for n, (start, end) in self._ends.items() if cut <= start and end <= until and n in counted]
        return [*counting.events, *(event for number in sorted(after) for event in counted[number])]

    def _imported(self, of: str, sources: Iterable[str]) -> list[tuple[Position, Record]]:
        """Records of whole imports, all of which are orders."""
        listed = sorted(sources) if of == "orders" else []
        return [(Position(source, 0, record.offset), record) for source in listed for record in self.files[source]]

    def _early(self, state: Published) -> Condition:
        """What is said of a view that is not ready: a hole where it was dropped after a version, and has come back; or
        that this version is gone."""
        if state.served is None:
            return Condition.VIEW_UNKNOWN
        if state.version is None:
            return Condition.VIEW_NOT_READY
        stands = BatchHistory(self.lake.batch_log(state.served)).versions
        return Condition.SEAM_HOLE if state.version in stands else Condition.OUT_OF_RETENTION

    def check_past(self, view: str, epoch: int) -> None:
        """Law 5 as of an epoch, which may be asked for as long as its chain stands."""
        at = self.history.epochs.get(epoch)
        snapshot = self.serving.snapshot(epoch, [view])
        served = snapshot.views[view]
        if at is not None and not isinstance(served, SeamlineError):
            self.check_view(snapshot, view, at.end)
        elif isinstance(served, SeamlineError):
            state = self.serving.catalogue.states[view]
            if state.served is None:
                assert served.condition is Condition.VIEW_UNKNOWN, served
                return
            assert served.condition is Condition.OUT_OF_RETENTION, served
            stands = at is not None and state.served in at.files and self._stands(state, at)
            assert view not in self.ready or not stands, served

    def _stands(self, state: Published, at: Epoch) -> bool:
        """Whether the served version's cut lies at or before an epoch's end, so that a chain leads there."""
        if state.version is None:
            first = self.history.epochs.get(1)
            return first is not None and state.served in first.files
        versions = BatchHistory(self.lake.batch_log(str(state.served))).versions
        return state.version in versions and topics_only(versions[state.version].cut) <= at.end

    def _serve(self) -> None:
        if World.running:
            World.running.close()  # it has six threads, which nothing else ends soon
        self.serving = World.running = Serving(self.lake, SETTINGS, self.clock)

    def serve_afresh(self) -> None:
        """Serving starts again, and reads the whole ledger."""
        self._serve()
        for view in self.serving.catalogue.states:
            self.check_view(self.serving.snapshot(), view, self.history.frontier)

    def answer(self, view: str) -> list[dict[str, Any]]:
        """What a client is told."""
        return ordered(self.serving.query(f"SELECT * FROM {view}").table)

    def _answer(self, served: ServedView) -> list[dict[str, Any]]:
        """The same without serving's parser: the served partials, merged and finished."""
        engine, definition = self.lake.kernel(), served.definition
        tables = [served.speed] if served.speed is not None else []
        if served.batch is not None:
            files = served.batch.paths if isinstance(served.batch, BatchFiles) else served.batch
            tables.append(engine.run("SELECT * FROM batch", {"batch": files}))
        if not tables:
            return ordered(engine.run(definition.merge_and_finalise, {"partials": _empty(definition)}))
        partials = pa.concat_tables(tables, promote_options="permissive")
        return ordered(engine.run(definition.merge_and_finalise, {"partials": partials}))

    def _from_files(self, served: ServedView, until: Frontier) -> list[dict[str, Any]]:
        """The answer of a reader who has just come, and reads the fewest files there are."""
        definition, engine = served.definition, self.lake.kernel()
        segments = self.history.segments(definition.hash)
        chain = build_chain(definition.hash, served.base.version, served.base.cut, segments, until)
        check_seam(chain.cut, chain.segments)
        files = [path for link in chain.segments for path in link.files]
        batch = served.batch.paths if isinstance(served.batch, BatchFiles) else served.batch
        given = [batch] if batch is not None else []
        given += [self.lake.read(files)] if files else []
        tables = [engine.run("SELECT * FROM given", {"given": one}) for one in given] or [_empty(definition)]
        partials = pa.concat_tables(tables, promote_options="permissive")
        return ordered(engine.run(definition.merge_and_finalise, {"partials": partials}))

    def _check_archive(self) -> None:
        """Every record below the archive's frontier stands in raw, once for each decoding it was filed by."""
        history = ArchiveHistory(self.lake.archive_log(STREAM))
        if history.number <= self._checked.get("archive", 0):
            return
        self._checked["archive"] = history.number
        for contract in (self.contract, self.returns):
            self._check_raw(contract, history)

    def _check_raw(self, contract: Contract, history: ArchiveHistory) -> None:
        table = self.lake.raw_path(contract.name, contract.layout)
        left = filter(self._left(contract.name, history.number), self._archived(contract.name, history))
        wanted = [tuple(at) for at, _ in left]
        files = [file.path for file in raw_files(self.lake, table, history.tables.get(table))]
        if not files:
            assert not wanted
            return
        raw = self.lake.kernel().run(_PLACES, {"raw": self.lake.read(files)})
        assert [tuple(row.values()) for row in raw.drop_columns("most").to_pylist()] == wanted
        assert set(raw["most"].to_pylist()) <= {1}

    def _check_epochs(self) -> None:
        """Law 3 for each epoch, by label: what is a copy follows from the log and what the epoch says it remembers."""
        for number in sorted(self.history.epochs):
            if number in self._ends:
                continue
            epoch = self.history.epochs[number]
            self._ends[number] = (epoch.start, epoch.end)
            known = {event for n, one in self.asked.items() if n <= epoch.forgets for event in one.events}
            labels = {c.decoding: least for c, least in zip(self.contracts, LEAST, strict=True)}
            labels[self.returns.decoding] = None
            assert set(epoch.decodings) == set(epoch.memories) <= set(labels)
            for decoding in sorted(epoch.decodings, key=lambda one: epoch.memories[one].spans, reverse=True):
                of, memory = "returns" if decoding == self.returns.decoding else "orders", epoch.memories[decoding]
                assert memory.horizon == HORIZON.total_seconds()
                records = self.topics[of].between(epoch.start, epoch.end)
                tally = self._copying.take(
                    decoding, labels[decoding], number, epoch.at, memory.spans, memory.horizon, records, known
                )
                said = [c for label, c in epoch.counts.items() if _of(self, decoding, label, epoch)]
                assert [_tally(c) for c in said] == [tally], (epoch.counts, tally)

    def _check_versions(self) -> None:
        """Laws 3 and 6 for every batch version: its counts are the truth's, and it found what was served."""
        for definition, known in self.known.items():
            history = BatchHistory(self.lake.batch_log(definition))
            for number, version in history.versions.items():
                if number <= self._checked.get(definition, 0):
                    continue
                self._checked[definition] = number
                self.audits.append(version.audit)
                least = {"orders": known.least} | ({"returns": None} if "FROM returns" in known.text else {})
                cut = topics_only(version.cut)
                tally = together(
                    Counting(one).take(
                        filter(
                            self._left(of, version.archive_entry),
                            [*self._imported(of, version.imports), *self.topics[of].between(Frontier(), cut)],
                        )
                    )
                    for of, one in least.items()
                )
                said = _tally(version.counts)
                if known.least == LEAST[self.mended]:
                    assert said == tally, (number, version, tally)
                else:  # what was filed again may be rejected twice by a contract that is no longer the project's
                    assert (said.counted, said.duplicate) == (tally.counted, tally.duplicate), (number, version, tally)
                assert version.audit.clean, version.audit
                assert version.audit.disagreeing_copies == 0

    def finish(self) -> None:
        """Everything is read, archived and refreshed: the last answers are those over all records."""
        self.run_speed([999])
        self.run_archive([999])
        if self._archive is None:
            self.run_archive([999])
        self.check()
        self.serve_afresh()
        for view in self.serving.catalogue.in_order():
            runs = 0
            while self.refresh(view).version is not None:  # the first may go on with a cut that was reserved long ago
                runs += 1
                assert runs < 8, "a refresh has to end"
        self.check()


def _of(world: World, decoding: str, label: str, epoch: Epoch) -> bool:
    """Whether `label` is the name a decoding was counted under: plain for the project's, at that time."""
    if decoding == world.returns.decoding or label == "returns":
        return decoding == world.returns.decoding and label == "returns"
    if "@" in label:
        return label == f"orders@{decoding}"
    others = {name.split("@")[1] for name in epoch.counts if "@" in name}
    return decoding not in others and label == "orders"


def _tally(counts: Counts) -> Tally:
    assert counts.balanced
    return Tally(counts.read, counts.counted, counts.rejected, counts.duplicate)


def _empty(definition: Any) -> pa.Table:
    columns = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in definition.partial_columns)
    return kernel().run(f"SELECT {columns} WHERE false")


def _row(source: str, partition: int, record: Record) -> dict[str, Any]:
    return {
        "source": source,
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": b"",
        "value": record.value,
    }
