"""Frontiers are partially ordered, component by component; a missing partition stands at its start."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from seamline.frontier import START, Frontier, Partition, Position, topic_of, topic_source

partitions = st.builds(Partition, st.sampled_from(["a@1", "b@2"]), st.integers(0, 2))
frontiers = st.dictionaries(partitions, st.integers(0, 5)).map(Frontier)


@given(frontiers, frontiers, frontiers)
def test_the_order_is_a_partial_order(a: Frontier, b: Frontier, c: Frontier) -> None:
    assert a <= a
    assert not (a <= b and b <= a) or a == b
    assert not (a <= b and b <= c) or a <= c
    assert (a < b) == (b > a) == (a <= b and a != b)
    assert (a <= b) == (b >= a)


@given(frontiers, frontiers)
def test_join_is_the_least_upper_bound_and_meet_the_greatest_lower(a: Frontier, b: Frontier) -> None:
    assert a <= a.join(b)
    assert b <= a.join(b)
    assert a.meet(b) <= a
    assert a.meet(b) <= b
    assert (a <= b) == (a.join(b) == b) == (a.meet(b) == a)


@given(frontiers)
def test_a_missing_partition_stands_at_its_start(a: Frontier) -> None:
    padded = Frontier({**dict(a.items()), Partition("c@3", 0): 0})
    assert padded == a
    assert hash(padded) == hash(a)
    assert padded >= START
    assert Partition("c@3", 0) in padded
    assert Partition("c@3", 0) not in a


@given(frontiers)
def test_a_frontier_survives_json(a: Frontier) -> None:
    assert Frontier.from_json(json.loads(json.dumps(a.to_json()))) == a
    held = TypeAdapter(Frontier)
    assert held.validate_json(held.dump_json(a)) == held.validate_python(a) == a


@given(frontiers, frontiers)
def test_distance_counts_what_lies_ahead(a: Frontier, b: Frontier) -> None:
    assert (a.distance(b) == 0) == (b <= a)
    assert START.distance(a) == sum(offset for _, offset in a.items())


def test_two_frontiers_may_be_incomparable() -> None:
    a, b = Frontier({Partition("t@1", 0): 5}), Frontier({Partition("t@1", 1): 5})
    assert not a <= b
    assert not b <= a


def test_a_frontier_covers_records_below_it_only() -> None:
    frontier = Frontier({Partition("t@1", 0): 5})
    assert frontier.covers(Position("t@1", 0, 4))
    assert not frontier.covers(Position("t@1", 0, 5))
    assert not frontier.covers(Position("t@1", 1, 0))


def test_a_negative_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Frontier({Partition("t@1", 0): -1})


def test_a_topic_made_again_is_another_source() -> None:
    assert topic_source("events", "id1") != topic_source("events", "id2")
    assert topic_of(topic_source("events", "id1")) == "events"


def test_only_keeps_the_named_sources() -> None:
    frontier = Frontier({Partition("a@1", 0): 5, Partition("b@2", 0): 6})
    assert frontier.only(["a@1"]).sources == {"a@1"}
    assert str(frontier) == "a/0:5, b/0:6"
    assert str(START) == "start"
