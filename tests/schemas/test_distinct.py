"""Distinct counts: exact while small, within the standard error that was asked for, the same for any split."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from algebra_laws import Case, Run

from seamline.kernel import Limits, kernel
from seamline.schemas.algebra import ALGEBRA, Call

pytestmark = pytest.mark.thorough

COUNTED = {"integers": "v", "text": "'user-' || v", "times": "make_timestamp(v * 1000000)", "halves": "v / 2.0"}
ERRORS = {(): 0.0157, ("0.008",): 0.008, ("0.02",): 0.02, ("0.1",): 0.1}
"""Constants that are given, and the standard error that they promise."""


def estimates(values: str, expression: str = "v", parts: int = 1, constants: tuple[str, ...] = ()) -> list[int]:
    """approx_count_distinct by group k over SELECT k, v, in the groups' order, merged from `parts` partials."""
    sql = Run(Case("approx_count_distinct", ("VARCHAR",), constants), Path()).sql
    source = f"WITH events AS (SELECT k, {expression} AS x, true AS f FROM ({values}) WHERE hash(v, 'part') % {parts}"
    split = " UNION ALL ".join(f"({source} = {part}) {sql['partial']})" for part in range(parts))
    finalise = sql["finalise"].replace("FROM partials", "FROM m AS partials")
    merged = f"WITH partials AS ({split}), m AS ({sql['merge']}) {finalise}"
    return [row["v"] for row in kernel().run(f"SELECT * FROM ({merged}) ORDER BY k").to_pylist()]


@pytest.mark.parametrize("constants", ERRORS, ids=str)
@pytest.mark.parametrize("kind", COUNTED)
def test_distinct_counts_up_to_a_hundred_are_exact(kind: str, constants: tuple[str, ...]) -> None:
    """Each count from 1 to 100, thirty values each time, from three partials."""
    values = "SELECT k, (n % k) * 7919 + k * 104729 AS v FROM range(1, 101) AS ks(k), range(300) AS ns(n)"
    assert estimates(values, COUNTED[kind], 3, constants) == list(range(1, 101))


@pytest.mark.parametrize("constants", ERRORS, ids=str)
@pytest.mark.parametrize(("distinct", "seeds"), [(1_000, 100), (20_000, 40), (200_000, 8)])
def test_distinct_counts_stay_within_the_standard_error_asked_for(
    distinct: int, seeds: int, constants: tuple[str, ...]
) -> None:
    """The deviation over so many seeds is itself uncertain by 1 / sqrt(2 seeds) of it: three times that is allowed."""
    promised = ERRORS[constants]
    values = f"SELECT k, k * 10000000 + n AS v FROM range({seeds}) AS ks(k), range({distinct}) AS ns(n)"
    errors = [count / distinct - 1 for count in estimates(values, COUNTED["text"], 2, constants)]
    deviation = math.sqrt(statistics.fmean(error * error for error in errors))
    assert deviation <= promised * (1 + 3 / math.sqrt(2 * seeds)), deviation
    assert max(map(abs, errors)) < 4.5 * promised
    if distinct * promised**2 > 10:  # far more than the sketch keeps: it is a sketch, neither exact nor biased
        assert deviation > promised * (1 - 3 / math.sqrt(2 * seeds))
        assert abs(statistics.fmean(errors)) < 4 * promised / math.sqrt(seeds)


@pytest.mark.parametrize("constants", ERRORS, ids=str)
def test_a_count_is_the_same_however_its_events_were_split(constants: tuple[str, ...]) -> None:
    values = "SELECT 0 AS k, n AS v FROM range(50000) AS ns(n)"
    answers = {estimates(values, "v", parts, constants)[0] for parts in (1, 2, 5, 30)}
    assert len(answers) == 1


def test_copies_and_overlaps_of_sketches_merge_to_the_sketch_of_the_whole(tmp_path: Path) -> None:
    """Merging many long sketches takes another way than few short ones: both drop equal hashes and keep the size."""
    run = Run(Case("theta_sketch_agg", ("BIGINT",)), tmp_path)

    def sketch(first: int, last: int) -> str:
        events = f"SELECT 0 AS k, n AS x, true AS f FROM range({first}, {last}) AS ns(n)"
        return run.stored(f"WITH events AS ({events}) {run.sql['partial']}", {})

    for length, copies in ((200, 2), (9000, 20)):
        parts = [sketch(0, length), sketch(length // 2, 2 * length)]
        whole = pq.read_table(sketch(0, 2 * length)).to_pylist()
        assert pq.read_table(run.merge(*parts * copies)).to_pylist() == whole
        assert whole[0]["v"] == sorted(set(whole[0]["v"]))
        assert len(whole[0]["v"]) == min(2 * length, 4096)


@pytest.mark.parametrize(
    ("kind", "equal"),
    [
        ("DOUBLE", "0.0, -0.0"),
        ("FLOAT", "0.0, -0.0"),
        ("DOUBLE", "'nan', '-nan'"),
        ("DOUBLE[]", "[0.0], [-0.0]"),
        ("STRUCT(a DOUBLE)", "{'a': 0.0}, {'a': -0.0}"),
    ],
)
def test_equal_values_are_counted_once(kind: str, equal: str) -> None:
    run = Run(Case("approx_count_distinct", (kind,)), Path())
    events = f"SELECT 0 AS k, unnest(list_value({equal})::{kind}[]) AS x, true AS f"
    partials = f"WITH events AS ({events}), partials AS ({run.sql['partial']}) {run.sql['finalise']}"
    assert kernel().run(partials).to_pylist() == [{"k": 0, "v": 1}]


REFUSED: list[tuple[str, Any]] = [
    *(("approx_count_distinct", value) for value in (0, 1, 0.0079, Decimal("0.101"), -0.01, "0.01", True, None)),
    *(("approx_count_distinct", value) for value in (math.nan, math.inf)),
    *(("theta_sketch_agg", value) for value in (12, 63, 16385, 100.0, "64", True, None)),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=str)
def test_a_size_or_error_out_of_range_is_refused_with_what_it_must_be(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"from .* to "):
        ALGEBRA[name].form(Call(("BIGINT",), (value,), (str(value),)))


def test_an_error_asked_for_keeps_no_more_hashes_than_it_needs() -> None:
    for asked, size in ((0.008, 15627), (Decimal("0.01"), 10002), (0.1, 102)):
        form = ALGEBRA["approx_count_distinct"].form(Call(("BIGINT",), (asked,), (str(asked),)))
        assert form is not None
        assert f"exact below {size};" in form.bound
        assert 1 / math.sqrt(size - 2) <= float(asked)


def test_ten_million_values_of_one_group_fit_half_a_gigabyte() -> None:
    """What a view's busiest group may hold before it is cut: distinct hashes spill to disk, sorting them would not."""
    small = kernel(Limits(memory="500MB"))
    run = Run(Case("approx_count_distinct", ("BIGINT",)), Path())
    events = "SELECT 0 AS k, n AS x, true AS f FROM range(10000000) AS ns(n)"
    counted = f"WITH events AS ({events}), partials AS ({run.sql['partial']}) {run.sql['finalise']}"
    assert small.run(counted).to_pylist()[0]["v"] == pytest.approx(10_000_000, rel=0.07)
