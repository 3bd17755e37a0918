"""What is remembered for dedup, against the rule in plain Python: identities that share halves, copies, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.frontier import START, Frontier, Partition
from seamline.streaming.speed import dedup as module
from seamline.streaming.speed.dedup import Generation, Kept, Remembered, generations
from seamline.streaming.speed.runs import GROWTH, IdentityRun
from seamline.streaming.stream_plan import DecodingPlan
from seamline.streaming.tasks import IDS

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECOND = int(NOW.timestamp())
HOUR = timedelta(hours=1)
PLAN = DecodingPlan("d", "clicks", ("a",), "", HOUR, identity="i")

Id = tuple[int, int]
IDENTITY = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2**64 - 1]))
"""So few halves that many identities share one."""
SEEN = st.one_of(st.just(0), st.integers(-150, 150).map(lambda minutes: SECOND + 60 * minutes))
"""Of Kafka timestamps: 0 is none."""
BATCH = st.lists(st.tuples(IDENTITY, st.integers(0, 1), st.sampled_from(["b@1", "a@1"]), SEEN), max_size=12)


def table(batch: Sequence[tuple[Id, int, str, int]], first: int = 0, decoding: str = "d") -> pa.Table:
    """Rows like IDS, offsets from `first` on in the order of the batch."""
    rows = [
        {"decoding": decoding, "hi": hi, "lo": lo, "source": source, "partition": at, "offset": first + n, "seen": seen}
        for n, ((hi, lo), at, source, seen) in enumerate(batch)
    ]
    return pa.Table.from_pylist(rows, schema=IDS)


def opened(*decodings: str) -> Remembered:
    """Nothing is remembered yet."""
    found = Remembered()
    for one in decodings:
        found.kept[one] = Kept(replace(PLAN, decoding=one), ((1, one),), True, (Generation(1, START),))
    return found


def near(one: int, other: int) -> bool:
    """The rule of two records' times."""
    return 0 in (one, other) or abs(one - other) <= 3600


@given(batches=st.lists(BATCH, max_size=12))
def test_a_copy_is_what_has_one_near_to_it_that_was_read_before(
    batches: list[list[tuple[Id, int, str, int]]],
) -> None:
    remembered, read = opened("d"), list[tuple[Id, int]]()
    for number, batch in enumerate(batches, 1):
        ids = table(batch)
        wanted = set()
        for row in sorted(ids.to_pylist(), key=lambda row: (row["source"], row["partition"], row["offset"])):
            identity = (row["hi"], row["lo"])
            if any(other == identity and near(at, row["seen"]) for other, at in read):
                wanted.add((row["source"], row["partition"], row["offset"]))
            read.append((identity, row["seen"]))
        copies = remembered.find_duplicates(ids)
        assert {(row["source"], row["partition"], row["offset"]) for row in copies.to_pylist()} == wanted
        remembered.read(number, START, ids, NOW + timedelta(days=1))


def test_another_decoding_has_ids_of_its_own_and_no_id_is_no_copy() -> None:
    remembered = opened("d", "e")
    remembered.read(1, START, table([((1, 1), 0, "a@1", SECOND)]), NOW)
    without = pa.Table.from_pylist(
        [{"decoding": "d", "source": "a@1", "partition": 0, "offset": n, "seen": SECOND} for n in (7, 8)], schema=IDS
    )
    assert remembered.find_duplicates(table([((1, 1), 0, "a@1", SECOND)], decoding="e")).num_rows == 0
    assert remembered.find_duplicates(without).num_rows == 0
    assert remembered.find_duplicates(table([((1, 1), 0, "a@1", SECOND)], first=9)).num_rows == 1


def batch_at(seconds: int, count: int) -> list[tuple[Id, int, str, int]]:
    """So many identities of their own, at one second."""
    return [((seconds * 10_000 + n * 7919 % 10_007, n), 0, "a@1", SECOND + seconds) for n in range(count)]


def place(number: int) -> Frontier:
    return Frontier({Partition("a@1", 0): 500 * number})


@pytest.mark.parametrize(("step", "left"), [(600, 7), (150, 28)])
def test_what_is_read_from_files_is_what_was_remembered_generation_by_generation(step: int, left: int) -> None:
    """By steps of 10 minutes each epoch is a generation, by steps of 150 seconds four are: an eighth of an hour."""
    lived, parts, starts = opened("d"), [], {n: place(n) for n in range(1, 42)}
    for number in range(1, 41):
        batch = table(batch_at(step * number, 500))
        lived.read(number, place(number), batch, NOW + timedelta(days=1))
        columns = [*batch.select(["hi", "lo", "seen"]).columns, pa.array([number] * 500, pa.uint32())]
        parts.append(pa.table(columns, names=["hi", "lo", "seen", "epoch"]))
    loaded = generations(pa.concat_tables(parts[::-1]), starts, 3600, SECOND * 2)
    wanted = lived.kept["d"].generations
    assert [(one.first, one.began, one.needed, len(one)) for one in loaded] == [
        (one.first, one.began, one.needed, len(one)) for one in wanted
    ]
    assert [one.start for one in loaded[1:]] == [one.start for one in wanted[1:]]
    assert (loaded[0].start, wanted[0].start) == (place(1), START)
    again = opened("d")
    again.kept["d"] = replace(again.kept["d"], generations=tuple(loaded))
    for number in range(1, 41):
        assert again.find_duplicates(table(batch_at(step * number, 500))).num_rows == 500
    latest = SECOND + step * 40
    for one in (lived, again):
        one.forget(lambda topic: latest, latest)
        assert (one.since, len(one)) == (41 - left, 500 * left), "an hour and an eighth, by whole generations"


def test_where_nothing_was_read_what_is_remembered_begins_at_the_first_start() -> None:
    assert generations(pa.table({"epoch": pa.array([], pa.uint32())}), {4: place(4), 3: place(3)}, 3600, SECOND) == [
        Generation(3, place(3))
    ]


def kept(*needed: int, spans: tuple[tuple[int, str], ...] = ((1, "d"),), **named: Any) -> Kept:
    """Generations from epoch 1, 2, … on, each with one id, needed at so many seconds after the beginning."""
    made = []
    for number, at in enumerate(needed, 1):
        ids = IdentityRun(*(np.array([number], kind) for kind in (np.uint64, np.uint64, np.uint32)))
        made.append(Generation(number, place(number), SECOND + at, SECOND + at, (ids,)))
    return Kept(PLAN, spans, named.pop("whole", True), tuple(made), **named)


LONG = 3600 + 450
"""A horizon and an eighth."""


def test_a_generation_is_forgotten_once_the_topics_time_is_a_horizon_and_an_eighth_beyond_all_it_holds() -> None:
    lived = kept(0, 500, 1000)
    assert lived.at(SECOND + LONG, SECOND) == lived
    assert [one.first for one in lived.at(SECOND + LONG + 1, SECOND).generations] == [2, 3]
    assert [one.first for one in lived.at(SECOND + LONG + 501, SECOND).generations] == [3]
    assert [one.first for one in lived.at(SECOND * 2, SECOND).generations] == [3], "the newest stays"
    assert lived.at(None, SECOND) == lived, "nobody knows the time"
    assert (lived.forgets(SECOND + LONG), lived.forgets(SECOND + LONG + 1)) == (False, True)


def test_what_is_lacking_lacks_nothing_once_the_topics_time_is_as_far_beyond_where_it_began() -> None:
    begun = kept(0, whole=False).at(None, SECOND)
    assert (begun.whole, begun.lacking) == (False, SECOND)
    assert begun.at(None, SECOND + 999) == begun, "where it began is known once"
    assert not begun.at(SECOND + LONG, SECOND).whole
    assert begun.at(SECOND + LONG + 1, SECOND).whole
    assert not kept(0, whole=False).at(SECOND * 2, 0).whole, "no time was read yet"


def test_spans_are_forgotten_with_the_epochs_that_went_by_them() -> None:
    spans = ((1, "old"), (2, "older"), (4, "d"))
    lived = kept(0, 1, 2, 3, spans=spans)
    found = [lived]
    for _ in range(3):
        found.append(found[-1].without_oldest())
    assert [one.spans for one in found] == [spans, spans[1:], ((3, "older"), (4, "d")), ((4, "d"),)]


def test_another_decoding_goes_on_with_what_is_remembered_from_its_first_epoch_on() -> None:
    other = replace(PLAN, decoding="e")
    assert kept(0, spans=((1, "c"), (3, "d"))).inherited(other, 5).spans == ((1, "c"), (3, "d"), (5, "e"))
    assert kept(0, spans=((1, "c"), (5, "d"))).inherited(other, 5).spans == ((1, "c"), (5, "e"))


def test_a_longer_horizon_may_reach_back_beyond_what_is_remembered() -> None:
    hours = [HOUR / 2, HOUR, HOUR * 2]
    assert [kept(0).followed(replace(PLAN, horizon=one)).whole for one in hours] == [True, True, False]
    assert not kept(0, whole=False).followed(PLAN).whole


def test_an_epoch_says_from_where_on_the_decodings_own_topics_are_remembered() -> None:
    both = Frontier({Partition("a@1", 0): 5, Partition("b@1", 0): 6})
    said = Kept(PLAN, ((3, "d"),), True, (Generation(3, both), Generation(4, START))).entry
    assert (said.start, said.spans, said.since, said.horizon) == (both.only(["a@1"]), ((3, "d"),), 3, 3600)
    remembered = opened("d", "e")
    remembered.kept["e"] = replace(remembered.kept["e"], spans=((7, "e"), (9, "f")))
    assert (remembered.since, Remembered().since) == (1, None)


def test_timestamps_count_as_far_ahead_as_kafka_allows_and_no_further() -> None:
    for ahead, needed in ((1800, 1800), (7200, 3600)):
        remembered = opened("d")
        remembered.read(1, START, table([((1, 1), 0, "a@1", SECOND + ahead)]), NOW)
        remembered.read(2, START, table([((2, 2), 0, "a@1", SECOND)]), NOW)
        (generation,) = remembered.kept["d"].generations
        assert (generation.began, generation.needed) == (SECOND + needed, SECOND + needed)


def test_nothing_is_looked_through_while_nothing_could_change() -> None:
    remembered = opened("d")
    assert not remembered.may_forget(SECOND * 2)
    remembered.kept["d"] = kept(0, 500)
    assert [remembered.may_forget(SECOND + LONG + more) for more in (0, 1)] == [False, True]
    remembered.kept["d"] = kept(0, whole=False)
    assert remembered.may_forget(SECOND)


def test_no_more_ids_are_remembered_than_the_bound_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2_000)
    remembered = opened("d")
    for number in range(1, 9):
        remembered.read(number, START, table(batch_at(600 * number, 500)), NOW + timedelta(days=1))
    assert remembered.may_forget(0)
    remembered.forget(lambda topic: None, SECOND)
    assert (remembered.since, len(remembered)) == (5, 2_000)
    assert not remembered.may_forget(0)


def test_of_the_decodings_that_remember_too_much_the_largest_forgets_and_none_its_newest_epochs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remembered = opened("d", "e", "f")
    for number in range(1, 5):
        for decoding, count in (("d", 300), ("e", 100), ("f", 0)):
            batch = table(batch_at(600 * number, count), decoding=decoding)
            remembered.kept[decoding] = remembered.kept[decoding].read(
                number, START, IdentityRun.of(*(batch[name].to_numpy() for name in ("hi", "lo", "seen"))), SECOND * 2
            )
    for most, left in ((1600, (1200, 400)), (1300, (900, 400)), (700, (300, 400)), (1, (300, 100))):
        monkeypatch.setattr(module, "MOST", most)
        remembered.forget(lambda topic: None, SECOND)
        assert tuple(len(remembered.kept[decoding]) for decoding in "de") == left


def test_runs_stay_few_however_many_batches_come_and_an_id_takes_20_bytes() -> None:
    remembered = opened("d")
    for n in range(500):
        remembered.read(n + 1, START, table([((n * 7919 % 1000, 1), 0, "a@1", SECOND)]), NOW)
    (generation,) = remembered.kept["d"].generations
    assert len(remembered) == 500
    assert all(len(older) >= GROWTH * len(newer) for older, newer in pairwise(generation.runs))
    assert sum(array.nbytes for run in generation.runs for array in (run.hi, run.lo, run.seen)) == 500 * 20
