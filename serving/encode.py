"""Answers as bytes, piece by piece: JSON, CSV, Arrow and Parquet. docs/http.md says how each type is written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seamline.errors import Condition, UserError
from seamline.serving.json_values import values
from seamline.serving.provenance import Answer

PROVENANCE = "seamline.provenance"
WARNINGS = "seamline.warnings"
"""Keys of an Arrow schema's metadata."""

RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet takes for a formula, or hides the beginning of one."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)

ROWS = 4096
"""Of a piece of text, at most."""

RowBatches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class AnswerNotes:
    """What an answer says beside its rows, as JSON values."""

    provenance: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, str]:
        """The same for an Arrow schema, as JSON texts."""
        said = {PROVENANCE: json.dumps(self.provenance)}
        return said | ({WARNINGS: json.dumps(self.warnings)} if self.warnings else {})


Write = Callable[[pa.Schema, RowBatches, AnswerNotes], Iterator[bytes]]
"""The pieces of an answer; with the last it is whole."""


@dataclass(frozen=True)
class Encoding:
    """One way to write an answer."""

    media: str
    write: Write

    carries_provenance: bool
    """Whether provenance and warnings are in the body; else they go into headers, without links."""

    def encode(self, answer: Answer) -> bytes:
        """A whole answer."""
        said = AnswerNotes(answer.provenance.to_json(), answer.warnings)
        return b"".join(self.write(answer.table.schema, answer.table.to_batches(), said))


def to_json(schema: pa.Schema, batches: RowBatches, said: AnswerNotes) -> Iterator[bytes]:
    """`{"columns": […], "rows": [[…]], "provenance": {view: …}, "warnings": […]}`."""
    columns = [{"name": f.name, "type": str(f.type)} for f in schema]
    yield f'{{"columns": {_json(columns)}, "rows": ['.encode()
    before = ""
    for piece in _pieces(batches):
        yield (before + ", ".join(map(_json, rows(piece)))).encode()
        before = ", "
    yield f'], "provenance": {_json(said.provenance)}, "warnings": {_json(said.warnings)}}}'.encode()


def before_provenance(answer: bytes) -> bytes:
    """Of an answer as `to_json` writes it, what does not depend on when it was asked: its columns and rows."""
    return answer.rpartition(b'], "provenance": {')[0]


def to_ndjson(schema: pa.Schema, batches: RowBatches, said: AnswerNotes) -> Iterator[bytes]:
    """One object a line, by column name; of equal names the later are numbered."""
    names = distinct(schema.names)
    for piece in _pieces(batches):
        yield "".join(_json(dict(zip(names, row, strict=True))) + "\n" for row in rows(piece)).encode()


def to_csv(schema: pa.Schema, batches: RowBatches, said: AnswerNotes) -> Iterator[bytes]:
    """RFC 4180 with a header line; NULL is empty, nested values are JSON."""
    yield _lines([schema.names])
    for piece in _pieces(batches):
        yield _lines(map(cell, row) for row in rows(piece))


def to_safe_csv(schema: pa.Schema, batches: RowBatches, said: AnswerNotes) -> Iterator[bytes]:
    """The same, with `'` before each text that a spreadsheet would take for a formula and run."""
    yield _lines([map(unrun, schema.names)])
    for piece in _pieces(batches):
        yield _lines((unrun(cell(item)) for item in row) for row in rows(piece))


def unrun(item: Any) -> Any:
    """A cell that no spreadsheet runs; numbers, those that are texts too, stay as they are."""
    runs = isinstance(item, str) and item.startswith(RUN) and not _NUMBER.fullmatch(item)
    return f"'{item}" if runs else item


def to_arrow(schema: pa.Schema, batches: RowBatches, said: AnswerNotes) -> Iterator[bytes]:
    """An Arrow IPC stream; the provenance and any warnings, as JSON, are in its schema's metadata."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema.with_metadata(said.metadata)) as writer:
        yield sink.taken()
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(said.metadata))
            yield sink.taken()
    yield sink.taken()


def to_parquet(schema: pa.Schema, batches: RowBatches, said: AnswerNotes) -> Iterator[bytes]:
    """A Parquet file, with the same metadata. Raises QUERY_REFUSED for a column that it has no type for."""
    sink = _Sink()
    try:
        with pq.ParquetWriter(sink, schema.with_metadata(said.metadata)) as writer:
            for batch in batches:
                writer.write_batch(batch.replace_schema_metadata(said.metadata))
                yield sink.taken()
    except pa.ArrowNotImplementedError as error:
        hint = "cast it (an interval to VARCHAR, say), or ask for another format"
        raise UserError(Condition.QUERY_REFUSED, f"Parquet: {error}", detail="types of Parquet", hint=hint) from error
    yield sink.taken()


def rows(table: pa.Table | pa.RecordBatch) -> Iterator[list[Any]]:
    """Rows of values as JSON; columns may share a name."""
    return (list(row) for row in zip(*map(values, table.columns), strict=True))


def cell(item: Any) -> Any:
    """A value as JSON where one cell holds it: what is nested, and booleans, as JSON's text."""
    return json.dumps(item, ensure_ascii=False) if isinstance(item, dict | list | bool) else item


def distinct(names: Sequence[str]) -> list[str]:
    """Column names as keys of an object: of equal ones, the later are numbered, so that no value is lost."""
    found: list[str] = []
    for name in names:
        others = (f"{name}_{number}" for number in count(1))
        found.append(name if name not in found else next(one for one in others if one not in (*found, *names)))
    return found


def encoding(name: str) -> Encoding:
    """The format of a name. Raises INPUT_INVALID."""
    if name not in FORMATS:
        raise UserError(
            Condition.INPUT_INVALID, f"format {name!r}", detail=", ".join(FORMATS), hint="name one of these"
        )
    return FORMATS[name]


def _pieces(batches: RowBatches) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def _json(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False, allow_nan=False)


def _lines(items: Iterable[Iterable[Any]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(items)
    return buffer.getvalue().encode()


class _Sink(io.RawIOBase):
    """A file that is taken away while it is written."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        self._position += len(self._written[-1])
        return len(self._written[-1])

    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        """What was written since the last time."""
        taken, self._written = b"".join(self._written), []
        return taken


FORMATS: dict[str, Encoding] = {
    "json": Encoding("application/json", to_json, carries_provenance=True),
    "ndjson": Encoding("application/x-ndjson", to_ndjson, carries_provenance=False),
    "csv": Encoding("text/csv; charset=utf-8", to_csv, carries_provenance=False),
    "csv_safe": Encoding("text/csv; charset=utf-8", to_safe_csv, carries_provenance=False),
    "arrow": Encoding("application/vnd.apache.arrow.stream", to_arrow, carries_provenance=True),
    "parquet": Encoding("application/vnd.apache.parquet", to_parquet, carries_provenance=True),
}
"""By the name a request gives."""
