"""Each spelling of PostgreSQL's that is understood gives what PostgreSQL 15 gives; what is refused is refused by name."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from wire_fixtures import Both

from seamline.serving.wire.spellings import CALLS, REFUSED, TYPES

AT = "timestamptz '2024-05-01 10:20:30.456+00'"
SPELLED = {
    "to_timestamp": [
        "to_timestamp('2024-05-01 10:20:30', 'YYYY-MM-DD HH24:MI:SS')", "to_timestamp('01/02/24', 'DD/MM/YY')",
        "to_timestamp('2024-122', 'YYYY-DDD')", "to_timestamp('10:05 PM 2024', 'HH12:MI AM YYYY')",
    ],
    "to_date": ["to_date('05 Dec 2024', 'DD Mon YYYY')", "to_date('20240501', 'YYYYMMDD')"],
    "to_char": [
        f"to_char({AT}, 'YYYY-MM-DD\"T\"HH24:MI:SS')", f"to_char({AT}, 'IYYY-IW')", f"to_char({AT}, 'Mon DD, HH12:MI AM')",
    ],
    "date_trunc": [
        f"date_trunc('day', {AT}, 'Asia/Seoul')", f"date_trunc('month', {AT}, 'America/New_York')",
        f"date_trunc('hour', {AT})",
    ],
    "date_bin": [f"date_bin('15 minutes', {AT}, timestamptz '2024-01-01 00:00:00+00')"],
    "quote_ident": ["quote_ident('plain')", "quote_ident('Mixed')", "quote_ident('a\"b')", "quote_ident('1st')"],
    "quote_literal": ["quote_literal('it''s')", "quote_literal('x')"],
    "btrim": ["btrim('  x ')", "btrim('xxyxx', 'x')"],
    "every": ["(SELECT every(shop IS NOT NULL) FROM public.sales)"],
    "clock_timestamp": ["clock_timestamp() IS NOT NULL", "clock_timestamp() > timestamptz '2024-01-01 00:00:00+00'"],
    "statement_timestamp": ["statement_timestamp() > timestamptz '2024-01-01 00:00:00+00'"],
    "array_lower": ["array_lower(ARRAY[4, 5], 1)"],
    "array_upper": ["array_upper(ARRAY[4, 5], 1)"],
    "json_build_object": ["(json_build_object('a', 1))->>'a'"],
    "jsonb_build_object": ["(jsonb_build_object('a', 'x'))->>'a'"],
    "json_agg": ["(SELECT (json_agg(orders))->>0 IS NOT NULL FROM public.sales)"],
    "jsonb_agg": ["(SELECT (jsonb_agg(orders))->>0 IS NOT NULL FROM public.sales)"],
    "jsonb_extract_path_text": ["jsonb_extract_path_text('{\"a\": \"x\"}'::jsonb, 'a')"],
}  # fmt: skip
TYPED = {
    "jsonb": "('{\"a\": 1}'::jsonb)->>'a'",
    "name": "'x'::name",
    "bpchar": "'x'::bpchar",
    "citext": "CAST('x' AS citext)",
    "unknown": "'x'::unknown",
}
NOT_HERE = {"citext": "CAST('x' AS text)", "unknown": "'x'::text"}
"""In place of a type that PostgreSQL has as an extension, or takes no column of."""


def one(connection: psycopg.Connection[Any], expression: str) -> Any:
    found = connection.execute(f"SELECT ({expression})::text AS said").fetchone()
    assert found is not None
    return found[0]


def test_every_spelling_has_a_case() -> None:
    assert SPELLED.keys() == CALLS.keys()
    assert TYPED.keys() == TYPES.keys()


@pytest.mark.parametrize("name", SPELLED)
def test_a_call_gives_what_it_gives_in_postgres(both: Both, name: str) -> None:
    with both.connected() as (theirs, ours):
        for expression in SPELLED[name]:
            assert one(ours, expression) == one(theirs, expression), expression


def test_a_type_is_what_it_is_in_postgres(both: Both) -> None:
    with both.connected() as (theirs, ours):
        for name, expression in TYPED.items():
            assert one(ours, expression) == one(theirs, NOT_HERE.get(name, expression)), expression


@pytest.mark.parametrize("name", REFUSED)
def test_what_means_something_else_is_refused_by_name(both: Both, name: str) -> None:
    with both.connected() as (_, ours), pytest.raises(psycopg.errors.FeatureNotSupported, match=name):
        ours.execute(f"SELECT {name}('a', 'b')")
