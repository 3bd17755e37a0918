"""Quantiles, frequencies and histograms beyond law 1: errors of sketches, limits, ties, what is shared and refused."""

from __future__ import annotations

import itertools
import math
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from algebra_laws import Case, Row, Run, check_lambda_law, rows_of, same
from hypothesis import given, settings
from hypothesis import strategies as st
from test_views import ORDERS, answer, batch, compiled, orders, own_answer

from seamline.errors import SeamlineError, UserError
from seamline.kernel import kernel
from seamline.schemas.algebra.distribution import VALUES_LIMIT
from seamline.schemas.algebra.frequencies import CAPACITY, DISTINCT_LIMIT

pytestmark = pytest.mark.thorough

__all__ = ["orders"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distribution")


def case_of(name: str, kind: str, *constants: str) -> Case:
    return Case(name, (kind,), constants)


def partial_of(run: Run, values: str) -> str:
    """A Parquet file of the partials of SELECT k, x."""
    source = f"WITH events AS (SELECT k, x::{run.case.types[0]} AS x, true AS f FROM ({values}))"
    return run.stored(f"{source} {run.sql['partial']}", {})


def merged_in_a_tree(run: Run, files: list[str], chance: random.Random) -> str:
    """Merged a few at a time, any of them, until one is left."""
    while len(files) > 1:
        chance.shuffle(files)
        taken = chance.randint(2, max(2, len(files)))
        files = [*files[taken:], run.merge(*files[:taken])]
    return files[0]


def one_group(run: Run, file: str, k: int) -> Any:
    sql = f"SELECT v FROM ({run.sql['finalise']}) WHERE k = {k}"
    return run.kernel.run(sql, {"partials": [file]}).to_pylist()[0]["v"]


# --- approx_quantile -----------------------------------------------------------------------------------------

QUANTILES = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999]


def drawn(shape: str, size: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    chance = np.random.default_rng(seed)
    noise = chance.normal(size=size)
    made = {
        "uniform": lambda: chance.random(size),
        "normal": lambda: noise,
        "heavy tail": lambda: chance.pareto(0.5, size),
        "two far apart": lambda: noise + 1e6 * chance.integers(0, 2, size),
        "ties": lambda: chance.integers(0, 20, size).astype(float),
    }
    return made[shape]()


def allowed(quantile: float) -> float:
    """The error by rank that the entry states."""
    tail = min(quantile, 1 - quantile)
    return 0.003 if tail <= 0.0101 else 0.01 if tail <= 0.101 else 0.02


@pytest.mark.parametrize("shape", ["uniform", "normal", "heavy tail", "two far apart", "ties"])
@pytest.mark.parametrize(("size", "parts"), [(1_000, 7), (20_000, 1), (20_000, 60)])
def test_approximate_quantiles_stay_within_their_stated_error_by_rank(
    shape: str, size: int, parts: int, folder: Path
) -> None:
    run = Run(case_of("approx_quantile", "DOUBLE", str(QUANTILES)), folder)
    for seed in range(4):
        values, chance = drawn(shape, size, seed), random.Random(seed)
        table = pa.table({"k": pa.array([0] * size, pa.int32()), "x": values, "f": pa.array([True] * size)})
        edges = [round(n * size / parts) for n in range(parts + 1)]
        files = [
            run.stored(run.sql["partial"], {"events": table.slice(low, high - low)})
            for low, high in itertools.pairwise(edges)
        ]
        found = run.answer(merged_in_a_tree(run, files, chance))[0]
        ordered = np.sort(values)
        for quantile, value in zip(QUANTILES, found, strict=True):
            low, high = (np.searchsorted(ordered, value, side) / size for side in ("left", "right"))
            assert max(low - quantile, quantile - high, 0) <= allowed(quantile) + 1 / size, (shape, quantile, value)


def test_values_of_any_size_neither_fail_nor_spoil_a_digest(folder: Path) -> None:
    """Means of values near the largest double would overflow; infinities and NaN are left out, as DuckDB does."""
    run = Run(case_of("approx_quantile", "DOUBLE", "[0.1, 0.5, 0.9]"), folder)
    huge = "SELECT 0 AS k, CASE n % 5 WHEN 0 THEN 1.7e308 WHEN 1 THEN -1.7e308 ELSE n END AS x FROM range(3000) AS t(n)"
    odd = "SELECT 0 AS k, unnest(['inf', '-inf', 'nan']::DOUBLE[]) AS x"
    found = run.answer(run.merge(partial_of(run, huge), partial_of(run, odd), partial_of(run, huge)))[0]
    assert all(math.isfinite(value) for value in found)
    assert found[0] < -1e200
    assert 0 < found[1] < 3000
    assert found[2] > 1e200


# --- every type ----------------------------------------------------------------------------------------------

NUMBERS = ("TINYINT", "UTINYINT", "UBIGINT", "FLOAT", "DECIMAL(4,1)", "DECIMAL(38,38)", "DATE", "TIME", "TIMESTAMP")
OTHERS = (*NUMBERS, "BLOB", "VARCHAR[]", "STRUCT(a INTEGER, b VARCHAR)")
CASES = [
    *(case_of(name, kind, q) for name in ("approx_quantile", "quantile_cont") for kind in NUMBERS for q in ("0.3",)),
    *(case_of("approx_quantile", kind, "[0.3, 1]") for kind in NUMBERS),
    *(case_of("quantile_disc", kind, "[0.3, 1]") for kind in OTHERS),
    *(case_of("median", kind) for kind in OTHERS),
    *(case_of("mode", kind) for kind in OTHERS),
    *(case_of("approx_top_k", kind, "3") for kind in OTHERS),
    *(case_of("histogram", kind) for kind in OTHERS),
    *(case_of("histogram", kind, "[1.5, 3]") for kind in ("TINYINT", "FLOAT", "DECIMAL(38,4)")),
    case_of("histogram", "VARCHAR", "['it''s {x}', 'a']"),
    case_of("histogram", "DATE", "[DATE '2060-01-31', DATE '1985-07-01']"),
    case_of("histogram", "TIME", "['12:00', TIME '06:30:00.5']"),
    case_of("histogram", "TIMESTAMP", "[TIMESTAMP '2000-01-01 12:00:00', '2050-01-01']"),
    case_of("histogram", "TIMESTAMP WITH TIME ZONE", "[TIMESTAMPTZ '2000-01-01 12:00:00+09']"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_type_is_split_merged_and_answered_as_duckdb_does(case: Case, folder: Path) -> None:
    run = Run(case, folder)

    @settings(max_examples=4)
    @given(st.lists(rows_of(case), min_size=1, max_size=3))
    def law(parts: list[list[Row]]) -> None:
        check_lambda_law(run, parts)
        everything = [row for part in parts for row in part]
        got, want = run.finish(run.partial(everything)), run.own_answer(everything)
        if want is not None:
            assert same(got, want, True), (got, want)

    law()
    assert run.kernel.describe(run.sql["finalise"], {"partials": [run.partial([])]})["v"] == run.form.sql_type


# --- limits --------------------------------------------------------------------------------------------------

LIMITED = [
    (case_of("median", "BIGINT"), VALUES_LIMIT, "approx_quantile", (VALUES_LIMIT - 1) / 2),
    (case_of("quantile_cont", "BIGINT", "1"), VALUES_LIMIT, "approx_quantile", VALUES_LIMIT - 1),
    (case_of("quantile_disc", "BIGINT", "[0, 1]"), VALUES_LIMIT, "approx_quantile", [0, VALUES_LIMIT - 1]),
    (case_of("mode", "BIGINT"), DISTINCT_LIMIT, "approx_top_k", 0),
    (case_of("entropy", "BIGINT"), DISTINCT_LIMIT, "approx_top_k", pytest.approx(math.log2(DISTINCT_LIMIT))),
]


@pytest.mark.parametrize(("case", "limit", "hint", "most"), LIMITED, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_group_beyond_its_limit_is_an_error_of_its_group_alone(
    case: Case, limit: int, hint: str, most: Any, parts: int, folder: Path
) -> None:
    """Also where no part of it is beyond: group 0 has just as many values as it may, group 1 one more."""
    run = Run(case, folder)
    values = f"SELECT k, n AS x FROM range(2) AS g(k), range({limit + 1}) AS t(n) WHERE n < {limit} + k"
    files = [partial_of(run, f"{values} AND n % {parts} = {part}") for part in range(parts)]
    merged = run.merge(run.merge(*files[:2]), *files[2:])
    assert one_group(run, merged, 0) == most
    with pytest.raises(SeamlineError, match=f"VALUE_OUT_OF_RANGE: column v: .*{hint}"):
        one_group(run, merged, 1)
    once_more = run.merge(merged, partial_of(run, "SELECT 1 AS k, 7 AS x"))
    with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE"):
        one_group(run, once_more, 1)


@pytest.mark.parametrize(("case", "limit", "hint", "most"), LIMITED[:4:3], ids=lambda value: str(value)[:30])
def test_what_is_kept_of_a_group_beyond_its_limit_is_bounded(
    case: Case, limit: int, hint: str, most: Any, folder: Path
) -> None:
    run = Run(case, folder)
    files = [partial_of(run, f"SELECT 0 AS k, {part} + n AS x FROM range({2 * limit}) AS t(n)") for part in (0, 5)]
    for file in (*files, run.merge(*files)):
        sizes = run.kernel.run("SELECT len(v) AS n FROM partials", {"partials": [file]}).to_pylist()
        assert sizes == [{"n": limit + 1}]


# --- frequencies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["zipf", "plateau"])
@pytest.mark.parametrize(("seed", "parts"), [(1, 1), (2, 3), (3, 12), (4, 12)])
def test_counts_of_the_most_frequent_are_too_low_by_at_most_the_stated_part(
    shape: str, seed: int, parts: int, folder: Path
) -> None:
    run = Run(case_of("approx_top_k", "BIGINT", "10"), folder)
    chance, draw = random.Random(seed), np.random.default_rng(seed)
    size = 40_000
    zipf = np.minimum(draw.zipf(1.3, size), 10**9).astype(np.int64)
    plateau = np.where(draw.random(size) < 0.9, draw.integers(0, 300, size), draw.integers(0, 10**6, size))
    values = zipf if shape == "zipf" else plateau
    if seed % 2:
        values.sort()
    table = pa.table({"k": pa.array([0] * size, pa.int32()), "x": values, "f": pa.array([True] * size)})
    step = -(-size // parts)
    files = [run.stored(run.sql["partial"], {"events": table.slice(n, step)}) for n in range(0, size, step)]
    merged = merged_in_a_tree(run, files, chance)
    kept = run.kernel.run("SELECT v FROM partials", {"partials": [merged]}).to_pylist()[0]["v"]
    found = {entry["value"]: entry["count"] for entry in kept}
    true = dict(zip(*(each.tolist() for each in np.unique(values, return_counts=True)), strict=True))
    assert len(true) > CAPACITY >= len(kept) == len(found)
    assert all(0 < count <= true[value] for value, count in found.items())
    assert max(count - found.get(value, 0) for value, count in true.items()) <= size / (CAPACITY + 1)
    often = sorted(true.values(), reverse=True)
    assert all(true[value] >= often[9] - size / (CAPACITY + 1) for value in run.answer(merged)[0])


def test_the_most_frequent_are_exact_up_to_the_capacity_and_ties_go_by_value(folder: Path) -> None:
    run = Run(case_of("approx_top_k", "VARCHAR", "3"), folder)
    values = f"SELECT 0 AS k, format('{{:04d}}', n % {CAPACITY}) AS x FROM range({3 * CAPACITY + 2}) AS t(n)"
    files = [partial_of(run, f"{values} WHERE n % 7 = {part}") for part in range(7)]
    assert run.answer(run.merge(*files)) == {0: ["0000", "0001", "0002"]}


def test_where_no_value_is_frequent_none_is_named(folder: Path) -> None:
    run = Run(case_of("approx_top_k", "BIGINT", "3"), folder)
    each_once = partial_of(run, f"SELECT 0 AS k, n AS x FROM range({CAPACITY + 1}) AS t(n)")
    assert run.answer(run.merge(each_once, partial_of(run, "SELECT 1 AS k, NULL AS x"))) == {0: [], 1: None}


def test_entropy_is_duckdbs_and_zero_for_one_value(folder: Path) -> None:
    run = Run(case_of("entropy", "BIGINT"), folder)
    values = "SELECT n % 3 AS k, CASE WHEN n % 3 = 0 THEN 5 ELSE n % (n % 97 + 1) END AS x FROM range(20000) AS t(n)"
    found = run.answer(run.merge(*(partial_of(run, f"{values} WHERE n % 4 = {part}") for part in range(4))))
    own = kernel().run(f"SELECT k, entropy(x) AS v FROM ({values}) GROUP BY ALL").to_pylist()
    assert found == {row["k"]: pytest.approx(row["v"], abs=1e-12) for row in own}
    assert found[0] == 0.0


def test_merging_many_short_lists_of_one_group_counts_each_value_once(folder: Path) -> None:
    """A run of equal values as long as there are lists, and neither of them a power of two."""
    run = Run(case_of("histogram", "BIGINT"), folder)
    source = "SELECT n % 1537 AS part, n % 3 AS x, 0 AS k, true AS f FROM range(4000) AS t(n)"
    partial = run.sql["partial"].replace("GROUP BY ALL", "GROUP BY k, part")
    file = run.stored(f"WITH events AS ({source}) {partial}", {})
    assert run.answer(run.merge(file)) == {0: [(0, 1334), (1, 1333), (2, 1333)]}


# --- histograms over bounds ------------------------------------------------------------------------------------


def test_a_bin_is_a_plain_count_and_values_above_all_bounds_are_the_rest(folder: Path) -> None:
    run = Run(case_of("histogram", "DOUBLE", "[5, 1, 2, 2]"), folder)
    assert {part.suffix: part.stored for part in run.form.parts} == dict.fromkeys(
        ("bin1", "bin2", "bin3", "rest"), "BIGINT"
    )
    rows = [Row(0, x, None, True) for x in (math.nan, math.inf, -math.inf, -0.0, 1.0, 1.5, 7.0, None)]
    inside = [Row(1, 2.0, None, True), Row(2, None, None, True), Row(3, 1.0, None, False)]
    assert run.answer(run.merge(run.partial(rows), run.partial(inside))) == {
        0: [(1.0, 3), (2.0, 1), (5.0, 0), (math.inf, 3)],
        1: [(1.0, 0), (2.0, 1), (5.0, 0)],
        2: None,
        3: None,
    }


def test_bins_of_dates_are_named_by_text_which_every_reader_can_show(orders: Any) -> None:
    select = """SELECT day, histogram(placed, [TIMESTAMPTZ '2026-01-01 10:30:00+00']) AS bins,
        histogram(placed::DATE, [DATE '2026-01-01', DATE '2026-02-01'])['2026-01-01'] AS new_year
        FROM orders GROUP BY ALL"""
    definition, events = compiled(select, orders), batch(orders, ORDERS)
    found = answer(definition, events.slice(0, 3), events.slice(3))
    assert found == own_answer(definition, events)
    names = {name for row in found for name, _ in row["bins"]}
    assert names == {"2026-01-01 10:30:00+00", "infinity"}


def test_a_bound_beyond_what_can_be_shown_is_refused(orders: Any) -> None:
    with pytest.raises(UserError, match="beyond the years 1 to 9999"):
        compiled("SELECT day, histogram(day, ['infinity'::DATE]) AS v FROM orders GROUP BY ALL", orders)


# --- in a view -------------------------------------------------------------------------------------------------


def test_aggregates_of_one_argument_share_their_partial_columns(orders: Any) -> None:
    columns = {
        "median(price) AS a, quantile_cont(price, [0.1, 0.9]) AS b, quantile(price, 0.5) AS c": 1,
        "mode(Shop) AS a, entropy(Shop) AS b, histogram(Shop) AS c": 1,
        "approx_quantile(price, 0.5) AS a, approx_quantile(price, [0.1, 0.9]) AS b": 3,  # the digest and its ends
    }
    for select, stored in columns.items():
        definition = compiled(f"SELECT day, {select} FROM orders GROUP BY ALL", orders)
        assert len(definition.partial_columns) == 2 + stored  # the key, and how many events there were


def test_a_view_of_distributions_answers_as_its_own_select(orders: Any) -> None:
    definition = compiled(
        """SELECT placed::DATE AS date, width_bucket(pieces, 0, 10, 5) AS size, median(pieces) AS middle,
        quantile(Shop, [0.5, 1]) AS shops,
        approx_quantile(placed, 0.5) AS about, mode(Shop) FILTER (WHERE paid) AS often, entropy(Shop) AS entropy,
        histogram(weight, [1, 2]) AS weights, approx_top_k(tags[1], 2)[1] AS tag, histogram(day) AS days,
        quantile_cont(weight, 0.9) - quantile_cont(weight, 0.1) AS spread
        FROM orders WHERE width_bucket(pieces, 0, 10, 5) BETWEEN 1 AND 5 GROUP BY ALL""",
        orders,
    )
    parts = [batch(orders, ORDERS[:2]), batch(orders, []), batch(orders, ORDERS[2:])]
    found = answer(definition, *parts)
    assert found == own_answer(definition, pa.concat_tables(parts))
    assert sorted(row["size"] for row in found) == [2, 3, 4]


REFUSED = {
    "approx_quantile(price, 1.5)": "a number from 0 to 1",
    "quantile_cont(price, [])": "a number from 0 to 1",
    "quantile_disc(Shop, 'half')": "a number from 0 to 1",
    "quantile_cont(price, [0.5, NULL])": "a number from 0 to 1",
    "quantile_cont(Shop, 0.5)": "numbers, dates, times and timestamps",
    "approx_quantile(paid, 0.5)": "numbers, dates, times and timestamps",
    "approx_top_k(Shop, 0)": "an integer from 1 to 100",
    "approx_top_k(Shop, 2.5)": "an integer from 1 to 100",
    "histogram(weight, [])": "a list of 1 to 100 bounds",
    "histogram(weight, ['inf'::DOUBLE])": "a list of 1 to 100 bounds",
    f"histogram(weight, {list(range(101))})": "a list of 1 to 100 bounds",
    "histogram(Shop, [''])": "values above all",
    "histogram(placed, [1])": "with bounds, of the same type",
    "histogram(day, [NULL::DATE])": "a list of 1 to 100 bounds",
}


@pytest.mark.parametrize("call", REFUSED)
def test_constants_that_an_entry_does_not_take_are_refused_with_what_it_takes(call: str, orders: Any) -> None:
    with pytest.raises(UserError) as refused:
        compiled(f"SELECT {call} AS v FROM orders", orders)
    assert REFUSED[call] in refused.value.detail
    assert refused.value.where == "views/v.sql:2:8"


# --- width_bucket ----------------------------------------------------------------------------------------------


@given(
    st.lists(st.decimals(-100, 100, places=2), min_size=1, max_size=20),
    st.decimals(-50, 50, places=2),
    st.decimals(-50, 50, places=2),
    st.integers(1, 200),
)
def test_width_bucket_of_decimals_is_the_standards(xs: list[Decimal], low: Decimal, high: Decimal, n: int) -> None:
    def want(x: Decimal) -> int | None:
        if low == high:
            return None
        part = Fraction(x - low) / Fraction(high - low)
        return max(0, min(n + 1, math.floor(part * n) + 1))

    table = pa.table({"x": pa.array(xs, pa.decimal128(10, 2))})
    sql = f"SELECT width_bucket(x, {low}::DECIMAL(10,2), {high}::DECIMAL(10,2), {n}) AS w FROM events"
    found = kernel().run(sql, {"events": table}).column("w").to_pylist()
    assert found == [want(x) for x in xs]


def test_width_bucket_takes_what_doubles_hold_and_is_null_where_it_has_no_meaning() -> None:
    doubles = "unnest(['-inf', '0', '-0.0', '9.99', '10', 'inf', 'nan', NULL]::DOUBLE[])"
    found = kernel().run(f"SELECT width_bucket(x, 0, 10, 5) AS w FROM (SELECT {doubles} AS x)")
    assert found.column("w").to_pylist() == [0, 1, 1, 5, 6, 6, 6, None]
    odd = "SELECT width_bucket(1, 1, 1, 5) AS a, width_bucket(1, 0, 2, 0) AS b, width_bucket(1, 0, 2, NULL) AS c"
    assert kernel().run(odd).to_pylist() == [{"a": None, "b": None, "c": None}]
