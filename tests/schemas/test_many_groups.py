"""Thousands of groups in one statement: every entry's partials, merged in several rounds, are plain Python's answers.

Groups stand beside each other in the engine's vectors, many of them with equal values at their edges: an expression
that looks beyond its own row is seen here, where a few groups would hide it. The oracle is `seamline.schemas.plainly`,
which knows neither partials nor the engine.
"""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from algebra_laws import Case, arrow_type

from seamline.kernel import Input, Kernel, Limits, kernel, quote
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.algebra.forms import fill
from seamline.schemas.plainly import OUT_OF_RANGE, PLAINLY, Asked

GROUPS, MOST_PARTS = 2_500, 33
EARLY, LATE = datetime(1901, 12, 13, 20, 45, 51, 7), datetime(2026, 11, 29, 1, 2, 3, 999_999)


def decimals(texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts.split()]


POOLS: dict[str, list[Any]] = {
    "BOOLEAN": [False, True],
    "BIGINT": [-(2**62), -70_000, -3, -2, -1, 0, 1, 2, 5, 2**62 + 1],
    "UTINYINT": [0, 1, 2, 200, 255],
    "HUGEINT": [-(10**37), -5, -1, 0, 3, 10**37],
    "FLOAT": [-1000.25, -2.5, -0.125, -0.0, 0.0, 0.5, 3.0, 1e6],
    "DOUBLE": [-1e12, -2.5, -0.1, -0.0, 0.0, 0.1, 0.3, 1e12],
    "DECIMAL(18,2)": decimals("-9999999999999999.99 -0.03 -0.01 0.00 1.25 1.26 9007199254740993.01"),
    "DECIMAL(38,4)": decimals(f"-9{'9' * 32}.0001 -7.0001 -7.0000 0.0000 3.5000 9{'9' * 32}.9999"),
    "VARCHAR": ["", "a", "ab", "b", "é", "z" * 20],
    "BLOB": [b"", b"\0", b"a", b"\xff"],
    "DATE": [date(1901, 1, 1), date(1969, 12, 30), date(1969, 12, 31), date(1970, 1, 1), date(2026, 11, 29)],
    "TIME": [time(0), time(0, 0, 1), time(11, 59, 59, 999_999), time(23, 59)],
    "TIMESTAMP": [EARLY, datetime(1969, 12, 31, 23, 59, 59), datetime(1970, 1, 1), LATE],
    "TIMESTAMP WITH TIME ZONE": [
        t.replace(tzinfo=UTC) for t in (EARLY, datetime(1969, 12, 31), datetime(1970, 1, 1), LATE)
    ],
    "INTEGER[]": [[], [None], [0], [0, None], [None, 0], [1, 2]],
    "STRUCT(a INTEGER, b VARCHAR)": [
        {"a": a, "b": b} for a, b in ((None, None), (None, ""), (0, None), (0, ""), (1, "x"))
    ],
}  # fmt: skip
"""Few values of each type, so that they meet again; the lower ones first."""

ODD = {"FLOAT": ["nan", "inf", "-inf", -1.0], "DOUBLE": ["nan", "inf", "-inf", -1.0]}
TYPES = ("BIGINT", "DOUBLE", "DECIMAL(18,2)", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "BOOLEAN")
"""Types that an entry is tried with: the first that it takes."""
EVERY_TYPE = {"sum", "avg", "min", "max", "count distinct", "sum distinct", "approx_count_distinct", "approx_quantile"}
EVERY_TYPE |= {"median", "quantile_cont", "quantile_disc", "approx_top_k", "histogram"}
"""Entries that are tried with every type in the long series, with their last constants; others with two: they do the
same whatever the type, or share a column with one of these."""


def cases() -> Iterator[Any]:
    """Every entry with each of its constants, over the first type that it takes; over the others in the long series."""
    for name, entry in ALGEBRA.items():
        for constants in entry.tried:
            firsts = (*TYPES, *(kind for kind in POOLS if kind not in TYPES))
            taken = [
                c for kind in firsts if (c := Case(name, (kind, "BIGINT")[: entry.arguments], constants)).takes_types
            ]
            every = name in EVERY_TYPE and constants == entry.tried[-1]
            for number, case in enumerate(taken[: None if every else 2]):
                yield pytest.param(case, id=str(case), marks=[pytest.mark.thorough] if number else [])


def rows_of_group(k: int, kind: str, chance: random.Random) -> Iterator[Any]:
    """As many values as the group has partials, and some more; every kind of group comes again and again."""
    pool = POOLS[kind]
    drawn = {
        0: pool,
        1: pool[: max(1, len(pool) // 2)],  # the lower ones: below 0, before 1970
        2: [chance.choice(pool)],
        3: [None, *pool, *ODD.get(kind, [])],
        4: [None],
        5: [*pool, None],
    }[k % 6]
    for _ in range(chance.randint(1, 4) + (k % MOST_PARTS if k % 5 == 0 else 0)):
        yield chance.choice(drawn)


@functools.cache
def events(kinds: tuple[str, ...]) -> tuple[pa.Table, dict[int, list[tuple[Any, ...]]]]:
    """Events of all groups as a table (k, part, x, y, f, and their place in the order of events), and by group what is
    left by the filter: (place, x, y)."""
    chance = random.Random(str(kinds))
    second = kinds[1] if len(kinds) > 1 else "BIGINT"
    found: list[tuple[Any, ...]] = []
    for k in range(GROUPS):
        parts = k % MOST_PARTS + 1
        for x in rows_of_group(k, kinds[0], chance):
            y = chance.choice([None, *POOLS[second][2:-2]])
            found.append((k, chance.randrange(parts), _value(x), _value(y), chance.random() < 0.9, chance.randrange(3)))
    table = _table(found, kinds[0], second)
    groups: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for offset, (k, _, x, y, kept, minute) in enumerate(found):
        if kept:
            groups[k].append(((minute, offset), x, y))
    return table, groups


def _value(value: Any) -> Any:
    return float(value) if value in ("nan", "inf", "-inf") else value


def _table(found: list[tuple[Any, ...]], x: str, y: str) -> pa.Table:
    def column(at: int, kind: str) -> pa.Array:
        values = [row[at] for row in found]
        if kind == "HUGEINT":
            values = [None if value is None else str(value) for value in values]
        return pa.array(values, arrow_type(kind))

    start = datetime(2026, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "k": pa.array([row[0] for row in found], pa.int32()),
            "part": pa.array([row[1] for row in found], pa.int32()),
            "x": column(2, x), "y": column(3, y), "f": pa.array([row[4] for row in found]),
            "t": pa.array([start + timedelta(minutes=row[5]) for row in found], pa.timestamp("us", "UTC")),
            "o": pa.array(range(len(found)), pa.int64()),
        }
    )  # fmt: skip


def answers(case: Case, table: pa.Table, engine: Kernel, folder: Path | None) -> dict[int, Any]:
    """By group: partials of its parts, merged in three rounds by other groupings, and finished. Between the rounds they
    stand in Parquet, where there is a folder, else in Arrow."""
    form = case.form
    second = case.types[1] if len(case.types) > 1 else "BIGINT"
    values = {
        "x": f"x::{case.types[0]}", "y": f"y::{second}", "filter": " FILTER (WHERE f)", "where": "f",
        "at": "{'t': t, 's': 's', 'p': 0, 'o': o}",
    }  # fmt: skip
    names = {part.suffix: quote(f"v{part.suffix}") for part in form.parts}
    made = ", ".join(f"{fill(part.partial, values)} AS {names[part.suffix]}" for part in form.parts)
    merged = ", ".join(f"{fill(part.merge, {'c': names[part.suffix]})} AS {names[part.suffix]}" for part in form.parts)
    kept = _stored(engine, folder, f"SELECT k, part, {made} FROM events GROUP BY ALL", {"events": table})
    for part in ("part // 5", "part // 3", "0"):
        kept = _stored(engine, folder, f"SELECT k, {part} AS part, {merged} FROM p GROUP BY ALL", {"p": kept})
    finished = {name: fill(text, {**names, "column": "v"}) for name, text in (("v", form.finalise), ("c", form.check))}
    check = finished["c"] or "NULL"
    select = (
        f"SELECT k, CASE WHEN ({check}) IS NULL THEN {finished['v']} END AS v, ({check}) IS NOT NULL AS beyond FROM p"
    )
    rows = engine.run(select, {"p": kept}).to_pylist()
    return {row["k"]: OUT_OF_RANGE if row["beyond"] else row["v"] for row in rows}


def _stored(engine: Kernel, folder: Path | None, sql: str, inputs: dict[str, Input]) -> Input:
    if folder is None:
        return engine.run(sql, inputs)
    path = str(folder / f"{len(list(folder.iterdir()))}.parquet")
    engine.run(sql, inputs, into=path)
    return [path]


@functools.cache
def text_of(kind: str) -> dict[Any, str]:
    """What an evaluator reads in place of a value, where that is a text of it."""
    table = pa.table({"x": pa.array(POOLS[kind], arrow_type(kind))}) if kind != "HUGEINT" else None
    if table is None:
        return {value: str(value) for value in POOLS[kind]}
    texts = kernel().run(f"SELECT (x::{kind})::VARCHAR AS x FROM t", {"t": table})["x"].to_pylist()
    odd = {"nan": "nan", "inf": "inf", "-inf": "-inf", "-1.0": "-1.0"}
    return dict(zip(map(repr, POOLS[kind]), texts, strict=True)) | odd


def plainly(case: Case, rows: list[tuple[Any, ...]]) -> Any:
    """What plain Python says of a group's events."""
    evaluator = PLAINLY[case.name]
    read = [row[1 : 1 + len(case.types)] for row in rows]
    if evaluator.reads != "{x}":
        read = [tuple(None if v is None else text_of(case.types[0])[repr(v)] for v in row) for row in read]
    return evaluator.evaluate(Asked(case.types, case.call.constants, read, [row[0] for row in rows]))


@pytest.mark.parametrize("case", list(cases()))
def test_every_group_of_thousands_is_what_plain_python_says(case: Case, tmp_path: Path) -> None:
    """From Arrow by one thread and from Parquet by two, in turn over the entries."""
    parquet = len(str(case)) % 2 > 0
    engine = kernel(Limits(folders=(str(tmp_path),) if parquet else (), threads=1 + parquet))
    table, groups = events(case.types)
    found = answers(case, table, engine, tmp_path if parquet else None)
    assert found.keys() == set(table["k"].to_pylist())
    check(case, found, groups)


def check(case: Case, found: dict[int, Any], groups: dict[int, list[tuple[Any, ...]]]) -> None:
    wrong = {}
    for k, served in found.items():
        said = plainly(case, groups[k])
        if not said.agrees(served):
            wrong[k] = (served, said.value, groups[k])
    assert not wrong, f"{len(wrong)} of {len(found)} groups, such as {str(list(wrong.items())[:3])[:2000]}"


LONG = [
    Case("approx_count_distinct", ("BIGINT",)),
    Case("theta_sketch_agg", ("BIGINT",), ("64",)),
    Case("approx_top_k", ("BIGINT",), ("2",)),
    Case("histogram", ("BIGINT",)),
    Case("approx_quantile", ("BIGINT",), ("[0.5, 0, 0.9, 1]",)),
]


@pytest.mark.parametrize("case", LONG, ids=str)
def test_groups_of_long_lists_stay_apart_too(case: Case) -> None:
    """Lists of more than a thousand are merged in other ways than short ones. Each group ends where the next begins."""
    chance, found = random.Random(7), []
    for k in range(60):
        for n in range(1400):
            found += [(k, part, 1000 * k - 30_000 + n, None, True, 0) for part in chance.sample(range(12), 1 + n % 2)]
    groups = {k: [((0, o), row[2], None) for o, row in enumerate(found) if row[0] == k] for k in range(60)}
    check(case, answers(case, _table(found, "BIGINT", "BIGINT"), kernel(Limits(threads=1)), None), groups)
