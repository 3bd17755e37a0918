"""Which epochs must stand: whatever a chain may have to start from, and nothing for a view that cannot use it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from obstore.store import MemoryStore

from seamline.entries.base import Claim
from seamline.entries.batch import Reserved, Version
from seamline.entries.speed import Compacted, Epoch
from seamline.entries.views import Published
from seamline.frontier import START, Frontier, Partition
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.kernel import KERNEL_VERSION
from seamline.ledger import Log, Writer
from seamline.schemas.views.properties import Keep
from seamline.streaming.speed.compact import needed_cuts, plan_retirement

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WEEK = timedelta(days=7)
LATER = NOW + 2 * WEEK


def end(number: int) -> Frontier:
    return Frontier({Partition("t@1", 0): 10 * number})


class Stream:
    """A speed log whose epochs list the definitions that they are given, and the batch logs of those."""

    def __init__(self, *epochs: str) -> None:
        self.writer = Writer.take(Log(MemoryStore(), "speed/main"), Claim(at=NOW, holder="test"))
        for number, listed in enumerate(epochs, 1):
            self.writer.put(
                Epoch(
                    at=NOW + timedelta(minutes=number), number=number, claim=self.writer.claim, start=end(number - 1),
                    end=end(number), files=dict.fromkeys(listed),
                )
            )  # fmt: skip
        self.batches = {name: Log(MemoryStore(), f"batch/{name}") for name in "ab"}

    def version(self, definition: str, cut: int) -> None:
        log = self.batches[definition]
        version = Version(
            at=NOW, run="r", cut=end(cut), base=None, complete=True, units={}, archive_entry=1, kernel=KERNEL_VERSION
        )
        log.put(log.last() + 1, version)

    def reserve(self, definition: str, cut: int) -> None:
        log = self.batches[definition]
        log.put(log.last() + 1, Reserved(at=NOW, run="new", cut=end(cut), until=LATER + WEEK, archive_entry=1))

    def cuts(self, served: Sequence[tuple[str, int | None]], archived: Frontier, live: str = "ab") -> list[Frontier]:
        states = [
            Published(at=NOW, view=name, definitions=(), live=(name,), served=name, version=number)
            for name, number in served
        ]
        batches = {name: BatchHistory(log) for name, log in self.batches.items()}
        keeps = dict.fromkeys(live, Keep(versions=1))
        return needed_cuts(live, states, batches, SpeedHistory(self.writer.log), keeps, archived, LATER)

    def retired(self, served: Sequence[tuple[str, int | None]], archived: Frontier, live: str = "ab") -> int:
        """The last epoch that goes, long after all retention."""
        cuts = self.cuts(served, archived, live)
        planned = plan_retirement(SpeedHistory(self.writer.log), cuts, LATER, WEEK, timedelta(0), None)
        return planned[0] if planned else 0


def test_a_view_served_from_the_origin_keeps_every_epoch() -> None:
    assert Stream(*["a"] * 8).retired([("a", None)], end(8), live="a") == 0


def test_a_second_view_that_never_had_a_version_keeps_epochs_from_the_newest_cut_it_could_have_only() -> None:
    stream = Stream("a", "a", "a", *["ab"] * 6)
    stream.version("a", 8)
    served: list[tuple[str, int | None]] = [("a", 1), ("b", None)]
    assert stream.retired(served, end(6)) == 6
    assert stream.retired(served, end(9)) == 8, "no further than the served version"
    assert stream.retired(served, end(1)) == 3, "an archive that stands still: its first cut may be where it began"


def test_a_view_that_came_back_without_a_version_waits_like_a_second_one() -> None:
    stream = Stream("ab", "a", "a", "ab", "ab", "ab")
    stream.version("a", 6)
    assert stream.retired([("a", 1), ("b", None)], end(5)) == 5


def test_a_definition_that_the_newest_epoch_does_not_list_needs_nothing_of_before() -> None:
    stream = Stream(*["a"] * 5)
    stream.version("a", 5)
    assert stream.retired([("a", 1), ("b", None)], end(5)) == 4


@pytest.mark.parametrize("reserved", [2, 4])
def test_a_cut_that_is_reserved_for_a_first_version_keeps_its_epochs_however_far_the_archive_has_come(
    reserved: int,
) -> None:
    stream = Stream("a", *["ab"] * 8)
    stream.version("a", 9)
    stream.reserve("b", reserved)
    assert stream.retired([("a", 1), ("b", None)], end(9)) == reserved


def test_a_first_cut_stays_possible_after_the_epochs_before_it_have_gone() -> None:
    """What is retired now takes no cut away that would have been chosen later."""
    for archived in range(10):
        stream = Stream("a", "a", *["ab"] * 7)
        stream.version("a", 9)
        gone = stream.retired([("a", 1), ("b", None)], end(archived))
        possible = [end(number) for number in range(2, 10) if end(number) <= end(archived)] or [end(2)]
        assert end(gone) <= possible[-1]


def test_a_chain_from_the_origin_stands_where_only_a_compacted_segment_says_where_that_was() -> None:
    stream = Stream(*["a"] * 4)
    files = {"a": None}
    stream.writer.put(Compacted(at=NOW, claim=1, first=1, last=3, start=START, end=end(3), files=files))
    for number in (2, 3, 4):
        stream.writer.log.remove(number)
    assert START in stream.cuts([("a", None)], end(4), live="a")
