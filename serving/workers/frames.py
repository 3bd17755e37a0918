"""What the front and a worker send each other over their socket: frames of a kind, each with its bytes.

Values of the front travel as pickles; a worker has run a user's SQL, so what it says is JSON and bytes alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from enum import Enum
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError

_HEAD = struct.Struct("!cI")
LONGEST = 64 << 20
"""Bytes of one frame of a worker; larger pieces are sent as several."""


class FrameKind(Enum):
    """What a frame is. SPENT is an error of a worker that had no memory left: it is not to be asked again."""

    # to a worker
    SNAPSHOT = b"S"
    ASK = b"Q"
    DESCRIBE = b"T"
    VIEWS = b"V"
    STOP = b"Z"
    # from a worker
    READY = b"R"
    BEGUN = b"B"
    DATA = b"D"
    DONE = b"E"
    SAID = b"J"
    ERROR = b"X"
    SPENT = b"M"


Frame = tuple[FrameKind, bytes]


def packed(kind: FrameKind, data: bytes) -> bytes:
    """A frame as it is sent."""
    return _HEAD.pack(kind.value, len(data)) + data


async def receive(reader: asyncio.StreamReader) -> Frame:
    """The next frame. Raises EOFError where the other side has ended."""
    try:
        kind, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if size > LONGEST:
            raise EOFError(f"a frame of {size:,} bytes")
        return FrameKind(kind), await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
        raise EOFError from error


def receive_now(connection: socket.socket) -> Frame:
    """The next frame, waiting for it. Raises EOFError."""
    kind, size = _HEAD.unpack(_exactly(connection, _HEAD.size))
    return FrameKind(kind), _exactly(connection, size)


def said(value: Any) -> bytes:
    """JSON."""
    return json.dumps(value).encode()


def error_data(error: SeamlineError) -> bytes:
    """An error, to be raised on the other side."""
    kind = next(one.__name__ for one in _ERRORS if isinstance(error, one))
    return said([kind, error.condition.value, error.message, error.detail, error.hint, error.where])


def error_of(data: bytes) -> SeamlineError:
    """The error that was sent."""
    kind, condition, message, detail, hint, where = map(str, json.loads(data))
    made = next(one for one in _ERRORS if one.__name__ == kind)
    return made(Condition(condition), message, detail=detail, hint=hint, where=where)


def schema_text(schema: pa.Schema) -> str:
    """A schema for JSON."""
    return base64.b64encode(schema.serialize()).decode()


def schema_of(text: str) -> pa.Schema:
    """The schema that was sent."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


_ERRORS = (UserError, TransientError, TerminalError)


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = connection.recv(min(size - len(found), 1 << 20))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)
