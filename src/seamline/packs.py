"""Packs: the small tables of one ledger entry as one run of bytes, in an object of its own or carried by the entry.

```
SEAMPK1\\n   length of the header (4 bytes, little endian)   header   frames
```

The header (JSON, packed with zstd) says how long each frame is, packed and plain, and for each table its name and its
length, in order. A frame is one zstd run of whole tables in Arrow's IPC stream format: as many as make FRAME bytes.
What many tables share costs most, so small ones are packed together (the partials of 300 definitions take 20 KB so, and
390 KB as a Parquet file each), and who wants one of many large ones need not unpack the others.

A table is found by its *address*: the path of the pack, `#`, and its name.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from seamline.errors import Condition, TerminalError
from seamline.ipc import from_ipc, to_ipc

MAGIC = b"SEAMPK1\n"
_LENGTH = 4
_ADDRESS = re.compile(r"\.(pack|json)#[^/#]+$")
_ZSTD = pa.Codec("zstd")

ENTRY = ".json"
"""How the path of an entry ends, which may carry a pack."""

CARRIED = 48 << 10
"""Bytes of a pack that an entry carries itself, at most: 64 KB of its JSON."""

FRAME = 256 << 10
"""Bytes of tables that are packed together: a frame ends with the table that reaches it."""

KEPT = 64 << 20
"""Bytes of packs, and of frames unpacked, that a process keeps at hand."""

FETCHED = 16
"""Packs that are read from an object store at once."""


def address(path: str, name: str) -> str:
    """Where a table of a pack stands."""
    return f"{path}#{name}"


def is_address(path: str) -> bool:
    """Whether a path, in the lake or a full one, names a table of a pack; else it names a file."""
    return _ADDRESS.search(path) is not None


def is_carried(path: str) -> bool:
    """Whether a path names a table that a ledger entry carries: it goes with the entry, soon after another holds it."""
    return is_address(path) and f"{ENTRY}#" in path


def pack(tables: Mapping[str, pa.Table]) -> bytes:
    """Tables by name as bytes, in their order: who reads all in this order unpacks each frame once."""
    frames: list[list[bytes]] = [[]]
    for table in tables.values():
        if sum(map(len, frames[-1])) >= FRAME:
            frames.append([])
        frames[-1].append(to_ipc(table.combine_chunks()))
    listed = iter(tables)
    told, bodies = [], list[bytes]()
    for frame in frames:
        plain = b"".join(frame)
        bodies.append(_ZSTD.compress(plain, asbytes=True))
        told.append([len(bodies[-1]), len(plain), [[next(listed), len(payload)] for payload in frame]])
    header = press(json.dumps(told).encode())
    return b"".join([MAGIC, len(header).to_bytes(_LENGTH, "little"), header, *bodies])


@dataclass(frozen=True)
class _Place:
    """Where a table stands: its frame, and from where to where in it."""

    frame: int
    start: int
    end: int


class Pack:
    """The bytes of one pack, and what its header says."""

    def __init__(self, body: bytes, path: str) -> None:
        """Raises TerminalError LEDGER_FORMAT where it is no pack, or none of this format."""
        if not body.startswith(MAGIC):
            raise _damaged(path, f"it begins with {body[: len(MAGIC)]!r}")
        self.path = path
        self.places: dict[str, _Place] = {}
        self._body = body
        self._frames: list[tuple[int, int, int]] = []
        start = len(MAGIC) + _LENGTH
        at = start + int.from_bytes(body[len(MAGIC) : start], "little")
        try:
            told = json.loads(unpress(body[start:at], path))
        except ValueError as error:
            raise _damaged(path, str(error)) from error
        for number, (packed, plain, tables) in enumerate(told):
            self._frames.append((at, at + packed, plain))
            self._place(number, tables)
            at += packed
        if at != len(body):
            raise _damaged(path, f"it has {len(body)} bytes of {at}")

    def _place(self, frame: int, tables: list[tuple[str, int]]) -> None:
        start = 0
        for name, length in tables:
            self.places[name] = _Place(frame, start, start + length)
            start += length

    def __len__(self) -> int:
        return len(self._body)

    def place(self, name: str) -> _Place:
        """Where a table stands. Raises TerminalError LEDGER_FORMAT where there is none of that name."""
        if name not in self.places:
            raise _damaged(self.path, f"it holds no {name}")
        return self.places[name]

    def frame(self, number: int) -> pa.Buffer:
        """One frame, unpacked. Raises TerminalError LEDGER_FORMAT where it is damaged."""
        start, end, plain = self._frames[number]
        try:
            return _ZSTD.decompress(self._body[start:end], plain)
        except OSError as error:
            raise _damaged(self.path, str(error)) from error


def read_table(body: bytes, path: str, name: str) -> pa.Table:
    """One table of a pack that is used once. Raises TerminalError LEDGER_FORMAT."""
    of = Pack(body, path)
    place = of.place(name)
    return _table(of.frame(place.frame), place)


def _table(frame: pa.Buffer, place: _Place) -> pa.Table:
    return from_ipc(frame[place.start : place.end])


class Packs:
    """The packs of one lake. What was used last is kept at hand, up to `kept` bytes. Safe to use from several threads.

    `fetch` gives the bytes of a pack by its path, `side_by_side` says whether several are fetched at once.
    """

    def __init__(self, fetch: Callable[[str], bytes], *, side_by_side: bool, kept: int = KEPT) -> None:
        self._fetch = fetch
        self._side_by_side = side_by_side
        self._most = kept
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()  # number -1: the pack, else one of its frames
        self._size = 0
        self._lock = threading.Lock()

    def tables(self, addresses: Iterable[str]) -> list[pa.Table]:
        """The tables at some addresses, in order, without copying them. Each pack is fetched once.

        Raises what `fetch` raises, TerminalError LEDGER_FORMAT where a pack is damaged.
        """
        parted = [one.rpartition("#") for one in addresses]
        packs = self._all(dict.fromkeys(path for path, _, _ in parted))
        return [self._table(packs[path], name) for path, _, name in parted]

    def keep(self, path: str, body: bytes) -> None:
        """Takes a pack that is at hand already, so that it need not be fetched."""
        self._keep((path, _WHOLE), Pack(body, path))

    def _table(self, of: Pack, name: str) -> pa.Table:
        place = of.place(name)
        frame = self._at_hand((of.path, place.frame))
        if frame is None:
            frame = self._keep((of.path, place.frame), of.frame(place.frame))
        return _table(frame, place)

    def _all(self, paths: Iterable[str]) -> dict[str, Pack]:
        found = {path: self._at_hand((path, _WHOLE)) for path in paths}
        left = [path for path, one in found.items() if one is None]
        if len(left) > 1 and self._side_by_side:
            with ThreadPoolExecutor(FETCHED) as pool:
                bodies = list(pool.map(self._fetch, left))
        else:
            bodies = [self._fetch(path) for path in left]
        read = {path: self._keep((path, _WHOLE), Pack(body, path)) for path, body in zip(left, bodies, strict=True)}
        return found | read

    def _at_hand(self, key: tuple[str, int]) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: tuple[str, int], one: Any) -> Any:
        with self._lock:
            self._size += len(one) - len(self._kept.pop(key, b""))
            self._kept[key] = one
            while self._size > self._most and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])
        return one


_WHOLE = -1


def press(plain: bytes) -> bytes:
    """Bytes packed with zstd, after their length (4 bytes, little endian)."""
    packed: bytes = _ZSTD.compress(plain, asbytes=True)
    return len(plain).to_bytes(_LENGTH, "little") + packed


def unpress(body: bytes, path: str) -> bytes:
    """The inverse of `press`. Raises TerminalError LEDGER_FORMAT; `path` says where it stands."""
    try:
        return cast(bytes, _ZSTD.decompress(body[_LENGTH:], int.from_bytes(body[:_LENGTH], "little"), asbytes=True))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def carry(body: bytes) -> str:
    """A pack as an entry carries it."""
    return base64.b64encode(body).decode()


def unpacked(carried: str, path: str) -> bytes:
    """The inverse of `carry`. Raises TerminalError LEDGER_FORMAT."""
    try:
        return base64.b64decode(carried, validate=True)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def body_of(found: bytes, path: str) -> bytes:
    """The pack of what stands at a path: the object itself, or what an entry carries. Raises LEDGER_FORMAT."""
    if not path.endswith(ENTRY):
        return found
    try:
        return unpacked(json.loads(found)["data"], path)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"it carries none: {error}") from error


def _damaged(path: str, why: str) -> TerminalError:
    return TerminalError(
        Condition.LEDGER_FORMAT, f"not a pack of partials: {why}", hint="restore the file from a copy", where=path
    )
