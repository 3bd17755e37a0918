"""Answers as bytes: JSON, CSV and Arrow. docs/http.md says how each type is written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from seamline.ipc import to_ipc
from seamline.serving.json_values import values
from seamline.serving.provenance import Answer

PROVENANCE = "seamline.provenance"
WARNINGS = "seamline.warnings"
"""Keys of an Arrow schema's metadata."""


@dataclass(frozen=True)
class Encoding:
    """One way to write an answer."""

    media: str
    encode: Callable[[Answer], bytes]

    carries_provenance: bool
    """Whether provenance and warnings are in the body; else they go into headers, without links."""


def to_json(answer: Answer) -> bytes:
    """`{"columns": […], "rows": [[…]], "provenance": {view: …}, "warnings": […]}`."""
    table = answer.table
    body = {
        "columns": [{"name": f.name, "type": str(f.type)} for f in table.schema],
        "rows": list(rows(table)),
        "provenance": answer.provenance.to_json(),
        "warnings": list(answer.warnings),
    }
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


def to_csv(answer: Answer) -> bytes:
    """RFC 4180 with a header line; NULL is empty, nested values are JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(answer.table.column_names)
    for row in rows(answer.table):
        writer.writerow(map(cell, row))
    return buffer.getvalue().encode()


def to_arrow(answer: Answer) -> bytes:
    """An Arrow IPC stream; the provenance and any warnings, as JSON, are in its schema's metadata."""
    said = {PROVENANCE: json.dumps(answer.provenance.to_json())}
    if answer.warnings:
        said[WARNINGS] = json.dumps(answer.warnings)
    return to_ipc(answer.table.replace_schema_metadata(said))


def rows(table: pa.Table) -> Iterator[list[Any]]:
    """Rows of values as JSON; columns may share a name."""
    return (list(row) for row in zip(*map(values, table.columns), strict=True))


def cell(item: Any) -> Any:
    """A value as JSON where one cell holds it: what is nested, and booleans, as JSON's text."""
    return json.dumps(item, ensure_ascii=False) if isinstance(item, dict | list | bool) else item


FORMATS: dict[str, Encoding] = {
    "json": Encoding("application/json", to_json, carries_provenance=True),
    "csv": Encoding("text/csv; charset=utf-8", to_csv, carries_provenance=False),
    "arrow": Encoding("application/vnd.apache.arrow.stream", to_arrow, carries_provenance=True),
}
"""By the name a request gives."""
