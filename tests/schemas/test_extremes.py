"""The least, the greatest and the k of them: how ties are settled, what NULL does, and what is refused."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from algebra_laws import VALUES, Case, Row, Run, check_lambda_law, rows_of, same, table
from hypothesis import given, settings
from hypothesis import strategies as st
from test_views import CONTRACT, ORDER, batch, compiled, parse_contract

from seamline.errors import Condition, UserError
from seamline.kernel import kernel

pytestmark = pytest.mark.thorough

EXAMPLES = max(2, settings().max_examples // 8)
ORDERS = parse_contract(CONTRACT, "orders.yaml")
KINDS = ("BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL(38,30)", "BLOB", "TIME", "VARCHAR[]", "STRUCT(a INTEGER, b VARCHAR)")
"""Types beyond those that every entry is tried with, odd ones first in line: NaN, infinities, NULLs inside structs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extremes")


def answers(case: Case, folder: Path, *parts: list[Row]) -> dict[Any, Any]:
    """The merged answer over events that follow one another in the log."""
    run, first, files = Run(case, folder), 0, []
    for part in parts:
        files.append(run.partial(part, first))
        first += len(part)
    return run.answer(run.merge(*files))


def refusal(select: str) -> UserError:
    with pytest.raises(UserError) as caught:
        compiled(select, ORDERS)
    assert caught.value.condition == Condition.VIEW_INVALID
    return caught.value


STRUCT = KINDS[-1]
BY = [("max_by", ("2",), STRUCT, STRUCT), ("min_by", ("2",), "FLOAT", STRUCT), ("min_by", (), STRUCT, "FLOAT"),
      ("max_by", (), "VARCHAR[]", "BLOB"), ("min_by", ("2",), "DECIMAL(38,30)", "VARCHAR[]")]  # fmt: skip
ENDS = [("first", (), kind, "") for kind in KINDS[3:]] + [("any_value", (), "FLOAT", ""), ("last", (), STRUCT, "")]
LISTS = [("max", ("2",), kind, "") for kind in KINDS] + [("min", ("2",), STRUCT, "")]


@pytest.mark.parametrize("called", [*BY, *ENDS, *LISTS], ids=str)
def test_every_type_keeps_the_laws_and_duckdbs_answer(called: tuple[str, Any, str, str], folder: Path) -> None:
    name, constants, x, y = called
    case = Case(name, (x, y) if y else (x,), constants)
    run = Run(case, folder)

    @settings(max_examples=EXAMPLES)
    @given(st.lists(rows_of(case), min_size=1, max_size=3))
    def law(parts: list[list[Row]]) -> None:
        check_lambda_law(run, parts)
        rows = [row for part in parts for row in part]
        want, got = run.own_answer(rows), run.finish(run.partial(rows))
        assert want is not None
        assert got.keys() == want.keys()
        assert all(same(got[k], want[k], True) for k in want), (got, want)

    law()


@pytest.mark.parametrize("kind", ["DOUBLE", "VARCHAR[]", STRUCT])
@pytest.mark.parametrize("name", ["min", "max", "max_by"])
def test_a_list_of_k_is_the_same_whether_kept_in_a_heap_or_sorted(name: str, kind: str, folder: Path) -> None:
    """Up to 100 places are a heap of DuckDB's, more are a sorted list: 200 begins with 100."""
    types = (kind, "DOUBLE") if "_by" in name else (kind,)
    y = VALUES["DOUBLE"] if "_by" in name else st.none()
    few, many = Case(name, types, ("100",)), Case(name, types, ("200",))

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.builds(Row, st.just(0), VALUES[kind], y, st.just(True)), min_size=5, max_size=9))
    def equal(rows: list[Row]) -> None:
        rows = rows * 30
        short, long = answers(few, folder, rows[:50], rows[50:])[0], answers(many, folder, rows[:120], rows[120:])[0]
        assert (len(short), len(long)) == (100, min(200, len(rows)))
        assert same(short, long[:100], True)

    equal()


def test_ties_are_settled_by_the_value_whichever_task_came_first(folder: Path) -> None:
    rows = [Row(0, x, 1.5, True) for x in ("b", "a", "ü", "c")]
    wanted = {
        "min_by": ("a", ["a", "b", "c"]),
        "max_by": ("ü", ["ü", "c", "b"]),
    }
    for name, (one, three) in wanted.items():
        for parts in ([rows], [rows[:2], rows[2:]], [rows[2:], rows[:2]]):
            assert answers(Case(name, ("VARCHAR", "DOUBLE")), folder, *parts) == {0: one}
            assert answers(Case(name, ("VARCHAR", "DOUBLE"), ("3",)), folder, *parts) == {0: three}


def test_rows_with_null_in_either_argument_are_left_out_of_min_by(folder: Path) -> None:
    rows = [Row(0, None, 1, True), Row(0, "a", None, True), Row(0, "b", 7, True), Row(1, None, None, True)]
    assert answers(Case("min_by", ("VARCHAR", "BIGINT")), folder, rows) == {0: "b", 1: None}
    assert answers(Case("max_by", ("VARCHAR", "BIGINT"), ("5",)), folder, rows) == {0: ["b"], 1: None}


def test_nan_is_the_greatest_and_the_zeros_are_one(folder: Path) -> None:
    rows = [Row(0, x, None, True) for x in (-0.0, math.nan, math.inf, 0.0, -math.inf)]
    greatest = answers(Case("max", ("DOUBLE",), ("9",)), folder, rows[:2], rows[2:])[0]
    assert math.isnan(greatest[0])
    assert greatest[1:] == [math.inf, 0.0, 0.0, -math.inf]
    assert [math.copysign(1, x) for x in greatest[2:4]] == [1.0, 1.0]


NESTED = {
    "DOUBLE[]": [[0.0, None], [-0.0, None]],
    "FLOAT[][]": [[[1.5], [-0.0], None], [[1.5], [0.0], None]],
    'STRUCT("a b" DOUBLE, c STRUCT(d DECIMAL(4,1), e FLOAT[]))': [
        {"a b": zero, "c": {"d": None, "e": [zero]}} for zero in (0.0, -0.0)
    ],
    "STRUCT(x DOUBLE, y VARCHAR)[]": [[{"x": -0.0, "y": "é"}, None], [{"x": 0.0, "y": "é"}, None]],
}


@pytest.mark.parametrize("name", ["min", "max", "first", "collect_set", "array_agg"])
@pytest.mark.parametrize("kind", NESTED)
def test_a_negative_zero_within_a_value_is_kept_as_zero(name: str, kind: str, folder: Path) -> None:
    """Else which of two equal values stands would be the order's to say, and not the same to the bit."""
    rows = [Row(0, x, None, True) for x in NESTED[kind]]
    for part in (rows, rows[::-1]):
        said = str(answers(Case(name, (kind,)), folder, part[:1], part[1:])[0])
        assert "0.0" in said
        assert "-0.0" not in said
        whole = answers(Case("array_agg", (kind,)), folder, part)[0]
        assert same(whole, [row.x for row in part], True)
    run = Run(Case(name, (kind,)), folder)
    stored = kernel().describe(run.over_events(run.sql["partial"]), {"raw": table([], run.case)})
    assert stored["v"] == run.form.parts[0].stored


def test_first_and_last_go_by_event_time_then_by_position(folder: Path) -> None:
    late, tied, early = Row(0, "late", None, True, 9), Row(0, "tied", None, True, 1), Row(0, "early", None, True, 1)
    for parts in ([[late, early, tied]], [[late], [early, tied]]):
        assert answers(Case("first", ("VARCHAR",)), folder, *parts) == {0: "early"}
        assert answers(Case("last", ("VARCHAR",)), folder, *parts) == {0: "late"}
    assert answers(Case("last", ("VARCHAR",)), folder, [early, tied]) == {0: "tied"}


def test_first_is_null_where_the_earliest_event_has_none_and_any_value_goes_on(folder: Path) -> None:
    rows = [Row(0, None, None, True, 0), Row(0, "a", None, False, 1), Row(0, "b", None, True, 2)]
    assert answers(Case("first", ("VARCHAR",)), folder, rows) == {0: None}
    assert answers(Case("any_value", ("VARCHAR",)), folder, rows) == {0: "b"}


def test_values_of_one_position_are_put_in_order_by_value(folder: Path) -> None:
    """An event counted once for each element of an array is several rows of one position."""
    case = Case("first", ("BIGINT",))
    rows = [Row(0, x, None, True) for x in (5, 3, None, 4)]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        events = table([rows[n] for n in order], case)
        at = events.schema.get_field_index("_offset")
        events = events.set_column(at, "_offset", pa.array([7] * 4, pa.int64()))
        for name, value in (("first", 3), ("last", None), ("any_value", 3)):
            run = Run(Case(name, ("BIGINT",)), folder)
            partial = run.stored(run.over_events(run.sql["partial"]), {"raw": events})
            assert run.answer(partial) == {0: value}
            own = kernel().run(run.over_events(f"SELECT {run.case.own} AS v FROM events"), {"raw": events})
            assert own.to_pylist() == [{"v": value}]


def test_a_view_of_all_of_them_answers_as_its_own_select() -> None:
    definition = compiled(
        """SELECT placed::DATE AS date, Shop, min(price, 2) AS cheapest, max(buyer, 3) FILTER (WHERE paid) AS buyers,
        arg_min(buyer.name, weight) AS lightest, max_by(buyer, price, 2) AS best, first(price) AS first_price,
        last(tags) FILTER (WHERE pieces > 2) AS last_tags, any_value(weight) AS any_weight,
        len(max(pieces, 3)) AS counted
        FROM orders GROUP BY ALL""",
        ORDERS,
    )
    events = [
        ORDER
        | {"Shop": shop, "price": Decimal(n % 3) if n % 4 else None, "weight": [None, math.nan, -0.0, 0.0, 1.5][n % 5],
           "paid": [True, False, None][n % 3], "pieces": n % 6, "tags": [str(n)], "buyer": {"name": "äbc"[n % 3]}}
        for n, shop in enumerate("aabbabbaabcbaabb")
    ]  # fmt: skip
    whole = positioned(batch(ORDERS, events))
    want = answer_rows(definition.select_over("events"), {"events": whole})
    for cut in (0, 5, 11):
        split = whole.take(list(range(cut, len(whole)))), whole.take(pa.array(range(cut), pa.int64()))
        parts = [kernel().run(definition.partial, {"events": part}) for part in split]
        got = answer_rows(definition.merge_and_finalise, {"partials": pa.concat_tables(parts)})
        assert same(got, want, True), (got, want)


def positioned(events: pa.Table) -> pa.Table:
    """Events in the order of one partition."""
    columns = {"_source": pa.array(["s"] * len(events)), "_partition": pa.array([0] * len(events), pa.int32())}
    columns["_offset"] = pa.array(range(len(events)), pa.int64())
    for name, column in columns.items():
        if name in events.column_names:
            events = events.drop_columns(name)
        events = events.append_column(name, column)
    return events


def answer_rows(statement: str, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(kernel().run(statement, inputs).to_pylist(), key=lambda row: row["Shop"])


@pytest.mark.parametrize("k", ["0", "-1", "1001", "2.5", "true", "'3'", "NULL"])
@pytest.mark.parametrize("call", ["min(price, {})", "max_by(pieces, price, {})"])
def test_k_is_an_integer_from_1_to_1000(call: str, k: str) -> None:
    error = refusal(f"SELECT {call.format(k)} AS v FROM orders")
    assert "k must be an integer from 1 to 1,000" in error.detail
    assert error.where.startswith("views/v.sql:2:8")


def test_k_cannot_be_a_field() -> None:
    assert "is no constant" in refusal("SELECT min(price, pieces) AS v FROM orders").message
