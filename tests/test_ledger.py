"""Law 4: one commit. An entry is put if absent, by one writer, and never under the next number instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from obstore.store import LocalStore, MemoryStore

from seamline.entries import Claim, Epoch, Published
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier, Partition
from seamline.history import History, SpeedHistory
from seamline.ledger import Log, Writer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """The in-memory store keeps the contract of the real one."""
    return MemoryStore() if request.param == "memory" else LocalStore(str(tmp_path))


def claim(holder: str) -> Claim:
    return Claim(at=NOW, holder=holder)


def epoch(number: int, claim_number: int = 1) -> Epoch:
    start = Frontier({Partition("t@1", 0): 10 * (number - 1)})
    end = Frontier({Partition("t@1", 0): 10 * number})
    return Epoch(at=NOW, number=number, claim=claim_number, start=start, end=end, files={"d": None})


def test_what_is_put_is_read_back_in_order(store: Any) -> None:
    log = Log(store, "speed/main")
    for number in range(1, 13):
        log.put(number, epoch(number))
    assert [n for n, _ in log.entries()] == list(range(1, 13))
    assert log.read(12) == epoch(12).model_copy(update={"attempt": log.read(12).attempt})  # type: ignore[union-attr]
    assert (log.first(), log.last()) == (1, 12)
    assert log.read(13) is None


def test_a_number_that_is_taken_is_refused_and_nothing_is_overwritten(store: Any) -> None:
    log = Log(store, "speed/main")
    first = epoch(1)
    log.put(1, first)
    with pytest.raises(SeamlineError) as caught:
        log.put(1, epoch(1))
    assert caught.value.condition is Condition.LEDGER_CONFLICT
    assert log.read(1) == first
    assert log.read(2) is None


def test_a_put_whose_answer_was_lost_is_done_when_put_again(store: Any) -> None:
    log = Log(store, "speed/main")
    entry = epoch(1)
    log.put(1, entry)
    log.put(1, entry)
    assert log.last() == 1


def test_a_writer_whose_claim_was_taken_is_refused(store: Any) -> None:
    log = Log(store, "speed/main")
    old = Writer.take(log, claim("old"))
    old.put(epoch(1))
    Writer.take(log, claim("new"))
    with pytest.raises(SeamlineError) as caught:
        old.put(epoch(2))
    assert caught.value.condition is Condition.WRITER_CONFLICT
    assert "new" in str(caught.value)
    assert SpeedHistory(log).last_epoch == 1


def test_an_entry_of_a_newer_format_is_refused(store: Any) -> None:
    import obstore

    log = Log(store, "views/v")
    entry = Published(at=NOW, view="v", definitions=(), live=(), served=None, version=None)
    obstore.put(store, log.path(1), entry.model_copy(update={"format": 2}).model_dump_json().encode())
    with pytest.raises(SeamlineError) as caught:
        log.read(1)
    assert caught.value.condition is Condition.LEDGER_FORMAT
    assert "upgrade" in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1, "kind": "nonsense"}'])
def test_a_damaged_entry_is_an_error_that_names_the_file(store: Any, damage: bytes) -> None:
    import obstore

    log = Log(store, "views/v")
    obstore.put(store, log.path(1), damage)
    with pytest.raises(SeamlineError) as caught:
        log.read(1)
    assert caught.value.condition is Condition.LEDGER_FORMAT
    assert caught.value.where == log.path(1)


def test_keys_of_a_newer_minor_version_are_ignored(store: Any) -> None:
    import json

    import obstore

    log = Log(store, "speed/main")
    raw = json.loads(epoch(1).model_dump_json()) | {"later": True}
    obstore.put(store, log.path(1), json.dumps(raw).encode())
    assert isinstance(log.read(1), Epoch)


def test_a_history_tails_and_survives_removed_beginnings(store: Any) -> None:
    log = Log(store, "speed/main")
    writer = Writer.take(log, claim("w"))
    history = SpeedHistory(log)
    assert history.claim is not None
    for number in (1, 2, 3):
        writer.put(epoch(number))
    assert history.catch_up()
    assert not history.catch_up()
    assert history.last_epoch == 3
    assert history.origin == Frontier()
    log.remove(1)
    log.remove(2)
    assert SpeedHistory(log).last_epoch == 3
    assert sorted(SpeedHistory(log).epochs) == [2, 3]


def test_a_history_reads_over_an_entry_that_is_missing_between_two(store: Any) -> None:
    log = Log(store, "speed/main")
    for number in (1, 2, 3):
        log.put(number, epoch(number))
    log.remove(2)
    assert sorted(SpeedHistory(log).epochs) == [1, 3]
    assert History(log).number == 3
