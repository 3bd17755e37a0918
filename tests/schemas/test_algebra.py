"""Law 1 for every entry of the algebra and every kind of argument, and what the entries promise beyond it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from algebra_laws import (
    QUICK,
    Case,
    Row,
    Run,
    cases,
    check_lambda_law,
    plain_case,
    rows_of,
    same,
    scale_of,
    table,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

from seamline.errors import SeamlineError
from seamline.kernel import Limits, kernel
from seamline.schemas.algebra import ALGEBRA, Form, Part
from seamline.schemas.views.reference import written

CASES = list(cases())
EXAMPLES = max(2, settings().max_examples // 15)

NOT_NULL: dict[str, Any] = {
    "count": 0,
    "regr_count": 0,
    "approx_count_distinct": 0,
    "theta_sketch_agg": {"theta": 2**63 - 1, "hashes": []},
}
"""Answers over nothing that are not NULL."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("algebra")


@pytest.mark.parametrize("name", ALGEBRA)
def test_every_entry_is_tried(name: str) -> None:
    assert any(case.name == name for case in CASES), f"{name} takes none of the types that cases are made of"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_partials_of_any_split_merge_to_the_partial_of_the_whole(case: Case, folder: Path) -> None:
    run = Run(case, folder, store="memory" if QUICK else "mixed")

    @settings(max_examples=EXAMPLES)
    @given(st.lists(rows_of(case), min_size=1, max_size=4))
    def law(parts: list[list[Row]]) -> None:
        check_lambda_law(run, parts)

    law()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_partials_have_the_same_types_in_a_file_and_in_a_pack(case: Case, folder: Path) -> None:
    file = Run(case, folder)
    in_file = kernel(Limits(folders=(str(folder),))).run("SELECT * FROM partials", {"partials": [file.nothing]})
    memory = Run(case, folder, store="memory")
    assert in_file.schema == memory.kept[memory.nothing].schema


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_answer_is_the_one_duckdb_gives_over_the_events(case: Case, folder: Path) -> None:
    """To the bit for everything exact, averages included; a sketch of few values is exact, too."""
    run = Run(case, folder, store="memory" if QUICK else "files")

    @settings(max_examples=EXAMPLES)
    @given(rows_of(case))
    def equal(rows: list[Row]) -> None:
        want = run.own_answer(rows)
        if want is None:
            return
        got = run.finish(run.partial(rows))
        assert not isinstance(got, str), want
        exact, scale = run.form.exactness == "exact", scale_of(rows, ALGEBRA[case.name].kind == "state")
        assert got.keys() == want.keys()
        assert all(same(got[k], want[k], exact, scale) for k in want), (got, want)

    equal()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_types_are_as_declared_before_there_is_data(case: Case, folder: Path) -> None:
    run, none = Run(case, folder), table([], case)
    partial = run.over_events(run.sql["partial"])
    stored = {"k": "INTEGER"} | {"v" + part.suffix: part.stored for part in run.form.parts}
    assert kernel().describe(partial, {"raw": none}) == stored
    rows = kernel().run(partial, {"raw": none})
    assert kernel().describe(run.sql["merge"], {"partials": rows}) == stored
    assert kernel().describe(run.sql["finalise"], {"partials": rows}) == {"k": "INTEGER", "v": run.form.sql_type}


@pytest.mark.parametrize("name", ALGEBRA)
def test_no_column_of_a_users_can_take_the_place_of_an_entrys_own_names(name: str) -> None:
    """DuckDB takes `e.count` in a lambda over `e` for the field of a column e, where there is one; columns of users
    have no double underscore."""
    form = plain_case(name).form
    texts = [form.finalise, form.audit, form.own, *(text for part in form.parts for text in (part.partial, part.merge))]
    said = " ".join(texts)
    bound = {one for many in re.findall(r"lambda ([\w, ]+):", said) for one in many.split(", ")}
    bound |= set(re.findall(r"for (\w+) in", said))
    assert {one for one in bound if "__" not in one} == set()


def test_the_lambda_law_is_able_to_fail(folder: Path) -> None:
    """An average of averages breaks it."""
    wrong = Form((Part("", "avg({x}){filter}", "DOUBLE", "avg({c})"),), "{}", "DOUBLE")
    parts = [[Row(0, 1, None, True)], [Row(0, 2, None, True), Row(0, 6, None, True)]]
    with pytest.raises(AssertionError):
        check_lambda_law(Run(Case("avg", ("BIGINT",)), folder, form=wrong), parts)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ALGEBRA)
def test_an_aggregate_without_keys_has_one_row_even_over_nothing(name: str, folder: Path) -> None:
    case = plain_case(name)
    run = Run(case, folder, grouped=False, store="memory" if QUICK else "files")
    nothing = run.merge(run.nothing)
    want = run.answer(nothing)
    assert list(want) == [None]
    if name in NOT_NULL:
        assert want == {None: NOT_NULL[name]}
    no_rows = kernel().run(run.sql["partial"] + " LIMIT 0", {"events": table([], case)})
    assert run.answer(run.stored(run.sql["merge"], {"partials": no_rows})) == want
    left_out = run.partial([Row(0, None, None, False)])
    assert run.answer(run.merge(run.nothing, left_out)) == want


@pytest.mark.parametrize(("kind", "most"), [("HUGEINT", 2**127 - 1), ("DECIMAL(38,0)", 10**38 - 1)])
def test_a_sum_out_of_range_is_an_error_of_its_group_alone(kind: str, most: int, folder: Path) -> None:
    run = Run(Case("sum", (kind,)), folder)
    value = most if kind == "HUGEINT" else Decimal(most)
    files = [run.partial([Row(0, value, None, True), Row(1, 7, None, True)]) for _ in range(5)]
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
    run = Run(Case("sum", ("DECIMAL(38,2)",)), folder)
    large = "9" * 36 + ".99"
    values = [Decimal(text) for text in (large, large, "-" + large, "-" + large, "-0.01")]
    files = [run.partial([Row(0, value, None, True)] * 3) for value in values]
    assert run.answer(run.merge(*files)) == {0: Decimal("-0.03")}


def test_sums_of_the_largest_integers_do_not_overflow(folder: Path) -> None:
    run = Run(Case("sum", ("BIGINT",)), folder)
    part = run.partial([Row(0, 2**63 - 1, None, True)] * 100)
    assert run.answer(run.merge(*[part] * 20)) == {0: Decimal(2000 * (2**63 - 1))}


def test_moments_stay_right_near_a_billion(folder: Path) -> None:
    """Sums of squares fail here: the variance is 1, the mean 1e9."""
    run = Run(Case("var_pop", ("DOUBLE",)), folder)
    files = [run.partial([Row(0, 1e9 + sign, None, True)] * 50) for sign in (-1.0, 1.0, 1.0, -1.0)]
    assert run.answer(run.merge(*files))[0] == pytest.approx(1.0, rel=1e-6)


def test_filters_reach_the_parquet_scan_through_every_statement(folder: Path) -> None:
    """A query for one key must not read the others, though finalising can raise."""
    run = Run(Case("sum", ("DECIMAL(38,4)",)), folder)
    path = run.partial([Row(k, Decimal(k), None, True) for k in range(5)])
    merged = run.sql["finalise"].replace("FROM partials", f"FROM ({run.sql['merge']}) AS partials")
    query = f"SELECT * FROM ({merged}) WHERE k = 3"
    assert run.kernel.run(query, {"partials": [path]}).to_pylist() == [{"k": 3, "v": Decimal(3)}]
    plan = run.kernel.run(f"EXPLAIN {query}", {"partials": [path]}).to_pylist()[0]["explain_value"]
    assert re.search(r"READ_PARQUET.*Filters: k *= *3", plan, re.DOTALL), plan


def test_the_reference_page_is_what_the_tables_say() -> None:
    page = ROOT.joinpath("docs/views.md").read_text()
    assert written(page) == page, "run: python -m seamline.schemas.views.reference docs/views.md"
    assert all(f"| `{entry.signature}` |" in page for entry in ALGEBRA.values())
