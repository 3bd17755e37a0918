"""A first test of a drafted project's view: a few events of its file, and the rows that the view has of them today."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from seamline.kernel import Kernel, Limits
from seamline.lake import Lake
from seamline.operate.bothlayers import BothLayers, WayRead
from seamline.operate.event_files import EventFile
from seamline.operate.survey import record_table
from seamline.operate.viewcases import LATER, CaseRecord
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.project_views import Compiled
from seamline.schemas.views.text import parse_views

EVENTS, LOOKED_AT = 3, 200
"""Events of a first test, and records that they are looked for among."""

BROKEN = "no event of this contract"


def first_test(path: Path, contract: Contract, text: str) -> str:
    """The YAML: the file's first events that the contract accepts, the first once more, and a record that is broken."""
    (parsed,) = parse_views(text, "views")
    view = Compiled(compile_view(parsed, contract), (contract,))
    with (
        tempfile.TemporaryDirectory(prefix="seamline-test-") as folder,
        closing(Kernel(Limits(folders=(folder,), threads=1))) as engine,
    ):
        events = _accepted(path, contract, engine)
        copies = events[:1] if contract.event_id else []
        records = [*events, *copies, BROKEN.encode()]
        layers = BothLayers(
            Lake(folder, None), engine, view, [CaseRecord(contract.name, one) for one in records], LATER
        )
        whole = WayRead(tuple(range(len(records))), len(records), ())
        rows, counts = layers.answer(whole).to_pylist(), layers.counts()
    extra = "a copy and a broken record" if copies else "and a broken record"
    lines = [
        f"# A test of {parsed.name}: events as they may come, and the rows that the view has of them. The rows are",
        "# those of the day on which this was drafted: read them, then add cases. 'seamline views test' runs them.",
        f"view: {parsed.name}",
        "cases:",
        f"  - name: {json.dumps(f'the first events of {path.name}, {extra}')}",
        "    events: # a text stands for a record's bytes as they are; write {field: value, ...} for those of your own",
        *(f"      - {_quoted(record.decode())}" for record in records),
        "    rows:" if rows else "    rows: []",
        *(f"      - {_row(row)}" for row in rows),
        f"    duplicates: {counts.duplicate}",
        f"    rejected: {counts.rejected}",
    ]
    return "\n".join(lines) + "\n"


def _accepted(path: Path, contract: Contract, engine: Kernel) -> list[bytes]:
    with EventFile(path) as file:
        values = [one for one in islice(file.read(contract).records, LOOKED_AT) if _is_line(one)]
    statement = (
        f"SELECT _offset FROM ({decode_statement(contract)}) WHERE _reject IS NULL ORDER BY _offset LIMIT {EVENTS}"
    )
    found = engine.run(statement, {"records": record_table(values, LATER)})
    return [values[offset] for offset in found["_offset"].to_pylist()]


def _is_line(value: bytes) -> bool:
    """Whether YAML may hold it as a text of one line."""
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _row(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(_pairs(row.items())) + "}"


def _pairs(items: Iterable[tuple[str, Any]]) -> Iterator[str]:
    for name, value in items:
        yield f"{json.dumps(name)}: {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value) if abs(value) < Decimal(10**15) and "E" not in str(value) else json.dumps(str(value))
    if isinstance(value, datetime | date):
        return json.dumps(value.isoformat())
    return json.dumps(value, ensure_ascii=False)
