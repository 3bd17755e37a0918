"""What a view's expressions may call runs, and gives the same value for the same event on any day.

The values stand in tests/golden/functions.json, by call. `GOLDEN=write` adds the calls that bind and writes what they
give: a function that reads the clock, the session or chance cannot pass the day after, and a new engine's answers are
read in the diff.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa
import pytest
from places import GOLDEN
from test_views import CONTRACT, ORDER, ORDERS, answer, batch, compiled

from seamline.kernel import Kernel, Limits, kernel
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.views.language import ALLOWED, CHANGING, REMADE

VALUES = GOLDEN / "functions.json"
WRITE = os.environ.get("GOLDEN") == "write"
ROUNDS = 20
"""How often each event stands in the table, in an order and in reverse."""

EVENTS = [
    *ORDERS,
    ORDER | {"id": "6", "placed": datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC), "day": date(1969, 7, 20)},
    ORDER | {"id": "7", "placed": datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC), "day": date(2024, 12, 31)},
    ORDER | {"id": "8", "Shop": "Ünï 42/ß", "pieces": -7, "weight": -0.5, "tags": ["x", "x", "b"]},
    ORDER | {"id": "9", "Shop": "", "pieces": 0, "weight": 0.0, "tags": [None]},
    ORDER | {"id": "10", "Shop": "7", "pieces": 2**62, "weight": float("nan"), "paid": None},
    ORDER | {"id": "11", "Shop": "a,b", "pieces": 200, "weight": float("inf"), "tags": None, "day": None},
]


@pytest.fixture(scope="module")
def orders() -> Contract:
    return parse_contract(CONTRACT, "orders.yaml")


CALLS = {
    "time_bucket": "time_bucket(INTERVAL '1 hour', placed)",
    "date_trunc": "date_trunc('hour', placed)",
    "datetrunc": "datetrunc('hour', placed)",
    "date_part": "date_part('hour', placed)",
    "datepart": "datepart('hour', placed)",
    "extract": "extract(hour FROM placed)",
    "date_add": "date_add(placed, INTERVAL '1 day')",
    "strftime": "strftime(placed, '%Y')",
    "strptime": "strptime(Shop, '%Y')",
    "try_strptime": "try_strptime(Shop, ['%Y', '%d.%m.%Y'])",
    "make_date": "make_date(pieces, 1, 1)",
    "make_time": "make_time(pieces, 1, 1.5)",
    "make_timestamp": "make_timestamp(pieces, 1, 2, 3, 4, 5.5)",
    "cast": "cast(pieces AS VARCHAR)",
    "try_cast": "try_cast(Shop AS DECIMAL(10,2))",
    "if": "if(paid, 1, 2)",
    "width_bucket": "width_bucket(price, 0, 100, 10)",
    "replace": "replace(Shop, 'a', 'b')",
    "overlay": "overlay(Shop, 'b', 1, 1)",
    "translate": "translate(Shop, 'a', 'b')",
    "regexp_replace": "regexp_replace(Shop, 'a', 'b')",
    "octet_length": "octet_length(encode(Shop))",
    "array_to_string": "array_to_string(tags, ',')",
    "position": "position('a' IN Shop)",
    "split_part": "split_part(Shop, '/', 1)",
    "decode": "decode(encode(Shop))",
    "from_hex": "from_hex(hex(Shop))",
    "unhex": "unhex(hex(Shop))",
    "unbin": "unbin(bin(Shop))",
    "from_base64": "from_base64(to_base64(encode(Shop)))",
    "to_base64": "to_base64(encode(Shop))",
    "base64": "base64(encode(Shop))",
    "chr": "chr(pieces::INTEGER)",
    "factorial": "factorial(pieces::INTEGER)",
    "pi": "pi() * weight",
    "from_json": """from_json('[1]', '["BIGINT"]')""",
    "json_transform": """json_transform('{"a": 1}', '{"a": "BIGINT"}')""",
    "struct_extract": "struct_extract(buyer, 'name')",
    "struct_pack": "struct_pack(a := pieces)",
    "struct_insert": "struct_insert(buyer, a := pieces)",
    "struct_concat": "struct_concat(buyer, {'a': pieces})",
    "flatten": "flatten([tags])",
    "list_where": "list_where(tags, [true, false])",
    "list_select": "list_select(tags, [1])",
    "map": "map(tags, tags)",
    "map_from_entries": "map_from_entries([(Shop, pieces)])",
    "map_keys": "map_keys(map(tags, tags))",
    "map_values": "map_values(map(tags, tags))",
    "map_entries": "map_entries(map(tags, tags))",
    "map_concat": "map_concat(map(tags, tags), map(['z'], [Shop]))",
    "cardinality": "cardinality(map(tags, tags))",
    "map_extract": "map_extract(map(tags, tags), 'x')",
    "map_extract_value": "map_extract_value(map(tags, tags), 'x')",
    "element_at": "element_at(map(tags, tags), 'x')",
    "map_contains": "map_contains(map(tags, tags), 'x')",
    "map_contains_value": "map_contains_value(map(tags, tags), 'x')",
}
ARGUMENTS = [
    "Shop",
    "pieces",
    "weight",
    "placed",
    "day",
    "paid, paid",
    "tags",
    "[weight]",
    "[paid]",
    "buyer",
    "Shop, 'x'",
    "Shop, 2",
    "Shop, 2, 3",
    "pieces, 2",
    "weight, 0.3",
    "placed, placed",
    "'day', placed, placed",
    "tags, 'x'",
    "'x', tags",
    "tags, 1",
    "tags, tags",
    "tags, 1, 2",
    "'{}', '$.x'",
    "'{}', '{}'",
]


def binding_calls(name: str, empty: pa.Table) -> list[str]:
    """The calls of a function that DuckDB takes over events of these types."""
    found = []
    for call in ([CALLS[name]] if name in CALLS else []) + [f"{name}({arguments})" for arguments in ARGUMENTS]:
        with contextlib.suppress(duckdb.Error):
            kernel().describe(f"SELECT TRY({call}) AS x FROM events", {"events": empty})
            found.append(call)
    return found


NAMES = sorted(ALLOWED)
TOGETHER = [NAMES[n : n + 20] for n in range(0, len(NAMES), 20)]


def kept() -> dict[str, dict[str, list[str | None]]]:
    """By function and by call, the value for each of EVENTS."""
    found: dict[str, dict[str, list[str | None]]] = json.loads(VALUES.read_text())
    return found


def write(values: dict[str, dict[str, list[str | None]]]) -> None:
    line = "{}: {}".format
    calls = [
        line(json.dumps(name), "{\n" + ",\n".join(line(json.dumps(c), json.dumps(v)) for c, v in of.items()) + "}")
        for name, of in sorted(values.items())
    ]
    VALUES.write_text("{\n" + ",\n".join(calls) + "\n}\n")


def told(value: str | None) -> str | None:
    """A value's text with numbers to 12 digits: the last ones, and NaN's sign, are the machine's library's."""
    number = r"-?\d+\.\d{10,}(e[-+]\d+)?"
    return value and re.sub(number, lambda n: f"{float(n[0]):.12g}", value.replace("-nan", "nan"))


def values_of(engine: Kernel, calls: list[str], events: pa.Table) -> list[list[str | None]]:
    """For each call its value for each of EVENTS, which must be one however often and between whatever it stands."""
    columns = [f"coalesce('=' || TRY({call})::VARCHAR, 'NULL') AS v{n}" for n, call in enumerate(calls)]
    values = [f"min(v{n}) AS low{n}, max(v{n}) AS high{n}" for n in range(len(calls))]
    statement = f"SELECT id, {', '.join(values)} FROM (SELECT id, {', '.join(columns)} FROM events) GROUP BY id"
    table = engine.run(f"FROM ({statement}) ORDER BY id::INTEGER", {"events": events})
    found = []
    for n, call in enumerate(calls):
        low, high = (table[f"{end}{n}"].to_pylist() for end in ("low", "high"))
        assert low == high, f"{call} gives several values for one event"
        found.append([None if one == "NULL" else told(one[1:]) for one in low])
    return found


def test_a_function_gives_for_an_event_what_it_gave_on_another_day(orders: Contract) -> None:
    once = batch(orders, EVENTS)
    if WRITE:
        calls = {name: binding_calls(name, once.slice(0, 0)) for name in NAMES}
        write({name: dict(zip(of, values_of(kernel(), of, once), strict=True)) for name, of in calls.items()})
    golden = kept()
    assert sorted(golden) == NAMES, "run `GOLDEN=write pytest tests/schemas/test_functions.py`, today and tomorrow"
    events = pa.concat_tables([once] * ROUNDS + [once.take(list(range(len(EVENTS) - 1, -1, -1)))] * ROUNDS)
    engine = Kernel(Limits(threads=4))
    for names in TOGETHER:
        expected = {call: values for name in names for call, values in golden[name].items()}
        assert dict(zip(expected, values_of(engine, list(expected), events), strict=True)) == expected
    engine.close()


@pytest.mark.thorough
@pytest.mark.parametrize("names", TOGETHER, ids=lambda names: f"{names[0]} to {names[-1]}")
def test_every_documented_function_runs_in_a_view(names: list[str], orders: Contract) -> None:
    events = batch(orders, ORDERS)
    calls = [next(iter(kept()[name])) for name in names]
    columns = ", ".join(f"count(Shop) FILTER (WHERE ({call}) IS NULL) AS n{n}" for n, call in enumerate(calls))
    assert answer(compiled(f"SELECT day, {columns} FROM orders GROUP BY ALL", orders), events)


@pytest.mark.parametrize("name", sorted(REMADE))
def test_a_view_over_what_a_release_changed_is_another_definition_from_there_on(
    name: str, orders: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what the earlier release stored is refused by name and rebuilt, not mixed with what the later one stores."""
    call = f"SELECT day, max(({next(iter(kept()[name]))})::VARCHAR) AS m FROM orders GROUP BY ALL"
    plain = "SELECT day, max(abs(weight)) AS m FROM orders GROUP BY ALL"
    now = [compiled(text, orders).hash for text in (call, plain)]
    monkeypatch.setattr("seamline.schemas.views.language.REMADE", {})
    before = [compiled(text, orders).hash for text in (call, plain)]
    assert [one == other for one, other in zip(now, before, strict=True)] == [False, True]


def test_no_function_that_changes_by_itself_is_listed() -> None:
    assert not ALLOWED & CHANGING
