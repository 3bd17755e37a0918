"""Law 1 for every entry of the algebra and every type it takes, and what the entries promise beyond it."""

from __future__ import annotations

import functools
import math
import re
import statistics
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamline.errors import SeamlineError
from seamline.kernel import Limits, kernel, quote
from seamline.schemas.algebra import ALGEBRA, Call, Form, Part
from seamline.schemas.algebra.distinct import SKETCH_SIZE
from seamline.schemas.algebra.forms import fill

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOLEAN": st.booleans(),
    "TINYINT": st.integers(-128, 127),
    "SMALLINT": st.integers(-(2**15), 2**15 - 1),
    "INTEGER": st.integers(-(2**31), 2**31 - 1),
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "UTINYINT": st.integers(0, 255),
    "USMALLINT": st.integers(0, 2**16 - 1),
    "UINTEGER": st.integers(0, 2**32 - 1),
    "UBIGINT": st.integers(0, 2**64 - 1),
    "HUGEINT": st.integers(-(10**36), 10**36),
    "FLOAT": st.floats(width=32),
    "DOUBLE": st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, 1e16, 1.0])),
    "DECIMAL(4,1)": st.decimals(-999, 999, places=1),
    "DECIMAL(18,2)": st.decimals(-(10**15), 10**15, places=2),
    "DECIMAL(38,4)": st.decimals(-(10**32), 10**32, places=4),
    "DECIMAL(38,30)": st.decimals(-(10**6), 10**6, places=30),
    "DECIMAL(38,38)": st.decimals(Decimal("-0.009"), Decimal("0.009"), places=38),
    "VARCHAR": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    "BLOB": st.binary(max_size=3),
    "DATE": st.dates(date(1970, 1, 1), date(2100, 1, 1)),
    "TIME": st.times(),
    "TIMESTAMP": st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    "TIMESTAMP WITH TIME ZONE": st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    "VARCHAR[]": st.lists(st.text("ab", max_size=2), max_size=2),
    "STRUCT(a INTEGER, b VARCHAR)": st.fixed_dictionaries(
        {"a": st.none() | st.integers(0, 3), "b": st.text("ab", max_size=1)}
    ),
}
"""Values of every type that an event can have, few enough to meet again."""

_LIKE_INTEGER = ("TINYINT", "SMALLINT", "UTINYINT", "USMALLINT", "UINTEGER")
CASES = [
    (name, kind)
    for name, entry in ALGEBRA.items()
    for kind in VALUES
    if entry.form(Call((kind,))) is not None
    and not (name == "count" and kind not in ("BIGINT", "VARCHAR"))
    and not (name != "avg" and kind in _LIKE_INTEGER)  # the same SQL as INTEGER
    and not (entry.kind == "state" and kind not in ("BIGINT", "DOUBLE", "DECIMAL(38,4)"))  # all cast to DOUBLE
]
Row = tuple[Any, ...]
"""(k, x, f): the key, the aggregate's argument, and whether its FILTER holds."""


def statements(form: Form, kind: str, grouped: bool = True) -> dict[str, str]:
    """The three statements of one aggregate `v` over a column `x`, filtered by `f`, keyed by `k`."""
    values = {"x": "events.x", "filter": " FILTER (WHERE events.f)", "where": "events.f"}
    columns = {p.suffix: f"partials.{quote('v' + p.suffix)}" for p in form.parts} | {"column": "v"}
    key, by = ("k, ", " GROUP BY ALL") if grouped else ("", "")
    partial = ", ".join(f"{fill(p.partial, values)} AS {quote('v' + p.suffix)}" for p in form.parts)
    merge = ", ".join(f"{fill(p.merge, {'c': columns[p.suffix]})} AS {quote('v' + p.suffix)}" for p in form.parts)
    return {
        "events": f"SELECT k::INTEGER AS k, x::{kind} AS x, f::BOOLEAN AS f FROM raw",
        "partial": f"SELECT {key}{partial} FROM events{by}",
        "merge": f"SELECT {key}{merge} FROM partials{by}",
        "finalise": f"SELECT {key}{fill(form.finalise, columns)} AS v FROM partials",
    }


@functools.cache
def arrow_type(kind: str) -> pa.DataType:
    """What the kernel hands out for a DuckDB type; HUGEINT goes as text."""
    return (
        kernel().run(f"SELECT NULL::{'VARCHAR' if kind == 'HUGEINT' else kind} AS x WHERE false").schema.field(0).type
    )


def table(rows: list[Row], kind: str) -> pa.Table:
    """Rows as an Arrow table."""
    xs = [str(x) if kind == "HUGEINT" and x is not None else x for _, x, _ in rows]
    return pa.table(
        {
            "k": pa.array([k for k, _, _ in rows], pa.int32()),
            "x": pa.array(xs, arrow_type(kind)),
            "f": pa.array([f for _, _, f in rows], pa.bool_()),
        }
    )


class Run:
    """Runs one aggregate's statements, with partials stored in Parquet between the steps."""

    def __init__(self, form: Form, kind: str, folder: Path, grouped: bool = True) -> None:
        self.sql, self.kind, self.folder = statements(form, kind, grouped), kind, folder
        self.kernel = kernel(Limits(folders=(str(folder),)))
        self.files = 0

    def stored(self, sql: str, inputs: Mapping[str, pa.Table | list[str]]) -> str:
        self.files += 1
        path = str(self.folder / f"{self.files}.parquet")
        self.kernel.run(sql, inputs, into=path)
        return path

    def partial(self, rows: list[Row]) -> str:
        events = f"WITH events AS ({self.sql['events']}) {self.sql['partial']}"
        return self.stored(events, {"raw": table(rows, self.kind)})

    def merge(self, *files: str) -> str:
        return self.stored(self.sql["merge"], {"partials": list(files)})

    def answer(self, file: str) -> dict[Any, Any]:
        rows = self.kernel.run(self.sql["finalise"], {"partials": [file]}).to_pylist()
        return {row.get("k"): row["v"] for row in rows}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("algebra")


def same(one: Any, other: Any, exact: bool, scale: float = 1.0) -> bool:
    """Equal to the bit, or, for aggregates over floats, within 1e-9 of the values that went in."""
    if exact or not isinstance(one, float) or not isinstance(other, float):
        return bool(one == other) or (one != one and other != other)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or abs(one - other) <= 1e-9 * max(scale, abs(one))


def events(kind: str) -> st.SearchStrategy[list[Row]]:
    value = VALUES[kind]
    if kind in ("DOUBLE", "FLOAT"):
        value = st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf]))
    row = st.tuples(st.integers(0, 2), st.none() | value, st.sampled_from([True, True, False, None]))
    return st.lists(row, max_size=12)


def finish(run: Run, file: str) -> Any:
    """The answer, or the stated error of a group out of range, which must not depend on the split either."""
    try:
        return run.answer(file)
    except SeamlineError as error:
        assert "VALUE_OUT_OF_RANGE" in str(error)
        return "out of range"


def check_lambda_law(run: Run, form: Form, parts: list[list[Row]]) -> None:
    """Any split, any order, any tree of merges, and an empty part: one answer."""
    everything = [row for part in parts for row in part]
    partials = [run.partial(part) for part in parts]
    empty = run.partial([])
    whole = finish(run, run.merge(run.partial(everything)))
    flat = finish(run, run.merge(*partials))
    left = finish(run, run.merge(run.merge(*partials[:2]), *partials[2:], empty))
    right = finish(run, run.merge(empty, *reversed(partials[1:]), run.merge(partials[0])))
    xs = [abs(x) for _, x, _ in everything if isinstance(x, float) and math.isfinite(x)]
    scale = max(1.0, sum(xs), sum(x * x for x in xs) if form.finalise.count("finalize") else 0.0)
    for other in (flat, left, right):
        assert isinstance(whole, str) == isinstance(other, str), (whole, other)
        if isinstance(whole, str):
            continue
        assert whole.keys() == other.keys()
        exact = form.exactness != "approximate (float)"
        assert all(same(whole[k], other[k], exact, scale) for k in whole), (whole, other)


@pytest.mark.parametrize(("name", "kind"), CASES, ids=str)
def test_partials_of_any_split_merge_to_the_partial_of_the_whole(name: str, kind: str, folder: Path) -> None:
    form = ALGEBRA[name].form(Call((kind,)))
    assert form is not None
    run = Run(form, kind, folder)

    @settings(max_examples=max(3, settings().max_examples // 10))
    @given(st.lists(events(kind), min_size=1, max_size=4))
    def law(parts: list[list[Row]]) -> None:
        check_lambda_law(run, form, parts)

    law()


@pytest.mark.parametrize(("name", "kind"), CASES, ids=str)
def test_an_answer_is_the_one_duckdb_gives_over_the_events(name: str, kind: str, folder: Path) -> None:
    """To the bit for everything exact, averages included; a sketch below its size counts exactly."""
    form = ALGEBRA[name].form(Call((kind,)))
    assert form is not None
    run = Run(form, kind, folder)
    own = f"{name}(x)" if form.exactness != "approximate" else "count(DISTINCT x)"

    @settings(max_examples=max(3, settings().max_examples // 10))
    @given(events(kind))
    def equal(rows: list[Row]) -> None:
        raw = f"WITH events AS ({run.sql['events']}) SELECT k, {own} FILTER (WHERE f) AS v FROM events GROUP BY ALL"
        try:
            want = {r["k"]: r["v"] for r in kernel().run(raw, {"raw": table(rows, kind)}).to_pylist()}
        except SeamlineError:
            return  # DuckDB's own sum overflowed, or a moment met an infinity
        got = run.answer(run.partial(rows))
        exact = form.exactness != "approximate (float)"
        assert got.keys() == want.keys()
        assert all(same(got[k], want[k], exact) for k in want), (got, want)

    equal()


@pytest.mark.parametrize(("name", "kind"), CASES, ids=str)
def test_types_are_as_declared_before_there_is_data(name: str, kind: str) -> None:
    form = ALGEBRA[name].form(Call((kind,)))
    assert form is not None
    sql, none = statements(form, kind), table([], kind)
    partial = f"WITH events AS ({sql['events']}) {sql['partial']}"
    stored = {"k": "INTEGER"} | {"v" + part.suffix: part.stored for part in form.parts}
    assert kernel().describe(partial, {"raw": none}) == stored
    rows = kernel().run(partial, {"raw": none})
    assert kernel().describe(sql["merge"], {"partials": rows}) == stored
    assert kernel().describe(sql["finalise"], {"partials": rows}) == {"k": "INTEGER", "v": form.sql_type}


def test_the_lambda_law_is_able_to_fail(folder: Path) -> None:
    """An average of averages breaks it."""
    wrong = Form((Part("", "avg({x}){filter}", "DOUBLE", "avg({c})"),), "{}", "DOUBLE")
    with pytest.raises(AssertionError):
        check_lambda_law(Run(wrong, "BIGINT", folder), wrong, [[(0, 1, True)], [(0, 2, True), (0, 6, True)]])


@pytest.mark.parametrize("name", ALGEBRA)
def test_an_aggregate_without_keys_has_one_row_even_over_nothing(name: str, folder: Path) -> None:
    kind = "BIGINT" if ALGEBRA[name].form(Call(("BIGINT",))) else "BOOLEAN"
    form = ALGEBRA[name].form(Call((kind,)))
    assert form is not None
    run = Run(form, kind, folder, grouped=False)
    want = 0 if name in ("count", "approx_count_distinct") else None
    assert run.answer(run.merge(run.partial([]))) == {None: want}
    no_rows = kernel().run(run.sql["partial"] + " LIMIT 0", {"events": table([], kind)})
    assert run.answer(run.stored(run.sql["merge"], {"partials": no_rows})) == {None: want}
    filtered_out = run.partial([(0, kind == "BOOLEAN" or 5, False), (0, None, True)])
    assert run.answer(run.merge(run.partial([]), filtered_out)) == {None: want}


@pytest.mark.parametrize(("kind", "most"), [("HUGEINT", 2**127 - 1), ("DECIMAL(38,0)", 10**38 - 1)])
def test_a_sum_out_of_range_is_an_error_of_its_group_alone(kind: str, most: int, folder: Path) -> None:
    form = ALGEBRA["sum"].form(Call((kind,)))
    assert form is not None
    run = Run(form, kind, folder)
    value = most if kind == "HUGEINT" else Decimal(most)
    files = [run.partial([(0, value, True), (1, 7, True)]) for _ in range(5)]
    merged = run.merge(run.merge(*files[:3]), *files[3:])
    inputs = {"partials": [merged]}
    fine = f"SELECT * FROM ({run.sql['finalise']}) WHERE k = 1"
    assert run.kernel.run(fine, inputs).to_pylist() == [{"k": 1, "v": Decimal(35)}]
    others = f"SELECT count(*) AS n FROM ({run.sql['finalise']})"
    assert run.kernel.run(others, inputs).to_pylist() == [{"n": 2}]
    with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE: column v"):
        run.kernel.run(run.sql["finalise"], inputs)


def test_a_sum_that_comes_back_into_range_is_right(folder: Path) -> None:
    """What overflows on the way, in any order, does not matter: only the end does."""
    form = ALGEBRA["sum"].form(Call(("DECIMAL(38,2)",)))
    assert form is not None
    run = Run(form, "DECIMAL(38,2)", folder)
    large = "9" * 36 + ".99"
    values = [Decimal(text) for text in (large, large, "-" + large, "-" + large, "-0.01")]
    files = [run.partial([(0, value, True)] * 3) for value in values]
    assert run.answer(run.merge(*files)) == {0: Decimal("-0.03")}


def test_sums_of_the_largest_integers_do_not_overflow(folder: Path) -> None:
    form = ALGEBRA["sum"].form(Call(("BIGINT",)))
    assert form is not None
    run = Run(form, "BIGINT", folder)
    part = run.partial([(0, 2**63 - 1, True)] * 100)
    assert run.answer(run.merge(*[part] * 20)) == {0: Decimal(2000 * (2**63 - 1))}


def test_moments_stay_right_near_a_billion(folder: Path) -> None:
    """Sums of squares fail here: the variance is 1, the mean 1e9."""
    form = ALGEBRA["var_pop"].form(Call(("DOUBLE",)))
    assert form is not None
    run = Run(form, "DOUBLE", folder)
    files = [run.partial([(0, 1e9 + sign, True)] * 50) for sign in (-1.0, 1.0, 1.0, -1.0)]
    assert run.answer(run.merge(*files))[0] == pytest.approx(1.0, rel=1e-6)


COUNTED = {"integers": "v", "text": "'user-' || v", "times": "make_timestamp(v * 1000000)", "halves": "v / 2.0"}


def estimates(values: str, expression: str, kind: str, parts: int) -> list[dict[str, int]]:
    """approx_count_distinct by group k over SELECT k, v, merged from `parts` partials."""
    form = ALGEBRA["approx_count_distinct"].form(Call((kind,)))
    assert form is not None
    sql = statements(form, kind)
    source = f"WITH events AS (SELECT k, {expression} AS x, true AS f FROM ({values}) WHERE hash(v, 'part') % {parts}"
    split = " UNION ALL ".join(f"({source} = {part}) {sql['partial']})" for part in range(parts))
    finalise = sql["finalise"].replace("FROM partials", "FROM m AS partials")
    merged = f"WITH partials AS ({split}), m AS ({sql['merge']}) {finalise}"
    return kernel().run(f"SELECT * FROM ({merged}) ORDER BY k").to_pylist()


@pytest.mark.parametrize("kind", COUNTED)
def test_distinct_counts_below_a_hundred_are_exact(kind: str) -> None:
    """Promised: off by at most 2. Each count from 1 to 100, thirty values each time, from three partials."""
    values = "SELECT k, (n % k) * 7919 + k * 104729 AS v FROM range(1, 101) AS ks(k), range(300) AS ns(n)"
    rows = estimates(values, COUNTED[kind], "VARCHAR", 3)
    assert [row["v"] for row in rows] == list(range(1, 101))


@pytest.mark.parametrize(("distinct", "seeds"), [(5_000, 60), (50_000, 20)])
def test_distinct_counts_stay_within_their_stated_error(distinct: int, seeds: int) -> None:
    values = f"SELECT k, k * 1000000 + n AS v FROM range({seeds}) AS ks(k), range({distinct}) AS ns(n)"
    errors = [row["v"] / distinct - 1 for row in estimates(values, COUNTED["text"], "VARCHAR", 2)]
    deviation = math.sqrt(statistics.fmean(e * e for e in errors))
    assert deviation < 0.017 * (1 + 2 / math.sqrt(2 * seeds)), deviation
    assert max(map(abs, errors)) < 4.5 * 0.017


def test_a_sketch_is_the_same_however_its_events_were_split() -> None:
    values = f"SELECT 0 AS k, n AS v FROM range({SKETCH_SIZE * 3}) AS ns(n)"
    answers = {estimates(values, COUNTED["integers"], "BIGINT", parts)[0]["v"] for parts in (1, 2, 5)}
    assert len(answers) == 1


def test_filters_reach_the_parquet_scan_through_every_statement(folder: Path) -> None:
    """A query for one key must not read the others, though finishing can raise."""
    form = ALGEBRA["sum"].form(Call(("DECIMAL(38,4)",)))
    assert form is not None
    run = Run(form, "DECIMAL(38,4)", folder)
    path = run.partial([(k, Decimal(k), True) for k in range(5)])
    merged = run.sql["finalise"].replace("FROM partials", f"FROM ({run.sql['merge']}) AS partials")
    query = f"SELECT * FROM ({merged}) WHERE k = 3"
    assert run.kernel.run(query, {"partials": [path]}).to_pylist() == [{"k": 3, "v": Decimal(3)}]
    plan = run.kernel.run(f"EXPLAIN {query}", {"partials": [path]}).to_pylist()[0]["explain_value"]
    assert re.search(r"READ_PARQUET.*Filters: k *= *3", plan, re.DOTALL), plan


def test_entries_and_documentation_agree() -> None:
    text = Path(__file__).parent.parent.joinpath("docs/views.md").read_text()
    for entry in ALGEBRA.values():
        assert f"| `{entry.name}` | {entry.kind} |" in text
