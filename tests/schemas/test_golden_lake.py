"""Partials that were stored once stay readable: tests/golden/lake/ holds some of every entry, by kernel version.

GOLDEN=write stores them anew. A file of another kernel stays as it is: what it holds is refused by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from algebra_laws import EPOCH, Case, Row, Run, same
from deltalake import DeltaTable, write_deltalake
from handmade import Handmade, rows
from places import GOLDEN

from seamline.errors import Condition, SeamlineError
from seamline.kernel import KERNEL_VERSION, Input, Limits, kernel, quote
from seamline.schemas.algebra import ALGEBRA

LAKE = GOLDEN / "lake"
STORED, ANSWERS = LAKE / f"{KERNEL_VERSION}.parquet", LAKE / f"{KERNEL_VERSION}.json"
WRITE = os.environ.get("GOLDEN") == "write"
MEND = "run `GOLDEN=write pytest tests/schemas/test_golden_lake.py` and read what changed"


def cases() -> Iterator[Case]:
    """Every entry with each of its constants, over the first types that it takes."""
    for name, entry in ALGEBRA.items():
        for constants in entry.tried:
            firsts = ("BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN", "TIMESTAMP WITH TIME ZONE", "DECIMAL(38,4)")
            kinds = [(first, "BIGINT")[: entry.arguments] for first in firsts]
            yield next(case for kind in kinds if (case := Case(name, kind, constants)).takes_types)


CASES = list(cases())


def events(case: Case, part: int) -> list[Row]:
    """Some 70 events a group, half of them in both parts: enough to fill the smallest sketch."""

    def value(n: int) -> Any:
        number = n * 7919 % 211
        made = {
            "BIGINT": number, "DOUBLE": number / 8, "VARCHAR": f"v{number}", "BOOLEAN": n % 3 > 0,
            "TIMESTAMP WITH TIME ZONE": EPOCH + timedelta(hours=number), "DECIMAL(38,4)": Decimal(number) / 8,
        }[case.types[0]]  # fmt: skip
        return None if n % 17 == 0 else made

    return [Row(n % 3, value(n), n % 13, n % 11 > 0, n) for n in range(105 * part, 105 * part + 210)]


def columns(case: Case) -> dict[str, str]:
    """The name in the golden file of each of its partial columns."""
    return {f"v{part.suffix}": f"{case} {part.suffix}".strip() for part in case.form.parts}


def plain(value: Any) -> Any:
    """A value as JSON keeps it."""
    return json.loads(json.dumps(value, default=str))


def write(folder: Path) -> None:
    """Stores partials of every case in one file, and what they finish to, alone and merged with the second part's."""
    found, answers = {"k": pa.array([0, 1, 2], pa.int32())}, {}
    for case in CASES:
        run = Run(case, folder)
        first, second = run.partial(events(case, 0)), run.partial(events(case, 1), 1000)
        stored = pq.read_table(first).sort_by("k")
        found |= {name: stored[column] for column, name in columns(case).items()}
        answers[str(case)] = [plain(run.finish(first)), plain(run.finish(run.merge(first, second)))]
    LAKE.mkdir(exist_ok=True)
    copy = "SELECT * FROM partials ORDER BY k"
    kernel(Limits(folders=(str(LAKE),))).run(copy, {"partials": pa.table(found)}, into=str(STORED))
    lines = [f"{json.dumps(case)}: {json.dumps(answer, sort_keys=True)}" for case, answer in sorted(answers.items())]
    ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    if WRITE:
        write(folder)
    assert STORED.exists(), MEND
    return folder


@cache
def kept() -> dict[str, list[Any]]:
    answers: dict[str, list[Any]] = json.loads(ANSWERS.read_text())
    return answers


@cache
def names_stored() -> frozenset[str]:
    return frozenset(pq.read_schema(STORED).names)


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES, ids=str)
def test_stored_partials_are_read_and_finished_to_the_same_answers(case: Case, folder: Path) -> None:
    """Alone, and merged with partials that are made today: what is stored still means the same."""
    names = columns(case)
    assert set(names.values()) <= names_stored(), f"{case} is not stored: {MEND}"
    engine = kernel(Limits(folders=(str(LAKE),)))
    select = ", ".join(f"{quote(name)} AS {quote(column)}" for column, name in names.items())
    read = f"SELECT k, {select} FROM golden"
    kinds = {"k": "INTEGER"} | {f"v{part.suffix}": part.stored for part in case.form.parts}
    assert engine.describe(read, {"golden": [str(STORED)]}) == kinds, f"{case} is stored otherwise: {MEND}"
    run = Run(case, folder)
    stored = run.stored("SELECT * FROM stored", {"stored": engine.run(read, {"golden": [str(STORED)]})})
    alone, merged = kept()[str(case)]
    exact = case.form.exactness != "approximate (float)"
    assert same(plain(run.finish(stored)), alone, exact)
    today = run.partial(events(case, 1), 1000)
    assert same(plain(run.finish(run.merge(stored, today))), merged, exact)


def test_stored_partials_come_back_from_delta_as_they_went_in(folder: Path, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "kept"), pq.read_table(STORED))
    engine = kernel(Limits(folders=(str(LAKE), str(tmp_path))))
    inputs: dict[str, Input] = {
        "golden": [str(STORED)], "delta": list(DeltaTable(str(tmp_path / "kept")).file_uris())
    }  # fmt: skip
    assert engine.describe("SELECT * FROM delta", inputs) == engine.describe("SELECT * FROM golden", inputs)
    stored, back = (engine.run(f"SELECT * FROM {name} ORDER BY k", inputs) for name in inputs)
    assert back.num_rows == 3
    assert back.equals(stored)


def test_nothing_is_stored_that_no_entry_reads(folder: Path) -> None:
    known = {"k"} | {name for case in CASES for name in columns(case).values()}
    assert set(pq.read_schema(STORED).names) == known, MEND
    assert set(kept()) == set(map(str, CASES)), MEND


OTHERS = sorted({file.stem for file in LAKE.glob("*.parquet")} - {KERNEL_VERSION} | {"duckdb-1.0"})


@pytest.mark.parametrize("version", OTHERS)
def test_what_another_kernel_stored_is_refused_by_name(version: str, tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(10))
    made.version(made.sent, cut=10, kernel=version)
    with pytest.raises(SeamlineError) as caught:
        made.serving().query("SELECT * FROM sales")
    assert caught.value.condition is Condition.KERNEL_VERSION
    assert version in caught.value.message
