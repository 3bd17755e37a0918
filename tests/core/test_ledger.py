"""Law 4: one commit. An entry is put if absent, by one writer, and never under the next number instead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError
from obstore.store import LocalStore, MemoryStore
from tenacity import stop_after_attempt, wait_none

from seamline import objects
from seamline.entries.base import FORMAT, Claim
from seamline.entries.speed import Epoch, Retired
from seamline.entries.views import Published
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier, Partition
from seamline.hints import place
from seamline.history.base import History
from seamline.history.speed import SpeedHistory
from seamline.ledger import Log, Writer
from seamline.streaming.speed.compact import due

NOW = datetime(2026, 1, 1, tzinfo=UTC)


WHOLE = b'{"format": 1, "kind": "claim", "holder": "w", "at": "2026-01-01T00:00:00Z"}'
TORN = (b"", WHOLE[:20], WHOLE[:-1], bytes(len(WHOLE)))
"""What a disk may hold of an entry that was not written through when the power went."""


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


def test_a_log_is_empty_until_something_is_put_and_no_other_file_is_an_entry(store: Any) -> None:
    log = Log(store, "speed/main")
    assert (log.first(), log.last(), log.numbers(), log.read(1)) == (1, 0, [], None)
    for name in ("notes.json", "12345678.txt", "7.json.bak"):
        obstore.put(store, f"ledger/speed/main/{name}", WHOLE)
    assert (log.first(), log.last()) == (1, 0)
    assert log.path(7) == "ledger/speed/main/00000000000000000007.json"
    log.put(7, epoch(1))
    assert (log.first(), log.last()) == (7, 7)


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
    assert "claim by new at 2026-01-01" in str(caught.value)
    assert SpeedHistory(log).last_epoch == 1


def test_a_writer_knows_its_newest_entry_and_whether_its_claim_is_lost(store: Any) -> None:
    log = Log(store, "speed/main")
    writer = Writer.take(log, claim("one"))
    assert (writer.last, writer.put(epoch(1)), writer.last) == (1, 2, 2)
    writer.check()
    Writer.take(log, claim("other"))
    with pytest.raises(SeamlineError) as caught:
        writer.check()
    assert caught.value.condition is Condition.WRITER_CONFLICT
    assert "claim by other" in str(caught.value)
    with pytest.raises(SeamlineError, match="entry 3 of speed/main was put by another attempt"):
        log.put(3, epoch(2))


def test_an_entry_of_a_newer_format_is_refused(store: Any) -> None:
    log = Log(store, "views/v")
    entry = Published(at=NOW, view="v", definitions=(), live=(), served=None, version=None)
    obstore.put(store, log.path(1), entry.model_copy(update={"format": FORMAT + 1}).model_dump_json().encode())
    with pytest.raises(SeamlineError) as caught:
        log.read(1)
    assert caught.value.condition is Condition.LEDGER_FORMAT
    assert "upgrade" in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1, "kind": "nonsense"}'])
def test_a_damaged_entry_is_an_error_that_names_the_file(store: Any, damage: bytes) -> None:
    log = Log(store, "views/v")
    obstore.put(store, log.path(1), damage)
    log.put(2, epoch(1))
    for use in (lambda: log.read(1), lambda: log.put(1, epoch(1))):
        with pytest.raises(SeamlineError) as caught:
            use()
        assert caught.value.condition is Condition.LEDGER_FORMAT
        assert caught.value.where == log.path(1)
    obstore.delete(store, log.path(2))
    obstore.put(store, log.path(2), WHOLE.replace(b'"format": 1, ', b""))
    assert isinstance(log.read(2), Claim), "an entry that does not say its format is of the first"


@pytest.mark.parametrize("torn", TORN)
@pytest.mark.parametrize("after", [0, 1])
def test_a_last_entry_that_is_not_whole_was_never_put_and_its_number_is_taken_by_the_next(
    tmp_path: Path, torn: bytes, after: int
) -> None:
    log = Log(LocalStore(str(tmp_path)), "speed/main")
    old = Writer.take(log, claim("old"))
    old.put(epoch(1))
    for number in range(3, 4 + after):
        obstore.put(log.store, log.path(number), torn)
    assert (log.last(), log.read(3), SpeedHistory(log).last_epoch) == (2, None, 1)
    writer = Writer.take(log, claim("new"))
    assert writer.claim == 3
    assert writer.put(epoch(2)) == 4
    assert [n for n, _ in log.entries()] == [1, 2, 3, 4]
    assert SpeedHistory(log).last_epoch == 2
    with pytest.raises(SeamlineError) as caught:
        old.put(epoch(2))
    assert caught.value.condition is Condition.WRITER_CONFLICT


def test_an_entry_that_is_put_while_a_torn_one_is_read_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, get = Log(LocalStore(str(tmp_path)), "speed/main"), obstore.get
    obstore.put(log.store, log.path(1), b"{")

    def overtaken(*given: Any) -> Any:
        torn = get(*given)
        monkeypatch.setattr(obstore, "get", get)
        log.put(1, epoch(1))
        return torn

    monkeypatch.setattr(obstore, "get", overtaken)
    assert log.read(1) is None, "at this look nothing stood there"
    assert isinstance(log.read(1), Epoch)


def test_of_many_that_find_an_entry_torn_one_puts_its_own_and_the_others_are_refused(tmp_path: Path) -> None:
    log = Log(LocalStore(str(tmp_path)), "views/v")
    for number in range(1, 30):
        obstore.put(log.store, log.path(number), b"{")

        def attempt(_: int, number: int = number) -> bool:
            try:
                log.put(number, epoch(number))
            except SeamlineError as error:
                assert error.condition is Condition.LEDGER_CONFLICT
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(8))) == 1
    assert log.last() == 29


def test_a_put_that_is_refused_where_nothing_stands_is_tried_again_under_the_same_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S3 answers 409 to one of two conditional puts that meet, though the other may fail as well."""
    log, put, tries = Log(MemoryStore(), "speed/main"), obstore.put, 0

    def contended(store: Any, path: str, *given: Any, **named: Any) -> Any:
        nonlocal tries
        tries += path == log.path(1)
        if tries < 3:
            raise AlreadyExistsError("409 ConditionalRequestConflict")
        return put(store, path, *given, **named)

    monkeypatch.setattr(obstore, "put", contended)
    log.put(1, epoch(1))
    assert (tries, log.last()) == (3, 1)


@pytest.mark.parametrize("call", ["put", "get", "list", "list_with_delimiter", "head", "delete"])
@pytest.mark.parametrize("lasts", [False, True])
def test_a_store_that_fails_is_asked_again_and_one_that_fails_for_long_is_told(
    monkeypatch: pytest.MonkeyPatch, call: str, lasts: bool
) -> None:
    log, whole, asked = Log(MemoryStore(), "speed/main"), getattr(obstore, call), 0
    log.put(1, epoch(1))

    def failing(*given: Any, **named: Any) -> Any:
        nonlocal asked
        if given[1:2] != (place(log.name),):  # a hint of an entry is tried once
            asked += 1
            if asked == 1 or lasts:
                raise GenericError("away\nand more of it")
        return whole(*given, **named)

    for one in (objects.put_if_absent, objects.get, objects.paths, objects.folders, objects.stands, objects.delete):
        monkeypatch.setattr(one.retry, "wait", wait_none())  # type: ignore[attr-defined]
        monkeypatch.setattr(one.retry, "stop", stop_after_attempt(3))  # type: ignore[attr-defined]
    monkeypatch.setattr(obstore, call, failing)
    uses = {
        "put": lambda: log.put(2, epoch(2)), "get": lambda: log.read(1), "list": log.last,
        "list_with_delimiter": lambda: objects.folders(log.store, "ledger/"), "head": lambda: log.put(1, epoch(1)),
        "delete": lambda: log.remove(1),
    }  # fmt: skip
    if not lasts and call != "head":
        uses[call]()
        assert (asked, log.last()) == (2, {"put": 2, "delete": 0}.get(call, 1))
        return
    with pytest.raises(SeamlineError) as caught:
        uses[call]()
    if not lasts:
        assert (asked, caught.value.condition) == (2, Condition.LEDGER_CONFLICT)
        return
    assert caught.value.condition is Condition.STORE_UNAVAILABLE
    assert caught.value.message == "away"
    assert asked % 3 == 0


def test_a_store_without_a_folder_has_no_disk() -> None:
    assert objects.local_disk(LocalStore()) is objects.local_disk(MemoryStore()) is None


def test_a_writer_that_wakes_after_retention_has_passed_it_is_refused(store: Any) -> None:
    log = Log(store, "speed/main")
    asleep = Writer.take(log, claim("asleep"))
    asleep.put(epoch(1))
    for holder in ("second", "third"):
        writer = Writer.take(log, claim(holder))
    for number in range(2, 10):
        writer.put(epoch(number))
    writer.put(Retired(at=NOW - timedelta(days=1), claim=writer.claim, last=8))
    history = SpeedHistory(log)
    swept = [one.number for one in due(history.superseded.values(), history.number, NOW)]
    assert len(swept) == 8, "epochs go, claims stay"
    for number in swept:
        log.remove(number)
    with pytest.raises(SeamlineError) as caught:
        asleep.put(epoch(2))
    assert caught.value.condition is Condition.WRITER_CONFLICT
    assert sorted(SpeedHistory(log).epochs) == [9]


def test_a_run_that_wakes_after_retention_has_removed_its_number_is_refused(store: Any) -> None:
    log = Log(store, "batch/d")
    for number in range(1, 6):
        log.put_last(number, epoch(number))
    for number in range(1, 4):
        log.remove(number)
    for number in (1, 3, 7):
        with pytest.raises(SeamlineError) as caught:
            log.put_last(number, epoch(number))
        assert caught.value.condition is Condition.LEDGER_CONFLICT
    last = log.read(5)
    assert last is not None
    log.put_last(5, last)  # its answer was lost
    log.put_last(6, epoch(6))
    assert [n for n, _ in log.entries()] == [4, 5, 6]


def test_keys_of_a_newer_minor_version_are_ignored(store: Any) -> None:
    import json

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
