"""Hashes that stand more than once, and their rows, are those that plain Python counts, however many there are."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.jobs import doubled as module
from seamline.jobs.doubled import doubled
from seamline.kernel import kernel


@given(
    values=st.lists(st.integers(0, 12) | st.integers(2**64 - 3, 2**64 - 1), max_size=30), held=st.sampled_from([0, 99])
)
def test_what_stands_twice_is_named_once(values: list[int], held: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_HELD", held)
        given = {"given": pa.table({"_hash": pa.array(values, pa.uint64())})}
        found = doubled(kernel(), "SELECT _hash FROM given", given, len(values))
    twice = {value: count for value, count in Counter(values).items() if count > 1}
    assert sorted(found.hashes["_hash"].to_pylist()) == sorted(twice)
    assert found.rows == sum(twice.values())
