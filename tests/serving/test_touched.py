"""Between two snapshots of a view, every key whose row differs is among those that are said to be touched; and after
epochs alone, only the keys of their records are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade import VIEW, Handmade, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from seamline.schemas.algebra import ALGEBRA, Aggregate, Call
from seamline.schemas.algebra.distinct import THETA_SKETCH
from seamline.schemas.algebra.forms import evaluated
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView
from seamline.serving.touched import goes_on, moved, regroups, touched

SPREAD = VIEW.replace("count(*) AS orders", "count(*) AS orders, kurtosis_pop(exp(sin(amount))) AS spread")

STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4)).map(lambda pair: ("epoch", *pair))
    | st.sampled_from([("version",), ("compact",), ("look",)]),
    min_size=2, max_size=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lakes")


def answer(serving: Serving) -> dict[tuple[Any, Any], Any]:
    """The view's rows by key, as the last bit has them."""
    table = serving.query("SELECT * FROM sales").table
    return {(row["hour"], row["shop"]): repr(row) for row in table.to_pylist()}


def keys(serving: Serving, before: ServedView, after: ServedView) -> set[tuple[Any, Any]] | None:
    found = touched(serving, before, after)
    if found is None:
        return None
    listed = [(row["hour"], row["shop"]) for row in found.to_pylist()]
    assert len(set(listed)) == len(listed)
    return set(listed)


@pytest.mark.parametrize("view", [VIEW, SPREAD], ids=["regroups", "does not"])
@settings(max_examples=10)
@given(steps=STEPS)
def test_every_key_that_differs_is_touched(folder: Path, view: str, steps: list[tuple[Any, ...]]) -> None:
    made = Handmade(folder, view)
    made.epoch(rows(6))
    serving = made.serving()
    assert regroups(made.served()) == (view is VIEW)
    before, was, compacted = serving.snapshot().view("sales"), answer(serving), 0
    for step in [*steps, ("look",)]:
        if step[0] == "epoch":
            made.epoch([(f"shop{step[1]}", step[2] + n, len(made.sent) + n) for n in range(2)])
        elif step[0] == "version":
            made.version(made.sent, cut=made.ends[-1])
        elif step[0] == "compact" and made.number - compacted >= 2:
            made.compact(compacted + 1, made.number)
            compacted = made.number
        else:
            serving.catch_up()
            after, now = serving.snapshot().view("sales"), answer(serving)
            found = keys(serving, before, after)
            assert (found is None) == (before.base != after.base)
            if found is not None:
                assert {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)} <= found
            before, was = after, now
    serving.close()


def test_after_epochs_their_keys_alone_are_touched(folder: Path) -> None:
    made = Handmade(folder)
    made.epoch(rows(2000))
    serving = made.serving()
    for number in range(20):
        before = serving.snapshot().view("sales")
        made.epoch([("new", number, number)])
        serving.catch_up()
        after = serving.snapshot().view("sales")
        found = keys(serving, before, after)
        assert found is not None
        assert [shop for _, shop in found] == ["new"]
        assert keys(serving, after, after) == set()
        rows_of = moved(serving, before, after)
        assert rows_of is not None
        assert rows_of.num_rows == 1


def test_what_was_merged_anew_counts_where_a_value_may_depend_on_it(folder: Path) -> None:
    made = Handmade(folder, SPREAD)
    made.epoch([("first", 0, 1)])
    serving, told = made.serving(), []
    for number in range(4):
        before = serving.snapshot().view("sales")
        made.epoch([(f"shop{number}", 0, number)])
        serving.catch_up()
        found = keys(serving, before, serving.snapshot().view("sales"))
        told.append({shop for _, shop in found or ()})
    assert told == [{"shop0"}, {"shop1"}, {"first", "shop0", "shop1", "shop2"}, {"shop3"}]


def test_between_older_snapshots_what_came_since_does_not_count(folder: Path) -> None:
    made = Handmade(folder)
    made.epoch(rows(3))
    serving, seen = made.serving(), []
    for number in range(6):
        seen.append(serving.snapshot().view("sales"))
        made.epoch([(f"s{number}", 0, number)])
        serving.catch_up()
    found = keys(serving, seen[1], seen[3])
    assert found is not None
    assert {shop for _, shop in found} == {"s1", "s2"}
    assert keys(serving, seen[3], seen[1]) is None


def test_another_definition_or_other_rows_touch_all(folder: Path) -> None:
    made = Handmade(folder)
    made.epoch(rows(3))
    view = made.serving().snapshot().view("sales")
    assert goes_on(view, view)
    assert not goes_on(view, replace(view, where="shop = 'a'"))
    assert not goes_on(view, replace(view, base=replace(view.base, version=1)))
    other = Handmade(folder, SPREAD)
    other.epoch(rows(3))
    assert not goes_on(view, other.serving().snapshot().view("sales"))


FIELDS = {
    "amount": "DECIMAL(38,0)",
    "amount::DOUBLE": "DOUBLE",
    "amount::BIGINT": "BIGINT",
    "amount > 3": "BOOLEAN",
    "shop": "VARCHAR",
    "[shop]": "VARCHAR[]",
    "{'theta': 1::BIGINT, 'hashes': [1::BIGINT]}": THETA_SKETCH,
}

MOMENTS = {"kurtosis", "kurtosis_pop", "skewness", "stddev_pop", "stddev_samp", "var_pop", "var_samp"}
PAIRS = {"corr", "covar_pop", "covar_samp"} | {
    f"regr_{name}" for name in ("avgx", "avgy", "intercept", "r2", "slope", "sxx", "sxy", "syy")
}
TREES = MOMENTS | PAIRS | {"product", "approx_quantile", "approx_top_k"}


def test_what_depends_on_the_tree_of_merges_is_told_from_the_algebra(folder: Path) -> None:
    """By name: whoever adds an aggregate looks whether it is one of these."""
    texts = {f"v{n}": (entry.name, call) for n, (entry, call) in enumerate(calls())}
    views = [f"CREATE MATERIALIZED VIEW {view} AS SELECT placed::DATE AS k, {call} AS v FROM orders GROUP BY k"
             for view, (_, call) in texts.items()]  # fmt: skip
    made = Handmade(folder, *views)
    definitions = {one.view: one for one in made.catalogue.live("main")}
    assert len(definitions) == len(texts)
    assert {texts[view][0] for view, one in definitions.items() if not regroups(one)} == TREES


def calls() -> Iterator[tuple[Aggregate, str]]:
    """Every entry, over the first field that it takes, and with each of its constants."""
    for entry in ALGEBRA.values():
        name, _, distinct = entry.name.partition(" ")
        for constants in entry.tried:
            values = evaluated(constants)
            taken = [f for f, kind in FIELDS.items() if entry.form(Call((kind,) * entry.arguments, values, constants))]
            given = ", ".join([*[taken[0]] * entry.arguments, *constants])
            yield entry, f"{name}({distinct} {given})"
