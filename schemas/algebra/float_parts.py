"""Sums and averages over FLOAT and DOUBLE: exact whatever the order, rounded once at the end (`seamline.floats`)."""

from __future__ import annotations

from seamline.floats import PLACES, REST
from seamline.schemas.algebra import inspark
from seamline.schemas.algebra.forms import Form, Part

SINCE = 6
"""The layout from which on sums are kept in digits; before, they were doubles."""

_DIGITS = ("high", "middle", "low")

PARTS = (
    *(
        Part(digit, f"sum(_float_{digit}({{x}})){{filter}}::DECIMAL(38,0)", "DECIMAL(38,0)", "sum({c})", since=SINCE)
        for digit in _DIGITS
    ),
    Part(
        "rest",
        "_float_rest(list(({x})::DOUBLE) FILTER (WHERE ({where}) AND _float_beyond({x})))",
        REST,
        "_float_added(list({c}) FILTER (WHERE {c} IS NOT NULL))",
        most=PLACES,
        since=SINCE,
        rare=True,
    ),
)
"""The partial columns of a sum. Most groups have no `rest`."""

SUM = "_float_sum({high}, {middle}, {low}, {rest})"
LISTED = "_float_list({})"
"""The sum of a list's elements."""

OWN = "_float_list(list({x}){filter})"
"""What DuckDB runs over the events for the same answer: its own sum of doubles is another in each order."""


def total() -> Form:
    """The form of a sum."""
    return Form(PARTS, SUM, "DOUBLE", own=OWN, combines=("sum",), spark=inspark.float_sum())


def average(count: Part) -> Form:
    """The form of an average: the sum, divided."""
    return Form(
        (*PARTS, count),
        divided(SUM, "{count}"),
        "DOUBLE",
        own=divided(OWN, "count({x}){filter}"),
        audit="{count}",
        spark=inspark.float_average(),
    )


def divided(total: str, count: str) -> str:
    """A sum divided by a count; NULL where that is 0."""
    return f"CASE WHEN {count} > 0 THEN {total} / {count} END"
