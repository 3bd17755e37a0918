"""A buyer is forgotten: every answer is that over the events that are left, and no object holds the name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore
from pyarrow import parquet
from simulation import BEGIN, BY_DAY, CONTRACT, DAILY, HORIZON, MOVES, SALES, STREAM, World
from truth import Event

from seamline.commitpoint import FORGETTING
from seamline.entries.base import Counts
from seamline.history.archive import ArchiveHistory
from seamline.history.forget import ForgetHistory
from seamline.jobs.finding import ValuesSought
from seamline.operate.forgetproof import left
from seamline.operate.valuesearch import holding
from seamline.schemas.contracts.contract import parse_contract

CASES = {"quick": 2, "landing": 5, "long": 500}[os.environ.get("HYPOTHESIS_PROFILE", "landing")]
STEPS = sorted(FORGETTING)
BUYER = "xenia"
SOUGHT = ValuesSought(parse_contract(CONTRACT.replace(" LEAST", ""), "orders.yaml"), "buyer", (BUYER,))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lake")


def world_of(root: Path, views: Sequence[str] = (SALES + BY_DAY, DAILY, MOVES)) -> World:
    """A lake in a folder, ledger and all."""
    world = World(root, store=LocalStore(str(root)))
    for text in views:
        world.apply(text)
    world.ready |= {"sales", "by_day", "daily", "moves"}
    return world


def a_life(world: World) -> None:
    """Events of two days and three buyers, read in some epochs that are put together, and served by versions."""
    for number in range(9):
        buyer = (BUYER, "yuri", "zoe")[number % 3]
        placed = BEGIN - timedelta(days=number % 2)
        event = Event(str(number), placed, shop="ab"[number % 2], amount=number, buyer=buyer)
        world.send(number % 2, event.encode(), event)
        if number == 5:
            world.send(0, f'{{"buyer": "{BUYER}", "placed": 1'.encode())
            world.run_speed([99])
            world.run_archive([99])
            refreshed(world)
    world.run_speed([1])
    world.run_speed([99])
    world.run_archive([99])
    world.maintenance.after_epoch()
    world.check()


def refreshed(world: World) -> None:
    for view in world.serving.catalogue.in_order():
        world.refresh(view)


def objects_with(folder: Path, word: str) -> list[str]:
    """The files that hold a text: in their bytes, or in a column of theirs."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and holds(path, word))


def holds(path: Path, word: str) -> bool:
    body = path.read_bytes()
    if word.encode() in body:
        return True
    rows: list[Any] = parquet.read_table(path, partitioning=None).to_pylist() if path.suffix == ".parquet" else []
    return any(word in str(value) for row in rows for value in row.values())


def still_there(world: World) -> list[str]:
    """What the proof finds of the first request."""
    forgets = ForgetHistory(world.lake.forget_log(STREAM))
    request, cleared = forgets.requests[1], forgets.cleared[1]
    return left(world.lake, world.lake.kernel(), STREAM, 1, request, cleared)


def once(action: Callable[[], object]) -> Callable[[], object]:
    """What happens meanwhile passes the same points itself."""
    left = [action]
    return lambda: left.pop()() if left else None


def forgotten(world: World) -> None:
    """All that processes do until a request is done, in their own order."""
    world.run_archive([99])
    world.run_speed([99])
    assert world.clear() == ""
    world.check()
    for _ in range(2):
        world.wait(timedelta(minutes=61))
        world.clear()
        world.maintenance.remove()
    world.check()


def test_the_name_stands_nowhere_and_every_answer_is_that_over_what_is_left(root: Path) -> None:
    world = world_of(root)
    a_life(world)
    assert {one.path for one in holding(world.lake, [], SOUGHT)} >= {*objects_with(root, BUYER)} != set()
    before = world.answer("daily")
    world.forget(BUYER)
    assert world.answer("daily") == before, "until another version is served"
    assert [world.clear() for _ in range(2)] == ["", ""]
    kinds = {path.rpartition("/")[0].partition("/")[0] for path in still_there(world)}
    assert kinds == {"raw", "ledger"}, "it is removed an hour later, and a listing shows what is not yet"
    forgotten(world)
    assert {row["buyer"] for row in world.answer("daily")} == {"yuri", "zoe"}
    assert objects_with(root, BUYER) == still_there(world) == holding(world.lake, [], SOUGHT) == []
    counts = ArchiveHistory(world.lake.archive_log(STREAM)).counts["orders"]
    assert counts == Counts(read=10, counted=6, rejected=0, erased=4)
    world.finish()


@pytest.mark.thorough
def test_a_copy_that_comes_later_counts_as_erased_whenever_it_comes(root: Path) -> None:
    world = world_of(root, [DAILY])
    a_life(world)
    world.forget(BUYER)
    forgotten(world)
    world.wait(HORIZON * 2)
    again = Event("0", BEGIN, shop="a", amount=0, buyer=BUYER)
    world.send(1, again.encode(1), again)
    epoch = world.run_speed([9])
    assert epoch is not None
    assert epoch.counts["orders"] == Counts(read=1, duplicate=1)
    world.run_archive([9])
    assert ArchiveHistory(world.lake.archive_log(STREAM)).counts["orders"] == Counts(read=11, counted=6, erased=5)
    assert objects_with(root, BUYER) == []
    refreshed(world)
    world.finish()


@pytest.mark.thorough
def test_an_imported_file_of_copies_brings_nothing_back(root: Path) -> None:
    world = world_of(root, [DAILY])
    a_life(world)
    world.forget(BUYER)
    forgotten(world)
    other = Event("imported", BEGIN, buyer="zoe")
    again = Event("0", BEGIN, shop="a", amount=0, buyer=BUYER)
    world.import_file([(again.encode(), again), (other.encode(), other)])
    refreshed(world)
    world.check()
    assert {row["buyer"] for row in world.answer("daily")} == {"yuri", "zoe"}
    assert objects_with(root, BUYER) == []


@pytest.mark.thorough
@pytest.mark.parametrize("point", STEPS)
def test_killed_at_each_step_it_goes_on(root: Path, point: str) -> None:
    world = world_of(root, [DAILY])
    a_life(world)
    for _ in range(2):  # asked for again where the first request never was one
        for step in steps(world):
            world.perform(step, point if not world.deaths else 0)
    assert world.deaths == 1, f"{point} was not reached"
    forgotten(world)
    assert objects_with(root, BUYER) == []
    world.finish()


def steps(world: World) -> Iterator[Callable[[], object]]:
    yield lambda: world.forget(BUYER)
    yield world.clear
    yield lambda: world.wait(timedelta(minutes=61))
    yield world.clear
    yield world.maintenance.remove


@pytest.mark.parametrize(
    "point", ["batch.after-reserve", "batch.after-files", "batch.before-version", "batch.after-version"]
)
def test_a_refresh_that_was_under_way_serves_none_of_it(root: Path, point: str) -> None:
    world = world_of(root, [DAILY])
    a_life(world)
    event = Event("late", BEGIN - timedelta(days=1), buyer=BUYER)
    world.send(0, event.encode(), event)
    world.run_speed([9])
    world.run_archive([9])

    def meanwhile() -> None:
        world.forget(BUYER)
        world.clear()

    world.perform(lambda: world.refresh("daily"), point, once(meanwhile))
    world.check()
    forgotten(world)
    assert {row["buyer"] for row in world.answer("daily")} == {"yuri", "zoe"}
    assert objects_with(root, BUYER) == []
    world.finish()


@pytest.mark.thorough
def test_two_requests_at_once_are_both_done(root: Path) -> None:
    world = world_of(root, [DAILY])
    a_life(world)
    world.perform(lambda: world.forget(BUYER), "forget.after-file", once(lambda: world.forget("yuri")))
    assert len(world.asked) == 2
    forgotten(world)
    assert {row["buyer"] for row in world.answer("daily")} == {"zoe"}
    assert objects_with(root, BUYER) == objects_with(root, "yuri") == []
    assert len(ForgetHistory(world.lake.forget_log(STREAM)).cleared) == 2
    world.finish()


ACTIONS = st.lists(
    st.sampled_from(["send", "copy", "speed", "archive", "sales", "daily", "forget", "clear", "hour", "horizon",
                     "compact", "rollback", "retain", "tidy"]), min_size=4, max_size=14,
)  # fmt: skip


@pytest.mark.thorough
@settings(max_examples=CASES)
@given(actions=ACTIONS, deaths=st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4]), min_size=14, max_size=14))
def test_in_any_order_with_everything_else(root: Path, actions: list[str], deaths: list[int]) -> None:
    world, sent = world_of(root, [DAILY]), list[Event]()
    for number, (action, death) in enumerate(zip(actions, deaths, strict=False)):
        world.perform(lambda: act(world, action, number, sent), death)  # noqa: B023
    world.run_speed([99])
    world.run_archive([99])
    world.forget(BUYER)
    forgotten(world)
    assert objects_with(root, BUYER) == []
    world.finish()


def act(world: World, action: str, number: int, sent: list[Event]) -> None:
    copied = sent[number % len(sent)] if sent else Event("first", BEGIN)
    actions: dict[str, Callable[[], object]] = {
        "send": lambda: send(world, number, sent),
        "copy": lambda: world.send(1, copied.encode(1), copied),
        "speed": lambda: world.run_speed([1 + number % 3]),
        "archive": lambda: world.run_archive([1 + number % 3]),
        "forget": lambda: world.forget(BUYER),
        "clear": world.clear,
        "hour": lambda: world.wait(timedelta(minutes=61)),
        "horizon": lambda: world.wait(HORIZON + timedelta(minutes=1)),
        "compact": world.maintenance.after_epoch,
        "rollback": lambda: world.rollback("daily", number),
        "retain": world.retain,
        "tidy": world.maintenance.remove,
    }
    actions.get(action, lambda: world.refresh(action))()


def send(world: World, number: int, sent: list[Event]) -> None:
    for n, buyer in enumerate((BUYER, "yuri", None)):
        sent.append(Event(f"{number}-{n}", BEGIN - timedelta(hours=20 * n), buyer=buyer))
        world.send(n % 2, sent[-1].encode(), sent[-1])
