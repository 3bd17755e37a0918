"""What runs in Spark's tasks to answer for a view: partial rows are put together by key, merged and finished.

Rows travel between tasks as Arrow in binary columns: Spark need not know the types of partials, and a shuffle moves
columns, not rows. A task needs the kernel, pyarrow, and a way to the lake's files; no ledger, contract or view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.ipc import from_ipc, to_ipc
from seamline.kernel import Limits, kernel
from seamline.packs import body_of, is_address, read_table
from seamline.schemes import filesystem

BUCKET = "_bucket"
"""Which task finishes a row. No column of a view begins with an underscore."""

SENT = pa.schema([(BUCKET, pa.int32()), ("rows", pa.binary())])
"""Partial rows on their way: a stream of Arrow's IPC format for each bucket."""

BATCH, PIECE, PIECE_BYTES = 16_384, 262_144, 128 << 20
"""Rows read at once; rows and bytes that are put into buckets at once."""


@dataclass(frozen=True)
class Sorting:
    """Puts partial rows into buckets."""

    statement: str
    """`partials` to the `columns` and BUCKET, in the order of that."""

    columns: tuple[str, ...]
    memory: str

    def run(self, parts: Sequence[str | bytes]) -> Iterator[pa.RecordBatch]:
        """Reads Parquet files, by full paths or URIs, and rows as `to_ipc` gives them; gives SENT."""
        engine = kernel(Limits(memory=self.memory, threads=1))
        for piece in _pieces(parts, self.columns):
            table = engine.run(self.statement, {"partials": piece})
            numbers = table.column(BUCKET).to_numpy()
            rows = table.drop_columns([BUCKET])
            starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
            for start, end in pairwise(starts):
                packed = to_ipc(rows.slice(start, end - start))
                yield pa.RecordBatch.from_pylist([{BUCKET: int(numbers[start]), "rows": packed}], schema=SENT)


@dataclass(frozen=True)
class Finalising:
    """Merges and finishes the rows of one bucket."""

    statement: str
    """`sent` partials to columns of the view."""

    schema: pa.Schema
    """As Spark takes them."""

    memory: str

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """From SENT, all rows of a key at once. Raises VALUE_OUT_OF_RANGE where a group's value does not fit."""
        tables = [from_ipc(rows.as_py()) for batch in batches for rows in batch.column("rows")]
        if not tables:
            return
        engine = kernel(Limits(memory=self.memory, threads=1))
        try:
            found = engine.run(self.statement, {"sent": pa.concat_tables(tables)})
        except SeamlineError as error:
            if Condition.VALUE_OUT_OF_RANGE not in error.message:
                raise
            raise UserError(
                Condition.VALUE_OUT_OF_RANGE, error.message, detail="values inside their column's type",
                hint="register the view without that column: columns=(…)",
            ) from error  # fmt: skip
        yield from found.cast(self.schema).to_batches(max_chunksize=BATCH)


def _pieces(parts: Sequence[str | bytes], columns: Sequence[str]) -> Iterator[pa.Table]:
    """The parts' rows, some at a time: a large file is never held whole, and small ones are put together."""
    held: list[pa.Table] = []
    rows = size = 0
    for part in parts:
        for batch in _read(part, columns):
            held.append(pa.Table.from_batches([batch]))
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= PIECE or size >= PIECE_BYTES:
                yield pa.concat_tables(held)
                held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)


def _read(path: str | bytes, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    from pyarrow import dataset

    if isinstance(path, bytes):
        yield from from_ipc(path).select(list(columns)).to_batches(max_chunksize=BATCH)
        return
    try:
        if is_address(path):
            yield from _packed_table(path).select(list(columns)).to_batches(max_chunksize=BATCH)
            return
        files, inner = filesystem(path)
        whole = dataset.dataset(inner, filesystem=files, format="parquet")
        yield from whole.to_batches(columns=list(columns), batch_size=BATCH, batch_readahead=2, fragment_readahead=1)
    except OSError as error:
        hint = "register the view again: retention may have removed what its older state was made of"
        raise TransientError(Condition.STORE_UNAVAILABLE, f"{path}: {error}", hint=hint) from error


def _packed_table(at: str) -> pa.Table:
    path, _, name = at.rpartition("#")
    files, inner = filesystem(path)
    with files.open_input_stream(inner) as stream:
        return read_table(body_of(stream.read(), path), path, name)
