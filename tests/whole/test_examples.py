"""The examples: their samples are what is said of them, and each view's answer is its own SELECT's."""

from __future__ import annotations

import gzip
import re
import runpy
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import FOLDER, answer, example, finished, plain

from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import load_views
from seamline.serving.functions import statements
from seamline.serving.guard import check, check_text
from seamline.sql import TREE

pytestmark = pytest.mark.thorough

NAMES = ("orders", "social")
LARGEST = 200_000
"""Bytes of a shipped sample."""
COUNTED = re.compile(r"\bapprox_count_distinct\s*\(")
QUANTILE = re.compile(r"\bapprox_quantile\((\w+), ([\d.]+)\)")
RANKS = 0.03
"""How far by rank a sketched quantile may be off here; groups are small."""


def run_generator(name: str, *arguments: str) -> str:
    """What it prints; run without site-packages, so that it can use the standard library only."""
    command = [sys.executable, "-I", "-S", str(FOLDER / name / "generate.py"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# --- the samples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_is_what_its_generator_writes_and_the_readme_says_what_it_counts(name: str, tmp_path: Path) -> None:
    shipped = FOLDER / name / f"{name}.jsonl.gz"
    written = tmp_path / "again.jsonl.gz"
    said = run_generator(name, "--output", str(written))
    assert gzip.decompress(written.read_bytes()) == gzip.decompress(shipped.read_bytes())
    assert shipped.stat().st_size < LARGEST
    head, tables = said.strip().split("\n\n", 1)
    assert tables in example(name).readme
    assert head.split(", to ")[0] in example(name).readme


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_records_in_the_same_shares(name: str) -> None:
    make = runpy.run_path(str(FOLDER / name / "generate.py"))["make"]
    (lines, counts), (others, other) = make(600, 1), make(600, 2)
    assert lines != others
    for number, one in ((len(lines), counts), (len(others), other)):
        assert 0.02 < one.late / number < 0.08
        assert 0.01 < total(one.duplicates) / number < 0.06
        assert total(one.rejected) == 6
        assert total(one.counted) + total(one.duplicates) + total(one.rejected) == number


@pytest.mark.parametrize("name", NAMES)
def test_the_contracts_take_and_reject_what_the_generator_meant_them_to(name: str) -> None:
    given = example(name)
    _, counts = runpy.run_path(str(given.folder / "generate.py"))["make"](4000 if name == "orders" else 8000, 7)
    single = next(iter(given.contracts)) if len(given.contracts) == 1 else None
    rejected: Counter[Any] = Counter()
    for contract, table in given.decoded.items():
        for reason, n in Counter(table["_reject"].to_pylist()).items():
            if reason is not None:
                rejected[reason if single else (contract, reason)] += n
    assert rejected == counts.rejected
    for contract, events in given.events.items():
        valid = sum(1 for reason in given.decoded[contract]["_reject"].to_pylist() if reason is None)
        counted, twice = (
            (counts.counted, counts.duplicates) if single else (counts.counted[contract], counts.duplicates[contract])
        )
        assert (events.num_rows, valid - events.num_rows) == (counted, twice)
    assert sum(table.num_rows for table in given.decoded.values()) == len(given.lines)
    terms = (total(counts.counted), total(counts.rejected), total(counts.duplicates))
    assert f"`{len(given.lines)} = {' + '.join(map(str, terms))}`" in given.readme


@pytest.mark.parametrize("name", NAMES)
def test_copies_agree_in_every_field_though_some_are_other_bytes(name: str) -> None:
    copies, dressed = 0, 0
    for contract, table in example(name).decoded.items():
        rows = [row for row in table.to_pylist() if contract and row["_reject"] is None]
        firsts: dict[str, dict[str, Any]] = {}
        for row in rows:
            first = firsts.setdefault(row["id"], row)
            assert all(row[field] == first[field] for field in first if field[0] != "_")
            copies += row is not first
            dressed += row["_value"] != first["_value"]
    assert copies * 0.3 < dressed < copies * 0.7


# --- the views -------------------------------------------------------------------------------------------

VIEWS = [(name, view) for name in NAMES for view in load_views(FOLDER / name / "views")]


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_a_views_answer_from_any_split_is_its_own_select_over_the_distinct_events(name: str, view: str) -> None:
    definition = example(name).definitions[view]
    events = {contract: example(name).events[contract] for contract in definition.contracts}
    keys = [key.name for key in definition.keys]
    low, high = (truth(definition, events, keys, by) for by in (-RANKS, RANKS))
    assert len(low) >= 3
    floats = {column.name for column in definition.columns if column.exactness == "approximate (float)"}
    quantiles = {column.name for column in definition.columns if column.aggregate == "approx_quantile"}

    @settings(max_examples=max(2, settings().max_examples // 4))
    @given(st.integers(1, 4), st.integers(0, 2**31))
    def equal(parts: int, seed: int) -> None:
        split = {of: [t.filter(pa.array(m)) for m in masks(t.num_rows, parts, seed)] for of, t in events.items()}
        each = [{of: tables[part] for of, tables in split.items()} for part in range(parts)]
        got = by_key(answer(definition, each), keys)
        assert got.keys() == low.keys()
        for key, row in got.items():
            wanted = low[key]
            near = {c: pytest.approx(wanted[c], rel=1e-9) for c in floats if wanted[c] is not None}
            assert all(wanted[c] <= row[c] <= high[key][c] for c in quantiles)
            assert row == {**wanted, **near, **{c: row[c] for c in quantiles}}

    equal()


def test_pages_by_the_day_from_those_by_the_hour_are_pages_by_the_day_from_events() -> None:
    days = finished("social", "page_days").to_pylist()
    select = (
        "SELECT time_bucket(INTERVAL '1 day', happened) AS day, page, count(*) AS views,"
        " count(DISTINCT member) AS viewers, avg(milliseconds) / 1000 AS mean_seconds,"
        " sum(milliseconds) / 3600000 AS hours, max(milliseconds) AS longest FROM page_views GROUP BY ALL"
    )
    direct = plain({"page_views": example("social").events["page_views"]}).sql(select).to_arrow_table()
    wanted = by_key(direct, ["day", "page"])
    assert len(days) == len(wanted) > 3
    for row in days:
        mine = wanted[str(row["day"]), row["page"]]
        assert row == {**mine, "mean_seconds": pytest.approx(mine["mean_seconds"], rel=1e-9)}


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_every_view_has_a_time_bucket_a_description_and_an_owner(name: str, view: str) -> None:
    definition = example(name).definitions[view]
    assert definition.keys[0].sql_type == "TIMESTAMP WITH TIME ZONE"
    assert "time_bucket(" in definition.text
    assert {"owner", "description"} <= definition.properties.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_queries_that_the_readme_shows_answer(name: str) -> None:
    serving = over_views(name)
    shown = shown_queries(name)
    assert len(shown) >= 3
    for sql in shown:
        check_text(sql)
        check(sql, serving.execute(TREE, [sql]).fetchall()[0][0])
        assert bool(serving.sql(sql).fetchall()) != ("difference <> 0" in sql), sql


def test_who_came_again_is_the_intersection_of_the_days() -> None:
    (asked,) = (sql for sql in shown_queries("social") if "came_again" in sql)
    days: defaultdict[str, set[str]] = defaultdict(set)
    for row in example("social").events["page_views"].select(["happened", "member"]).to_pylist():
        days[str(row["happened"].date())].add(row["member"])
    first, second, third = (days[day] for day in sorted(days))
    wanted = [(len(first), len(first & second)), (len(second), len(second & third)), (len(third), 0)]
    assert [row[1:] for row in over_views("social").sql(asked).fetchall()] == wanted


def shown_queries(name: str) -> list[str]:
    return re.findall(r'^seamline query "([^"]+)"', example(name).readme.replace("\\\n", ""), re.M)


def over_views(name: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB over the finished views, with the functions that serving adds."""
    connection = plain({view: finished(name, view) for view in example(name).definitions})
    for statement in statements():
        connection.execute(statement)
    return connection


def truth(
    definition: Definition, events: dict[str, pa.Table], keys: list[str], by: float
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The view's own SELECT in a plain DuckDB, sketches replaced by what they estimate; quantiles `by` ranks off."""
    own = COUNTED.sub("count(DISTINCT ", definition.select_over({name: f"all_{name}" for name in events}))
    own = QUANTILE.sub(lambda m: f"quantile_disc({m[1]}, {min(1.0, float(m[2]) + by)})", own)
    return by_key(plain({f"all_{name}": table for name, table in events.items()}).sql(own).to_arrow_table(), keys)


def by_key(table: pa.Table, keys: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = table.to_pylist()
    found = {tuple(str(row[key]) for key in keys): row for row in rows}
    assert len(found) == len(rows)
    return found


def masks(count: int, parts: int, seed: int) -> Iterator[list[bool]]:
    """For each part, which of the rows are in it; each row is in one, anyhow."""
    chosen = [hash((seed, row)) % parts for row in range(count)]
    return ([part == mine for part in chosen] for mine in range(parts))


def total(counts: Any) -> int:
    return counts if isinstance(counts, int) else sum(counts.values())
