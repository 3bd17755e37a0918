"""Topics that are moved, grown, expired and made again, in any order, while roles die: no record is silently lost."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from topics_simulation import World

CASES = {"quick": 3, "landing": 8, "long": 300}
TOPICS = ("orders", "others", "orders-moved", "others-moved")

topic = st.sampled_from(TOPICS)
contract = st.sampled_from(["orders", "others"])
role = st.sampled_from(["speed", "archive"])
small = st.integers(0, 3)
STEP = st.one_of(
    st.tuples(st.just("send"), topic, small, st.integers(1, 4), st.sampled_from([0, 0, 2])),
    st.tuples(
        st.just("read"), st.sampled_from(["speed", "archive"]), st.integers(1, 5), st.sampled_from([0, 0, 1, 2, 3])
    ),
    st.tuples(st.just("move"), contract),
    st.tuples(st.just("grow"), topic),
    st.tuples(st.just("expire"), topic, small, small),
    st.tuples(st.just("remake"), topic),
    st.tuples(st.just("accept"), topic),
    st.tuples(st.just("refresh"), contract),
    st.tuples(st.just("age"), st.integers(1, 9)),
)


def perform(world: World, what: str, *given: Any) -> None:
    """One step; one for a topic that there is not changes nothing."""
    if what in ("send", "grow", "expire") and given[0] not in world.cluster.logs:
        return
    {
        "send": world.send,
        "read": world.read,
        "move": world.move,
        "grow": world.grow,
        "expire": world.expire,
        "remake": world.cluster.make,
        "accept": world.accept,
        "refresh": world.refresh,
        "age": world.age,
    }[what](*given)


@settings(max_examples=CASES[os.environ.get("HYPOTHESIS_PROFILE", "landing")])
@given(steps=st.lists(STEP, min_size=5, max_size=25))
def test_no_record_is_passed_over_or_read_twice_whatever_happens_to_topics(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    for step in steps:
        perform(world, *step)
        if step[0] in ("read", "refresh", "age"):
            world.check()
    world.finish()
