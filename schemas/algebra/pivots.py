"""Moments about a pivot: how events make them and how they merge, so that nothing cancels.

A sum of squares loses every digit where values are far from 0 and near each other (1e9 with variance 1). DuckDB's own
states (Welford's recurrence, combined as Chan et al. 1979 and Pébay 2008 do) lose only those of the mean: a rounding of
1e-16 of the mean in each step, which is 1e-7 of such a deviation, and differs with the split. Here:

- A group's values mostly share their first bits: a pivot. x - pivot is exact (Sterbenz), and DuckDB's state is taken
  over that. The first bits of a double are cut off by Dekker's splitting (1971). Values that share none keep the
  pivot 0; they are far enough apart. The boundaries between cells of many bits lie in the middle of cells of few, so
  values that straddle two small cells share a large one.
- A mean is kept as pivot + rest, both DOUBLE, never added up: a merge takes differences of pivots, which are exact
  or harmless, and sums powers about one pivot for all partials.

The least and the greatest value are kept beside: whether all values are equal, or one of them is no finite number, is
then decided exactly, however events were split; a sum of squares that is nearly 0 could not tell.
"""

from __future__ import annotations

from collections.abc import Mapping


def cell(value: str, bits: int) -> str:
    """A value's first `bits` bits, rounded: a pivot for all values that share them. NaN beyond 1e291 or so."""
    factor = f"{2 ** (53 - bits) + 1}::DOUBLE"
    return f"({value} * {factor} - ({value} * {factor} - {value}))"


def shared(low: str, high: str) -> str:
    """Whether a group's values have one cell: its least and its greatest."""
    return f"isfinite({low}) AND {low} = {high}"


def let(values: Mapping[str, str], name: str, expression: str) -> str:
    """An expression in which `name.key` stands for a value: each is written and computed once.

    Names of lambdas end in two underscores: a column of the view or a field named `g` would else take their place."""
    return f"list_transform([{struct(values)}], lambda {name}: {expression})[1]"


def struct(values: Mapping[str, str]) -> str:
    """A struct literal."""
    return "{" + ", ".join(f"'{key}': {value}" for key, value in values.items()) + "}"


def weighted(base: str, rest: str) -> str:
    """The mean of all partials, rounded: the pivot of their merge. They are added in order of size: what is made of
    the same partials is the same to the bit, whatever order a kernel's threads come to them in."""
    total = f"{{c}}.n * ({{c}}.{base} + {{c}}.{rest})"
    return f"sum({total} ORDER BY {total}) / sum({{c}}.n)"


def summed(term: str) -> str:
    """The sum of a term over the partials `s__` of a list `g__.partials`, which is sorted."""
    return f"list_sum(list_transform(g__.partials, lambda s__: {term}))"
