"""`seamline changes`: what a number's difference is made of, against plain Python over the simulated stream."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lakes
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import orders, project
from simulation import BEGIN, SALES
from truth import Event
from watched import Numbers, Watched, live

from seamline.cli.main import execute
from seamline.errors import Condition, SeamlineError
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.operate.changed_numbers import CAUSES
from seamline.operate.viewchanges import Changes
from seamline.sides.raw import raw_files

CASES = {"quick": 2, "landing": 4, "long": 200}[os.environ.get("HYPOTHESIS_PROFILE", "landing")]


def by_group(found: Changes) -> dict[tuple[Any, str], Mapping[str, Any]]:
    return {(one.key, one.column): one.parts for one in found.groups}


def differences(before: Numbers, after: Numbers) -> Numbers:
    both = {at: after.get(at, 0) - before.get(at, 0) for at in {*before, *after}}
    return {at: number for at, number in both.items() if number}


@pytest.mark.timeout(CASES * 60)
@settings(max_examples=CASES)
@given(drawn=st.randoms(use_true_random=False))
def test_the_parts_are_what_plain_python_says_and_add_up_to_what_readers_were_told(
    tmp_path_factory: pytest.TempPathFactory, drawn: random.Random
) -> None:
    watched, known = Watched(tmp_path_factory.mktemp("lake")), dict[Any, Event]()
    for _ in range(12):
        live(watched, drawn, known)
    watched.world.run_archive([99])
    asked = sorted(watched.seen)
    for first, last in {tuple(sorted(drawn.choices(asked, k=2))) for _ in range(2)} if asked else ():
        found = watched.ask(first, last)
        said = differences(watched.seen[first].answer, watched.seen[last].answer)
        assert {(one.key, one.column): one.difference for one in found.groups if one.difference} == said
        assert all(sum(one.parts.values()) == one.difference for one in (*found.groups, *found.totals))
        assert by_group(found) == watched.divided(first, last), (first, last)


# --- what the stream above does not do: other definitions, damage, and what is gone


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Two orders of one hour, in a version and an epoch."""
    made = Watched(tmp_path)
    for id_ in ("1", "2"):
        made.world.send(0, order(id_).encode(), order(id_))
        made.world.run_speed([99])
        made.world.run_archive([99])
        made.look()
    made.world.refresh("sales")
    made.look()
    return made


def order(id_: str, hour: int = 0, amount: int = 5, shop: str = "a") -> Event:
    return Event(id_, BEGIN + timedelta(hours=hour), shop, amount)


def total(found: Changes, column: str = "amount") -> Mapping[str, Any]:
    return next(one.parts for one in found.totals if one.column == column)


def test_a_copy_beyond_the_horizon_is_counted_and_mended_by_the_next_version(watched: Watched) -> None:
    world = watched.world
    world.wait(timedelta(hours=11))
    world.send(1, order("2").encode(), order("2"))
    world.run_speed([99])
    world.run_archive([99])
    watched.look()
    assert total(watched.ask(2, 3)) == {"duplicates": 5}
    world.refresh("sales")
    world.send(1, order("3", 2, 7).encode(), order("3", 2, 7))
    world.run_speed([99])
    world.run_archive([99])
    watched.look()
    assert total(watched.ask(2, 4)) == {"new": 7}
    assert total(watched.ask(2, 4), "orders") == {"new": 1}


def test_late_is_below_the_newest_of_its_own_partition(watched: Watched) -> None:
    world = watched.world
    for partition in (0, 1):
        world.send(partition, order(f"e{partition}", -1, 3).encode(), order(f"e{partition}", -1, 3))
    world.run_speed([99])
    world.run_archive([99])
    watched.look()
    assert total(watched.ask(2, 3)) == {"new": 3, "late": 3}


def test_what_a_version_computes_otherwise_of_the_same_events_is_the_backfills(watched: Watched) -> None:
    """A damaged file, which a rebuild mends."""
    world = watched.world
    (state,) = (watched.seen[2].state,)
    (files,) = BatchHistory(world.lake.batch_log(str(state.served))).files(state.version or 0).values()
    path = world.lake.absolute(files[0].path)
    rows = pq.read_table(path)
    pq.write_table(rows.set_column(0, rows.schema.field(0), pc.add(rows[0], pa.scalar(timedelta(hours=1)))), path)
    world.send(0, order("4", 0, 2).encode(), order("4", 0, 2))
    world.run_speed([99])
    world.run_archive([99])
    world.refresh("sales", rebuild=True)
    watched.look()
    found = by_group(watched.ask(2, 3))
    at, wrong = BEGIN, BEGIN + timedelta(hours=1)
    assert found[(at, "a"), "amount"] == {"new": 2, "backfill": 10}
    assert found[(wrong, "a"), "amount"] == {"backfill": -10}
    assert total(watched.ask(2, 3)) == {"new": 2}


def test_a_changed_definition_has_a_part_of_its_own(watched: Watched) -> None:
    world = watched.world
    world.apply(SALES.replace("FROM orders", "FROM orders WHERE id <> '1'"))
    for n in range(3):
        world.wait(timedelta(hours=12))
        world.send(0, order(f"n{n}", 1, 4).encode(), order(f"n{n}", 1, 4))
        world.run_speed([99])
        world.run_archive([99])
    assert world.refresh("sales").version is not None
    found = watched.ask(2, world.speed.history.last_epoch)
    assert found.before.definition != found.after.definition
    assert total(found) == {"new": 12, "definition": -5}
    assert all(sum(one.parts.values()) == one.difference for one in found.groups)


def by(buyer: str, id_: str, hour: int, amount: int) -> Event:
    return replace(order(id_, hour, amount), buyer=buyer)


def came(watched: Watched, *events: Event) -> int:
    """An epoch of these, archived; its number."""
    for event in events:
        watched.world.send(0, event.encode(), event)
    watched.world.run_speed([99])
    watched.world.run_archive([99])
    watched.look()
    return watched.world.history.last_epoch


def test_what_an_erasure_took_away_is_forgotten_and_never_a_backfills(watched: Watched) -> None:
    """One of ann's orders is in the version before, another in an epoch after it, and a third in neither answer. A copy
    that comes when speed knows of the request counts nowhere."""
    world = watched.world
    came(watched, by("ann", "7", 0, 100))
    world.refresh("sales")
    first = came(watched, by("ann", "8", 1, 30), by("bob", "9", 1, 4))
    second = came(watched, by("ann", "late", -3, 1), by("bob", "10", -2, 2))
    world.forget("ann")
    world.hear()
    world.wait(timedelta(hours=11))
    came(watched, by("ann", "8", 1, 30), by("bob", "11", 2, 6))
    world.archive.forget()
    pending = came(watched, by("bob", "12", 2, 8))
    assert total(watched.ask(first, pending)) == {"new": 14, "late": 3}, "it is served still"
    world.refresh("sales")
    watched.look()
    found = watched.ask(first, pending)
    assert total(found) == {"new": 14, "late": 2, "forgotten": -130}
    assert total(found, "orders") == {"new": 2, "late": 1, "forgotten": -2}
    assert by_group(found)[(BEGIN, "a"), "amount"] == {"forgotten": -100}
    assert total(watched.ask(second, pending)) == {"new": 14, "forgotten": -131}
    assert by_group(found) == watched.divided(first, pending)
    assert world.clear() == ""
    with pytest.raises(SeamlineError) as gone:
        watched.ask(first, pending)
    assert gone.value.condition is Condition.OUT_OF_RETENTION


def test_what_speed_reads_when_it_knows_that_it_is_forgotten_is_in_no_part(watched: Watched) -> None:
    """The archive was ahead, so the request found a record that speed had not read."""
    world = watched.world
    first = came(watched, by("bob", "9", 1, 4))
    event = by("ann", "8", 1, 30)
    world.send(0, event.encode(), event)
    world.run_archive([99])
    world.forget("ann")
    world.hear()
    last = came(watched, by("bob", "11", 2, 6))
    for erase in (False, True):
        if erase:
            world.archive.forget()
        found = watched.ask(first, last)
        assert total(found) == {"new": 6}
        assert by_group(found) == watched.divided(first, last)


def test_what_speed_counts_after_raw_was_without_it_is_forgotten_too(watched: Watched) -> None:
    """It has no id, so nothing tells speed of it; the version that had read raw without it ends before it."""
    world = watched.world
    event = Event(None, BEGIN + timedelta(hours=1), "a", 30, buyer="ann")
    world.send(0, event.encode(), event)
    world.run_archive([99])
    world.forget("ann")
    world.hear()
    world.archive.forget()
    world.refresh("sales")
    first = came(watched)
    world.refresh("sales")
    last = came(watched, by("bob", "9", 0, 4))
    found = watched.ask(first, last)
    assert total(found) == {"late": 4, "forgotten": -30}, "what was erased was newer"
    assert by_group(found) == watched.divided(first, last)


def test_what_nobody_knows_any_more_of_an_erasure_is_what_is_left_and_a_note_says_so(watched: Watched) -> None:
    world = watched.world
    world.refresh("sales")
    first = came(watched, by("ann", "8", 1, 30), by("bob", "9", 1, 4))
    world.forget("ann")
    world.hear()
    last = came(watched, by("bob", "11", 2, 6))
    stood = [*Path(world.lake.uri).glob("raw/orders-*/**/*.parquet")]
    world.archive.forget()
    world.refresh("sales")
    watched.look()
    whole = watched.ask(first, last)
    version = watched.seen[first].version
    assert version is not None
    table = next(iter(version.tables or {}))
    known = {file.path for n in (version.tables or {}).values() for file in raw_files(world.lake, table, n)}
    known |= {
        file.path for file in raw_files(world.lake, table, ArchiveHistory(world.lake.archive_log("main")).tables[table])
    }
    for path in stood:
        if not any(str(path).endswith(one) for one in known):
            path.unlink()
    found = watched.ask(first, last)
    assert total(found) == total(whole) == {"new": 6, "forgotten": -30}
    assert "before request 1 to forget records is gone" in found.note
    assert not whole.note


def test_groups_are_chosen_by_values_of_their_keys(watched: Watched) -> None:
    world = watched.world
    for id_, shop in (("5", "a"), ("6", "b")):
        world.send(0, order(id_, 1, 3, shop).encode(), order(id_, 1, 3, shop))
    world.run_speed([99])
    world.run_archive([99])
    watched.look()
    every = watched.ask(2, 3)
    assert {one.key[1] for one in every.groups} == {"a", "b"}
    assert every.left_out == dict.fromkeys(("least", "latest", "weight", "buyers"), "no count or sum")
    found = watched.ask(2, 3, shop="b")
    assert {one.key[1] for one in found.groups} == {"b"}
    assert total(found) == {"new": 3}
    for where in ({"shops": "b"}, {"hour": "noon"}):
        with pytest.raises(SeamlineError) as refused:
            watched.ask(2, 3, **where)
        assert refused.value.condition is Condition.INPUT_INVALID


def test_what_is_gone_and_what_is_not_there_yet_are_told(watched: Watched) -> None:
    world = watched.world
    world.send(0, order("9").encode(), order("9"))
    world.run_speed([99])
    with pytest.raises(SeamlineError) as early:
        watched.ask(2, 3)
    assert early.value.condition is Condition.VIEW_NOT_READY
    with pytest.raises(SeamlineError) as order_:
        watched.ask(3, 2)
    assert order_.value.condition is Condition.INPUT_INVALID
    world.run_archive([99])
    for _ in range(4):
        world.wait(timedelta(hours=200))
        world.refresh("sales", rebuild=True)
        world.retain()
    with pytest.raises(SeamlineError) as gone:
        watched.ask(2, 3)
    assert gone.value.condition is Condition.OUT_OF_RETENTION


def test_the_command_shows_every_cause_and_json_has_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = project(tmp_path)
    made.send(*orders(4))
    made.both()
    made.wait(seconds=1)
    made.send(lakes.order("late", lakes.DAY - timedelta(hours=3), amount=9))
    made.both()
    asked = ["changes", "sales", "--from-epoch", "1", "--project", str(tmp_path)]
    assert execute([*asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(one["column"], one["difference"], one["parts"]) for one in said["totals"]] == [
        ("orders", 1, {"late": 1}), ("amount", "9", {"late": "9"}),
    ]  # fmt: skip
    assert said["groups"][0]["key"]["shop"] == "a"
    assert execute(asked) == 0
    told = capsys.readouterr()
    assert "from epoch 1 (no version" in told.out
    assert CAUSES["late"] in told.err
    assert execute([*asked, "--key", "shop"]) == 2
