"""Laws 1 to 6 under any interleaving: arrival, splits, deaths, a second writer, changes and upkeep change nothing.

`HYPOTHESIS_PROFILE=long` runs thousands of cases; the quick profile runs a few seconds' worth.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from simulation import BEGIN, BY_DAY, BY_HOUR, CHANGED, CHANGED_AGAIN, DAILY, HORIZON, MOVES, SALES, SKETCHES, World
from truth import Event, answer, differences, events_table, ordered

from seamline.commitpoint import POINTS
from seamline.entries.base import Counts
from seamline.kernel import Limits, kernel
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.definition import Definition
from seamline.streaming.archive.merges import REST

CASES = {"quick": (3, 8, 20, 2), "landing": (10, 10, 100, 5), "long": (2000, 25, 5000, 1000)}
HISTORIES, STEPS, SPLITS, MENDED = CASES[os.environ.get("HYPOTHESIS_PROFILE", "landing")]
"""How many cases of each property: a case here is a whole life of a lake, or a tree of merges."""

HOURS = st.sampled_from([-50, -25, -1, 0, 0, 20, 30])
"""Event times from the beginning; 30 hours ahead are rejected until the clock has come closer."""

CONTENT = st.builds(
    Event,
    id=st.sampled_from(["1", "2", "3", "4", "5", "6", None]),
    placed=st.builds(lambda h: BEGIN + timedelta(hours=h), HOURS),
    shop=st.sampled_from(["a", "b", None]),
    amount=st.sampled_from([0, 1, 2, 7, -1, None]),
    weight=st.sampled_from([0.5, -2.25, 1024.0, 2.0**40, None]),  # dyadic: sums are exact in any order
    buyer=st.sampled_from(["x", "y", "z", None]),
)

MALFORMED = st.sampled_from(
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"id": "1"}',
        b'{"id": "1", "placed": "yesterday"}',
        b'{"id": "1", "placed": "1969-12-31T00:00:00Z"}',
        b'{"id": 1, "placed": "2024-06-01T12:00:00Z"}',
        b'{"id": "1", "placed": "2024-06-01T12:00:00Z", "amount": 1.5}',
        b'{"id": "1", "placed": "2024-06-01T12:00:00Z", "weight": NaN}',
    ]
)

SENT = st.lists(
    st.tuples(
        st.one_of(CONTENT, CONTENT, st.integers(0, 99), MALFORMED),  # a number: a copy of an event sent before
        st.integers(0, 3),  # the last one is the second topic's only partition
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, 2]),
        st.sampled_from([0, 0, 0, 0, 0, -40, -700, 30, 9000, None]),
    ),
    max_size=6,
)
"""What producers send: content, partition, dress, the gap before it, and by how many minutes the record's timestamp is
ahead of the broker's time; None: it has none."""

TAKES = st.lists(st.sampled_from([0, 1, 2, 5, 99]), min_size=3, max_size=3)
"""How many records of each partition one micro-batch reads."""

AGAIN = ["lose_memory", "second_speed", "second_archive", "serve_afresh", "another_release", "retain", "upkeep"]
DEATH = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6])
"""The commit point at which everything in memory is lost; mostly none."""


class Stream(RuleBasedStateMachine):
    """Any order of everything that users and processes do. After each step every answer is the truth."""

    folder: Path

    @initialize(origin=st.lists(st.sampled_from([0, 3]), min_size=3, max_size=3))
    def begin(self, origin: list[int]) -> None:
        self.world = World(self.folder, origin)
        self.events: dict[tuple[str, Any], Event] = {}

    # producers, and what runs all day

    @rule(sent=SENT, speed=TAKES, more=SENT, ahead=TAKES, die_at=DEATH)
    def a_day(self, sent: Any, speed: list[int], more: Any, ahead: list[int], die_at: int) -> None:
        """The archive is further than speed, a process dies, and a batch version is made of what both have."""
        self.send(sent)
        self.one_process("speed", speed, 0)
        self.send(more)
        self.one_process("archive", [99], die_at)
        self.one_process("speed", ahead, die_at)
        self.one_process("sales", ahead, die_at)

    @rule(sent=SENT)
    def a_trickle(self, sent: Any) -> None:
        """Every record is an epoch of its own, and they are compacted as they come."""
        for one in sent:
            self.send([one])
            self.world.run_speed([1])
            self.world.maintenance.after_epoch()
            self.world.check()

    def send(self, sent: list[tuple[Any, int, int, int, int | None]]) -> None:
        for content, partition, dress, gap, minutes in sent:
            ahead = None if minutes is None else timedelta(minutes=minutes)
            if isinstance(content, Event):
                event = self._named(content)
            elif isinstance(content, int) and self.events:
                event = list(self.events.values())[content % len(self.events)]
            else:
                self._send(partition, content if isinstance(content, bytes) else None, None, gap, ahead)
                continue
            self._send(partition, event.encode(dress), event, gap, ahead)

    def _send(
        self, partition: int, value: bytes | None, event: Event | None, gap: int, ahead: timedelta | None
    ) -> None:
        topic, partition = ("returns", 0) if partition == 3 else ("orders", partition)
        self.world.send(partition, value, event, gap, topic, ahead)

    def _named(self, content: Event) -> Event:
        """One content for each id and time, so that copies agree."""
        if content.id is None:
            return content
        return self.events.setdefault((content.id, content.placed), content)

    # time: copies come however far apart, and no two clocks need agree

    @rule(minutes=st.sampled_from([1, 70, 400, 660, 1500]), read=st.booleans())
    def time_passes(self, minutes: int, read: bool) -> None:
        """Perhaps an outage: what was sent before is read after it."""
        if read:
            self.world.run_speed([999])
            self.world.check()
        self.world.wait(timedelta(minutes=minutes))
        self.world.maintenance.retire()
        self.world.maintenance.remove()

    @rule(name=st.sampled_from(["clock", "speed_clock"]), hours=st.sampled_from([-3, 2]))
    def a_clock_steps(self, name: str, hours: int) -> None:
        getattr(self.world, name).advance(timedelta(hours=hours))

    @rule(content=st.lists(st.one_of(CONTENT, st.integers(0, 99)), min_size=1, max_size=4), die_at=DEATH)
    def an_import(self, content: list[Any], die_at: int) -> None:
        """A file of orders, some of which were sent, or will be."""
        known = list(self.events.values())
        events = [known[one % len(known)] if known else None for one in content if isinstance(one, int)]
        events += [self._named(one) for one in content if isinstance(one, Event)]
        records = [(event.encode() if event else b"?", event) for event in events]
        self.world.perform(lambda: self.world.import_file(records), die_at)
        self.world.check()

    # processes

    @rule(
        name=st.sampled_from(["speed", "archive", "sales", "daily", "moves", "compact", "tidy", "rest"]),
        takes=TAKES,
        die_at=DEATH,
    )
    def one_process(self, name: str, takes: list[int], die_at: int) -> None:
        """One thing that a process does, or dies at; records may be split and delivered again."""
        self.world.perform(lambda: self._do(name, takes), die_at)
        self.world.check()

    @rule(
        point=st.integers(1, 5),
        others=st.lists(st.sampled_from(["speed", "archive", "compact", "sales", "apply", "rest"])),
    )
    def batch_while_others_work(self, point: int, others: list[str]) -> None:
        def meanwhile() -> None:
            for other in others:
                self._do(other, [2])

        self.world.perform(lambda: self._do("sales", []), point, meanwhile)

    def _do(self, name: str, takes: list[int]) -> None:
        world, more = self.world, sum(takes)
        if name == "speed":
            world.run_speed(takes, split=1 + more % 3, again=more % 2 * 3)
        elif name == "archive":
            world.run_archive(takes, again=more % 2 * 3)
        elif name == "rest":
            world.speed.announce()
        elif name == "compact":
            world.maintenance.compact()
        elif name == "tidy":
            world.maintenance.retire()
            world.maintenance.remove()
            world.maintenance.sweep()
        elif name == "apply":
            world.apply(CHANGED)
        elif name in world.serving.catalogue.states:
            world.refresh(name, rebuild=more % 4 == 3)

    # operators

    @rule(
        text=st.sampled_from([SALES, BY_HOUR, CHANGED, CHANGED_AGAIN, DAILY, MOVES]),
        hint=st.booleans(),
        choice=st.integers(0, 10),
    )
    def an_operator(self, text: str, hint: bool, choice: int) -> None:
        """Applies a view, perhaps with a mended contract; or rolls back; or drops one."""
        if choice < 5:
            self.world.mended |= hint
            self.world.apply(text)
        elif choice < 10:
            self.world.rollback("sales", choice)
        else:
            self.world.drop("sales")

    @rule(what=st.sampled_from(AGAIN))
    def start_again(self, what: str) -> None:
        event = self._named(Event("7", BEGIN))
        self.world.send(0, event.encode(), event)  # so that a writer who was displaced has something to write
        getattr(self.world, what)()

    # the truth

    @invariant()
    def every_answer_is_the_truth(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()


def test_nothing_that_happens_moves_an_answer(tmp_path: Path) -> None:
    class Here(Stream):
        folder = tmp_path

    profile = settings(max_examples=HISTORIES, stateful_step_count=STEPS)
    run_state_machine_as_test(Here, settings=profile)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, so one kernel, for all cases."""
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def definitions(root: Path) -> list[tuple[str, Definition]]:
    """Every view text with its compiled definition."""
    world, compiled = World(root), []
    for text in (SALES, CHANGED, CHANGED_AGAIN, DAILY):
        world.apply(text)
        (hash_,) = [h for h, known in world.known.items() if known.text == text]
        compiled.append((text, Catalogue(world.lake).definition(hash_)))
    return compiled


PARTS = st.lists(st.lists(CONTENT, max_size=8), min_size=1, max_size=6)
"""Events, split into whatever brought them: epochs, tasks, batch units."""


@settings(max_examples=SPLITS)
@given(view=st.integers(0, 3), parts=PARTS, order=st.randoms(use_true_random=False))
def test_any_split_in_any_order_merges_to_the_answer_of_one_pass(
    root: Path, definitions: list[tuple[str, Definition]], view: int, parts: list[list[Event]], order: random.Random
) -> None:
    text, definition = definitions[view]
    engine = kernel(Limits((str(root),)))
    partials = [engine.run(definition.partial, {"events": events_table(events)}) for events in parts]
    order.shuffle(partials)
    while len(partials) > 1:  # any tree of merges, as compaction and serving make them
        merged = pa.concat_tables([partials.pop(), partials.pop()])
        partials.insert(order.randint(0, len(partials)), engine.run(definition.merge, {"partials": merged}))
    got = ordered(engine.run(definition.merge_and_finalise, {"partials": partials[0]}))
    assert not differences(got, answer(text, [event for events in parts for event in events]), SKETCHES)


def day(world: World, texts: Sequence[str], at: str = "", view: str = "sales") -> None:
    """Two rounds of everything, with a copy in the second; one process dies where it first reaches `at`."""
    for number in range(2):
        for one in ("a", "b", "c"):
            event = Event(one if number else "a" + one, BEGIN - timedelta(hours=3), amount=len(one))
            world.send(number, event.encode(), event)
            world.send(0, event.encode(), event, topic="returns")
        world.send(0, b"{")
        world.send(0, b"{", topic="returns")
        steps: list[Callable[[], object]] = [
            lambda: world.run_speed([2]),
            lambda: world.run_speed([99]),
            lambda: world.run_archive([99]),
            lambda: world.maintenance.compact(),
            *(lambda text=text: world.apply(text) for text in texts),  # type: ignore[misc]
            lambda: world.refresh(view),
            lambda: world.retain(),
            lambda: world.wait(timedelta(minutes=20)),
            lambda: world.maintenance.remove(),
            lambda: world.wait(REST if at.startswith("archive.") else timedelta()),
            lambda: world.upkeep(),
        ]
        for step in steps:
            world.perform(step, at if not world.deaths else 0)
            world.check()
    event = Event("a", BEGIN - timedelta(hours=3))
    world.send(1, event.encode(1), event)


IN_QUICK = {("speed.after-files", "moves"), ("batch.after-version", "sales")}
EVERY_POINT = [
    pytest.param(point, view, marks=[] if (point, view) in IN_QUICK else pytest.mark.thorough)
    for point in sorted(POINTS)
    for view in ("sales", "moves")
    if view == "sales" or not point.startswith("archive.")  # which knows no views
]


@pytest.mark.parametrize(("point", "view"), EVERY_POINT)
def test_death_at_each_commit_point_changes_nothing(root: Path, point: str, view: str) -> None:
    world = World(root)
    if view == "moves":
        world.apply(MOVES)
        world.ready.add(view)
    day(world, [], point, view)
    assert world.deaths == 1, f"{point} was not reached"
    world.finish()
    assert all(audit.compared for audit in world.audits)


def test_what_a_run_had_done_under_another_release_is_done_again(root: Path) -> None:
    world = World(root)
    day(world, [], "batch.after-files")
    event = Event("late", BEGIN - timedelta(days=40))
    world.send(0, event.encode(), event)
    world.run_speed([99])
    world.run_archive([99])
    world.perform(lambda: world.refresh("sales", rebuild=True), "batch.after-files")
    assert world.deaths == 2
    assert world.another_release() == 2
    world.refresh("sales", rebuild=True)
    world.check()
    world.finish()
    assert all(audit.compared for audit in world.audits)


@pytest.mark.parametrize("second", ["second_speed", pytest.param("second_archive", marks=pytest.mark.thorough)])
def test_a_writer_that_lost_its_claim_is_refused_and_changes_nothing(root: Path, second: str) -> None:
    world = World(root)
    for number in range(2):
        event = Event(str(number), BEGIN)
        world.send(number, event.encode(), event)
        getattr(world, second)()
        world.check()
        world.run_speed([1])
        world.run_archive([1])
        world.check()
    world.finish()


def test_a_changed_view_is_switched_to_while_answers_stay_the_truth(root: Path) -> None:
    world = World(root)
    day(world, [CHANGED])
    world.finish()
    assert world.known[str(world.serving.catalogue.states["sales"].served)].text == CHANGED


@pytest.mark.parametrize("mended", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_a_changed_view_or_contract_is_switched_to_though_no_record_comes(root: Path, mended: bool) -> None:
    world = World(root)
    for number, amount in enumerate((1, -1)):
        event = Event(str(number), BEGIN, amount=amount)
        world.send(number, event.encode(), event)
    world.run_speed([9])
    world.run_archive([9])
    world.refresh("sales")
    world.mended = int(mended)
    world.apply(SALES if mended else CHANGED)
    assert world.refresh("sales").version is None, "no epoch says yet that those to come list the new definition"
    ends = world.speed.frontier
    assert world.perform(lambda: world.speed.announce(), "speed.after-files") is None
    assert world.speed.announce() is not None
    world.check()
    published = world.refresh("sales")
    assert (published.version is not None, published.cut) == (True, ends)
    world.check()
    assert world.speed.announce() is None, "it was said"
    late = Event("late", BEGIN)
    world.send(0, late.encode(), late)
    world.run_speed([9])
    world.check()
    world.finish()
    served = world.known[str(world.serving.catalogue.states["sales"].served)]
    assert (served.text, served.least) == ((SALES, None) if mended else (CHANGED, 0))


@pytest.mark.thorough
@pytest.mark.parametrize("views", [["sales"], ["sales", "by_day"]], ids=["a view", "a view over a view"])
@settings(max_examples=MENDED)
@given(sent=st.lists(st.tuples(CONTENT, st.integers(0, 1)), min_size=1), more=st.integers(0, 9), takes=TAKES)
def test_records_that_a_mended_contract_accepts_are_counted_once(
    root: Path, views: list[str], sent: list[tuple[Event, int]], more: int, takes: list[int]
) -> None:
    world, events = World(root), dict[tuple[str | None, datetime], Event]()
    text = SALES + BY_DAY if "by_day" in views else SALES
    world.apply(text)
    world.ready.update(views)
    for content, partition in sent:
        event = events.setdefault((content.id, content.placed), content)
        world.send(partition, event.encode(), event)
    world.run_speed(takes)
    world.run_archive([99] if more % 2 else takes)
    for view in views:
        world.refresh(view)
    world.mended = 1
    world.apply(text)
    for content, partition in sent[:more]:
        event = events[content.id, content.placed]
        world.send(1 - partition, event.encode(1), event)
    for number in range(2):
        world.run_speed([99])
        world.check()
        world.run_archive([99])
        world.check()
        for view in views:
            world.refresh(view)
            world.check()
        world.wait(HORIZON + timedelta(minutes=1))
        later = Event(f"later{number}", BEGIN)
        world.send(0, later.encode(), later)
    world.finish()
    for view in views:
        assert world.known[str(world.serving.catalogue.states[view].served)].least is None


@pytest.mark.thorough
@pytest.mark.parametrize("texts", [(SALES, BY_HOUR), (BY_HOUR, SALES)], ids=["to hours", "to days"])
def test_a_derived_view_follows_its_base_to_another_grain(root: Path, texts: tuple[str, str]) -> None:
    world = World(root)
    for number, text in enumerate(texts):
        world.apply(text + BY_DAY)
        for hours in (0, -3, -20):
            event = Event(f"{number}{hours}", BEGIN + timedelta(hours=hours))
            world.send(0, event.encode(), event)
        world.run_speed([9])
        world.run_archive([9])
        for view in ("sales", "by_day"):
            assert world.refresh(view).version is not None
            world.check()
    world.finish()


@pytest.mark.thorough
@pytest.mark.parametrize("lives", [0, 1], ids=["left out from what tasks sent", "left out in a second reading"])
def test_a_copy_of_one_contracts_event_leaves_those_of_the_others_in_the_view(root: Path, lives: int) -> None:
    world = World(root)
    world.deaths = lives
    world.apply(MOVES)
    world.ready.add("moves")
    for topic in ("orders", "returns", "returns"):
        event = Event("1", BEGIN)
        world.send(0, event.encode(), event, topic=topic)
    epoch = world.run_speed([9])
    assert epoch is not None
    assert epoch.counts["returns"] == Counts(read=2, counted=1, duplicate=1)
    world.check()
    assert [row["moves"] for row in world.answer("moves")] == [1, 1]
    world.finish()


def test_a_copy_beyond_the_horizon_counts_twice_until_the_next_version_which_explains_it(root: Path) -> None:
    world = World(root)
    event = Event("1", BEGIN)
    world.send(0, event.encode(), event)
    world.run_speed([1])
    world.wait(HORIZON + timedelta(minutes=1))
    world.send(1, event.encode(), event)
    world.run_speed([1])
    world.run_archive([9])
    world.serving.catch_up()
    assert [row["orders"] for row in world.answer("sales")] == [2]
    outcome = world.refresh("sales")
    assert outcome.audit.compared
    assert outcome.audit.clean
    assert {drift.explained for drift in outcome.audit.explained} == {"1 copies beyond the dedup horizon"}
    assert outcome.counts == Counts(read=2, counted=1, duplicate=1)
    world.serving.catch_up()
    assert [row["orders"] for row in world.answer("sales")] == [1]
