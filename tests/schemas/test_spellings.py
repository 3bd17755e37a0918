"""Other ways to write an aggregate: the same definition, and the answer of the text as it was written."""

from __future__ import annotations

import pytest
from test_views import CONTRACT, ORDERS, answer, batch, compiled, own_answer

from seamline.errors import Condition, UserError
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.contracts.contract import parse_contract

CONTRACTED = parse_contract(CONTRACT, "orders.yaml")
EVENTS = batch(CONTRACTED, ORDERS)

SAME = [
    ("percentile_cont(0.5) WITHIN GROUP (ORDER BY weight)", "quantile_cont(weight, 0.5)"),
    ("PERCENTILE_CONT([0.1, 0.9]) within group (order by price * 2 ASC)", "quantile_cont(price * 2, [0.1, 0.9])"),
    ("percentile_disc(0.25) WITHIN GROUP (ORDER BY Shop)", "quantile_disc(Shop, 0.25)"),
    (
        "percentile_disc(0.5) WITHIN GROUP (ORDER BY pieces) FILTER (WHERE paid)",
        "quantile_disc(pieces, 0.5) FILTER (WHERE paid)",
    ),
    ("mode() WITHIN GROUP (ORDER BY Shop)", "mode(Shop)"),
    ("1 + mode() WITHIN GROUP (ORDER BY pieces) * 2", "1 + mode(pieces) * 2"),
    ("mean(DISTINCT pieces)", "avg(DISTINCT pieces)"),
    *[
        (f"{name}(DISTINCT {arguments})", f"{name}({arguments})")
        for name, arguments in {
            "min": "Shop",
            "max": "weight",
            "bool_and": "paid",
            "every": "paid",
            "bool_or": "paid",
            "bit_and": "pieces",
            "bit_or": "pieces",
            "min_by": "Shop, pieces",
            "max_by": "pieces, Shop",
            "approx_count_distinct": "Shop",
            "theta_sketch_agg": "Shop",
        }.items()
    ],
]


def view(call: str) -> str:
    return f"SELECT day, {call} AS x FROM orders GROUP BY ALL"


@pytest.mark.parametrize(("spelling", "plain"), SAME)
def test_another_spelling_is_the_same_definition_and_its_text_gives_the_same_answer(spelling: str, plain: str) -> None:
    definition, want = compiled(view(spelling), CONTRACTED), compiled(view(plain), CONTRACTED)
    assert (definition.hash, definition.partials) == (want.hash, want.partials)
    got = answer(definition, EVENTS.slice(0, 2), EVENTS.slice(2))
    assert got == answer(want, EVENTS)
    if "approx" not in spelling:  # own_answer counts exactly instead
        assert got == own_answer(definition, EVENTS)


def test_every_entry_that_distinct_changes_nothing_of_is_tried() -> None:
    tried = {plain.partition("(")[0] for spelling, plain in SAME if "DISTINCT" in spelling}
    assert {entry.name for entry in ALGEBRA.values() if entry.alike} <= tried


@pytest.mark.parametrize(
    ("call", "column", "says"),
    [
        ("percentile_cont(weight, 0.5)", 13, "write percentile_cont(q) WITHIN GROUP (ORDER BY x), or quantile_cont"),
        ("percentile_cont() WITHIN GROUP (ORDER BY weight)", 31, "Wrong number of arguments for PERCENTILE_CONT"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY weight DESC)", 34, "ascending"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY weight, pieces)", 34, "one expression"),
        ("percentile_cont(0.5) WITHIN GROUP (weight)", 48, 'near "weight"'),
        ("percentile_cont(0.5) WITHIN GROUP ()", 48, 'near ")"'),
        ("percentile_cont(0.5) WITHIN GROUP weight", 47, 'near "weight"'),
        ("percentile_cont(2) WITHIN GROUP (ORDER BY weight)", 13, "a number from 0 to 1"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY Shop)", 13, "takes numbers, dates"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY max(weight))", 57, "scalar expressions"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY weight NULLS FIRST)", 64, ""),
        ("percentile_cont(DISTINCT 0.5) WITHIN GROUP (ORDER BY weight)", 43, "between the brackets"),
        ("mode(Shop) WITHIN GROUP (ORDER BY Shop)", 24, "Wrong number of arguments for MODE"),
        (
            "mode() WITHIN GROUP (ORDER BY Shop) || max(Shop, 2) WITHIN GROUP (ORDER BY Shop)",
            65,
            "between the brackets",
        ),
        ("max(weight) WITHIN GROUP (ORDER BY weight)", 25, "between the brackets"),
        ("max(percentile_cont(0.5) WITHIN GROUP (ORDER BY weight))", 17, "scalar expressions"),
        ("max(DISTINCT weight, 2)", 13, "use one of the allowed"),
        ("median(DISTINCT weight)", 13, "use one of the allowed"),
    ],
)
def test_what_is_no_spelling_is_refused_with_its_place_and_a_hint(call: str, column: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        compiled(view(call), CONTRACTED)
    error = caught.value
    assert error.condition is Condition.VIEW_INVALID
    assert (error.where, says in str(error)) == (f"views/v.sql:2:{column}", True), str(error)
