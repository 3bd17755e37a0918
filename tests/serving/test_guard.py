"""What a query may be, decided on its text and on DuckDB's tree of it: how long and how deep, which names it reads, and
the place of what is refused."""

from __future__ import annotations

import duckdb
import pytest

from seamline.errors import Condition, SeamlineError
from seamline.serving.guard import LONGEST, AllowedQuery, check, check_text, place
from seamline.serving.reserved import RESERVED
from seamline.sql import TREE

NOWHERE = 2**64 - 1
"""What DuckDB gives as the place of a node that has none."""


def checked(sql: str) -> AllowedQuery:
    check_text(sql)
    row = duckdb.connect().execute(TREE, [sql]).fetchone()
    assert row is not None
    return check(sql, row[0])


def refusal(sql: str) -> SeamlineError:
    with pytest.raises(SeamlineError) as caught:
        checked(sql)
    return caught.value


def reads(sql: str) -> list[tuple[str, str]]:
    return [(one.name, one.where) for one in checked(sql).references]


# --- the text


def test_a_query_may_be_as_long_as_is_said_and_no_longer() -> None:
    assert LONGEST == 100_000
    check_text("x" * LONGEST)
    with pytest.raises(SeamlineError, match="100,001 characters"):
        check_text("x" * (LONGEST + 1))


def nested(deep: int) -> str:
    return "WITH a AS (" * deep + "SELECT 1" + ") SELECT 1" * deep


def test_with_may_stand_inside_with_four_deep_and_beside_with_without_end() -> None:
    check_text(nested(4))
    deeper = refusal(nested(5))
    assert (deeper.message, deeper.where) == ("WITH inside WITH, 5 deep", "1:45")
    check_text(" UNION ALL ".join(["(WITH a AS (SELECT 1) FROM a)"] * 9))
    check_text("SELECT 'WITH (', \"with\" /* WITH ( */ " * 9)
    check_text("WITH " + ", ".join(f"a{n} AS ({nested(3)})" for n in range(9)) + " FROM a1")
    assert refusal(nested(5).replace("WITH ", "with/* it */ ")).message == deeper.message


@pytest.mark.parametrize(
    ("offset", "where"),
    [(0, "1:1"), (3, "1:4"), (4, "2:1"), (6, "2:2"), (8, "2:4"), (9, "3:1"), (2**63, ""), (NOWHERE, "")],
)
def test_a_place_is_told_in_lines_and_characters(offset: int, where: str) -> None:
    assert place("abc\nüxy\nz", offset) == where


# --- the tree


def test_a_query_reads_the_views_that_it_names_each_once_and_no_name_of_its_own() -> None:
    assert reads("FROM Sales JOIN shops USING (shop)") == [("sales", "1:6"), ("shops", "1:17")]
    assert reads("WITH a AS (FROM sales) FROM a") == [("sales", "1:17")]
    assert reads("SELECT (SELECT max(b) FROM a) FROM (WITH a AS (FROM b) FROM a)") == [("a", "1:28"), ("b", "1:53")]
    assert reads("SELECT 1") == reads("FROM range(3), unnest([1])") == []
    assert [checked(f"SELECT {call}(orders) FROM sales").measured for call in ("sum", "measure")] == [False, True]
    assert checked("SELECT 1").node["type"] == "SELECT_NODE"


@pytest.mark.parametrize(
    ("sql", "condition", "where", "says"),
    [
        ("SELEC 1", Condition.QUERY_INVALID, "1:1", "syntax error"),
        ("SELECT 1,\n 'a", Condition.QUERY_INVALID, "2:2", "unterminated"),
        ("SELECT", Condition.QUERY_INVALID, "", "without selection list"),
        ("INSERT INTO sales VALUES (1)", Condition.QUERY_REFUSED, "", "a statement that is no SELECT"),
        ("SELECT " + "(" * 2000 + "1" + ")" * 2000, Condition.QUERY_REFUSED, "", "a query nested too deeply"),
        ("SELECT 1; SELECT 2", Condition.QUERY_REFUSED, "", "2 statements"),
        ("", Condition.QUERY_REFUSED, "", "0 statements"),
        ("SELECT '\ud800'", Condition.QUERY_REFUSED, "", "no Unicode text"),
        ("SELECT 1,\n getenv('HOME')", Condition.QUERY_REFUSED, "2:2", "function getenv"),
        ("SELECT system.upper('a')", Condition.QUERY_REFUSED, "1:8", "function upper of a catalogue"),
        ("SELECT system.main.upper('a')", Condition.QUERY_REFUSED, "1:8", "function upper of a catalogue"),
        ("SELECT memory.main.upper('a')", Condition.QUERY_REFUSED, "1:8", "function upper of a catalogue"),
        ("FROM main.sales", Condition.QUERY_REFUSED, "1:6", "table main"),
        ("FROM read_csv('x')", Condition.QUERY_REFUSED, "1:6", "table function read_csv"),
        ("FROM sales AT (VERSION => 1)", Condition.QUERY_REFUSED, "1:6", "AT after a view"),
        ("SELECT 1::main.mood", Condition.QUERY_REFUSED, "1:11", "type main"),
        ("SELECT 1 + (SELECT 2 FROM sales USING SAMPLE 3)", Condition.QUERY_REFUSED, "1:12", "a sample"),
        ("SHOW sales", Condition.QUERY_REFUSED, "", "DESCRIBE, SHOW or SUMMARIZE"),
        ("SELECT list_aggregate([1])", Condition.QUERY_REFUSED, "1:8", "list_aggregate with 'a name that is computed'"),
        ("SELECT list_aggregate([1], 'nope')", Condition.QUERY_REFUSED, "1:8", "list_aggregate with 'nope'"),
        ("SELECT list_aggregate([1], 7)", Condition.QUERY_REFUSED, "1:8", "list_aggregate with"),
    ],
)
def test_what_is_refused_is_told_with_its_place(sql: str, condition: Condition, where: str, says: str) -> None:
    error = refusal(sql)
    assert (error.condition, error.where) == (condition, where)
    assert says in error.message


def test_an_aggregate_that_is_called_by_its_name_is_written_out() -> None:
    assert reads("SELECT list_aggregate([1], 'SUM'), s.upper() FROM sales AS s") == [("sales", "1:51")]
    assert refusal("SELECT list_aggregate([1], name := 'sum')").condition is Condition.QUERY_REFUSED


def test_no_name_is_given_that_begins_like_those_of_serving_and_a_text_may() -> None:
    for name in RESERVED:
        for sql in (
            f'SELECT 1 AS "{name}x"',
            f'WITH "{name}x" AS (SELECT 1) SELECT 1',
            f"FROM sales AS {name.upper()}x",
        ):
            assert f"the name {name}x" in refusal(sql).message.lower()
        assert reads(f"SELECT '{name}x' FROM {name}x") == [(f"{name}x", f"1:{17 + len(name)}")]
