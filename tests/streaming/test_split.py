"""Records of a topic are told apart in one pass: each statement has the same rows over its own records as over all."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_parts import VIEW, contract, definition, event, records

from seamline.frontier import START
from seamline.kernel import Limits, kernel
from seamline.portions import portion_bytes
from seamline.schemas.contracts.claimed import Claimed, claimed_by, unclaimed_by
from seamline.schemas.contracts.contract import Contract, Discriminator
from seamline.schemas.contracts.decode import decode_statement, unclaimed_statement
from seamline.streaming.gathered import gather
from seamline.streaming.runner import SentPlan, run_action
from seamline.streaming.split import Split
from seamline.streaming.stream_plan import StreamPlan, make_plan
from seamline.streaming.tasks import Job, Row, decode_task

CLICKS = contract()


def claiming(value: str, *path: str, name: str = "") -> Contract:
    return replace(CLICKS, name=name or f"of_{value}", topic="shared", discriminator=Discriminator(path, value))


SHARED = [claiming(value, "a", "kind") for value in ("x", "1", "true", "é", "", "nan,}")]
OTHERS = [claiming("x", "a"), claiming("x", "kind"), replace(CLICKS, topic="shared")]
"""Told apart at other paths, or not at all: decodings that live on beside those of today."""

SAID = st.sampled_from(["x", "1", 1, 1.0, True, "true", "é", "", "nan,}", None, [], ["x"], {"kind": "x"}, "X", 2**64])
PLACED = st.builds(lambda said, other: {"a": {"kind": said}, "kind": other}, SAID, SAID)
DOCUMENTS = st.one_of(PLACED, st.builds(lambda said: {"a": said}, SAID), SAID, st.just({}))
WRITTEN = [
    b'{"a":{"kind":"x","kind":"1"}}', b'{"a":{"kind":"1"},"a":{"kind":"x"}}', b'{"a":{"kind":"\\u0078"}}',
    b'{"\\u0061":{"kind":"x"}}', b'\xef\xbb\xbf{"a":{"kind":"x"}}', b' \n{"a" : {"kind" : "x"} } ',
    b'{"a":{"kind":"x"},}', b'{"a":{"kind":NaN}}', b'{"a":{"kind":"x"}', b'{"a":{"kind":"\xff"}}', b'{"a":{"kind":-0}}',
    b'{"a":{"kind":"\\ud800"}}', b'{"a":{"kind":"x\\u0000"}}', b'{"a":{"kind":1e0}}', b"", b"null", b"\x00",
]  # fmt: skip


@st.composite
def messy(draw: st.DrawFn) -> bytes:
    """A record as it should be, or with a few bytes cut out and others put in."""
    value = draw(st.one_of(st.builds(_event, DOCUMENTS), st.sampled_from(WRITTEN)))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(value)))
        stop = draw(st.integers(start, min(start + 4, len(value))))
        value = (
            value[:start] + draw(st.binary(max_size=2) | st.sampled_from([b'"', b"{", b"}", b",", b"x"])) + value[stop:]
        )
    return value


def _event(document: object) -> bytes:
    whole = {**json.loads(event(7)), **document} if isinstance(document, dict) else document
    return json.dumps(whole, ensure_ascii=False).encode()


@given(st.lists(st.none() | messy(), max_size=30))
def test_a_statement_gives_the_same_rows_over_its_own_records_as_over_all(values: list[Any]) -> None:
    table = records(values, first=3)
    split, engine = Split(kernel(), table), kernel()
    for one in (*SHARED, *OTHERS):
        mine = split.of(claimed_by(one))
        assert split.count(claimed_by(one)) == mine.num_rows
        whole = engine.run(decode_statement(one), {"records": table})
        assert mine["offset"].to_pylist() == whole["_offset"].to_pylist()
        assert engine.run(decode_statement(one), {"records": mine}).to_pylist() == whole.to_pylist()
    for shared in (SHARED, SHARED[:1], OTHERS[:1], OTHERS[2:]):
        rest, whole = split.of(unclaimed_by(shared)), engine.run(unclaimed_statement(shared), {"records": table})
        assert split.count(unclaimed_by(shared)) == rest.num_rows == whole.num_rows
        assert engine.run(unclaimed_statement(shared), {"records": rest}).to_pylist() == whole.to_pylist()


def test_records_are_told_apart_in_portions_as_at_once() -> None:
    small = kernel(Limits(memory="64MB", threads=1))
    values = [json.dumps({"kind": n % 3, "more": "x" * 100_000}).encode() for n in range(60)]
    table = pa.concat_tables([records(values[:21]), records(values[21:], first=21)])
    assert table.nbytes > 2 * portion_bytes(small)
    split = Split(small, table)
    for kind in range(3):
        mine = split.of(Claimed(("kind",), frozenset([str(kind)])))
        assert mine["offset"].to_pylist() == list(range(kind, 60, 3))
        assert mine["value"].to_pylist() == values[kind::3]


def plan_of(contracts: Sequence[Contract]) -> StreamPlan:
    live = [
        (definition(one, f"of_{one.name}", VIEW.replace("FROM clicks", f"FROM {one.name}")), (one,))
        for one in contracts
    ]
    return make_plan(contracts, live)


def test_a_record_is_counted_by_each_decoding_that_claims_it_and_by_no_other() -> None:
    former = claiming("x", "kind", name="of_x")  # of_x is told apart at another path now
    current = [claiming("x", "sort", name="of_x"), claiming("1", "sort")]
    live = [(definition(one, "old", VIEW.replace("FROM clicks", "FROM of_x")), (one,)) for one in (former,)]
    plan = make_plan(current, live)
    values = [
        _event(said) for said in ({"sort": "x", "kind": "x"}, {"sort": "x"}, {"sort": 1}, {"kind": "x"}, {"sort": "z"})
    ]
    seen = gather(decode_task(records([*values, b"{"], source="shared@1"), plan, Job(START)))
    assert seen.read == {"of_x": 2, f"of_x@{former.decoding}": 2, "of_1": 1, "": 3}
    assert seen.rejected == {"of_x": 0, f"of_x@{former.decoding}": 0, "of_1": 0, "": 3}


def test_a_decoding_that_claims_no_record_is_not_run() -> None:
    plan = plan_of([claiming(value, "kind") for value in ("x", "y", "z")])
    unable = tuple(one if one.label == "of_y" else replace(one, statement="no statement") for one in plan.decodings)
    table = records([_event({"kind": "y"})] * 2, source="shared@1")
    seen = gather(decode_task(table, replace(plan, decodings=unable), Job(START)))
    assert seen.read == {"of_y": 2}


@pytest.mark.spark
def test_a_plan_is_sent_once_and_not_with_every_batch(spark: Any) -> None:
    """A worker finds the plan as the batch before has left it: it was not sent anew."""
    frame = spark.range(1).selectExpr(
        "'t' AS source", "0 AS partition", "id AS offset", "now() AS timestamp", "X'' AS key", "X'' AS value"
    )
    sent = SentPlan(spark)

    def seen_before(records: pa.Table, plan: list[str]) -> list[Row]:
        plan.append("seen")
        return [Row(str(os.getpid()), plan[0], bytes(plan.count("seen") - 1))]

    def batches(plan: list[str], number: int) -> list[tuple[str, int]]:
        """By each worker: which plan it had, and in how many batches it had it before."""
        rows = [row for _ in range(number) for row in run_action(frame, seen_before, sent.of(plan), {"t": "t@1"}, 1)]
        assert {row.name for row in rows} == {plan[0]}
        return sorted((row.kind, len(row.payload)) for row in rows)

    first, other = ["first"], ["other"]
    for plan in (first, other):
        found = batches(plan, 4)
        workers = Counter(worker for worker, _ in found)
        assert found == sorted((worker, before) for worker, times in workers.items() for before in range(times))
        assert len(workers) < 4
