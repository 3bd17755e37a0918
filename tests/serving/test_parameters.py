"""Values beside a query's text are bound: what they hold never becomes SQL, and their types are DuckDB's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from handmade import Handmade, rows
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import Condition, SeamlineError
from seamline.serving.callers import Caller
from seamline.serving.parameters import given as bound
from seamline.serving.serving import Serving


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Handmade:
    lake = Handmade(tmp_path_factory.mktemp("parameters"))
    lake.epoch(rows(20))
    return lake


@pytest.fixture(scope="module")
def serving(made: Handmade) -> Serving:
    return made.serving()


def values(serving: Serving, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in serving.query(sql, parameters).table.to_pylist()]


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_whatever_a_text_holds_it_is_a_value(serving: Serving, text: str) -> None:
    assert values(serving, "SELECT $1, length($1) FROM sales LIMIT 1", [text]) == [(text, len(text))]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "\"NULL\""), (True, "BOOLEAN"), (7, "INTEGER"), (2**40, "BIGINT"), (2**126, "HUGEINT"), (1.5, "DOUBLE"),
        ("x", "VARCHAR"), (b"\0x", "BLOB"), (Decimal("1.50"), "DECIMAL(3,2)"), (date(2024, 5, 1), "DATE"),
        (datetime(2024, 5, 1, 2), "TIMESTAMP"), (datetime(2024, 5, 1, tzinfo=UTC), "TIMESTAMP WITH TIME ZONE"),
    ],
)  # fmt: skip
def test_a_value_keeps_its_type(serving: Serving, value: Any, kind: str) -> None:
    assert values(serving, "SELECT typeof($1)", [value]) == [(kind,)]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT shop FROM sales WHERE orders > $1 AND hour >= $2 ORDER BY ALL", (1, "2024-05-01 02:00:00Z")),
        (
            "SELECT shop FROM sales WHERE orders > ? AND hour >= ? ORDER BY ALL",
            (1, datetime(2024, 5, 1, 2, tzinfo=UTC)),
        ),
        (
            "SELECT shop FROM sales WHERE orders > $n AND hour >= $From ORDER BY ALL;",
            {"N": 1, "from": "2024-05-01T02:00Z"},
        ),
    ],
)
def test_it_answers_as_with_the_values_written_out(
    serving: Serving, sql: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> None:
    written = "SELECT shop FROM sales WHERE orders > 1 AND hour >= TIMESTAMPTZ '2024-05-01 02:00Z' ORDER BY ALL"
    assert values(serving, sql, parameters) == values(serving, written, ()) != []


def test_measure_windows_and_types_that_arrow_lacks_take_them_too(serving: Serving) -> None:
    measured = "SELECT shop, MEASURE(mean) FILTER (WHERE hour >= $1) AS m FROM sales WHERE shop = $2 GROUP BY shop"
    found = values(serving, measured, ["2024-05-01 01:00Z", "shop1"])
    assert found == values(serving, measured.replace("$1", "'2024-05-01 01:00Z'").replace("$2", "'shop1'"), ())
    assert values(serving, "SELECT $a::UHUGEINT AS x FROM sales -- a note\n LIMIT $n;", {"a": 5, "n": 1}) == [("5",)]


def test_files_are_chosen_by_a_value_as_by_a_constant(tmp_path: Path) -> None:
    made = Handmade(tmp_path, lake=None)
    made.epoch(rows(20))
    serving = made.serving()
    definition = (serving.snapshot().view("sales").definition,)
    found = serving.pool.prunings("SELECT * FROM sales WHERE hour >= $1", definition, bound(["2024-05-01"], ["1"]))
    assert (found["sales"].condition, found["sales"].parameters) == ("(most0 >= ($1))", {"1"})


@pytest.mark.parametrize(
    ("sql", "parameters", "condition"),
    [
        ("SELECT $1", (), Condition.INPUT_INVALID),
        ("SELECT $2", (1, 2), Condition.INPUT_INVALID),
        ("SELECT 1", (1,), Condition.INPUT_INVALID),
        ("SELECT $a", {"a": 1, "b": 2}, Condition.INPUT_INVALID),
        ("SELECT $1", ([1],), Condition.INPUT_INVALID),
        ("SELECT $1", (2**127,), Condition.INPUT_INVALID),
        ("SELECT $1, $a", {"a": 1}, Condition.QUERY_INVALID),
        ("SELECT hour + $1 FROM sales", ("soon",), Condition.QUERY_INVALID),
        ("SELECT list_aggregate([1], $1)", ("sum",), Condition.QUERY_REFUSED),
        ("SELECT * FROM $1", ("sales",), Condition.QUERY_INVALID),
    ],
)
def test_what_does_not_fit_is_refused(serving: Serving, sql: str, parameters: Any, condition: Condition) -> None:
    with pytest.raises(SeamlineError) as refused:
        serving.query(sql, parameters)
    assert refused.value.condition is condition


def test_describing_runs_nothing_and_tells_the_types_of_columns_and_parameters(serving: Serving) -> None:
    said = serving.describe(
        "SELECT hour, amount, orders + $3 AS n, 5::UHUGEINT AS u FROM sales WHERE hour > $1 AND shop = $2 LIMIT $4"
    )
    assert said.kinds == ("TIMESTAMP WITH TIME ZONE", "DECIMAL(38,0)", "BIGINT", "UHUGEINT")
    assert [str(field.type) for field in said.columns][1:] == ["decimal128(38, 0)", "int64", "string"]
    assert said.parameters == ("TIMESTAMP WITH TIME ZONE", "VARCHAR", "UNKNOWN", "BIGINT")
    assert serving.describe("SELECT MEASURE(mean) AS m FROM sales WHERE amount = $x").kinds == ("DOUBLE",)
    assert serving.describe("SELECT 'soon'::INTEGER AS e;").kinds == ("INTEGER",)


def test_a_caller_knows_no_view_but_its_own(serving: Serving) -> None:
    stranger = Caller("stranger", frozenset(["other"]))
    with pytest.raises(SeamlineError) as refused:
        serving.query("SELECT * FROM sales", caller=stranger)
    assert refused.value.condition is Condition.QUERY_INVALID
    assert "sales" not in refused.value.detail + refused.value.hint
    assert (
        serving.query("SELECT count(*) FROM sales", caller=Caller("friend", frozenset(["sales"]))).table.num_rows == 1
    )
