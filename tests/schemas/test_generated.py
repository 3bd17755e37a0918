"""What a view's SELECT means to its reader is what it means to DuckDB: SELECTs are made and spelled at random, and each
is also run as it stands over the events, by DuckDB alone.

A SELECT is made as a list of tokens, so that nothing of the reader's says where one ends. `HYPOTHESIS_PROFILE=long`
tries 8,000 of either kind.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from test_views import CONTRACT, answer, batch

from seamline.errors import Condition, SeamlineError, UserError
from seamline.kernel import kernel
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import parse_views

SELECTS = settings().max_examples * 4

ORDERS = parse_contract(CONTRACT + "  - {property: seamline.eventId, value: id}\n", "orders.yaml")
EVENTS = [
    {
        "id": f"e{n:02}",
        "placed": datetime(2026, 3, 28 + n % 3, 22, n, tzinfo=UTC),
        "Shop": [None, "a", "B b", "", "ünï", "a"][n % 6],
        "amount": None if n % 5 == 0 else Decimal(n) / 4,
        "price": Decimal(n * 7) / 4,
        "pieces": None if n % 7 == 3 else n - 4,
        "weight": None if n % 4 == 2 else n / 4,
        "paid": [True, None, False][n * n % 3],
        "day": None if n % 8 == 5 else date(2026, 1, 1 + n % 2),
        "tags": [None, [], ["x"], ["x", None, "y'z"]][n % 4],
        "buyer": None if n % 6 == 4 else {"name": f"N{n % 3}", "home": {"city": "Oslo"} if n % 2 else None},
    }
    for n in range(24)
]
"""In no order of time across days; of quarters, so that sums of floats are the same in any order."""


def _table() -> pa.Table:
    events = batch(ORDERS, sorted(EVENTS, key=lambda one: one["placed"]))
    place = {"_source": ["t"] * len(events), "_partition": [0] * len(events), "_offset": list(range(len(events)))}
    for name, kind in (("_source", pa.string()), ("_partition", pa.int32()), ("_offset", pa.int64())):
        events = events.append_column(name, pa.array(place[name], kind))
    return events


TABLE = _table()
PARTS = [TABLE.slice(0, 5), TABLE.slice(5, 0), TABLE.slice(5, 12), TABLE.slice(17)]

# --- SELECTs, as lists of tokens -------------------------------------------------------------------------

Tokens = list[str]

FIELDS: dict[str, list[str]] = {
    "int": ["pieces", "len ( tags )", "extract ( minute FROM placed )"],
    "text": ["Shop", "id", "buyer . name", "buyer . home . city", "tags [ 1 ]", "Shop . upper ( )"],
    "bool": ["paid", "pieces > 3", "Shop IS NOT NULL", "tags IS NULL"],
    "float": ["weight", "pieces / 4"],
}
"""Expressions of a type that need no others. Between two spaces stands a token; a space within one is written _."""

FORMS: dict[str, list[str]] = {
    "int": [
        "int + int", "int - - 1", "- int", "int * 2", "( int )", "int // nullif ( int , 0 )", "abs ( int )", "int % 3",
        "coalesce ( int , 7 )", "CASE WHEN bool THEN int ELSE int END", "CASE int WHEN 1 THEN int END",
        "length ( text )", "greatest ( int , int )", "bool :: INTEGER", "CAST ( bool AS BIGINT )", "[ int , 2 ] [ 1 ]",
        "position ( 'a' IN text )", "( json_object ( 'a' , 5 ) -> 'a' ) :: VARCHAR :: INTEGER", "{ 'k' : int } . k",
        "struct_pack ( k := int ) . k", "TRY_CAST ( '1' AS INT )", "int :: DECIMAL ( 9 , 0 ) :: INT",
    ],
    "text": [
        "text || text", "upper ( text )", "( text )", "( placed AT TIME ZONE 'UTC' ) :: VARCHAR", "text [ 1 : 2 ]",
        "$$it's_$$ || text", "int :: VARCHAR", "coalesce ( text , 'no_--_comment' )", "'a''b'", "'/*'",
        "concat ( text , e'\\'\\n' , int )",
        "CASE WHEN bool THEN text ELSE 'c' END", "substring ( text , 2 )", "trim ( text , 'a' )",
        "json_object ( 'a' , text ) ->> '$.a'", "lower ( id ) || ';'", "'*/' || text || '\"'",
    ],
    "bool": [
        "int < int", "text = text", "bool AND bool", "bool OR NOT bool", "( bool )", "int IN ( 1 , int , 3 )",
        "int NOT BETWEEN int AND 5", "text LIKE 'a%'", "bool IS NOT DISTINCT FROM bool", "int IS DISTINCT FROM int",
        "float >= 1.5", "text NOT ILIKE '%B' ESCAPE '!'", "bool IS NOT TRUE", "int != 1e0", "x'00' IS NULL",
        "list_contains ( tags , text )", "text IN tags", "placed > TIMESTAMPTZ '2026-03-29_00:00:00+00'",
        "placed - INTERVAL 2 HOURS < placed", "day = DATE '2026-01-01'", "text ^@ 'a'", "text ~ '^a'",
    ],
    "float": ["float * 2", "- float", "( float )", "float :: DOUBLE", "int / 2", "coalesce ( float , .25 )"],
}  # fmt: skip
"""The same that hold others, each named by its type."""

BUCKETS = [
    "placed :: DATE", "CAST ( placed AS DATE )", "date_trunc ( 'day' , placed )", "day",
    "time_bucket ( INTERVAL '6_hours' , placed )",
    "time_bucket ( INTERVAL 1 DAY , placed , 'Asia/Seoul' )",
]  # fmt: skip
NUMBERS = ["count ( * )", "sum ( int )", "max ( int )", "count ( text )", "avg ( int )", "min ( float )"]
CALLS = [
    *NUMBERS, "count ( )", "count ( DISTINCT text )", "sum ( DISTINCT int )", "sum ( float )", "avg ( ALL float )",
    "sum ( price )", "avg ( amount )", "min ( text )", "min ( placed )", "max ( int , 2 )", "bool_or ( bool )",
    "count_if ( bool )", "bit_xor ( int )", "min_by ( text , placed )", "max_by ( int , id )", "first ( int )",
    "last ( text )", "array_agg ( int )", "string_agg ( text , ',' )", "median ( float )",
    "quantile_disc ( int , 0.5 )", "mode ( ) WITHIN GROUP ( ORDER BY bool )",
    "percentile_cont ( 0.25 ) WITHIN GROUP ( ORDER BY float ASC )",
]  # fmt: skip
COMPUTED = [
    "call", "call", "call", "number + number", "- number :: DOUBLE", "number // nullif ( number , 0 )", "( number )",
    "CASE WHEN number > 2 THEN 'many' ELSE upper ( 'few' ) END", "number IS NULL", "number * 2 ** 2", "number - - 1",
    "coalesce ( number , 0 ) - 1", "number :: VARCHAR || '_x'", "number BETWEEN number AND 7", "round ( number , 1 )",
]  # fmt: skip
CONDITIONS = [
    "number > 1", "NOT number < 3", "number IS NOT NULL AND count ( * ) >= 1", "number <> 2 OR NOT number > 4",
    "k0 IS NOT NULL", "c IS NULL OR c IS NOT NULL AND NOT k0 IS NULL",
]  # fmt: skip


def filled(draw: st.DrawFn, text: str, depth: int) -> Tokens:
    """A form's tokens, with an expression for each type that it names, and a call for each that stands for one."""
    made: Tokens = []
    for token in text.split(" "):
        if token in FORMS:
            texts = FIELDS[token] * 2 + FORMS[token] if depth > 0 else FIELDS[token]
            made += filled(draw, draw(st.sampled_from(texts)), depth - 1)
        elif token in ("call", "number"):
            made += filled(draw, draw(st.sampled_from(CALLS if token == "call" else NUMBERS)), 1)
            made += filled(draw, draw(st.sampled_from(["", "", "", "FILTER ( WHERE bool )"])), 1)
        else:
            made += [token.replace("_", " ") if token[:1] in ("'", "$") else token] if token else []
    return made


@st.composite
def selects(draw: st.DrawFn) -> Tokens:
    """A view's SELECT: a bucket, more keys and columns in any order, each way of grouping, and conditions."""
    keys = [filled(draw, draw(st.sampled_from(BUCKETS)), 0)]
    for kind in draw(st.lists(st.sampled_from(["int", "text", "bool"]), max_size=2)):
        made = filled(draw, kind, 3)
        keys.append(made if NAMES & {*made} else ["pieces"])  # one that reads nothing is no key
    named = {f"k{at}": key for at, key in enumerate(keys)}
    columns = draw(st.lists(st.sampled_from(COMPUTED), min_size=1, max_size=3))
    named |= {"c" * at: filled(draw, form, 1) for at, form in enumerate(columns, start=1)}
    order = draw(st.permutations([*named]))
    select: Tokens = []
    for name in order:
        said = draw(st.sampled_from([["AS", name], ["AS", f'"{name}"'], [name]]))
        select += [*named[name], *said, ","]
    grouped = [
        draw(st.sampled_from([[str(at)], [name], named[name]])) for at, name in enumerate(order, 1) if name in "k0k1k2"
    ]
    by = draw(st.sampled_from([["ALL"], [token for key in grouped for token in [",", *key]][1:]]))
    having = filled(draw, draw(st.sampled_from(["", "", *CONDITIONS])), 1)
    return [
        *("SELECT", *select[: draw(st.sampled_from([-1, -1, None]))]),  # DuckDB takes a comma at the end
        *("FROM", "orders", *draw(st.sampled_from([[], ["AS", "o"], ["o"], ["AS", '"orders"']]))),
        *(["WHERE", *filled(draw, "bool", 3)] if draw(st.booleans()) else []),
        *("GROUP", "BY", *by),
        *(["HAVING", *having] if having else []),
    ]


NAMES = {field.name for field in ORDERS.fields}
SPACES = [" ", " ", " ", "\n", "\t ", " /* it's */ ", ' -- "no (\n']
TIGHT = {"(", ")", "[", "]", "{", "}", ",", ".", "::"}


@st.composite
def spelled(draw: st.DrawFn, tokens: Tokens) -> str:
    """The tokens as a text: words in any case, fields in quotes and with their table, and spaces of every kind."""
    table = next((tokens[at + 1 :][:2] for at, token in enumerate(tokens) if token == "orders"), [])
    alias = "o" if "o" in table else "orders"
    text = ""
    for before, token in zip(["(", *tokens], tokens, strict=False):
        said = token
        if token in NAMES and before != ".":
            said = draw(st.sampled_from([token, token, f'"{token}"', f"{alias}.{token}", f'{alias} . "{token}"']))
        elif token.isidentifier():
            said = draw(st.sampled_from([token, token, token.lower(), token.upper()]))
        spaces = [*SPACES, *[""] * 6] if {before, token} & TIGHT else SPACES
        text += draw(st.sampled_from(spaces)) + said
    return text


# --- what both say ----------------------------------------------------------------------------------------


def read(select: str) -> Definition | UserError:
    try:
        (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS {select}", "v.sql")
        return compile_view(view, ORDERS)
    except UserError as error:
        assert error.condition is Condition.VIEW_INVALID
        return error


def run(select: str) -> pa.Table | None:
    """DuckDB's own answer to the text, or None where it does not take it. An expression that fails on a row, which is
    NULL in a view, makes a case of nothing."""
    try:
        return kernel().run(select, {"orders": TABLE})
    except SeamlineError as error:
        assume(isinstance(error.__cause__, REFUSED))
        return None


REFUSED = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


def check(definition: Definition, told: pa.Table) -> None:
    """Names, and rows by them."""
    assert [column.name.lower() for column in definition.columns] == [name.lower() for name in told.column_names]
    assert plain(answer(definition, *PARTS)) == plain(told.to_pylist())


def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what a view leaves out: the case of unquoted names, the sign of 0.0, and an order of rows."""
    rows = (
        {name.lower(): abs(value) if isinstance(value, float) and not value else value for name, value in row.items()}
        for row in found
    )
    return sorted(rows, key=repr)


@settings(max_examples=SELECTS)
@given(selects().flatmap(spelled))
@example(
    "SELECT day AS k0, sum(pieces) BETWEEN max(pieces) AND 7 AS c, avg(weight)cc FROM orders AS orders"
    " GROUP BY day, day HAVING sum(pieces) IS NOT NULL AND count(*) > 0"
)
def test_a_select_of_the_view_language_is_taken_where_duckdb_takes_it_and_answers_alike(select: str) -> None:
    told, definition = run(select), read(select)
    if told is None:
        assert isinstance(definition, UserError), select
    else:
        assert isinstance(definition, Definition), definition
        check(definition, told)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A SELECT with a few of its tokens gone, doubled, moved or replaced."""
    tokens = draw(selects())
    for change in draw(st.lists(st.sampled_from(["gone", "again", "other", "swapped"]), min_size=1, max_size=2)):
        one, two = draw(st.tuples(*[st.integers(1, len(tokens) - 1)] * 2))
        if change == "swapped":
            tokens[one], tokens[two] = tokens[two], tokens[one]
        elif change == "other":
            tokens[one] = tokens[two]
        else:
            tokens[one : one + 1] = [tokens[one]] * (2 if change == "again" else 0)
    return draw(spelled(tokens))


@settings(max_examples=SELECTS, suppress_health_check=[HealthCheck.filter_too_much])
@given(damaged())
def test_whatever_is_taken_answers_as_duckdb_does(select: str) -> None:
    definition = read(select)
    assume(isinstance(definition, Definition))
    told = run(select)
    assert told is not None
    check(definition, told)
