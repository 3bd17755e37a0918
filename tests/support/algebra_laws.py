"""Every entry of the algebra, called with every kind of argument it takes: how it is run, split and compared.

What is here is generated from the table, so that an entry cannot come without its laws being checked.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
from hypothesis import strategies as st

from seamline.errors import SeamlineError
from seamline.kernel import Input, Limits, Mixed, kernel, quote
from seamline.packs import pack, read_table
from seamline.schemas.algebra import ALGEBRA, Call, Form
from seamline.schemas.algebra.forms import evaluated, fill

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOLEAN": st.booleans(),
    "TINYINT": st.integers(-128, 127),
    "SMALLINT": st.integers(-(2**15), 2**15 - 1),
    "INTEGER": st.integers(-(2**31), 2**31 - 1),
    "BIGINT": st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)),
    "UTINYINT": st.integers(0, 255),
    "USMALLINT": st.integers(0, 2**16 - 1),
    "UINTEGER": st.integers(0, 2**32 - 1),
    "UBIGINT": st.integers(0, 2**64 - 1),
    "HUGEINT": st.integers(-(10**36), 10**36),
    "FLOAT": st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf])),
    "DOUBLE": st.one_of(
        st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf])
    ),
    "DECIMAL(4,1)": st.decimals(-999, 999, places=1),
    "DECIMAL(18,2)": st.decimals(-(10**15), 10**15, places=2),
    "DECIMAL(38,4)": st.decimals(-(10**32), 10**32, places=4),
    "DECIMAL(38,30)": st.decimals(-(10**6), 10**6, places=30),
    "DECIMAL(38,38)": st.decimals(Decimal("-0.009"), Decimal("0.009"), places=38),
    "VARCHAR": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    "BLOB": st.binary(max_size=3),
    "DATE": st.dates(date(1970, 1, 1), date(2100, 1, 1)),
    "TIME": st.times(),
    "TIMESTAMP": st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    "TIMESTAMP WITH TIME ZONE": st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    "VARCHAR[]": st.lists(st.text("ab", max_size=2), max_size=2),
    "STRUCT(a INTEGER, b VARCHAR)": st.fixed_dictionaries(
        {"a": st.none() | st.integers(0, 3), "b": st.text("ab", max_size=1)}
    ),
}
"""Values of every type that an event can have, few enough to meet again."""

EVERY_TYPE = ("sum", "avg", "min", "max")
"""Entries tried with every type they take: what they do differs from type to type. Others are tried with these:"""
TYPICAL = ("BOOLEAN", "BIGINT", "DOUBLE", "DECIMAL(38,4)", "VARCHAR", "TIMESTAMP WITH TIME ZONE")
SECOND = ("BIGINT", "DOUBLE", "VARCHAR")
"""Types of a second argument."""
QUICK = os.environ.get("HYPOTHESIS_PROFILE") == "quick"
"""The quick profile tries each entry with one of the types it takes."""

FEW = {"approx_count_distinct": "count(DISTINCT x) FILTER (WHERE f)"}
"""What a sketch answers while its groups are small: then it is exact."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """One event: its group, the aggregate's arguments, whether its FILTER holds, and minutes since EPOCH."""

    k: int
    x: Any
    y: Any
    f: bool | None
    minute: int = 0


values_of = functools.cache(evaluated)


@dataclass(frozen=True)
class Case:
    """One entry, called with arguments of some types and some constants."""

    name: str
    types: tuple[str, ...]
    constants: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = ", ".join([*self.types, *self.constants])
        return f"{self.name}({inside})"

    @functools.cached_property
    def call(self) -> Call:
        """With the constants' values."""
        return Call(self.types, values_of(self.constants), self.constants)

    @functools.cached_property
    def form(self) -> Form:
        """The entry's form."""
        form = ALGEBRA[self.name].form(self.call)
        assert form is not None
        return form

    @property
    def takes_types(self) -> bool:
        """Whether the entry takes arguments of these types."""
        return ALGEBRA[self.name].form(self.call) is not None

    @property
    def own(self) -> str:
        """What DuckDB itself runs over the events x, y, f for the same answer."""
        if self.name in FEW:
            return FEW[self.name]
        if self.form.own:
            where = {"filter": " FILTER (WHERE f)", "where": "f", "order": "t, _source, _partition, _offset"}
            return fill(self.form.own, {"x": "x", "y": "y", **where})
        name, _, distinct = self.name.partition(" ")
        inside = ", ".join(["x", "y"][: len(self.types)] + list(self.constants))
        return f"{name}({distinct} {inside}) FILTER (WHERE f)"


def cases() -> Iterator[Case]:
    """Every entry with every kind of argument, and its constants."""
    for name, entry in ALGEBRA.items():
        for constants in entry.tried:
            found = cases_of(name, constants)
            yield from itertools.islice(found, 1) if QUICK else found


def cases_of(name: str, constants: tuple[str, ...]) -> Iterator[Case]:
    """An entry with its constants and every kind of argument it takes."""
    firsts = VALUES if name in EVERY_TYPE else ("BIGINT", "VARCHAR") if name == "count" else TYPICAL
    seconds = SECOND if ALGEBRA[name].arguments == 2 else ("",)
    pairs = [(first, second) if second else (first,) for first in firsts for second in seconds]
    return (case for types in pairs if (case := Case(name, types, constants)).takes_types)


def plain_case(name: str, *constants: str) -> Case:
    """An entry with the first types it takes."""
    return next(cases_of(name, constants or ALGEBRA[name].tried[0]))


def rows_of(case: Case) -> st.SearchStrategy[list[Row]]:
    """Events of a few groups, with NULLs and ties."""
    x, *rest = (st.none() | VALUES[kind] for kind in case.types)
    y = rest[0] if rest else st.none()
    filters = st.sampled_from([True, True, False, None])
    return st.lists(st.builds(Row, st.integers(0, 2), x, y, filters, st.integers(0, 3)), max_size=12)


@functools.cache
def arrow_type(kind: str) -> pa.DataType:
    """What the kernel hands out for a DuckDB type; HUGEINT goes as text."""
    stored = "VARCHAR" if kind == "HUGEINT" else kind
    return kernel().run(f"SELECT NULL::{stored} AS x WHERE false").schema.field(0).type


def table(rows: list[Row], case: Case, first: int = 0) -> pa.Table:
    """Rows as an Arrow table; `first` is the offset of the first one."""

    def column(values: list[Any], kind: str) -> pa.Array:
        if kind == "HUGEINT":
            values = [None if value is None else str(value) for value in values]
        return pa.array(values, arrow_type(kind))

    second = case.types[1] if len(case.types) > 1 else "BIGINT"
    return pa.table(
        {
            "k": pa.array([row.k for row in rows], pa.int32()),
            "x": column([row.x for row in rows], case.types[0]),
            "y": column([row.y for row in rows], second),
            "f": pa.array([row.f for row in rows], pa.bool_()),
            "t": pa.array([EPOCH + timedelta(minutes=row.minute) for row in rows], pa.timestamp("us", "UTC")),
            "_source": pa.array(["s"] * len(rows), pa.string()),
            "_partition": pa.array([0] * len(rows), pa.int32()),
            "_offset": pa.array(range(first, first + len(rows)), pa.int64()),
        }
    )


Stored: TypeAlias = Literal["files", "memory", "mixed"]
"""Where partials stand between the steps."""


class Run:
    """Runs one aggregate's statements. Between the steps partials stand in Parquet files, in memory, or by turns in
    files and packs of Arrow tables, as those of a speed log do."""

    def __init__(
        self, case: Case, folder: Path, *, form: Form | None = None, grouped: bool = True, store: Stored = "files"
    ) -> None:
        self.case, self.form, self.folder, self.grouped, self.store = case, form or case.form, folder, grouped, store
        self.kept: dict[str, pa.Table] = {}
        self.kernel = kernel(Limits(folders=(str(folder),)))
        self.files = 0
        second = case.types[1] if len(case.types) > 1 else "BIGINT"
        self.events = f"SELECT * REPLACE (x::{case.types[0]} AS x, y::{second} AS y) FROM raw"
        key, by = ("k, ", " GROUP BY ALL") if grouped else ("", "")
        at = "{'t': events.t, 's': events._source, 'p': events._partition, 'o': events._offset}"
        filtered = {"filter": " FILTER (WHERE events.f)", "where": "events.f", "at": at}
        values = {"x": "events.x", "y": "events.y", **filtered}
        columns = {p.suffix: f"partials.{quote('v' + p.suffix)}" for p in self.form.parts}
        partial = ", ".join(f"{fill(p.partial, values)} AS {quote('v' + p.suffix)}" for p in self.form.parts)
        merge = ", ".join(
            f"{fill(p.merge, {'c': columns[p.suffix]})} AS {quote('v' + p.suffix)}" for p in self.form.parts
        )
        finished = fill(self.form.finalise, columns | {"column": "v"})
        self.sql = {
            "partial": f"SELECT {key}{partial} FROM events{by}",
            "merge": f"SELECT {key}{merge} FROM partials{by}",
            "finalise": f"SELECT {key}{finished} AS v FROM partials",
        }

    def over_events(self, sql: str) -> str:
        """A statement over `events`, reading the input `raw`."""
        return f"WITH events AS ({self.events}) {sql}"

    def stored(self, sql: str, inputs: Mapping[str, Input]) -> str:
        """A statement's rows in a new Parquet file, or kept under its name."""
        self.files += 1
        path = str(self.folder / f"{self.files}.parquet")
        if self.store == "files" or (self.store == "mixed" and self.files % 2):
            self.kernel.run(sql, inputs, into=path)
        else:
            rows = self.kernel.run(sql, inputs)
            self.kept[path] = read_table(pack({"v": rows}), path, "v") if self.store == "mixed" else rows
        return path

    def read(self, *paths: str) -> Input:
        """What was stored, as an input."""
        files = tuple(path for path in paths if path not in self.kept)
        kept = [self.kept[path] for path in paths if path in self.kept]
        if not kept:
            return files
        table = pa.concat_tables(kept)
        return Mixed(files, table) if files else table

    def partial(self, rows: list[Row], first: int = 0) -> str:
        """Events to partial rows."""
        return self.stored(self.over_events(self.sql["partial"]), {"raw": table(rows, self.case, first)})

    @functools.cached_property
    def nothing(self) -> str:
        """The partial rows of no events."""
        return self.partial([])

    def merge(self, *files: str) -> str:
        """Partial rows of several files to one a key."""
        return self.stored(self.sql["merge"], {"partials": self.read(*files)})

    def answer(self, file: str) -> dict[Any, Any]:
        """The finished value by key."""
        rows = self.kernel.run(self.sql["finalise"], {"partials": self.read(file)}).to_pylist()
        return {row.get("k"): row["v"] for row in rows}

    def finish(self, file: str) -> Any:
        """The answer, or the stated error of a group out of range, which must not depend on the split either."""
        try:
            return self.answer(file)
        except SeamlineError as error:
            assert "VALUE_OUT_OF_RANGE" in str(error), error
            return "out of range"

    def own_answer(self, rows: list[Row]) -> dict[Any, Any] | None:
        """What DuckDB itself answers over the events; None where it cannot: a sum of its own overflows, or a moment
        meets an infinity."""
        select = f"SELECT k, {self.case.own} AS v FROM events GROUP BY ALL"
        try:
            found = kernel().run(self.over_events(select), {"raw": table(rows, self.case)})
        except SeamlineError:
            return None
        return {row["k"]: row["v"] for row in found.to_pylist()}


def same(one: Any, other: Any, exact: bool, scale: float = 1.0) -> bool:
    """Equal to the bit, or, for aggregates over floats, within 1e-9 of the values that went in; NaN equals itself."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b, exact, scale) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k], exact, scale) for k in one)
    if not isinstance(one, float) or not isinstance(other, float):
        return bool(one == other)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or (not exact and abs(one - other) <= 1e-9 * max(scale, abs(one)))


def scale_of(rows: list[Row], moments: bool) -> float:
    """The size of what went in: an error bound is relative to it."""
    values = [v for row in rows for v in (row.x, row.y) if isinstance(v, int | float | Decimal) and math.isfinite(v)]
    sizes = [abs(float(value)) for value in values]
    return max(1.0, sum(sizes), sum(size * size for size in sizes) if moments else 0.0)


def check_lambda_law(run: Run, parts: list[list[Row]]) -> None:
    """Any split, any order, any tree of merges, and an empty part: one answer."""
    firsts = [sum(map(len, parts[:n])) for n in range(len(parts))]
    everything = [row for part in parts for row in part]
    partials = [run.partial(part, first) for part, first in zip(parts, firsts, strict=True)]
    whole = run.finish(run.merge(run.partial(everything)))
    flat = run.finish(run.merge(*partials))
    left = run.finish(run.merge(run.merge(*partials[:2]), *partials[2:], run.nothing))
    right = run.finish(run.merge(run.nothing, *reversed(partials[1:]), run.merge(partials[0])))
    scale = scale_of(everything, ALGEBRA[run.case.name].kind == "state")
    exact = run.form.exactness == "exact"
    for other in (flat, left, right):
        assert isinstance(whole, str) == isinstance(other, str), (whole, other)
        if isinstance(whole, str):
            continue
        assert whole.keys() == other.keys()
        assert all(same(whole[k], other[k], exact, scale) for k in whole), (whole, other)
