"""Sums and averages over floats are exact: the sum of the values rounded once, whatever came in whatever order.

The oracle is `fractions`, which knows neither digits nor the engine.
"""

from __future__ import annotations

import math
import random
import struct
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.floats import BITS, MACROS, UNIT
from seamline.kernel import Kernel, Limits, kernel, quote
from seamline.schemas.algebra import ALGEBRA, Call, Form
from seamline.schemas.algebra.forms import fill

MOST = 1.7976931348623157e308
EDGES = [
    *(sign * value for sign in (1, -1) for power in (-1074, -1022, -174, -115, -114, -63, -62, -54, 6, 53, 66, 67, 69)
      for value in (2.0**power, math.nextafter(2.0**power, 0), 3 * 2.0**power)),
    0.0, -0.0, MOST, -MOST, 1.0, 1e16, -1e16, 0.1,
]  # fmt: skip
"""Around the ends of digits and of what they hold, and of DOUBLE."""


def truth(values: Sequence[float]) -> float | None:
    """The exact sum, rounded once to the nearest double; infinities and NaN as IEEE 754 adds them."""
    if not values:
        return None
    special = sum(value for value in values if not math.isfinite(value))
    if not math.isfinite(special):
        return special
    total = sum(map(Fraction, values), Fraction())
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def bits(value: float | None) -> str:
    """What two answers must share: every bit, one NaN for all."""
    return "NULL" if value is None else "NaN" if math.isnan(value) else struct.pack(">d", value).hex()


def form_of(name: str, kind: str = "DOUBLE") -> Form:
    form = ALGEBRA[name].form(Call((kind,)))
    assert form is not None
    return form


def answers(form: Form, rows: pa.Table, rounds: Sequence[str], engine: Kernel | None = None) -> dict[int, float | None]:
    """By group k: partials of each of its parts, merged by the groupings of `rounds`, then all, and finished."""
    engine = engine or kernel()
    values = {"x": "x", "filter": " FILTER (WHERE f)", "where": "f"}
    names = {part.suffix: quote(f"v{part.suffix}") for part in form.parts}
    made = ", ".join(f"{fill(part.partial, values)} AS {names[part.suffix]}" for part in form.parts)
    merged = ", ".join(f"{fill(part.merge, {'c': names[part.suffix]})} AS {names[part.suffix]}" for part in form.parts)
    kept = engine.run(f"SELECT k, part, {made} FROM events GROUP BY ALL", {"events": rows})
    for part in (*rounds, "0"):
        kept = engine.run(f"SELECT k, {part} AS part, {merged} FROM p GROUP BY ALL", {"p": kept})
    for part in form.parts:
        assert kept.schema.field(f"v{part.suffix}").type == engine.run(f"SELECT NULL::{part.stored} AS x")["x"].type
    finished = fill(form.finalise, {**names, "column": "v"})
    return {row["k"]: row["v"] for row in engine.run(f"SELECT k, {finished} AS v FROM p", {"p": kept}).to_pylist()}


def table(rows: Sequence[tuple[int, int, float | None]], kind: pa.DataType | None = None) -> pa.Table:
    """Rows of (group, part, value), all of them left by the filter, and beside each one that is not."""
    found = [*((*row, True) for row in rows), *((k, part, 1e300, False) for k, part, _ in rows)]
    random.Random(1).shuffle(found)
    columns = list(zip(*found, strict=True))
    return pa.table(
        {"k": columns[0], "part": columns[1], "x": pa.array(columns[2], kind or pa.float64()), "f": columns[3]}
    )


# --- thousands of groups ---------------------------------------------------------------------------------

KINDS: dict[str, Any] = {
    "usual": lambda chance: chance.uniform(-1e6, 1e6),
    "bits": lambda chance: struct.unpack("d", struct.pack("Q", chance.getrandbits(64)))[0],
    "sizes": lambda chance: chance.choice([-1, 1]) * chance.random() * 2.0 ** chance.randint(-140, 110),
    "edges": lambda chance: chance.choice(EDGES),
    "odd": lambda chance: chance.choice([1.5, 1e300, 5e-324, math.inf, -math.inf, math.nan]),
    "rarely odd": lambda chance: chance.random() if chance.random() < 0.95 else chance.choice([math.inf, -1e200]),
}


def thousands(groups_made: int = 4_000) -> tuple[list[tuple[int, int, float | None]], dict[int, list[float]]]:
    """Groups of 1 to 30 values in up to 33 parts, of every kind; in some all but the last cancel, some have NULLs."""
    chance = random.Random(7)
    rows: list[tuple[int, int, float | None]] = []
    groups: dict[int, list[float]] = defaultdict(list)
    for k in range(groups_made):
        make = KINDS["usual" if k % 2 else list(KINDS)[k // 2 % len(KINDS)]]
        values = [make(chance) for _ in range(chance.choice([1, 2, 3, 5, 30]))]
        if chance.random() < 0.25:
            values += [-value for value in values[:-1]]
        groups[k] += values
        parts = k % 33 + 1
        rows += [(k, chance.randrange(parts), value) for value in values]
        rows += [(k, 0, None)] if chance.random() < 0.2 else []
    return rows, groups


@pytest.mark.parametrize("threads", [1, 2])
def test_thousands_of_sums_and_averages_are_the_exact_ones_bit_for_bit(threads: int) -> None:
    rows, groups = thousands()
    engine = kernel(Limits(threads=threads))
    sums = answers(form_of("sum"), table(rows), ("part // 5", "part // 3"), engine)
    averages = answers(form_of("avg"), table(rows), ("part % 2",), engine)
    wrong = {k: (sums[k], truth(values)) for k, values in groups.items() if bits(sums[k]) != bits(truth(values))}
    assert not wrong, f"{len(wrong)} of {len(groups)}, such as {list(wrong.items())[:3]}"
    assert {k: bits(v) for k, v in averages.items()} == {k: bits((truth(v) or 0.0) / len(v)) for k, v in groups.items()}


@pytest.mark.parametrize("name", ["sum distinct", "avg distinct"])
def test_sums_of_distinct_values_are_the_exact_ones(name: str) -> None:
    rows, groups = thousands(1_000)
    found = answers(form_of(name), table(rows), ("part // 5",))
    for k, values in groups.items():
        distinct = list({bits(value + 0.0): value + 0.0 for value in values}.values())
        want = truth(distinct) or 0.0
        assert bits(found[k]) == bits(want / len(distinct) if name.startswith("avg") else want), values


def test_floats_of_32_bits_are_summed_as_doubles() -> None:
    chance = random.Random(3)
    rows = [(k, n % 3, struct.unpack("f", struct.pack("f", chance.uniform(-1e9, 1)))[0])
            for k in range(500) for n in range(20)]  # fmt: skip
    found = answers(form_of("sum", "FLOAT"), table(rows, pa.float32()), ("part % 2",))
    for k in range(500):
        assert bits(found[k]) == bits(truth([x for group, _, x in rows if group == k and x is not None]))


# --- any split, any order --------------------------------------------------------------------------------

ANY = st.one_of(st.floats(), st.floats(-1e3, 1e3), st.sampled_from(EDGES))


@given(st.lists(st.tuples(st.integers(0, 3), ANY), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_any_split_in_any_order_gives_the_same_bits(split: list[tuple[int, float]], chance: random.Random) -> None:
    values = [value for _, value in split]
    chance.shuffle(split)
    (found,) = answers(form_of("sum"), table([(0, part, value) for part, value in split]), ("part // 2",)).values()
    assert bits(found) == bits(truth(values))


# --- from the digits' sums to a double -------------------------------------------------------------------


def test_sums_of_digits_of_any_size_are_rounded_once() -> None:
    """As many values as one could ever add: the digits' sums reach 2**124, of any sign, with and without a rest."""
    chance = random.Random(11)
    sums = []
    for number in range(3_000):
        high, middle, low = (chance.choice([-1, 1]) * chance.getrandbits(chance.randint(1, 124)) for _ in range(3))
        if number % 3 == 0:  # the higher two cancel, or nearly
            high = chance.choice([0, 1, -1, 4, -4, 2**63, 2**64])
            middle = -high * 2**BITS + chance.choice([0, 1, -1, 2**57, -(2**58)])
        if number % 5 == 0:  # half way between two doubles, and beside it
            low, middle = chance.choice([-1, 0, 1]), (2 * chance.getrandbits(53) + 1) << chance.randint(0, 60)
        sums.append((high, middle, low))
    rows = pa.table({name: [str(one[n]) for one in sums] for n, name in enumerate(("high", "middle", "low"))})
    limbs = ", ".join(f"{name}::DECIMAL(38,0)" for name in rows.column_names)
    none = "list_transform(range(40), lambda i: 0::DECIMAL(38,0))"
    found = kernel().run(f"SELECT _float_sum({limbs}, NULL) AS a, _float_sum({limbs}, {none}) AS b FROM t", {"t": rows})
    for (high, middle, low), a, b in zip(sums, found["a"].to_pylist(), found["b"].to_pylist(), strict=True):
        want = float(Fraction(high * 4**BITS + middle * 2**BITS + low, 2**UNIT))
        assert bits(a) == bits(b) == bits(want + 0.0), (high, middle, low)


def test_no_user_can_call_what_the_statements_call() -> None:
    """Their names begin with an underscore, as no function of the language does."""
    assert all(macro.startswith("_float_") for macro in MACROS)
