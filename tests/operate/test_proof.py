"""The demo's checks can fail: a wrong value, a missing group or a broken chain is found."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from seamline.demo import witness
from seamline.demo.example import TRUE_COUNTING
from seamline.demo.proof import is_true
from seamline.demo.truth import Prefixes, differences, true_answer
from seamline.demo.witness import Evidence
from seamline.errors import Condition, SeamlineError
from seamline.frontier import START, Frontier, Partition

COLUMNS = {"id": "VARCHAR", "dt": "TIMESTAMP WITH TIME ZONE", "type": "VARCHAR", "commits": "BIGINT"}
TRUE = pa.table({"k": ["a", "b", None], "n": [1, 2, 3], "s": [1.0, 2.0, 3.0]})


def differing(served: pa.Table) -> dict[str, bool]:
    found = differences(served, TRUE, ["k"], {"n": "exact", "s": "approximate"}, {"s": 0.05})
    return {one.column: one.holds for one in found}


def test_equal_answers_hold_whatever_their_order() -> None:
    assert differing(TRUE.take([2, 0, 1])) == {"n": True, "s": True}


@pytest.mark.parametrize(
    "served",
    [
        pa.table({"k": ["a", "b", None], "n": [1, 2, 4], "s": [1.0, 2.0, 3.0]}),
        pa.table({"k": ["a", "b"], "n": [1, 2], "s": [1.0, 2.0]}),
        pa.table({"k": ["a", "b", None, "c"], "n": [1, 2, 3, None], "s": [1.0, 2.0, 3.0, None]}),
    ],
    ids=["a wrong value", "a missing group", "a group too many"],
)
def test_an_exact_column_that_differs_anywhere_does_not_hold(served: pa.Table) -> None:
    assert differing(served)["n"] is False


def test_an_approximate_column_holds_within_its_bound_only() -> None:
    assert differing(TRUE.set_column(2, "s", [[1.0, 2.0, 3.1]]))["s"] is True
    assert differing(TRUE.set_column(2, "s", [[1.0, 2.0, 3.2]]))["s"] is False


def event(i: int, type_: str = "push", commits: object = 2) -> bytes:
    return json.dumps({"id": str(i), "dt": "2015-02-22T21:00:00Z", "type": type_, "commits": commits}).encode()


RECORDS = [
    (0, 0, event(1)),
    (0, 1, event(1)),  # a copy
    (0, 2, event(2, commits="many")),
    (1, 0, event(3, type_="golem")),
    (1, 1, None),
    (1, 2, b"\xff"),
    (1, 3, event(4)),
]


@pytest.mark.parametrize(
    ("frontier", "expected"),
    [({}, (0, None)), ({0: 1}, (1, 2)), ({0: 3, 1: 3}, (1, 2)), ({0: 3, 1: 4}, (2, 4)), ({1: 4}, (1, 2))],
)
def test_the_truth_below_a_frontier_counts_each_valid_event_once(
    frontier: dict[int, int], expected: tuple[int, int | None]
) -> None:
    assert Prefixes(RECORDS, COLUMNS).ask(TRUE_COUNTING, frontier) == expected


def test_an_answer_that_is_ahead_of_its_frontier_is_not_true() -> None:
    prefixes = Prefixes(RECORDS, COLUMNS)
    reached = Frontier({Partition("t@1", 0): 3, Partition("t@1", 1): 3})
    assert is_true(Evidence((("1", "2"),), None, START, reached, 1, 1), prefixes)
    assert not is_true(Evidence((("2", "4"),), None, START, reached, 1, 1), prefixes)


def test_the_truth_is_the_views_own_select_over_the_files(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(event(i) for i in range(3)))
    view = (
        "CREATE MATERIALIZED VIEW v AS SELECT dt::DATE AS day, type, approx_count_distinct(id) AS n FROM e GROUP BY ALL"
    )
    assert true_answer(view, "e", COLUMNS, [path]).to_pylist() == [{"day": date(2015, 2, 22), "type": "push", "n": 3}]


def test_a_broken_chain_in_an_answer_is_found() -> None:
    def at(offset: int) -> dict[str, dict[str, int]]:
        return {"t@1": {"0": offset}}

    said = {
        "definition": "d",
        "version": 1,
        "cut": at(5),
        "reached": at(20),
        "links": [
            {"epochs": [2, 2], "start": at(5), "end": at(10)},
            {"epochs": [4, 4], "start": at(15), "end": at(20)},
        ],
    }
    with pytest.raises(SeamlineError) as caught:
        witness.testimony({"provenance": {"v": said}, "rows": [[1]]}, "v")
    assert caught.value.condition is Condition.SEAM_HOLE
    said["links"][1]["start"] = at(10)  # type: ignore[index]
    assert witness.testimony({"provenance": {"v": said}, "rows": [[1]]}, "v").links == 2
