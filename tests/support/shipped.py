"""The shipped examples, decoded by their contracts: what the tests of examples look at."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from places import ROOT

from seamline.kernel import kernel
from seamline.schemas.contracts.contract import Contract, load_contracts
from seamline.schemas.contracts.decode import decode_statement, unclaimed_statement
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.event_columns import POSITION
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import load_views

FOLDER = ROOT / "examples"
TAKEN = datetime(2025, 3, 10, tzinfo=UTC)
"""The Kafka timestamp of every record: after all events."""


@dataclass(frozen=True)
class Example:
    """One example as it is shipped. `events`: by contract, the distinct valid ones, as the contract decodes them."""

    folder: Path
    lines: list[bytes]
    contracts: dict[str, Contract]
    definitions: dict[str, Definition]
    decoded: dict[str, pa.Table]
    events: dict[str, pa.Table]

    @property
    def readme(self) -> str:
        return (self.folder / "README.md").read_text()


@cache
def example(name: str) -> Example:
    folder = FOLDER / name
    lines = gzip.decompress((folder / f"{name}.jsonl.gz").read_bytes()).splitlines()
    contracts = load_contracts(folder / "contracts")
    views = load_views(folder / "views")
    definitions = {view.name: compile_for(view, contracts, views)[0] for view in views.values()}
    inputs = {"records": records(lines)}
    listed = list(contracts.values())
    decoded = {one.name: kernel().run(decode_statement(one, listed), inputs) for one in listed}
    decoded[""] = kernel().run(unclaimed_statement(listed), inputs)
    events = {one.name: distinct(decoded[one.name], one) for one in listed}
    return Example(folder, lines, contracts, definitions, decoded, events)


def records(lines: list[bytes]) -> pa.Table:
    """The lines at offsets 0, 1, … of one partition."""
    count = len(lines)
    columns: dict[str, tuple[Iterable[Any], pa.DataType]] = {
        "source": (["sample"] * count, pa.string()),
        "partition": ([0] * count, pa.int32()),
        "offset": (range(count), pa.int64()),
        "timestamp": ([TAKEN] * count, pa.timestamp("us", "UTC")),
        "key": ([None] * count, pa.binary()),
        "value": (lines, pa.binary()),
    }
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})


def distinct(decoded: pa.Table, contract: Contract) -> pa.Table:
    """Of each accepted event the first copy, in order of position."""
    columns = ", ".join(f'"{name}"' for name in decoded.column_names if name in POSITION or name[0] != "_")
    first = f'DISTINCT ON ("{contract.event_id}", "{contract.event_time}")'
    select = f"SELECT {first} {columns} FROM decoded WHERE _reject IS NULL ORDER BY _offset"
    return plain({"decoded": decoded}).sql(f"SELECT * FROM ({select}) ORDER BY _offset").to_arrow_table()


def plain(tables: dict[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own over these tables."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    for name, table in tables.items():
        connection.register(name, table)
    return connection


def answer(definition: Definition, parts: Iterable[Mapping[str, pa.Table]]) -> pa.Table:
    """The view's rows from partials of each part's events, by contract; all but the first are merged beforehand."""
    partials = definition.partials.items()
    made = [kernel().run(statement, {"events": part[name]}) for part in parts for name, statement in partials]
    rest = kernel().run(definition.merge, {"partials": pa.concat_tables(made[1:])}) if made[1:] else made[0].slice(0, 0)
    return kernel().run(definition.merge_and_finalise, {"partials": pa.concat_tables([made[0], rest])})


def finished(name: str, view: str) -> pa.Table:
    """One view over all of the sample."""
    definition = example(name).definitions[view]
    return answer(definition, [example(name).events])
