"""Moments beyond the laws: right where sums of squares fail, whatever the split, and DuckDB's own in every corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from algebra_laws import Case, Row, Run, same
from hypothesis import given, settings
from hypothesis import strategies as st
from test_views import CONTRACT

from seamline.errors import SeamlineError
from seamline.kernel import kernel
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.algebra.comoments import COMOMENTS
from seamline.schemas.algebra.forms import fill
from seamline.schemas.algebra.moments import MOMENTS
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.text import parse_views

pytestmark = pytest.mark.thorough

ONE = [entry.name for entry in MOMENTS]
TWO = [entry.name for entry in COMOMENTS]
FAMILIES = {"var_pop": ONE[:4], "skewness": ONE[4:], "covar_pop": TWO}
"""Entries that share a partial column, by the first of them."""
INF, NAN = math.inf, math.nan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("moments")


def run_of(name: str, folder: Path, kind: str = "DOUBLE") -> Run:
    return Run(Case(name, (kind,) * ALGEBRA[name].arguments), folder)


def rows(pairs: Sequence[Any], group: int = 0) -> list[Row]:
    """Events of values, or of (y, x) pairs."""
    return [Row(group, *(pair if isinstance(pair, tuple) else (pair, None)), True) for pair in pairs]


def tree(run: Run, files: list[str], random: Random) -> str:
    """Merges a few files at a time, in any order, until one is left."""
    while len(files) > 1:
        random.shuffle(files)
        count = random.randint(2, 4)
        files = [*files[count:], run.merge(*files[:count])]
    return files[0]


def answers(family: str, run: Run, file: str) -> dict[str, Any]:
    """What each entry of a family answers for group 0, from one file of the partial column that they share."""
    found = {}
    for name in FAMILIES[family]:
        form = Case(name, run.case.types).form
        sql = f"SELECT {fill(form.finalise, {'': 'partials.v', 'column': 'v'})} AS v FROM partials WHERE k = 0"
        try:
            found[name] = next((row["v"] for row in run.kernel.run(sql, {"partials": [file]}).to_pylist()), "no group")
        except SeamlineError as error:
            assert "VALUE_OUT_OF_RANGE" in str(error), error
            found[name] = "out of range"
    return found


def split_answers(family: str, run: Run, pairs: Sequence[Any], random: Random, parts: int) -> dict[str, Any]:
    """What a random split and a random tree of merges answer."""
    pieces: list[list[Any]] = [[] for _ in range(parts)]
    for pair in pairs:
        random.choice(pieces).append(pair)
    return answers(family, run, tree(run, [run.partial(rows(piece)) for piece in pieces], random))


# --- the truth, in fractions ------------------------------------------------------------------------------


def root(value: Fraction) -> float:
    return float(Decimal(value.numerator).sqrt() / Decimal(value.denominator).sqrt())


def central(values: Sequence[float], power: int) -> Fraction:
    mean = sum(map(Fraction, values)) / len(values)
    return sum(((Fraction(v) - mean) ** power for v in values), Fraction(0))


def truth(name: str, ys: Sequence[float], xs: Sequence[float]) -> float:
    """By the definition, without rounding. The values must not all be equal."""
    n, m2, m3, m4 = len(ys), central(ys, 2), central(ys, 3), central(ys, 4)
    if name in ("var_pop", "var_samp"):
        return float(m2 / (n if name == "var_pop" else n - 1))
    if name in ("stddev_pop", "stddev_samp"):
        return root(m2 / (n if name == "stddev_pop" else n - 1))
    if name == "skewness":
        return math.copysign(root(m3**2 * n * n * (n - 1) / m2**3), m3) / (n - 2)
    excess = m4 * n / m2**2 - 3
    if name == "kurtosis_pop":
        return float(excess)
    if name == "kurtosis":
        return float(Fraction(n - 1, (n - 2) * (n - 3)) * ((n + 1) * excess + 6))
    return truth_of_pairs(name, ys, xs)


def truth_of_pairs(name: str, ys: Sequence[float], xs: Sequence[float]) -> float:
    n, mean_y, mean_x = len(ys), sum(map(Fraction, ys)) / len(ys), sum(map(Fraction, xs)) / len(xs)
    sxx, syy = central(xs, 2), central(ys, 2)
    sxy = sum(((Fraction(y) - mean_y) * (Fraction(x) - mean_x) for y, x in zip(ys, xs, strict=True)), Fraction(0))
    return {
        "covar_pop": lambda: float(sxy / n),
        "covar_samp": lambda: float(sxy / (n - 1)),
        "corr": lambda: math.copysign(root(sxy**2 / sxx / syy), sxy),
        "regr_slope": lambda: float(sxy / sxx),
        "regr_intercept": lambda: float(mean_y - sxy / sxx * mean_x),
        "regr_r2": lambda: float(sxy**2 / sxx / syy),
        "regr_count": lambda: n,
        "regr_avgx": lambda: float(mean_x),
        "regr_avgy": lambda: float(mean_y),
        "regr_sxx": lambda: float(sxx),
        "regr_syy": lambda: float(syy),
        "regr_sxy": lambda: float(sxy),
    }[name]()


STEPS = st.lists(st.tuples(st.integers(-999, 999), st.integers(-999, 999)), min_size=5, max_size=30).filter(
    lambda steps: len({y for y, _ in steps}) > 3 and len({x for _, x in steps}) > 3
)
"""Deviations of y and x in thousandths or so."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("center", "step"), [(1e9, 2**-8), (-1.7e9, 2**-10), (1e12, 2**-6), (3.0, 2**-8)])
def test_moments_far_from_zero_are_those_of_exact_fractions(
    family: str, center: float, step: float, folder: Path
) -> None:
    """To 1e-9 whatever the split and the tree: also at 1e9 with variance 1, where a sum of squares has no digit."""
    run = run_of(family, folder)

    @settings(max_examples=max(2, settings().max_examples // 4))
    @given(STEPS, st.randoms(use_true_random=False), st.integers(1, 4))
    def right(steps: list[tuple[int, int]], random: Random, parts: int) -> None:
        ys, xs = [center + y * step for y, _ in steps], [-center + x * step for _, x in steps]
        check_truth(family, run, ys, xs, random, parts)

    right()


def check_truth(family: str, run: Run, ys: Sequence[float], xs: Sequence[float], random: Random, parts: int) -> None:
    """Each entry within 1e-9 of what goes into it."""
    pairs = list(zip(ys, xs, strict=True)) if family == "covar_pop" else ys
    for name, got in split_answers(family, run, pairs, random, parts).items():
        want = truth(name, ys, xs)
        assert abs(got - want) <= 1e-9 * max(abs(want), spread(name, ys, xs)), (name, got, want)


def spread(name: str, ys: Sequence[float], xs: Sequence[float]) -> float:
    """What goes into an answer that may be near 0 itself: sizes of deviations; else 0."""
    sxx, syy = float(central(xs, 2)), float(central(ys, 2))
    products = math.sqrt(sxx * syy)
    return {
        **dict.fromkeys(("skewness", "kurtosis", "kurtosis_pop", "corr", "regr_r2"), 1.0),
        **dict.fromkeys(("covar_pop", "covar_samp"), products / len(ys)),
        "regr_sxy": products,
        "regr_slope": products / sxx,
        "regr_avgx": max(map(abs, xs)),
        "regr_avgy": max(map(abs, ys)),
        "regr_intercept": max(map(abs, ys)) + products / sxx * max(map(abs, xs)),
    }.get(name, 0.0)


def test_many_events_near_a_billion_agree_with_numpy(folder: Path) -> None:
    """100,000 events in 20 partials, one of them with an outlier; numpy sums deviations in long doubles."""
    random = np.random.default_rng(7)
    x = 1e9 + random.exponential(1.0, 100_000)
    y = 5e8 - 0.25 * (x - 1e9) + random.normal(0, 1, len(x))
    pieces = np.array_split(np.arange(len(x)), 20)
    dx, dy = ((v - c).astype(np.longdouble) for v, c in ((x, 1e9), (y, 5e8)))
    dx, dy = dx - dx.mean(), dy - dy.mean()
    slope, deviation = (dx * dy).sum() / (dx * dx).sum(), np.sqrt((dx * dx).mean())
    want = {
        "var_pop": (dx * dx).mean(),
        "skewness": (dx**3).mean() / deviation**3 * np.sqrt(len(x) * (len(x) - 1.0)) / (len(x) - 2),
        "kurtosis_pop": (dx**4).mean() / deviation**4 - 3,
        "covar_pop": (dx * dy).mean(),
        "regr_slope": slope,
        "corr": (dx * dy).mean() / deviation / np.sqrt((dy * dy).mean()),
    }
    for name, expected in want.items():
        run = run_of(name, folder)
        first, second = (y, x) if name in TWO else (x, y)
        files = []
        for piece in pieces:
            other = second[piece] if name in TWO else pa.nulls(len(piece), pa.int64())
            same_group, counted = pa.array([0] * len(piece), pa.int32()), pa.array([True] * len(piece))
            raw = pa.table({"k": same_group, "x": first[piece], "y": other, "f": counted})
            files.append(run.stored(run.over_events(run.sql["partial"]), {"raw": raw}))
        (got,) = run.answer(tree(run, files, Random(3))).values()
        assert got == pytest.approx(float(expected), rel=1e-9), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "values",
    {
        "an outlier": [1e9, 1e9 + 1, 1e9 + 3, 0.0, 1e9 + 2, 1e9 - 1],
        "both signs": [-1e9, 1e9, 1e9 + 1, -1e9 - 3, 0.5],
        "all sizes": [1e-3, 1e12, 5.0, -7e5, 1e9],
        "around a power of two": [2.0**30 + d for d in (-1.5, -0.5, 0.25, 1.0, 2.5)],
    }.items(),
    ids=lambda case: case[0],
)
def test_odd_companies_of_values_are_right_too(family: str, values: tuple[str, list[float]], folder: Path) -> None:
    xs = [float(v * v % 11) for v in range(len(values[1]))]
    check_truth(family, run_of(family, folder), values[1], xs, Random(1), 3)


@pytest.mark.parametrize("family", ["var_pop", "skewness"])
def test_values_that_straddle_two_pivots_lose_nothing(family: str, folder: Path) -> None:
    """Halfway between two doubles of 18 bits, near 1e9: a pivot of fewer bits takes over."""
    boundary = 1_000_000_000 // 4096 * 4096.0 + 2048
    values = [boundary + d for d in (-1.0, 0.5, 1.0, 3.0, -2.5)] * 400
    run = run_of(family, folder)
    check_truth(family, run, values, range(len(values)), Random(2), 1)
    (row,) = run.kernel.run(
        "SELECT v.base AS base FROM partials", {"partials": [run.partial(rows(values))]}
    ).to_pylist()
    assert row["base"] not in (0, boundary - 2048, boundary + 2048)


# --- corners ----------------------------------------------------------------------------------------------

SINGLES: list[list[Any]] = [
    [], [None], [5.0], [5.0, 5.0], [5.0, 7.0], [5.0, 5.0, 5.0], [5.0, 6.0, 9.0], [5.0] * 4, [1.0, 1.0, 2.0, 2.0],
    [1.0, 2.0, None, 4.0, 9.0], [INF], [NAN], [-INF], [INF, 1.0], [INF, INF], [NAN, NAN, NAN], [INF, -INF],
    [INF, 1.0, 2.0, 3.0], [NAN, 1.0, 2.0, 3.0], [0.1] * 7, [0.0, -0.0], [0.0, -0.0, 1.0, 2.0],
]  # fmt: skip


@pytest.mark.parametrize("family", ["var_pop", "skewness"])
@pytest.mark.parametrize("values", SINGLES, ids=str)
def test_corners_of_one_argument_are_duckdbs_own(family: str, values: list[Any], folder: Path) -> None:
    check_corner(family, run_of(family, folder), values)


PAIRS: list[list[Any]] = [
    [], [(None, 1.0)], [(1.0, None)], [(5.0, 7.0)], [(5.0, 7.0), (6.0, 7.0)], [(5.0, 7.0), (5.0, 8.0)],
    [(5.0, 7.0), (5.0, 7.0)], [(1.0, 2.0), (2.0, 5.0)], [(1.0, 2.0), (2.0, 5.0), (4.0, 1.0)],
    [(1.0, 2.0), (2.0, 5.0), (None, 3.0), (4.0, 1.0), (4.0, None)], [(INF, 1.0)], [(1.0, INF)], [(NAN, NAN)],
    [(INF, 1.0), (1.0, 2.0), (3.0, 1.0)], [(1.0, INF), (2.0, 3.0), (1.0, 1.0)], [(NAN, 1.0), (2.0, 4.0), (1.0, 1.0)],
    [(1.0, NAN), (2.0, 4.0), (1.0, 1.0)], [(INF, 5.0), (1.0, 5.0)], [(NAN, 5.0), (1.0, 5.0)], [(5.0, INF), (5.0, 1.0)],
    [(5.0, NAN), (5.0, 1.0)], [(INF, INF), (-INF, -INF)], [(-INF, 2.0), (3.0, -INF)], [(INF, None), (1.0, 2.0)],
    [(0.1, 0.3), (0.1, 0.7), (0.1, 0.9)], [(0.3, 0.1), (0.7, 0.1), (0.9, 0.1)],
]  # fmt: skip


@pytest.mark.parametrize("values", PAIRS, ids=str)
def test_corners_of_two_arguments_are_duckdbs_own(values: list[Any], folder: Path) -> None:
    check_corner("covar_pop", run_of("covar_pop", folder), values)


def check_corner(family: str, run: Run, values: list[Any]) -> None:
    """NULL, NaN and infinities included; where DuckDB raises, it is the group that is out of range."""
    own = {name: run_of(name, run.folder).own_answer(rows(values)) for name in FAMILIES[family]}
    want = {name: "out of range" if found is None else found.get(0, "no group") for name, found in own.items()}
    whole = run.partial(rows(values))
    single = run.merge(*[run.partial(rows([value])) for value in values], run.partial([]))
    for file in (whole, single):
        got = answers(family, run, file)
        for name in got:
            assert same(got[name], want[name], exact=False), (name, got, want)


@pytest.mark.parametrize("value", [0.1, 1e9 + 0.3, -7e-5, 123456789.123])
def test_equal_values_have_no_deviation_however_they_were_split(value: float, folder: Path) -> None:
    """Rounding of means must not make a variance, a shape or a slope out of nothing."""
    nothing = {"var_pop": 0.0, "stddev_samp": 0.0, "skewness": None, "kurtosis": None, "regr_sxx": 0.0}
    nothing |= {"corr": NAN, "regr_slope": NAN, "regr_intercept": None, "regr_r2": None, "covar_pop": 0.0}
    pairs = [(float(n * n % 13), value) for n in range(23)]
    for family in FAMILIES:
        given = pairs if family == "covar_pop" else [value] * 23
        got = split_answers(family, run_of(family, folder), given, Random(5), 5)
        for name in nothing.keys() & got.keys():
            assert same(got[name], nothing[name], exact=True), (name, got)


OUT_OF_RANGE = {
    "var_pop": [1e200, 2e200, 5e200],
    "stddev_samp": [1e308, -1e308],
    "skewness": [1e120, 2e120, 5e120],
    "kurtosis": [1e90, 2e90, 5e90, 7e90],
    "kurtosis_pop": [1e-90, 2e-90, 5e-90],
    "covar_samp": [(1e200, 1e200), (2e200, 3e200)],
    "corr": [(1e200, 1.0), (2e200, 2.0), (5e200, 1.0)],
    "regr_slope": [(1.0, 1e200), (2.0, 2e200), (5.0, 5e200)],
    "regr_sxx": [(1.0, 1e200), (2.0, 2e200)],
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_moments_out_of_range_are_an_error_of_their_group_alone(name: str, folder: Path) -> None:
    run, values = run_of(name, folder), OUT_OF_RANGE[name]
    fine = [(1.0, 2.0), (2.0, 5.0), (4.0, 4.0), (8.0, 1.0)] if name in TWO else [1.0, 2.0, 4.0, 8.0]
    files = [run.partial([*rows([value]), *rows(fine, group=1)]) for value in values]
    merged = {"partials": [run.merge(run.merge(*files[:1]), *files[1:])]}
    assert run.kernel.run(f"SELECT v FROM ({run.sql['finalise']}) WHERE k = 1", merged).to_pylist()[0]["v"] is not None
    with pytest.raises(SeamlineError, match=f"VALUE_OUT_OF_RANGE: column v: {name} "):
        run.kernel.run(run.sql["finalise"], merged)
    check = f"SELECT k, {run.form.check.replace('{}', 'partials.v').replace('{column}', 'v')} AS said FROM partials"
    said = {row["k"]: row["said"] for row in run.kernel.run(check, merged).to_pylist()}
    assert said[0].startswith("VALUE_OUT_OF_RANGE: column v")
    assert said[1] is None


def test_all_moments_of_one_argument_or_pair_share_their_partial_columns() -> None:
    one = ", ".join(f"{name}(weight) AS {name}" for name in ONE)
    two = ", ".join(f"{name}(weight, price) AS {name}" for name in TWO)
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS SELECT day, {one}, {two} FROM orders GROUP BY ALL", "v.sql")
    definition = compile_view(view, parse_contract(CONTRACT, "orders.yaml"))
    assert [column.name for column in definition.partial_columns] == [
        "day", "var_pop", "skewness", "covar_pop", "_events",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["g", "s", "t"])
def test_no_column_of_a_view_takes_the_place_of_a_merges_own_names(key: str) -> None:
    select = f"SELECT day, Shop AS {key}, var_pop(weight) AS v, skewness(weight) AS w, corr(weight, price) AS c"
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS {select} FROM orders GROUP BY ALL", "v.sql")
    definition = compile_view(view, parse_contract(CONTRACT, "orders.yaml"))
    columns = ", ".join(f'NULL::{c.sql_type} AS "{c.name}"' for c in definition.partial_columns)
    found = kernel().describe(f"WITH partials AS (SELECT {columns} WHERE false) {definition.merge}")
    assert found == {column.name: column.sql_type for column in definition.partial_columns}
