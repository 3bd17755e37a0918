"""What is remembered for dedup, against the rule in plain Python: identities that share halves, copies, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.frontier import START
from seamline.streaming import remembered as module
from seamline.streaming.plan import DecodingPlan
from seamline.streaming.remembered import Generation, Kept, Remembered, generations
from seamline.streaming.runs import GROWTH
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


def batch_at(minutes: int, count: int) -> list[tuple[Id, int, str, int]]:
    """So many identities of their own, at one minute."""
    return [((minutes * 10_000 + n * 7919 % 10_007, n), 0, "a@1", SECOND + 60 * minutes) for n in range(count)]


def test_what_is_read_from_files_is_what_was_remembered_generation_by_generation() -> None:
    lived, parts, starts = opened("d"), [], {n: START for n in range(1, 41)}
    for number in range(1, 41):
        batch = table(batch_at(10 * number, 500))
        lived.read(number, START, batch, NOW + timedelta(days=1))
        columns = [*batch.select(["hi", "lo", "seen"]).columns, pa.array([number] * 500, pa.uint32())]
        parts.append(pa.table(columns, names=["hi", "lo", "seen", "epoch"]))
    loaded = generations(pa.concat_tables(parts[::-1]), starts, 3600, SECOND * 2)
    wanted = lived.kept["d"].generations
    assert [(one.first, one.began, one.needed, len(one)) for one in loaded] == [
        (one.first, one.began, one.needed, len(one)) for one in wanted
    ]
    again = opened("d")
    again.kept["d"] = replace(again.kept["d"], generations=tuple(loaded))
    for number in range(1, 41):
        assert again.find_duplicates(table(batch_at(10 * number, 500))).num_rows == 500
    latest = SECOND + 60 * 400
    for one in (lived, again):
        one.forget(lambda topic: latest, latest)
        assert (one.since, len(one)) == (34, 500 * 7), "an hour and an eighth, in generations of ten minutes"


def test_no_more_ids_are_remembered_than_the_bound_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2_000)
    remembered = opened("d")
    for number in range(1, 9):
        remembered.read(number, START, table(batch_at(10 * number, 500)), NOW + timedelta(days=1))
    remembered.forget(lambda topic: None, SECOND)
    assert (remembered.since, len(remembered)) == (5, 2_000)


def test_runs_stay_few_however_many_batches_come_and_an_id_takes_20_bytes() -> None:
    remembered = opened("d")
    for n in range(500):
        remembered.read(n + 1, START, table([((n * 7919 % 1000, 1), 0, "a@1", SECOND)]), NOW)
    (generation,) = remembered.kept["d"].generations
    assert len(remembered) == 500
    assert all(len(older) >= GROWTH * len(newer) for older, newer in pairwise(generation.runs))
    assert sum(array.nbytes for run in generation.runs for array in (run.hi, run.lo, run.seen)) == 500 * 20
