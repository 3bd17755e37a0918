"""Files, plain or packed, as lines. What cannot be read whole is an error: nothing in a file is passed over."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator

PACKED = (".gz", ".bz2")
DAMAGED = (OSError, EOFError, zlib.error)
"""What reading a damaged file raises."""

LONGEST = 256 << 20
"""Bytes of a line, or of a CSV row: far more than any broker takes, and what an open quote may swallow."""

_CHUNK = 1 << 20


class LineTooLongError(Exception):
    """A line has more than LONGEST bytes."""


def pieces(raw: io.BufferedReader, packed: str) -> Iterator[bytes]:
    """The bytes of a file packed as its name says ('': not at all). Raises one of DAMAGED."""
    if packed == ".bz2":
        return _bzip2(raw)
    source = gzip.GzipFile(fileobj=raw) if packed else raw
    return iter(lambda: source.read1(_CHUNK), b"")  # a read of a whole chunk would lose what stands before damage


def _bzip2(raw: io.BufferedReader) -> Iterator[bytes]:
    """All streams of a file. Python's own reader ends without a word at a second one that it cannot read."""
    rest = raw.read(_CHUNK)
    while rest:
        stream = bz2.BZ2Decompressor()
        yield stream.decompress(rest, _CHUNK)
        while not stream.eof:
            packed = raw.read(_CHUNK) if stream.needs_input else b""
            if stream.needs_input and not packed:
                raise EOFError("it ends inside a packed stream")
            yield stream.decompress(packed, _CHUNK)
        rest = stream.unused_data or raw.read(_CHUNK)


def lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, which are newlines alone. Raises LineTooLongError."""
    held: list[bytes] = []
    length = 0
    for part in parts:
        *whole, rest = part.split(b"\n")
        for line in whole:
            yield b"".join((*held, line, b"\n")) if held else line + b"\n"
            held, length = [], 0
        if rest:
            held.append(rest)
            length += len(rest)
        if length > LONGEST:
            raise LineTooLongError
    if held:
        yield b"".join(held)
