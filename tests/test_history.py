"""Since when ids are remembered without a gap: retirement makes none, a lost epoch does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from obstore.store import MemoryStore

from seamline.entries import Claim, Compacted, Epoch, Retired
from seamline.frontier import Frontier, Partition
from seamline.history import ALWAYS, SpeedHistory
from seamline.ledger import Log, Writer
from seamline.streaming.epoch import remembered

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def at(number: int) -> datetime:
    return NOW + timedelta(minutes=number)


def end(number: int) -> Frontier:
    return Frontier({Partition("t@1", 0): number})


class Stream:
    """A speed log of epochs, of which each reads the decodings it is given."""

    def __init__(self, *epochs: str) -> None:
        self.log = Log(MemoryStore(), "speed/main")
        self.writer = Writer.take(self.log, Claim(at=NOW, holder="test"))
        before = None
        for number, decodings in enumerate(epochs, 1):
            before = Epoch(
                at=at(number), number=number, claim=self.writer.claim, start=end(number - 1), end=end(number), files={},
                decodings=tuple(decodings), remembered=remembered(before, decodings, at(number)),
            )  # fmt: skip
            self.writer.put(before)

    def since(self, decoding: str) -> datetime | None:
        return SpeedHistory(self.log).remembered_since(decoding)


def test_ids_are_remembered_since_the_origin_or_since_the_first_epoch_that_read_their_decoding() -> None:
    stream = Stream("a", "a", "ab", "ab")
    assert (stream.since("a"), stream.since("b"), stream.since("c")) == (ALWAYS, at(3), None)


def test_a_decoding_that_was_not_read_for_a_while_is_remembered_since_it_came_back() -> None:
    assert Stream("ab", "a", "ab", "ab").since("b") == at(3)


@pytest.mark.parametrize("replaced", [((2, 3),), ()])
def test_retired_epochs_are_no_gap(replaced: tuple[tuple[int, int], ...]) -> None:
    stream = Stream("a", "ab", "ab", "ab", "ab")
    claim = stream.writer.claim
    stream.writer.put(Compacted(at=NOW, claim=claim, first=2, last=3, start=end(1), end=end(3), files={}))
    stream.writer.put(Retired(at=NOW, claim=claim, last=0 if replaced else 3, replaced=replaced))
    assert (stream.since("a"), stream.since("b")) == (ALWAYS, at(2))


def test_a_lost_epoch_is_a_gap() -> None:
    stream = Stream("a", "a", "a", "a")
    stream.log.remove(stream.writer.claim + 3)
    assert stream.since("a") == at(4)
