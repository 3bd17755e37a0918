"""`seamline publish`: what a reader outside puts together is what Seamline answered, whatever happened meanwhile.

The reader is plain Python (tests/support/outside.py): it knows Delta, JSON and offsets, and merges nothing of ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from dying import Death, dies_at
from hypothesis import given, settings
from hypothesis import strategies as st
from outside import OutsideFollower, Partitions, TopicInMemory, by_text, merged
from simulation import BEGIN, CHANGED, CHANGED_AGAIN, SALES, SETTINGS, World
from truth import Event

from seamline.commitpoint import hooked
from seamline.errors import Condition, ConflictError, SeamlineError
from seamline.frontier import Frontier
from seamline.operate.outside.delta_table import ViewTable
from seamline.operate.publishing import Publication, Publisher
from seamline.serving.serving import Serving

MEAN = """CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, avg(amount) AS mean FROM orders GROUP BY ALL"""

CASES = {"quick": 3, "landing": 6, "long": 1000}[os.environ.get("HYPOTHESIS_PROFILE", "landing")]

POINTS = ["before-delta", "after-delta", "after-rows", "after-marker", "after-commit"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


class Outside:
    """A stream, a view published from it, and its reader."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.broker = Partitions()
        self.table = ViewTable(str(folder / "published"))
        self.told: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self.publisher: Publisher | None = None
        self.follower = OutsideFollower()
        self.number = 0

    # what happens

    def sell(self, *amounts: int, shop: str = "a", hour: int = 0, buyer: str | None = None) -> None:
        """Records that are read, and archived, at once."""
        for amount in amounts:
            self.number += 1
            event = Event(f"e{self.number}", BEGIN - timedelta(hours=hour), shop=shop, amount=amount, buyer=buyer)
            self.world.send(self.number % 2, event.encode(), event)
        self.world.run_speed([99])

    def refresh(self) -> None:
        self.world.run_archive([99])
        self.world.refresh("sales")

    # who publishes, and who reads

    def opened(self) -> Publisher:
        serving = Serving(self.world.lake, SETTINGS, self.world.clock)
        return Publisher(serving, "sales", self.table, TopicInMemory(self.broker))

    def publish(self, *, compare: bool = False, purge: bool = False) -> Publication | None:
        """One look; what Seamline answers then is remembered. None where it does not answer."""
        try:
            self.publisher = self.publisher or self.opened()
            self.remember()
            return self.publisher.purge() if purge else self.publisher.step(compare=compare)
        except SeamlineError as error:
            assert error.condition in (Condition.VIEW_NOT_READY, Condition.SEAM_HOLE, Condition.VIEW_UNKNOWN), error
            return None
        finally:
            self.check()

    def die(self, point: str) -> None:
        with pytest.raises(Death), hooked(dies_at(f"publish.{point}")):
            self.publish()
        self.publisher = None

    def remember(self) -> None:
        self.world.serving.catch_up()
        served = self.world.serving.snapshot().view("sales")
        state = max(self.world.serving.catalogue.history("sales").states)
        self.told[state, str(served.chain.reached)] = by_text(self.world.answer("sales"))

    def read(self) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        return merged(self.broker.committed())

    def check(self) -> None:
        """What a reader has is what Seamline answered at the state and the frontier that its marker names."""
        found = self.read()
        if found is not None:
            marker, rows = found
            assert rows == self.told[marker["state"], str(Frontier.from_json(marker["reached"]))]
            assert self.follower.follow(self.broker.committed()) == rows

    def is_newest(self) -> bool:
        found = self.read()
        return found is not None and found[1] == by_text(self.world.answer("sales"))


@pytest.fixture
def outside(root: Path) -> Outside:
    return Outside(root)


def test_epochs_alone_and_then_a_version_are_what_is_answered(outside: Outside) -> None:
    outside.sell(1, 2, 3)
    first = outside.publish()
    assert first is not None
    assert (first.table, first.sent) == (None, True)
    assert outside.is_newest()
    outside.refresh()
    outside.sell(4, shop="b")
    outside.publish()
    assert outside.is_newest()
    marker, _ = outside.read() or ({}, [])
    assert marker["base"] == {"table": outside.table.uri, "version": 0}
    assert DeltaTable(outside.table.uri).to_pyarrow_table().num_rows == 1, "the table alone is the version, at its cut"


def test_a_table_has_the_mark_of_its_version_and_a_version_one_commit(outside: Outside) -> None:
    outside.sell(1)
    outside.refresh()
    first = outside.publish()
    outside.publisher = None
    again = outside.publish()
    assert first is not None
    assert again is not None
    assert first.table is not None
    assert again.table is not None
    assert (first.table.rows, again.table.rows) == (1, None)
    assert first.table.base == again.table.base
    (commit,) = DeltaTable(outside.table.uri).history()
    assert f'"version": {first.mark.version}' in commit["userMetadata"]
    assert str(first.mark.cut.to_json()).replace("'", '"') in commit["userMetadata"]


def test_a_look_sends_the_groups_that_epochs_touched_and_no_others(outside: Outside) -> None:
    for shop in "abcdefgh":
        outside.sell(1, shop=shop)
    outside.refresh()
    outside.publish()
    outside.sell(5, 6, shop="c")
    outside.publisher = None  # also where another process goes on
    found = outside.publish()
    assert found is not None
    assert found.marker is not None
    assert (found.compared, found.marker.rows, found.marker.gone) == (False, 1, 0)
    assert outside.publish() == Publication(found.mark, found.table, found.marker, sent=False, compared=False)


def test_a_value_that_went_and_came_back_around_a_cut_is_not_taken_from_the_table(outside: Outside) -> None:
    """Nothing differs between two looks, and the version that was cut between them says otherwise."""
    outside.world.apply(MEAN)
    outside.sell(5, 5)
    outside.refresh()
    outside.publish()
    outside.sell(8)
    outside.world.run_archive([99])
    outside.sell(2)
    outside.world.refresh("sales")
    found = outside.publish()
    assert found is not None
    assert found.compared
    assert DeltaTable(outside.table.uri).to_pyarrow_table()["mean"].to_pylist() == [6.0]
    assert [row["mean"] for row in (outside.read() or ({}, []))[1]] == [5.0]


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_the_next_one_goes_on_and_readers_never_see_half(outside: Outside, point: str) -> None:
    outside.sell(1, 2)
    outside.publish()
    outside.refresh()
    outside.sell(3, shop="b")
    outside.die(point)
    outside.check()
    outside.publish()
    assert outside.is_newest()
    assert DeltaTable(outside.table.uri).version() == 0, "one commit, whoever made it"
    sequence = (outside.read() or ({}, []))[0]["sequence"]
    assert sequence == 2, "one transaction, whoever sent it"


def test_a_rollback_is_a_later_commit_of_an_earlier_version(outside: Outside) -> None:
    outside.sell(1)
    outside.refresh()
    first = outside.publish()
    assert first is not None
    late = Event("late", BEGIN, shop="z")
    outside.world.import_file([(late.encode(), late)])
    outside.sell(2)
    outside.refresh()
    outside.publish()
    assert {row["shop"] for row in (outside.read() or ({}, []))[1]} == {"a", "z"}
    outside.world.batch.rollback("sales", first.mark.version, first.mark.definition)
    outside.publish()
    assert {row["shop"] for row in (outside.read() or ({}, []))[1]} == {"a"}
    assert outside.is_newest()
    assert DeltaTable(outside.table.uri).version() == 2
    outside.world.batch.rollback("sales", None, first.mark.definition)  # epochs alone: no table to go on from
    outside.publish()
    assert outside.is_newest()
    outside.refresh()
    outside.publish()
    assert outside.is_newest()


def test_another_definition_leaves_no_group_of_the_former_one(outside: Outside) -> None:
    outside.sell(1, 2)
    outside.sell(3, shop="b", hour=30)
    outside.refresh()
    outside.sell(4, shop="c")
    outside.publish()
    outside.world.apply(CHANGED)
    outside.world.run_speed([99])
    outside.sell(5, shop="c")
    outside.refresh()
    found = outside.publish()
    assert outside.is_newest()
    assert found is not None
    assert found.marker is not None
    assert found.marker.gone == 3
    live = {one.key for log in outside.broker.committed() for _, one in log if b"hour" in one.key}
    newest = {one.key: one.value for log in outside.broker.committed() for _, one in log}
    assert {newest[key] for key in live} == {None}, "who follows the topic alone is told, too"


def test_a_group_that_its_condition_leaves_out_is_a_tombstone(outside: Outside) -> None:
    outside.world.apply(SALES.replace("FROM orders GROUP BY ALL", "FROM orders GROUP BY ALL HAVING count(*) < 3"))
    outside.sell(1, 2)
    outside.refresh()
    outside.sell(1, shop="b")
    outside.refresh()
    outside.publish()
    outside.sell(3)
    found = outside.publish()
    assert found is not None
    assert found.marker is not None
    assert found.marker.gone == 1
    assert outside.is_newest()


def test_forgotten_groups_are_gone_for_readers_too(outside: Outside) -> None:
    outside.sell(1, 2, shop="x", buyer="xavier")
    outside.sell(1, shop="b", buyer="yuri")
    outside.refresh()
    outside.publish()
    outside.world.forget("xavier")
    for _ in range(4):
        outside.world.clear()
    outside.publish()
    assert outside.is_newest()
    assert {row["shop"] for row in (outside.read() or ({}, []))[1]} == {"b"}


def test_a_purge_takes_away_what_was_published_before_and_keys_of_groups_that_are_no_more(outside: Outside) -> None:
    outside.sell(1, 2, shop="x", buyer="xavier")
    outside.sell(1, shop="b", buyer="yuri")
    outside.refresh()
    outside.publish()
    outside.sell(5, shop="x", buyer="xavier")
    outside.publish()
    outside.world.run_archive([99])
    outside.world.forget("xavier")
    for _ in range(4):
        outside.world.clear()
    outside.publish()

    def told() -> list[bytes]:
        return [one.key for log in outside.broker.committed() for _, one in log if b'"x"' in one.key]

    assert told(), "its tombstone"
    first, files = outside.read(), set(Path(outside.table.uri).glob("*.parquet"))
    found = outside.publish(purge=True)
    assert found is not None
    assert found.purged is not None
    assert found.purged.files == 1
    assert len(set(Path(outside.table.uri).glob("*.parquet")) & files) == 1
    assert told() == []
    assert (outside.read() or ({}, []))[1] == (first or ({}, []))[1]
    outside.sell(7, shop="b")
    outside.publish()
    assert outside.is_newest()


def test_a_purge_that_dies_before_it_has_deleted_is_done_by_the_next(outside: Outside) -> None:
    outside.sell(1, 2)
    outside.refresh()
    outside.publish()
    outside.sell(3)
    with pytest.raises(Death), hooked(dies_at("publish.after-commit")):
        outside.publish(purge=True)
    outside.publisher = None
    outside.check()
    outside.publish(purge=True)
    assert outside.is_newest()
    rows = [one for log in outside.broker.committed() for _, one in log if one.key != b'"seamline"']
    assert len(rows) == 1


def test_of_two_at_once_one_commits_and_the_other_sees_it(outside: Outside) -> None:
    outside.sell(1)
    outside.refresh()
    one, other = outside.opened(), outside.opened()
    outside.remember()
    reached = list[str]()

    def meanwhile(point: str) -> None:
        reached.append(point)
        if reached == ["publish.before-delta"]:
            other.step()

    with pytest.raises(ConflictError, match="fenced"), hooked(meanwhile):
        one.step()
    assert reached.count("publish.before-delta") == 2, "both had come to it"
    assert DeltaTable(outside.table.uri).version() == 0
    outside.check()
    assert outside.is_newest()


def test_one_that_lags_publishes_nothing(outside: Outside) -> None:
    outside.sell(1)
    outside.refresh()
    late = outside.opened()
    outside.sell(2)
    outside.refresh()
    outside.publish()
    mark = outside.opened().step().mark
    old = type(mark)(mark.view, mark.stream, mark.definition, 1, mark.state - 1, mark.cut, mark.keys)
    with pytest.raises(SeamlineError) as caught:
        outside.table.hold(old, list)
    assert caught.value.condition is Condition.LEDGER_CONFLICT
    assert late is not None


def test_a_table_of_somebody_else_is_left_alone(outside: Outside) -> None:
    outside.sell(1)
    outside.refresh()
    write_deltalake(outside.table.uri, pa.table({"a": [1]}))
    with pytest.raises(SeamlineError) as caught:
        outside.opened().step()
    assert caught.value.condition is Condition.INPUT_INVALID
    assert DeltaTable(outside.table.uri).version() == 0


ACTIONS = st.lists(
    st.sampled_from(["send", "late", "copy", "speed", "archive", "refresh", "publish", "publish", "another", "rollback",
                     "import", "change", "compact", "retain", "hour", "tidy", "packed", "again", "purge"]),
    min_size=6, max_size=20,
)  # fmt: skip


@settings(max_examples=CASES)
@given(actions=ACTIONS, deaths=st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5]), min_size=20, max_size=20))
def test_in_any_order_with_everything_else(root: Path, actions: list[str], deaths: list[int]) -> None:
    outside = Outside(root)
    world, sent = outside.world, list[Event]()
    for number, (action, death) in enumerate(zip(actions, deaths, strict=False)):
        before = world.deaths
        world.perform(lambda: act(outside, action, number, sent), death)  # noqa: B023
        if world.deaths > before:
            outside.publisher = None
        outside.check()
    world.run_speed([99])
    world.run_archive([99])
    world.refresh("sales")
    outside.publisher = None
    if outside.publish() is not None:
        assert outside.is_newest()


def act(outside: Outside, action: str, number: int, sent: list[Event]) -> None:
    world = outside.world
    copied = sent[number % len(sent)] if sent else Event("first", BEGIN)

    def send(hours: int) -> None:
        for n in range(3):
            event = Event(f"{number}-{n}", BEGIN - timedelta(hours=hours * n), shop="ab"[n % 2], amount=number)
            sent.append(event)
            world.send(n % 2, event.encode(), event)

    def another() -> None:
        outside.publisher = outside.opened()

    actions: dict[str, Callable[[], object]] = {
        "send": lambda: send(0),
        "late": lambda: send(20),
        "copy": lambda: world.send(1, copied.encode(1), copied),
        "speed": lambda: world.run_speed([1 + number % 3]),
        "archive": lambda: world.run_archive([1 + number % 3]),
        "refresh": lambda: world.refresh("sales"),
        "publish": outside.publish,
        "again": lambda: outside.publish(compare=True),
        "purge": lambda: outside.publish(purge=True),
        "another": another,
        "rollback": lambda: world.rollback("sales", number),
        "import": lambda: world.import_file([(copied.encode(2), copied)]),
        "change": lambda: world.apply([SALES, CHANGED, CHANGED_AGAIN][number % 3]),
        "compact": world.maintenance.after_epoch,
        "retain": world.retain,
        "hour": lambda: world.wait(timedelta(minutes=61)),
        "tidy": world.maintenance.remove,
        "packed": outside.broker.compact,
    }
    actions[action]()
