"""Arrow tables as bytes: the stream format of Arrow's IPC, between processes and inside packs."""

from __future__ import annotations

import pyarrow as pa


def to_ipc(table: pa.Table) -> bytes:
    """A table as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(payload: bytes | pa.Buffer) -> pa.Table:
    """The inverse of `to_ipc`, without copying what it is given."""
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_all()
