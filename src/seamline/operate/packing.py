"""Files, plain or packed, as lines. What cannot be read whole is an error: nothing in a file is passed over."""

from __future__ import annotations

import bz2
import gzip
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from io import BufferedIOBase

import pyarrow as pa

MAGIC = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".zst": b"\x28\xb5\x2f\xfd"}
"""What packed files begin with, by how their names end."""

PACKED = tuple(MAGIC)
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged file raises, or a damaged member of a zip file."""

FREE, SWELLING = 1 << 30, 250
"""A file may unpack to so many bytes, or to so many times its own: far more than events do, and less than what is made
to fill a disk or a day."""

LONGEST = 256 << 20
"""Bytes of a line, or of a CSV row: far more than any broker takes, and what an open quote may swallow."""

_CHUNK = 1 << 20


class LineTooLongError(Exception):
    """A line has more than LONGEST bytes."""


class SwollenError(Exception):
    """A file unpacks to more than FREE bytes and SWELLING times its own."""


def pieces(raw: BufferedIOBase, packed: str, size: int) -> Iterator[bytes]:
    """A file of `size` bytes, unpacked as its name says ('': not at all). Raises one of DAMAGED, or SwollenError."""
    if packed == ".bz2":
        return _bounded(_bzip2(raw), size)
    if packed == ".zst":  # every frame, and each whole: Arrow says where one is cut off
        return _bounded(iter(partial(pa.CompressedInputStream(raw, "zstd").read, _CHUNK), b""), size)
    source = gzip.GzipFile(fileobj=raw) if packed else raw
    # a read of a whole chunk would lose what stands before damage
    parts = iter(lambda: source.read1(_CHUNK), b"")
    return _bounded(parts, size) if packed else parts


def _bounded(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    most, done = max(FREE, size * SWELLING), 0
    for part in parts:
        done += len(part)
        if done > most:
            raise SwollenError
        yield part


def _bzip2(raw: BufferedIOBase) -> Iterator[bytes]:
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
