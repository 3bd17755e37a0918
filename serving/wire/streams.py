"""An Arrow IPC stream that comes in pieces of any size, as record batches as soon as each is whole."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator

import pyarrow as pa
from pyarrow import ipc

from seamline.errors import Condition, TerminalError

_CONTINUED = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3


async def batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[pa.RecordBatch]:
    """The batches of a stream. Raises what the chunks raise, and KERNEL_FAILED for what ends too early."""
    cutter = _Cutter()
    async for chunk in chunks:
        for batch in cutter.take(chunk):
            yield batch
    if cutter.left:
        raise TerminalError(Condition.KERNEL_FAILED, "an Arrow stream that ends inside a message")


class _Cutter:
    """Holds what is not a whole message yet, and what each batch is read by: the schema, and dictionaries."""

    def __init__(self) -> None:
        self._held, self._head = bytearray(), b""

    @property
    def left(self) -> bool:
        return len(self._held) > 0

    def take(self, chunk: bytes) -> Iterator[pa.RecordBatch]:
        self._held += chunk
        while (size := self._whole()) is not None:
            piece = bytes(self._held[:size])
            del self._held[:size]
            kind = _kind(piece)
            if kind in (_SCHEMA, _DICTIONARY):
                self._head += piece
            elif kind == _BATCH:
                with ipc.open_stream(pa.BufferReader(self._head + piece)) as reader:
                    yield reader.read_next_batch()

    def _whole(self) -> int | None:
        """Bytes of the first message, where all of it is there."""
        if len(self._held) < 8:
            return None
        (described,) = struct.unpack_from("<i", self._held, 4)
        if described == 0:
            return 8
        if len(self._held) < 8 + described:
            return None
        whole = 8 + described + _body(self._held, 8)
        return whole if len(self._held) >= whole else None


def _field(data: bytes | bytearray, at: int, number: int) -> int | None:
    """Where a field of the flatbuffer's first table stands; None where it has its default."""
    table = at + struct.unpack_from("<I", data, at)[0]
    fields = table - struct.unpack_from("<i", data, table)[0]
    place = 4 + 2 * number
    if place >= struct.unpack_from("<H", data, fields)[0]:
        return None
    offset = struct.unpack_from("<H", data, fields + place)[0]
    return table + offset if offset else None


def _body(data: bytes | bytearray, at: int) -> int:
    """Bytes of the body: the fourth field of https://arrow.apache.org/docs/format/Columnar.html's Message."""
    found = _field(data, at, 3)
    return struct.unpack_from("<q", data, found)[0] if found is not None else 0


def _kind(piece: bytes) -> int:
    """What a message's header is; 0 at the stream's end."""
    if piece[:4] != _CONTINUED or len(piece) == 8:
        return 0
    found = _field(piece, 8, 1)
    return piece[found] if found is not None else 0
