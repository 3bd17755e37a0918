"""SQL as DuckDB reads it: what the tokens say is what its parser says."""

from __future__ import annotations

import re
import sys
import unicodedata

import duckdb
import pytest

from seamline.sql import NOWHERE, nodes, tokens, tree

SPACES = [chr(at) for at in range(0x80, sys.maxunicode) if unicodedata.category(chr(at)) in ("Zs", "Zl", "Zp", "Cf")]


def test_a_space_is_one_where_duckdbs_parser_takes_it_for_one() -> None:
    parsed = duckdb.connect()
    for space in SPACES:
        (name,) = parsed.execute(f"SELECT * FROM (SELECT 1 AS a{space}) AS t").description or [("",)]
        assert [token.text for token in tokens(f"a{space}")] == [name[0]], hex(ord(space))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        (" \n", []),
        (
            "a.\"B\"\"c\" 'it''s' $$x'y$$ e'\\n'",
            ["word a", "sign .", 'name B"c', "string it's", "literal $$x'y$$", "literal e'\\n'"],
        ),
        (
            "x::DECIMAL(18,2)",
            ["word x", "sign ::", "word DECIMAL", "sign (", "literal 18", "sign ,", "literal 2", "sign )"],
        ),
        ("a--b\n->>c /* d */", ["word a", "comment --b", "sign ->>", "word c", "comment /* d */"]),
        ("(()),;", ["sign (", "sign (", "sign )", "sign )", "sign ,", "sign ;"]),
        ("é 'ü\u00a0' \u2028x", ["word é", "string ü\u00a0", "word \u2028x"]),
        ("a 'b", ["word a", "string "]),
        ("$, $1", ["sign $,", "sign $", "literal 1"]),
    ],
)
def test_tokens_stand_where_they_are_written(text: str, said: list[str]) -> None:
    found = tokens(text)
    assert [f"{token.kind} {token.text}" for token in found] == said
    assert "".join(text[token.start : token.end + 1] for token in found).replace(" ", "") == re.sub("[ \n]", "", text)


def test_places_in_a_tree_are_characters() -> None:
    text = "SELECT 'ü', größe, e.\"é\" FROM t"
    found = {
        tuple(node["column_names"]): node["query_location"] for node in nodes(tree(text, 100)) if "column_names" in node
    }
    assert found == {("größe",): 100 + text.index("größe"), ("e", "é"): 100 + text.index("e.")}
    assert all(node["query_location"] < NOWHERE for node in nodes(tree("SELECT 1")) if "query_location" in node)
    assert tree("SELECT 'ü' FROM FROM")["position"] == 16


def test_what_is_nested_too_deeply_says_so() -> None:
    with pytest.raises(RecursionError):
        tree(f"SELECT {'(SELECT ' * 600}1{')' * 600}")
