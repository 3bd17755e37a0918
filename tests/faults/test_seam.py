"""Holes and overlaps in what epochs cover: named with their range, never a number, and mended by a batch version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from clocks import Moved
from field import Field, orders
from reader import Ask, Reader, as_seen, library
from waiting import wait_until

from seamline.attempts import new_attempt
from seamline.cli.main import execute
from seamline.entries.speed import Epoch
from seamline.errors import Condition, SeamlineError
from seamline.history.speed import SpeedHistory
from seamline.ledger import Log

WHOLE = 'SELECT * FROM "sales"'
HOLES = frozenset({Condition.VIEW_NOT_READY, Condition.SEAM_HOLE})
BROKEN = HOLES | {Condition.SEAM_OVERLAP}


def refusal(ask: Ask) -> SeamlineError:
    """What is said instead of a number, perhaps only after a look beyond what is missing."""
    told: list[SeamlineError] = []

    def refused() -> bool:
        try:
            ask(WHOLE)
        except SeamlineError as error:
            told.append(error)
        return bool(told)

    wait_until(refused, 60, "a refusal")
    return told[0]


def agree(here: Field, reader: Reader, *others: Ask) -> None:
    """All answer alike, over everything that was sent. Others than the reader may miss an entry in their counts."""
    seen = reader.reaches(here.topic.end)
    wait_until(lambda: reader.seen[-1].version != seen.version or reader.seen[-1] is not seen, 30, "an answer")
    for ask in others:
        assert as_seen(ask(WHOLE), "sales") == reader.seen[-1]


def entry_file(here: Field, number: int) -> tuple[Path, Epoch]:
    """The ledger's file of an epoch, on disk."""
    log: Log = here.lake.speed_log("main")
    at, epoch = next((n, e) for n, e in log.entries() if isinstance(e, Epoch) and e.number == number)
    return Path(here.lake.uri) / log.path(at), epoch


def condition(error: BaseException) -> Condition | None:
    """An error's stable name."""
    return error.condition if isinstance(error, SeamlineError) else None


def seam_cli(here: Field, *words: str) -> int:
    """`seamline WORDS` on the project."""
    return execute([*words, "--project", str(here.project.folder)])


def epoch(here: Field, reader: Reader, name: str) -> None:
    """One more epoch."""
    here.send(*orders(1, name))
    reader.reaches(here.topic.end)


def test_a_view_that_was_dropped_for_some_epochs_has_a_hole_until_its_next_version(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    text = here.project.folder / "views" / "sales.sql"
    kept = text.read_text()
    dropped = HOLES | {Condition.VIEW_UNKNOWN}
    with here.read(allowed=dropped) as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*orders(50, "before"))
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        first = here.batch(spark).refresh("sales").version
        wait_until(lambda: reader.seen[-1].version == first, 30, "the version is served")

        assert seam_cli(here, "views", "drop", "sales") == 2, "what stands in views/ would come back by itself"
        text.unlink()
        assert seam_cli(here, "views", "drop", "sales") == 0
        wait_until(lambda: reader.refused[-1:] == [Condition.VIEW_UNKNOWN], 30, "it is served no more")
        assert here.batch(spark).refresh("sales").version is None
        here.send(*orders(50, "meanwhile"))
        wait_until(here.archived(), 90, "all archived")
        history = SpeedHistory(here.lake.speed_log("main"))
        wait_until(lambda: (history.catch_up(), history.frontier)[1] == here.topic.end, 60, "an epoch without it")

        text.write_text(kept)
        here.apply()
        wait_until(lambda: reader.refused[-1] is Condition.SEAM_HOLE, 30, "the hole is named")
        assert set(reader.asks()) == {Condition.SEAM_HOLE}
        assert refusal(library(here.project)).where == f"({history.epochs[2].start}] to ({here.topic.end}]"
        here.send(*orders(50, "after"))
        wait_until(here.archived(), 90, "all archived")
        assert set(reader.asks()) == {Condition.SEAM_HOLE}, "never a number that lacks what came meanwhile"
        second = here.batch(spark).refresh("sales").version
        reader.reaches(here.topic.end)
        here.send(*orders(50, "at last"))
        reader.reaches(here.topic.end)
    assert not failed + also_failed
    assert {seen.version for seen in reader.seen} == {None, first, second}


def test_an_entry_that_is_missing_is_a_hole_until_a_batch_version_covers_its_range(
    field: Callable[..., Field], spark: Any
) -> None:
    here, clock = field(), Moved()
    batch = here.batch(spark, clock)
    with here.read() as reader, here.speed(spark, clock) as failed, here.archive(spark) as also_failed:
        epoch(here, reader, "a")
        wait_until(here.archived(), 90, "all archived")
        batch.refresh("sales")
        asleep = library(here.project, clock)
        for name in "bcd":
            epoch(here, reader, name)
        path, lost = entry_file(here, 3)
        path.unlink()
        clock.by = timedelta(minutes=1)
        told = [refusal(library(here.project)), refusal(asleep)]
        assert [one.condition for one in told] == [Condition.SEAM_HOLE] * 2
        assert {one.where for one in told} == {f"({lost.start}] to ({lost.end}]"}
        epoch(here, reader, "e")  # whoever has read the entry goes on: what it holds is the truth
        wait_until(here.archived(), 90, "all archived")
        assert batch.refresh("sales").version is not None, "whoever has read the missing epoch remembers its ids"
        epoch(here, reader, "f")
        agree(here, reader, library(here.project), asleep)
    assert not failed + also_failed


def test_entries_that_overlap_are_named_and_give_no_number_until_a_batch_version_replaces_them(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    with here.read(allowed=BROKEN) as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        for name in "abc":
            epoch(here, reader, name)
        path, damaged = entry_file(here, 3)
        _, before = entry_file(here, 2)
        path.write_text(damaged.model_copy(update={"start": before.start}).model_dump_json())
        told = refusal(library(here.project))
        assert told.condition is Condition.SEAM_OVERLAP
        assert told.where == f"({before.start}] to ({before.end}]"
        epoch(here, reader, "d")
        wait_until(here.archived(), 90, "all archived")
        assert here.batch(spark).refresh("sales").version is not None
        agree(here, reader, library(here.project))

        epoch(here, reader, "e")
        _, last = entry_file(here, 5)
        forged = last.model_copy(update={"number": 6, "attempt": new_attempt(), "counts": {}, "ids": None})
        log = here.lake.speed_log("main")
        log.put(log.last() + 1, forged)
        wait_until(lambda: reader.refused[-1:] == [Condition.SEAM_OVERLAP], 30, "the overlap is seen")
        assert set(reader.asks()) == {Condition.SEAM_OVERLAP}
        here.send(*orders(1, "f"))
        wait_until(lambda: failed, 60, "the speed process, whose number was taken, stops")
        assert condition(failed.pop()) is Condition.WRITER_CONFLICT
        wait_until(here.archived(), 90, "all archived")
        assert here.batch(spark).refresh("sales").version is not None
        with here.speed(spark):
            reader.reaches(here.topic.end)
            agree(here, reader, library(here.project))
    assert not failed + also_failed
