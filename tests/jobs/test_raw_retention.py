"""Raw of a contract is kept for so long, and goes by whole event dates: no answer moves by it, and nothing that was
served of what is gone is ever computed from less."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from expiring_world import BY_HAND, CHANGED, DAYS, KEPT, SALES, TEXT, VIEWS, ExpiringWorld
from obstore.store import LocalStore
from stream_parts import records

from seamline.claims import Stay
from seamline.entries.archive import Begins, Imported
from seamline.errors import Condition, SeamlineError, UserError
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.clearing import clear, remove
from seamline.jobs.finding import wanted
from seamline.jobs.forgetting import ask, look
from seamline.jobs.words import Words
from seamline.kernel import kernel
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.contracts.decode import BEYOND_RETENTION, DATE_GONE, decode_statement
from seamline.schemas.states import drop_view
from seamline.sides.raw import RawFile, raw_files
from seamline.streaming.archive.expiring import Expiring
from seamline.streaming.archive.filing import file_records
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.gathered import gather
from seamline.streaming.tasks import RECORDS

LONG = {"quick": 1, "landing": 1, "long": 16}[os.environ.get("HYPOTHESIS_PROFILE", "landing")]
"""Courses of many steps: each takes 40 s of CPU."""

STEPS = ("archive.before-gone", "archive.after-gone", "archive.after-begins")
LONG_AGO = 12 * DAYS


@pytest.fixture
def sales(tmp_path: Path) -> ExpiringWorld:
    """Ten days of one view, of which the first can go."""
    world = ExpiringWorld(tmp_path, view=SALES)
    begun(world)
    return world


def begun(world: ExpiringWorld) -> None:
    world.produce(world.order(), world.order(0.6), None, world.order(1.6), world.order(5))
    world.both()
    world.refresh_all()
    world.age()
    world.check()


def answers(world: ExpiringWorld) -> dict[str, list[tuple[Any, ...]]]:
    return {view: world.rows(view) for view in Catalogue(world.lake).states}


# --- what makes a record valid


STAMP = "2026-01-12T23:00:00+00:00"


@pytest.mark.parametrize(
    ("days", "placed", "stamp", "reason"),
    [
        (2, "2026-01-10T00:00:00Z", STAMP, None),
        (2, "2026-01-09T23:59:59Z", STAMP, BEYOND_RETENTION),
        (400, "2025-12-09T23:59:59Z", STAMP, None),
        (2, "2020-01-09T23:59:59Z", "1970-01-01T00:00:00+00:00", None),  # a record that says no time of its own
    ],
)
def test_a_record_alone_says_whether_its_date_is_kept(days: int, placed: str, stamp: str, reason: str | None) -> None:
    contract = parse_contract(TEXT.replace(f"{KEPT} days", f"{days} days"), "orders.yaml")
    table = records([json.dumps({"id": "a", "placed": placed}).encode()], at=[datetime.fromisoformat(stamp)])
    (row,) = kernel().run(decode_statement(contract), {"records": table}).to_pylist()
    assert row["_reject"] == reason


@pytest.mark.parametrize("value", ["1 day", "36 hours", "0 days", "for ever", "-3 days"])
def test_retention_is_whole_days_two_at_least(value: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_contract(TEXT.replace(f"{KEPT} days", value), "orders.yaml")
    assert caught.value.condition is Condition.CONTRACT_INVALID
    assert "two at least" in str(caught.value)


def test_a_contract_that_says_none_is_called_what_it_was() -> None:
    plain = parse_contract(TEXT.rpartition("  - {property: seamline.rawRetention")[0], "orders.yaml")
    longer = parse_contract(TEXT.replace(f"{KEPT} days", "9 days"), "orders.yaml")
    assert plain.decoding == "ecd37df741f73a8f"
    assert len({plain.decoding, longer.decoding, parse_contract(TEXT, "orders.yaml").decoding}) == 3


# --- no answer moves


def test_dates_go_whole_and_no_answer_moves_then_or_later(tmp_path: Path) -> None:
    world = ExpiringWorld(tmp_path)
    begun(world)
    before, held = answers(world), world.raw_days()
    first = world.history.tables
    assert world.let_go() == {"orders": f"gone before {world.begins}"}
    assert world.begins is not None
    assert world.raw_days() == {day for day in held if day >= world.begins} < held
    assert world.history.tables != first
    assert answers(world) == before
    world.check()
    world.produce(world.order(), world.order(1))
    world.both()
    world.refresh_all()
    world.check()
    for view in Catalogue(world.lake).in_order():
        world.batch.rebuild(view)
    world.check()
    kept = [unit for unit in world.state("sales")[1].units if unit < world.begins.isoformat()]  # type: ignore[union-attr]
    assert len(kept) == len(held) - len(world.raw_days() & held)
    assert world.let_go() == {}
    world.age()
    world.lose_memory()
    assert world.history.snapshot is not None
    assert world.history.first_date("orders") == world.begins
    world.check()


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_dates_went_or_did_not(sales: ExpiringWorld, step: str) -> None:
    before, held = answers(sales)["sales"], sales.raw_days()
    assert sales.die_at(step, sales.let_go)
    assert (sales.begins is None) == (step != STEPS[2])
    sales.archive()  # whoever comes next has seen no record, and knows no time
    assert (sales.raw_days() == held) == (sales.begins is None)
    assert answers(sales)["sales"] == before
    sales.produce(sales.order())
    sales.both()
    sales.refresh_all()
    sales.check()
    sales.let_go()
    sales.check()
    assert sales.begins is not None
    gone = [row for row in before if row[0].date() < sales.begins]
    assert gone
    assert answers(sales)["sales"][: len(gone)] == gone


MEANWHILE: dict[str, Callable[[ExpiringWorld], object]] = {
    "refresh": lambda world: world.batch.refresh("sales"),
    "rebuild": lambda world: world.batch.rebuild("sales"),
    "backfill": lambda world: world.batch.backfill("sales", DateRange(world.clock().date(), None)),
    "definition": lambda world: (world.apply(CHANGED), world.speed()),
}


@pytest.mark.parametrize("what", MEANWHILE)
@pytest.mark.parametrize("step", ["archive.before-gone", "archive.after-gone"])
def test_whatever_happens_as_dates_go(sales: ExpiringWorld, what: str, step: str) -> None:
    sales.produce(sales.order())
    sales.both()
    assert sales.die_at(step, sales.let_go, lambda: MEANWHILE[what](sales))
    sales.check()
    sales.produce(sales.order())
    sales.both()
    sales.refresh_all()
    sales.check()


@pytest.mark.parametrize("point", ["batch.after-reserve", "batch.after-files", "batch.before-version"])
@pytest.mark.parametrize("dies", [False, True])
def test_dates_that_go_during_a_run_stand_in_what_it_publishes(sales: ExpiringWorld, point: str, dies: bool) -> None:
    sales.produce(sales.order(0.5))
    sales.both()
    before = answers(sales)
    gone: list[dict[str, str]] = []

    def meanwhile() -> None:
        gone.append(sales.let_go())
        if dies:
            raise InterruptedError

    with pytest.raises(InterruptedError) if dies else nullcontext():
        sales.die_at(point, lambda: sales.batch.rebuild("sales"), meanwhile)
    assert "gone" in gone[0]["orders"]
    sales.batch.rebuild("sales")
    assert answers(sales) == before
    sales.check()


# --- what comes too late


def test_a_record_for_a_gone_date_is_rejected_by_name_and_explained(tmp_path: Path) -> None:
    world = ExpiringWorld(tmp_path)
    begun(world)
    world.let_go()
    late = [world.order(0.1, behind=LONG_AGO), world.order(0.2, behind=9 * DAYS), world.order()]
    world.produce(*late)
    world.speed()
    world.check()  # speed counts them
    world.archive()
    assert len(world.late) == 2
    world.check()
    world.refresh_all()
    world.check()  # the next version does not, and says so
    for view in BY_HAND:
        _, version = world.state(view)
        assert version is not None
        assert {"2 events whose date was gone from raw as they came"} == {
            one.explained for one in version.audit.explained
        }
    assert rejects(world)[DATE_GONE] == 2
    world.import_orders(world.order(0.3), world.order(1), world.order(9))
    world.refresh_all()
    world.check()


def rejects(world: ExpiringWorld) -> dict[str, int]:
    """Of the raw table that the ledger names."""
    table, version = next((t, v) for t, v in world.history.tables.items() if "orders-" in t)
    files = [file.path for file in raw_files(world.lake, table, version)]
    counted = "SELECT _reject, count(*) AS n FROM raw WHERE _reject IS NOT NULL GROUP BY 1"
    rows = world.lake.kernel().run(counted, {"raw": world.lake.read(files)}).to_pylist()
    return {row["_reject"]: row["n"] for row in rows}


def test_an_import_that_waited_as_dates_went_is_filed_anew(sales: ExpiringWorld) -> None:
    archive, inbox = sales.process, Inbox(sales.lake, "main")
    orders = [sales.order(), sales.order(1)]
    sales.clock.advance(-9 * DAYS)
    old = [sales.order(), sales.order(0.5)]
    rows = [
        {"source": "import:0", "partition": 0, "offset": n, "timestamp": at, "key": b"", "value": one.bytes}
        for n, (one, at) in enumerate((one, one.timestamp) for one in (*old, *orders))
    ]
    sales.clock.advance(9 * DAYS)
    shelves = [shelf for shelf in archive.shelves if shelf.contract == "orders"]
    seen = gather(file_records(archive.engine, sales.lake, shelves, pa.Table.from_pylist(rows, schema=RECORDS), {}))
    imported, files = Imported(source="import:0", contract="orders", rows=4), [RawFile(**one) for one in seen.files]
    inbox.put(imported, files, seen.filed, [shelf.table for shelf in shelves])
    sales.let_go()
    assert any(sales.begins and file.date < sales.begins for file in files)
    assert archive.take_all(inbox) == 1
    sales.imports["import:0"] = [*old, *orders]
    sales.late |= {("import:0", 0), ("import:0", 1)}
    assert rejects(sales)[DATE_GONE] == 2
    sales.refresh_all()
    sales.check()


def test_a_rejected_record_that_counts_under_a_date_that_stays_keeps_its_own(tmp_path: Path) -> None:
    """A live definition takes an amount that the project's contract rejects; the event lies ahead of its record."""
    world = ExpiringWorld(tmp_path, view=SALES)
    begun(world)
    due = (world.clock() - (KEPT + 2) * DAYS - timedelta(hours=1)).date()
    table = next(path for path in world.history.tables if "orders-" in path)
    world.let_go()
    assert world.begins == due
    world.clock.advance(timedelta(hours=6))
    ahead = world.order(-0.9)
    assert ahead.day > ahead.timestamp.date()
    world.contract = parse_contract(TEXT.replace("logicalType: integer", RULED), "orders.yaml")
    world.produce(ahead)
    world.both()  # filed by what the project says now, read by both
    raw = raw_files(world.lake, table, world.history.tables[table])
    assert [file for file in raw if file.date == ahead.timestamp.date() and file.rejects]
    expiring = Expiring(world.lake, "main", world.lake.kernel(), world.history, world.clock())
    catalogue = Catalogue(world.lake)
    listed = [file for file in raw if file.date < ahead.day]
    assert expiring._awaited(catalogue, "orders", listed, ahead.day) == ahead.timestamp.date()
    assert expiring._awaited(catalogue, "orders", listed, ahead.day + DAYS) == ahead.day + DAYS


RULED = "logicalType: integer, logicalTypeOptions: {minimum: 100}"


# --- who is waited for


def test_what_was_touched_lately_or_is_not_read_by_all_stays(sales: ExpiringWorld) -> None:
    sales.produce(sales.order(0.1, behind=9 * DAYS))  # its date is due, and not gone yet
    sales.both()
    assert "too lately" in sales.let_go()["orders"]
    sales.clock.advance(3 * DAYS)
    sales.produce(sales.order())
    sales.both()
    assert "has not read all of it" in sales.let_go()["orders"]
    sales.refresh_all()
    assert "has not read all of it" in sales.let_go()["orders"]  # the version before may be gone back to
    sales.settle()
    assert "gone before" in sales.let_go()["orders"]
    sales.check()


def test_a_view_that_no_version_serves_is_waited_for(tmp_path: Path) -> None:
    world = ExpiringWorld(tmp_path, view=SALES)
    world.produce(world.order())
    world.both()
    world.clock.advance(10 * DAYS)
    world.produce(world.order())
    world.both()
    assert "without a batch version" in world.let_go()["orders"]
    world.check()


def test_an_open_backfill_is_waited_for(sales: ExpiringWorld) -> None:
    words = Words(sales.lake, "sales", sales.clock)
    backfill = words.begun(f"{(sales.clock() - LONG_AGO).date()}..", sales.state("sales")[0])
    words.begin(backfill)
    assert f"backfill {backfill.id} of sales" in sales.let_go()["orders"]
    words.cancel(backfill.id)
    assert "gone before" in sales.let_go()["orders"]


def test_who_is_waited_for_is_told_with_the_command_that_helps(sales: ExpiringWorld) -> None:
    """Each is met, the one after the other, and what is told of it ends when it does."""

    def stays() -> tuple[str, str]:
        found = sales.process.let_go(sales.end)["orders"]
        assert isinstance(found, Stay), found
        assert found.before == (sales.clock() - (KEPT + 2) * DAYS - timedelta(hours=1)).date().isoformat()
        return found.why, found.help

    sales.produce(sales.order(0.1, behind=9 * DAYS))
    sales.both()
    touched = sales.clock()
    why, help_ = stays()
    assert (f"stay until {touched + 2 * DAYS:%Y-%m-%d %H:%M} UTC" in why, help_) == (True, "")
    sales.clock.advance(3 * DAYS)
    sales.produce(sales.order())
    sales.both()
    served, _ = sales.state("sales")
    newest = max(BatchHistory(sales.lake.batch_log(served)).versions)
    why, help_ = stays()
    assert f"batch version {newest} of sales (definition {served}), which is served, has not" in why
    assert help_ == "seamline batch refresh sales"
    sales.refresh_all()
    why, help_ = stays()
    assert f"batch version {newest} of sales (definition {served}) has not read all of it, and may be gone" in why
    assert help_ == "seamline views history sales"
    words = Words(sales.lake, "sales", sales.clock)
    backfill = words.begun(f"{(sales.clock() - LONG_AGO).date()}..", served)
    words.begin(backfill)
    sales.settle()
    why, help_ = stays()
    assert (f"backfill {backfill.id} of sales asks" in why, help_) == (True, "seamline backfill status")
    words.cancel(backfill.id)
    assert "gone before" in sales.let_go()["orders"]


def test_a_run_that_has_reserved_before_a_late_record_is_waited_for(sales: ExpiringWorld) -> None:
    sales.produce(sales.order(0.5))
    sales.both()
    sales.die_at("batch.after-reserve", lambda: sales.batch.rebuild("sales"))
    (reserved,) = BatchHistory(sales.lake.batch_log(sales.state("sales")[0])).held(sales.clock())
    history = sales.history
    expiring = Expiring(sales.lake, "main", sales.lake.kernel(), history, sales.clock())
    begins = Begins(date=sales.clock().date(), entry=reserved.archive_entry + 1, end=reserved.cut)
    found = [why for why, _ in expiring._needed(Catalogue(sales.lake), "orders", begins)]
    assert any(f"run {reserved.run} of sales" in why and "has until" in why for why in found)


def test_the_logs_own_time_moves_it_and_no_clock(sales: ExpiringWorld) -> None:
    sales.lose_memory()
    assert sales.process.let_go(sales.end) == {}  # nothing was read yet
    sales.clock.advance(3 * DAYS)
    sales.produce(sales.order(behind=3 * DAYS))
    sales.both()
    sales.refresh_all()
    assert sales.process.let_go(None) == {}  # nobody says where the topic ends
    sales.let_go()
    assert sales.begins == (sales.clock() - (3 + KEPT + 2) * DAYS - timedelta(hours=1)).date()


# --- what is asked of dates that are gone


def test_a_backfill_of_gone_dates_is_refused_and_one_across_rewrites_what_is_there(sales: ExpiringWorld) -> None:
    sales.let_go()
    first = sales.begins
    assert first is not None
    with pytest.raises(SeamlineError) as caught:
        sales.batch.backfill("sales", DateRange(None, first - DAYS))
    assert caught.value.condition is Condition.OUT_OF_RETENTION
    assert f"gone before {first}" in str(caught.value)
    before = answers(sales)
    sales.batch.backfill("sales", DateRange(None, None))
    _, version = sales.state("sales")
    assert version is not None
    assert min(version.units) >= first.isoformat()
    assert answers(sales) == before
    sales.check()


def test_a_new_definition_begins_where_raw_does_and_says_so(tmp_path: Path) -> None:
    world = ExpiringWorld(tmp_path)
    begun(world)
    world.let_go()
    old, _ = world.state("sales")
    world.apply(VIEWS.replace(SALES, CHANGED))
    world.clock.advance(timedelta(hours=3))
    world.produce(world.order())
    world.both()
    world.refresh_all()
    world.refresh_all()
    new, version = world.state("sales")
    assert new != old
    assert version is not None
    assert version.begins == {"orders": world.begins}
    world.check()
    world.days(1)
    world.batch.rebuild("sales")
    assert world.state("sales")[1].begins == {"orders": world.begins}  # type: ignore[union-attr]
    world.check()


def test_who_was_away_as_dates_went_begins_anew(sales: ExpiringWorld) -> None:
    """A view that is dropped is waited for no more; what it held may lack records of what is gone."""
    sales.produce(sales.order(0.1, behind=9 * DAYS))
    sales.both()
    drop_view(sales.lake, "sales", sales.clock)
    sales.clock.advance(3 * DAYS)
    sales.produce(sales.order())
    sales.archive()
    sales.let_go()
    assert sales.begins is not None
    sales.apply(SALES)
    sales.clock.advance(timedelta(hours=3))
    sales.produce(sales.order())
    sales.both()
    sales.clock.advance(timedelta(hours=3))
    sales.produce(sales.order())
    sales.both()
    sales.refresh_all()
    assert sales.state("sales")[1].begins == {"orders": sales.begins}  # type: ignore[union-attr]
    sales.check()


def test_what_is_carried_and_not_read_any_more_is_an_error(sales: ExpiringWorld) -> None:
    sales.let_go()
    sales.refresh_all()
    definition, version = sales.state("sales")
    assert version is not None
    batch, log = BatchHistory(sales.lake.batch_log(definition)), sales.lake.batch_log(definition)
    for number in batch.versions:  # another engine's, as it were
        stored = batch.versions[number].model_copy(update={"layout": 10**6})
        sales.lake.store.put(log.path(number), stored.model_dump_json().encode())
    with pytest.raises(SeamlineError) as caught:
        sales.batch.rebuild("sales")
    assert caught.value.condition is Condition.KERNEL_VERSION
    assert "cannot be computed again" in str(caught.value)


# --- forgetting


def test_forgetting_where_dates_are_gone_takes_what_stands_of_them_or_is_refused(tmp_path: Path) -> None:
    sales = ExpiringWorld(tmp_path, view=SALES, store=LocalStore(str(tmp_path)))
    begun(sales)
    engine = sales.lake.kernel()
    sales.let_go()
    found = look(sales.lake, engine, [sales.contract], wanted(engine, sales.contract, "shop", ["a"]))
    with pytest.raises(SeamlineError) as caught:
        ask(sales.lake, engine, found, sales.clock)
    assert caught.value.condition is Condition.OUT_OF_RETENTION
    ask(sales.lake, engine, found, sales.clock, drop_gone=True)
    assert sales._speed is not None
    sales._speed.look_for_forgotten()
    sales._speed.announce()
    sales.archive()
    assert sales.process.forget()
    while why := clear(sales.batch, "main"):
        sales.speed()
        sales.archive()
        assert "archive" in why
    _, version = sales.state("sales")
    assert version is not None
    assert version.begins == {"orders": sales.begins}
    assert not [row for row in sales.rows("sales") if row[1] == "a"]
    assert min(row[0] for row in sales.rows("sales")).date() >= sales.begins  # type: ignore[attr-defined, operator]
    sales.clock.advance(2 * timedelta(hours=1))
    assert remove(sales.lake, "main", sales.clock()) > 0
    sales.process.clear()
    left = [path.relative_to(sales.folder).parts for path in sales.folder.rglob("*.parquet")]
    days = {
        part.removeprefix("_event_date=") for parts in left for part in parts if part.lstrip("_evntda=")[:2] == "20"
    }
    assert min(days) >= sales.begins.isoformat()  # type: ignore[union-attr]
    assert ForgetHistory(sales.lake.forget_log("main")).requests[1].drop_gone


# --- in any order


class Course:
    """What may happen to a world, as a seed has it."""

    def __init__(self, world: ExpiringWorld, seed: int) -> None:
        self.world, self.random, self.done = world, random.Random(seed), list[str]()

    def step(self) -> None:
        """One of them; every answer is what it should be after it."""
        name = self.random.choice([name for name in vars(Course) if name.startswith("may_")])
        self.done.append(name)
        getattr(self, name)()
        self.world.check()

    def _read(self) -> None:
        for layer in self.random.choice([("speed", "archive"), ("speed", "archive"), ("speed",), ("archive",)]):
            getattr(self.world, layer)()

    def _view(self) -> str:
        return self.random.choice(list(BY_HAND))

    def may_let_days_pass(self) -> None:
        self.world.days(self.random.randint(1, 2), self.random.randint(0, 3))

    def may_let_more_days_pass(self) -> None:
        self.world.clock.advance(self.random.randint(1, 4) * DAYS)
        self.world.produce(self.world.order())
        self.world.both()
        self.world.settle()

    def may_come_late(self) -> None:
        self.world.produce(*(self.world.order(self.random.uniform(0, 5)) for _ in range(3)), None)
        self._read()

    def may_come_too_late(self) -> None:
        behind = self.random.uniform(0, 14) * DAYS
        self.world.produce(*(self.world.order(self.random.uniform(0, 3), behind) for _ in range(2)))
        self._read()

    def may_come_again(self) -> None:
        self.world.produce(*(one for one in self.world.orders if one and one.timestamp == self.world.clock()))
        self._read()

    def may_be_imported(self) -> None:
        self.world.import_orders(*(self.world.order(self.random.uniform(0, 9)) for _ in range(3)))

    def may_be_rebuilt(self) -> None:
        self.world.batch.rebuild(self._view())

    def may_be_asked_for(self) -> None:
        first = (self.world.clock() - self.random.randint(0, 20) * DAYS).date()
        last = first + self.random.randint(0, 6) * DAYS
        try:
            self.world.batch.backfill(self._view(), DateRange(first, last))
        except SeamlineError as error:
            assert error.condition is Condition.OUT_OF_RETENTION, error
            assert self.world.begins is not None
            assert first < self.world.begins

    def may_go(self) -> None:
        before = answers(self.world)
        self.world.let_go()
        assert answers(self.world) == before

    may_go_again = may_go

    def may_die_as_it_goes(self) -> None:
        self.world.die_at(self.random.choice(STEPS), self.world.let_go)

    def may_be_changed(self) -> None:
        self.world.apply(self.random.choice([VIEWS, VIEWS.replace(SALES, CHANGED)]))

    def may_go_back(self) -> None:
        view = self._view()
        live = Catalogue(self.world.lake).states[view].live
        choices = [(d, n) for d in live for n in BatchHistory(self.world.lake.batch_log(d)).versions]
        definition, number = self.random.choice(choices)
        try:
            self.world.batch.rollback(view, number, definition)
        except SeamlineError as error:
            assert error.condition in (Condition.SEAM_HOLE, Condition.OUT_OF_RETENTION), error

    def may_be_kept_up(self) -> None:
        self.world.retain()


def run_course(folder: Path, seed: int, steps: int) -> None:
    world = ExpiringWorld(folder)
    begun(world)
    course = Course(world, seed)
    try:
        for _ in range(steps):
            course.step()
        world.both()
        world.refresh_all()
        world.check()
        for view in Catalogue(world.lake).in_order():
            world.batch.rebuild(view)
        world.check()
    except BaseException:
        print(seed, course.done)
        raise


@pytest.mark.parametrize("seed", range(2))
def test_in_any_order_answers_are_those_of_what_counts(tmp_path: Path, seed: int) -> None:
    run_course(tmp_path, seed, 8)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(10, 10 + LONG))
def test_in_any_longer_order_too(tmp_path: Path, seed: int) -> None:
    run_course(tmp_path, seed, 40)
