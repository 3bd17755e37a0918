"""Row policies: what is one, and what a token's attributes become in it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import Condition, UserError
from seamline.serving.access.policies import load_policies, parse_policy


def test_attributes_stand_in_it_as_literals() -> None:
    policy = parse_policy(
        "Sales", "shop = token.shop -- theirs\n OR TOKEN.role = 'all' AND sales.day > '2024-01-01'", "x"
    )
    assert (policy.view, policy.columns) == ("sales", {"shop", "day"})
    assert [name for *_, name in policy.attributes] == ["shop", "role"]
    rule = policy.rule({"shop": "o'neill"})
    assert rule.where == "shop = 'o''neill' -- theirs\n OR NULL = 'all' AND sales.day > '2024-01-01'"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_whatever_an_attribute_holds_it_stays_one_value(value: str) -> None:
    where = parse_policy("sales", "(shop = token.shop)", "x").rule({"shop": value}).where
    with duckdb.connect() as oracle:
        oracle.execute("CREATE TABLE sales (shop VARCHAR)")
        oracle.executemany("INSERT INTO sales VALUES (?)", [[value], [value + "x"], [""], ["' OR true --"]])
        found = oracle.execute(f"SELECT DISTINCT shop FROM sales WHERE ({where}\n)").fetchall()
    assert found == [(value,)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop =",
        "true, false",
        "true) FROM sales WHERE (true",
        "true) FROM shops --",
        "true); SELECT (true",
        "shop IN (SELECT shop FROM sales)",
        "EXISTS (SELECT 1)",
        "count(*) > 1",
        "row_number() OVER () = 1",
        "getenv('HOME') = shop",
        "shop = $1",
        "shop = ?",
        "other.shop = 'a'",
        "main.sales.shop = 'a'",
        'shop = "token".shop',
        "shop = token.a.b",
        "COLUMNS(*) = 'a'",
        "list_filter([1], x -> true) = [1]",
        "random() < 0.5",
    ],
)
def test_what_is_no_policy_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policies" / "sales.sql"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_policies(tmp_path)
    assert (caught.value.condition, caught.value.where) == (Condition.CONFIG_INVALID, str(file))


def test_each_file_is_a_views(tmp_path: Path) -> None:
    assert load_policies(tmp_path) == {}
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "sales.sql").write_text("shop = token.shop\n")
    (folder / "shops.sql").write_text(
        "CASE WHEN token.role = 'all' THEN true ELSE lower(shop) LIKE token.shop || '%' END"
    )
    assert load_policies(tmp_path).keys() == {"sales", "shops"}
    (folder / "SALES.sql").write_text("true")
    with pytest.raises(UserError, match="second policy"):
        load_policies(tmp_path)
