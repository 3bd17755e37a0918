"""Hints of a log: who puts an entry tells of it, and a reader asks the logs that were told of, until it has."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import GenericError
from obstore.store import LocalStore, MemoryStore

from seamline import hints
from seamline.clock import ManualClock
from seamline.entries.base import Claim
from seamline.hints import FOLLOWED, SHARDS, SPARED, Hints
from seamline.ledger import Log, Writer

AT = datetime(2024, 6, 1, tzinfo=UTC)
SWEEP = timedelta(seconds=10)
KINDS = ("views", "batch", "speed")


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else LocalStore(str(tmp_path))


def entry() -> Claim:
    return Claim(at=AT, holder="somebody")


def followed(store: Any, clock: ManualClock | None = None) -> Hints:
    """A reader that has come to its first rest."""
    found = Hints(store, KINDS, SWEEP, clock or ManualClock(AT), seconds=lambda: 0)
    moved = found.look()
    assert moved.places is None
    found.done(moved)
    return found


def test_an_entry_moves_its_log_until_the_reader_is_done(store: Any) -> None:
    reader = followed(store)
    assert reader.look().places == frozenset()
    for _ in range(2):  # the same bytes but for the attempt
        Log(store, "views/sales").put(Log(store, "views/sales").last() + 1, entry())
        moved = reader.look()
        assert "views/sales" in moved
        assert "batch/sales" not in moved
        assert moved.any_of("batch", "views")
        assert not moved.any_of("batch", "speed")
        assert reader.look() == moved  # a look that failed leaves it to the next
        reader.done(moved)
        assert reader.look().places == frozenset()


def test_a_hint_that_comes_during_a_look_is_of_the_next(store: Any) -> None:
    reader = followed(store)
    moved = reader.look()
    Log(store, "views/sales").put(1, entry())
    reader.done(moved)
    assert "views/sales" in reader.look()


def test_a_hint_that_is_gone_and_one_that_is_put_back_move_their_log(store: Any) -> None:
    Log(store, "views/sales").put(1, entry())
    reader, held = followed(store), bytes(obstore.get(store, hints.place("views/sales")).bytes())
    obstore.delete(store, hints.place("views/sales"))
    moved = reader.look()
    assert "views/sales" in moved
    reader.done(moved)
    obstore.put(store, hints.place("views/sales"), held)
    assert "views/sales" in reader.look()


def test_every_log_is_to_be_asked_when_the_bound_has_passed_and_until_it_was(store: Any) -> None:
    clock = ManualClock(AT)
    reader = followed(store, clock)
    clock.advance(SWEEP - timedelta(seconds=1))
    assert "batch/any" not in reader.look()
    clock.advance(timedelta(seconds=1))
    assert "batch/any" in reader.look()
    moved = reader.look()
    assert "batch/any" in moved
    clock.advance(timedelta(seconds=4))
    reader.done(moved)
    clock.advance(timedelta(seconds=5))
    assert "batch/any" not in reader.look()
    clock.advance(timedelta(seconds=1))  # since that look began
    assert "batch/any" in reader.look()
    clock.advance(-timedelta(days=1))  # a clock that was put right
    assert "batch/any" in reader.look()


def test_kinds_that_are_not_followed_move_nothing(store: Any) -> None:
    reader = followed(store)
    Log(store, "archive/main").put(1, entry())
    assert reader.look().places == frozenset()


def test_a_store_that_takes_no_hint_fails_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    log, whole = Log(MemoryStore(), "speed/main"), obstore.put

    def put(store: Any, path: str, *given: Any, **named: Any) -> Any:
        if path.startswith(hints.HINTS):
            raise GenericError("429 Too Many Requests")
        return whole(store, path, *given, **named)

    monkeypatch.setattr(obstore, "put", put)
    writer = Writer.take(log, entry())
    assert (writer.put(entry()), log.last()) == (2, 2)


def test_objects_are_as_few_as_a_page_holds_however_many_logs_there_are() -> None:
    places = {
        hints.place(f"{kind}/{n}") for kind in ("archive", "batch", "speed", "topics", "views") for n in range(5000)
    }
    assert len(places) == 5 * SHARDS < 1000


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=30))
def test_the_first_look_after_an_entry_asks_its_log_though_its_writer_spares_hints(
    steps: list[tuple[float, bool]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        now = 0.0
        patch.setattr(time, "monotonic", lambda: now)
        log = Log(MemoryStore(), "speed/main")
        reader = Hints(log.store, KINDS, timedelta(days=1), ManualClock(AT), seconds=lambda: now)
        reader.done(reader.look())
        writer, read = Writer.take(log, entry()), 0
        for after, is_put in steps:
            now += after
            if is_put:
                writer.put(entry())
                continue
            moved = reader.look()
            if log.name in moved:
                read = writer.last
            assert read == writer.last
            reader.done(moved)


def test_a_writer_gives_a_hint_a_second_and_readers_rest_after_two(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = Log(MemoryStore(), "speed/main")
    writer = Writer.take(log, entry())
    told = []
    for tick in range(40):
        now = tick / 10
        writer.put(entry())
        told.append(obstore.head(log.store, hints.place(log.name))["e_tag"])
    assert len(set(told)) == 4 * SPARED
    reader = Hints(log.store, KINDS, timedelta(days=1), ManualClock(AT), seconds=lambda: now)
    asked = []
    for tick in range(40):
        now = tick / 10
        moved = reader.look()
        asked.append(log.name in moved)
        reader.done(moved)
    assert asked == [tick / 10 <= FOLLOWED for tick in range(40)]
