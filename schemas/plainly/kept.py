"""Values themselves: the least and greatest, first and last, lists, texts, and exact counts of distinct ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seamline.schemas.plainly.sums import DISTINCT_VALUES
from seamline.schemas.plainly.values import OUT_OF_RANGE, Asked, Plain, canonical, distinct, ordering

COLLECTED = 10_000


def extreme(*, greatest: bool) -> Callable[[Asked], Plain]:
    """The least or greatest; with a constant k, the k of them, best first."""

    def evaluate(asked: Asked) -> Plain:
        values = sorted(asked.known, key=ordering, reverse=greatest)
        if asked.constants:
            return Plain(values[: asked.constants[0]] or None)
        return Plain(values[0] if values else None)

    return evaluate


def extreme_by(*, greatest: bool) -> Callable[[Asked], Plain]:
    """x where y is least or greatest, of equal y the least or greatest x; with k, a list of them."""

    def evaluate(asked: Asked) -> Plain:
        pairs = [(y, x) for x, y in asked.rows if x is not None and y is not None]
        pairs.sort(key=ordering, reverse=greatest)
        values = [canonical(x) for _, x in pairs]
        if asked.constants:
            return Plain(values[: asked.constants[0]] or None)
        return Plain(values[0] if values else None)

    return evaluate


def in_order(asked: Asked) -> list[Any]:
    """The first argument's values by event, then by value; NULLs, too."""
    pairs = zip(asked.places, (row[0] for row in asked.rows), strict=True)
    return [canonical(x) for _, x in sorted(pairs, key=ordering)]


def first(asked: Asked) -> Plain:
    """x of the earliest event."""
    return Plain(next(iter(in_order(asked)), None))


def last(asked: Asked) -> Plain:
    """x of the latest event."""
    return Plain(next(reversed(in_order(asked)), None))


def any_value(asked: Asked) -> Plain:
    """x of the earliest event that has one."""
    return Plain(next((x for x in in_order(asked) if x is not None), None))


def _listed(values: list[Any], limit: int = COLLECTED) -> Plain:
    return Plain(OUT_OF_RANGE if len(values) > limit else values or None)


def array_agg(asked: Asked) -> Plain:
    """The values in the order of events, NULLs too."""
    return _listed(in_order(asked))


def array_agg_distinct(asked: Asked) -> Plain:
    """The distinct values, sorted; NULL last."""
    return _listed(distinct(canonical(row[0]) for row in asked.rows))


def collect_set(asked: Asked) -> Plain:
    """The distinct values, sorted, without NULL."""
    return _listed(distinct(asked.known))


def _text(asked: Asked, values: list[Any]) -> Plain:
    if len(values) > COLLECTED:
        return Plain(OUT_OF_RANGE)
    between = asked.constants[0] if asked.constants else ","
    return Plain(between.join(values) if values else None)


def string_agg(asked: Asked) -> Plain:
    """The values, which are texts, in the order of events, with a separator between; NULLs left out."""
    return _text(asked, [x for x in in_order(asked) if x is not None])


def string_agg_distinct(asked: Asked) -> Plain:
    """The distinct values, which are texts, sorted, with a separator between."""
    return _text(asked, distinct(asked.known))


def count_distinct(asked: Asked) -> Plain:
    """Distinct values, counted exactly."""
    found = len(distinct(asked.known))
    return Plain(OUT_OF_RANGE if found > DISTINCT_VALUES else found)
