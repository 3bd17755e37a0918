"""What is remembered for dedup, against a plain set: identities that share halves, copies, restarts, forgetting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from seamline.kernel import kernel
from seamline.streaming.remembered import GROWTH, Remembered
from seamline.streaming.tasks import IDS, POSITIONS

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)

Id = tuple[int, int]
IDENTITY = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2**64 - 1]))
"""So few halves that many identities share one."""
BATCH = st.lists(st.tuples(IDENTITY, st.integers(0, 1), st.sampled_from(["b@1", "a@1"])), max_size=12)


def table(batch: list[tuple[Id, int, str]], first: int = 0, decoding: str = "d") -> pa.Table:
    """Rows like IDS, offsets from `first` on in the order of the batch."""
    rows = [
        {"decoding": decoding, "hi": hi, "lo": lo, "source": source, "partition": partition, "offset": first + n}
        for n, ((hi, lo), partition, source) in enumerate(batch)
    ]
    return pa.Table.from_pylist(rows, schema=IDS)


@given(batches=st.lists(BATCH, max_size=12), minutes=st.lists(st.integers(0, 40), min_size=12, max_size=12))
def test_a_copy_is_what_was_counted_within_the_horizon_or_stands_lower_in_the_batch(
    batches: list[list[tuple[Id, int, str]]], minutes: list[int]
) -> None:
    remembered, seen, now = Remembered(kernel()), dict[Id, datetime](), NOW
    remembered.follow("d", HOUR, [], now)
    for batch, wait in zip(batches, minutes, strict=False):
        now += timedelta(minutes=wait)
        remembered.expire(now)
        seen = {one: at for one, at in seen.items() if at >= now - HOUR}
        ids = table(batch)
        wanted, known = set(), set(seen)
        for row in sorted(ids.to_pylist(), key=lambda row: (row["source"], row["partition"], row["offset"])):
            identity = (row["hi"], row["lo"])
            if identity in known:
                wanted.add((row["source"], row["partition"], row["offset"]))
            known.add(identity)
        copies = remembered.find_duplicates(ids)
        found = {(row["source"], row["partition"], row["offset"]) for row in copies.to_pylist()}
        assert found == wanted
        counted = ids.join(copies, keys=POSITIONS.names, join_type="left anti")
        remembered.add(counted, now)
        seen |= {(row["hi"], row["lo"]): now for row in counted.to_pylist()}
        assert len(remembered) == len(seen)


def test_another_decoding_has_ids_of_its_own_and_no_id_is_no_copy() -> None:
    remembered = Remembered(kernel())
    remembered.follow("d", HOUR, [], NOW)
    remembered.follow("e", HOUR, [], NOW)
    remembered.add(table([((1, 1), 0, "a@1")]), NOW)
    without = pa.Table.from_pylist(
        [{"decoding": "d", "source": "a@1", "partition": 0, "offset": n} for n in (7, 8)], schema=IDS
    )
    assert remembered.find_duplicates(table([((1, 1), 0, "a@1")], decoding="e")).num_rows == 0
    assert remembered.find_duplicates(without).num_rows == 0
    assert remembered.find_duplicates(table([((1, 1), 0, "a@1")], first=9)).num_rows == 1


def test_after_a_restart_every_id_is_known_again_however_many_there_are() -> None:
    batch = [((n * 7919 % 20_011, n), 0, "a@1") for n in range(20_011)]
    files = [
        table(part).append_column("seen", pa.array([int(NOW.timestamp())] * len(part), pa.uint32()))
        for part in (batch[:9_000], batch[9_000:])
    ]
    remembered = Remembered(kernel())
    remembered.follow("d", HOUR, list(files), NOW)
    assert len(remembered) == len(batch)
    assert remembered.find_duplicates(table(batch)).num_rows == len(batch)


def test_runs_stay_few_however_many_batches_come() -> None:
    remembered = Remembered(kernel())
    remembered.follow("d", HOUR, [], NOW)
    for n in range(500):
        remembered.add(table([((n * 7919 % 1000, 1), 0, "a@1")]), NOW)
    runs = remembered._memories["d"].runs
    assert len(remembered) == 500
    assert all(len(older) >= GROWTH * len(newer) for older, newer in pairwise(runs))
