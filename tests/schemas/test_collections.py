"""Values themselves, up to a limit: in what order, where the limit is told, and of whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from algebra_laws import Case, Row, Run, check_lambda_law, rows_of, same
from hypothesis import given, settings
from hypothesis import strategies as st
from test_views import CONTRACT, ORDER, batch, compiled, parse_contract

from seamline.errors import SeamlineError, UserError
from seamline.kernel import kernel
from seamline.schemas.algebra.collections import COLLECTED, DISTINCT_VALUES
from seamline.schemas.views.definition import Definition

pytestmark = pytest.mark.thorough

EXAMPLES = max(2, settings().max_examples // 8)
ORDERS = parse_contract(CONTRACT, "orders.yaml")
DISTINCT = ("count distinct", "array_agg distinct", "collect_set", "string_agg distinct")
KINDS = ("UBIGINT", "FLOAT", "DECIMAL(38,38)", "BLOB", "DATE", "VARCHAR[]", "STRUCT(a INTEGER, b VARCHAR)")
CALLED = [
    *(("array_agg distinct", kind) for kind in KINDS),
    *(("count distinct", kind) for kind in KINDS[-2:]),
    *(("array_agg", kind) for kind in KINDS[-4:]),
    *(("string_agg", kind) for kind in ("BLOB", "FLOAT")),
    *(("sum distinct", kind) for kind in ("FLOAT", "UBIGINT", "DECIMAL(18,2)", "DECIMAL(38,38)")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collections")


@pytest.mark.parametrize(("name", "kind"), CALLED, ids=str)
def test_every_type_keeps_the_laws_and_duckdbs_answer(name: str, kind: str, folder: Path) -> None:
    case = Case(name, (kind,))
    run = Run(case, folder)

    @settings(max_examples=EXAMPLES)
    @given(st.lists(rows_of(case), min_size=1, max_size=3))
    def law(parts: list[list[Row]]) -> None:
        check_lambda_law(run, parts)
        rows = [row for part in parts for row in part]
        want, got = run.own_answer(rows), run.finish(run.partial(rows))
        assert want is not None
        assert got.keys() == want.keys()
        exact = run.form.exactness == "exact"
        assert all(same(got[k], want[k], exact, 1e8) for k in want), (got, want)

    law()


def answers(case: Case, folder: Path, *parts: list[Row]) -> dict[Any, Any]:
    """The merged answer over events that follow one another in the log."""
    run, first, files = Run(case, folder), 0, []
    for part in parts:
        files.append(run.partial(part, first))
        first += len(part)
    return run.answer(run.merge(*files))


def test_values_come_in_order_of_event_time_and_position_with_nulls(folder: Path) -> None:
    first = [Row(0, "late", None, True, 9), Row(0, None, None, True, 1)]
    second = [Row(0, "tied", None, True, 1), Row(0, "", None, True, 0), Row(0, "left out", None, False)]
    assert answers(Case("array_agg", ("VARCHAR",)), folder, first, second) == {0: ["", None, "tied", "late"]}
    assert answers(Case("string_agg", ("VARCHAR",)), folder, first, second) == {0: ",tied,late"}


def test_null_is_the_last_of_distinct_values_and_not_in_a_set(folder: Path) -> None:
    values = [[2.5, None, -0.0], [math.nan, 0.0], [math.nan, None]]
    parts = [[Row(0, x, None, True) for x in part] + [Row(1, None, None, True)] for part in values]
    listed = answers(Case("array_agg distinct", ("DOUBLE",)), folder, *parts)
    assert same(listed[0], [0.0, 2.5, math.nan, None], True)
    assert math.copysign(1, listed[0][0]) == 1.0
    assert listed[1] == [None]
    collected = answers(Case("collect_set", ("DOUBLE",)), folder, *parts)
    assert same(collected[0], [0.0, 2.5, math.nan], True)
    assert collected[1] is None
    assert answers(Case("count distinct", ("DOUBLE",)), folder, *parts) == {0: 3, 1: 0}
    assert math.isnan(answers(Case("sum distinct", ("DOUBLE",)), folder, *parts)[0])


# --- limits ----------------------------------------------------------------------------------------------


def spread(case: Case, folder: Path, ranges: Sequence[tuple[int, int]]) -> tuple[Run, list[str]]:
    """A partial for each (start, stop): group 0 has those numbers as values, group 1 has 1 and 2."""
    run = Run(case, folder)
    files = []
    for start, stop in ranges:
        values = f"SELECT 0 AS k, n::{case.types[0]} AS x FROM range({start}, {stop}) AS ns(n)"
        values += f" UNION ALL SELECT 1, n::{case.types[0]} FROM range(1, 3) AS ns(n)"
        events = (
            "SELECT k, x, true AS f, TIMESTAMPTZ '2026-01-01' AS t, 's' AS _source, 0::INTEGER AS _partition,"
            f" row_number() OVER () + {start} AS _offset FROM ({values})"
        )
        files.append(run.stored(f"WITH events AS ({events}) {run.sql['partial']}", {}))
    return run, files


LIMITED = ("array_agg", "array_agg distinct", "collect_set", "string_agg", "string_agg distinct")


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_passed_is_an_error_of_its_group_alone(name: str, folder: Path) -> None:
    """Whether one task passes it or only the merged partials do; exactly the limit is an answer."""
    case = Case(name, ("BIGINT",))
    half = COLLECTED // 2
    for ranges in ([(0, COLLECTED + 1)], [(0, half), (half, COLLECTED + 1)], [(half, 4 * COLLECTED), (0, 1)]):
        run, files = spread(case, folder, ranges)
        merged = run.merge(*files)
        fine = run.kernel.run(f"SELECT len(v) AS n FROM ({run.sql['finalise']}) WHERE k = 1", {"partials": [merged]})
        assert fine.to_pylist()[0]["n"] > 1
        with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE: column v: more than 10,000"):
            run.answer(merged)
    run, files = spread(case, folder, [(0, half), (half, COLLECTED)])
    value = run.answer(run.merge(*files))[0]
    assert len(value.split(",") if isinstance(value, str) else value) == COLLECTED


@pytest.mark.parametrize("name", LIMITED)
def test_a_partial_row_never_holds_more_than_the_limit_and_one(name: str, folder: Path) -> None:
    run, files = spread(Case(name, ("BIGINT",)), folder, [(0, 3 * COLLECTED), (COLLECTED, 4 * COLLECTED)])
    for file in (files[0], run.merge(*files), run.merge(run.merge(*files), *files)):
        rows = run.kernel.run("SELECT len(v) AS n FROM partials WHERE k = 0", {"partials": [file]}).to_pylist()
        assert rows == [{"n": COLLECTED + 1}]


def test_null_counts_as_one_of_the_distinct_values_of_a_list(folder: Path) -> None:
    most = [Row(0, n, None, True) for n in range(COLLECTED)]
    null = Row(0, None, None, True)
    assert len(answers(Case("collect_set", ("BIGINT",)), folder, most, [null])[0]) == COLLECTED
    assert len(answers(Case("array_agg distinct", ("BIGINT",)), folder, most[1:], [null])[0]) == COLLECTED
    with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE"):
        answers(Case("array_agg distinct", ("BIGINT",)), folder, most, [null])


def test_a_million_distinct_values_are_counted_and_one_more_is_told_after_merging(folder: Path) -> None:
    run, files = spread(Case("count distinct", ("BIGINT",)), folder, [(0, 600_000), (300_000, DISTINCT_VALUES)])
    total = Run(Case("sum distinct", ("BIGINT",)), folder)
    merged = run.merge(*files)
    assert run.answer(merged) == {0: DISTINCT_VALUES, 1: 2}
    assert total.answer(merged) == {0: Decimal(DISTINCT_VALUES * (DISTINCT_VALUES - 1) // 2), 1: Decimal(3)}
    _, more = spread(run.case, folder, [(DISTINCT_VALUES, DISTINCT_VALUES + 1)])
    beyond = run.merge(merged, *more)
    for one in (run, total):
        fine = one.kernel.run(f"SELECT v FROM ({one.sql['finalise']}) WHERE k = 1", {"partials": [beyond]})
        assert [int(row["v"]) for row in fine.to_pylist()] == [2 if one is run else 3]
        with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE: column v: more than 1,000,000 distinct values: "):
            one.answer(beyond)


def test_a_sum_of_distinct_decimals_is_exact_and_out_of_range_only_at_its_end(folder: Path) -> None:
    case = Case("sum distinct", ("DECIMAL(38,2)",))
    large = [Decimal("9" * 36 + "." + end) for end in ("97", "98", "99")]
    rows = [[Row(0, value, None, True), Row(0, value.copy_negate(), None, True)] * 2 for value in large]
    assert answers(case, folder, *rows, [Row(0, Decimal("-0.01"), None, True)]) == {0: Decimal("-0.01")}
    with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE: column v: a sum of"):
        answers(case, folder, *(part[:1] for part in rows))


# --- in views --------------------------------------------------------------------------------------------


def merged(definition: Definition, *parts: pa.Table) -> pa.Table:
    """One partial row a key."""
    partials = [kernel().run(definition.partial, {"events": part}) for part in parts]
    return kernel().run(definition.merge, {"partials": pa.concat_tables(partials)})


def events(count: int, shop: str = "a", first: int = 0) -> pa.Table:
    """Orders at positions from `first` on, all different."""
    rows = [
        ORDER | {"Shop": shop, "pieces": n, "amount": Decimal(n % 3), "weight": [None, math.nan, 0.5, -0.0][n % 4],
                 "buyer": {"name": ["Å", "b", None][n % 3]}, "tags": [str(n % 2)]}
        for n in range(first, first + count)
    ]  # fmt: skip
    table = batch(ORDERS, rows)
    position = {"_source": pa.array(["s"] * count), "_partition": pa.array([0] * count, pa.int32())}
    position["_offset"] = pa.array(range(first, first + count), pa.int64())
    for name, column in position.items():
        if name in table.column_names:
            table = table.drop_columns(name)
        table = table.append_column(name, column)
    return table


def test_a_view_of_all_of_them_answers_as_its_own_select() -> None:
    definition = compiled(
        """SELECT placed::DATE AS day, Shop, array_agg(pieces) AS pieces, list(DISTINCT weight) AS weights,
        collect_set(buyer.name) AS names,
        string_agg(buyer.name, ' {x} ''; ') FILTER (WHERE pieces % 2 = 0) AS text, group_concat(tags) AS listed,
        string_agg(DISTINCT tags[1], '') AS tags, count(DISTINCT buyer) AS buyers, sum(DISTINCT amount) AS amounts,
        sum(DISTINCT pieces) / count(DISTINCT pieces) AS mean
        FROM orders GROUP BY ALL HAVING count(DISTINCT pieces) > 1""",
        ORDERS,
    )
    parts = [events(7, "a"), events(4, "b", 7), events(9, "a", 11), events(1, "c", 20)]
    want = kernel().run(definition.select_over("events"), {"events": pa.concat_tables(parts)}).to_pylist()
    for order in (parts, parts[::-1]):
        got = kernel().run(definition.finalise, {"partials": merged(definition, *order)}).to_pylist()
        pairs = zip(*(sorted(rows, key=lambda row: row["Shop"]) for rows in (got, want)), strict=True)
        assert all(same(one, other, True) for one, other in pairs), (got, want)
    assert {row["Shop"] for row in want} == {"a", "b"}


def test_aggregates_over_the_same_distinct_values_share_one_column() -> None:
    select = """SELECT day, count(DISTINCT pieces) AS n, sum(DISTINCT pieces) AS total, collect_set(pieces) AS set,
        list(DISTINCT pieces) AS listed, string_agg(tags) AS text, string_agg(tags, ' ') AS spaced
        FROM orders GROUP BY ALL"""
    names = [column.name for column in compiled(select, ORDERS).partial_columns]
    assert names == ["day", "n", "set", "listed__null", "text", "_events"]


def test_a_text_computed_over_a_limit_is_an_error_and_never_the_message_itself() -> None:
    for value in ("string_agg(pieces)", "string_agg(pieces) || '!'", "count(DISTINCT pieces)::VARCHAR || listed[1]"):
        select = f"SELECT day, Shop, array_agg(pieces)::VARCHAR[] AS parts, {value} AS said FROM orders GROUP BY ALL"
        definition = compiled(select.replace("listed[1]", "array_agg(pieces)[1]"), ORDERS)
        rows = merged(definition, events(COLLECTED), events(1, first=COLLECTED), events(1, "b"))
        with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE: column said"):
            kernel().run(f"SELECT said FROM ({definition.finalise})", {"partials": rows})
        fine = f"SELECT * FROM ({definition.finalise}) WHERE \"Shop\" = 'b'"
        assert kernel().run(fine, {"partials": rows}).num_rows == 1


def test_a_separator_is_a_text() -> None:
    for separator in ("7", "NULL"):
        with pytest.raises(UserError) as caught:
            compiled(f"SELECT string_agg(Shop, {separator}) AS v FROM orders", ORDERS)
        assert "the separator must be a text" in caught.value.detail
