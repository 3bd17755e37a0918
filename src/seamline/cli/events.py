"""Events in files: JSON lines or CSV, plain, gzip or bzip2, as the bytes of records. Pure but for reading the file.

A line that cannot be read is passed on as it stands: its contract rejects it, with the reason, where it can be counted.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from seamline.errors import Condition, UserError

if TYPE_CHECKING:
    from seamline.schemas.contracts import Contract
    from seamline.schemas.types import Field

LINES = (".jsonl", ".ndjson", ".json")
PACKED = (".gz", ".bz2")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_BOM = b"\xef\xbb\xbf"
_LONGEST_CELL = 16 << 20


@dataclass(frozen=True)
class Event:
    """One record to be: its bytes, its key's bytes, and whether it was a JSON object."""

    value: bytes
    key: bytes | None
    readable: bool


class EventFile:
    """One file, read once from its beginning. `done` and `size` are bytes of the file as it is stored."""

    def __init__(self, path: Path) -> None:
        """Raises UserError INPUT_INVALID where the name says no known format, or there is no such file."""
        suffixes = path.suffixes[-2:]
        self.packed = suffixes[-1] if suffixes and suffixes[-1] in PACKED else ""
        kind = [suffix for suffix in suffixes if suffix not in PACKED][-1:]
        self.is_csv = kind == [".csv"]
        if not kind or kind[0] not in (*LINES, ".csv"):
            raise UserError(
                Condition.INPUT_INVALID,
                f"file {path.name!r} says no format",
                allowed=f"names ending in {', '.join((*LINES, '.csv'))}, then perhaps {' or '.join(PACKED)}",
                mend="rename the file",
                where=str(path),
            )
        try:
            self._raw: IO[bytes] = path.open("rb")
        except OSError as error:
            raise UserError(Condition.INPUT_INVALID, f"cannot be read: {error.strerror}", where=str(path)) from error
        self.path = path
        self.size = path.stat().st_size

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self.size if self._raw.closed else self._raw.tell()

    def lines(self) -> Iterator[bytes]:
        """Lines with their ends. Raises UserError INPUT_INVALID naming the line where the file is damaged."""
        openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
        unpacked = openers[self.packed](self._raw) if self.packed else self._raw
        number = 0
        try:
            for line in unpacked:
                number += 1
                yield line.removeprefix(_BOM) if number == 1 else line
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise UserError(
                Condition.INPUT_INVALID,
                f"the file is damaged after this line: {error}",
                allowed=f"a whole {self.packed or 'text'} file",
                mend="fetch the file again; what stands above the line was read",
                where=f"{self.path}:{number}",
            ) from error

    def values(self, contract: Contract) -> Iterator[bytes]:
        """The bytes of each record; empty lines are passed over. A CSV row becomes the JSON object of its cells."""
        if self.is_csv:
            return read_csv(self.lines(), contract, str(self.path))
        return (line for line in (line.rstrip(b"\r\n") for line in self.lines()) if line.strip())

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()


def read_csv(lines: Iterable[bytes], contract: Contract, where: str) -> Iterator[bytes]:
    """Each row as a JSON object typed by the contract; a row that does not fit the header as the bytes it was.

    An empty cell is a field that is missing; objects and arrays are JSON in their cell; numbers keep every digit.
    Raises UserError INPUT_INVALID where the header does not name the event time.
    """
    csv.field_size_limit(_LONGEST_CELL)
    taken: list[str] = []

    def text() -> Iterator[str]:
        for line in lines:
            taken.append(line.decode("utf-8", "surrogateescape"))
            yield taken[-1]

    rows = csv.reader(text())
    fields = _header(next(rows, []), contract, where)
    taken.clear()
    for row in rows:
        raw, taken[:] = "".join(taken), []
        if row and len(row) == len(fields):
            members = (
                f"{json.dumps(key)}:{_json(cell, field)}"
                for (key, field), cell in zip(fields, row, strict=True)
                if cell
            )
            yield _bytes("{" + ",".join(members) + "}")
        elif row:
            yield _bytes(raw.rstrip("\r\n"))


def read_event(value: bytes, contract: Contract) -> tuple[Event, dict[str, Any] | None]:
    """A record's bytes with its key, and the object that they hold (None where they hold none)."""
    try:
        document = json.loads(value, parse_float=str)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Event(value, None, False), None
    key = document.get(contract.field(contract.key).key) if contract.key else None
    return Event(value, _key_bytes(key), True), document


def event_time(document: dict[str, Any] | None, contract: Contract) -> datetime | None:
    """When an event happened, in UTC; None where its object does not say so."""
    from seamline.schemas.types import parse_instant

    text = (document or {}).get(contract.field(contract.event_time).key)
    return parse_instant(text) if isinstance(text, str) else None


def newest(values: Iterable[bytes], contract: Contract, now: datetime) -> datetime | None:
    """The latest event time among those that the contract would accept at `now`; None where there is none."""
    times = (event_time(read_event(value, contract)[1], contract) for value in values)
    within = (t for t in times if t is not None and contract.earliest <= t <= now + contract.ahead)
    return max(within, default=None)


def shift(value: bytes, contract: Contract, by: timedelta) -> bytes:
    """The same bytes with the event time moved; every other byte stays. Unchanged where there is no event time."""
    _, document = read_event(value, contract)
    time = event_time(document, contract)
    if document is None or time is None:
        return value
    name = contract.field(contract.event_time).key
    try:
        moved = (time + by).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return value
    pattern = re.compile(_token(name) + rb"(\s*:\s*)" + _token(document[name]))
    return pattern.sub(lambda found: b"".join([json.dumps(name).encode(), found[1], json.dumps(moved).encode()]), value)


def _token(text: str) -> bytes:
    """The JSON string in either spelling, as a regular expression."""
    spellings = {
        json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for ascii_only in (True, False)
    }
    return b"(?:" + b"|".join(map(re.escape, sorted(spellings))) + b")"


def _header(header: list[str], contract: Contract, where: str) -> list[tuple[str, Field | None]]:
    known = {name: field for field in contract.fields for name in (field.name, field.key)}
    columns = [(known[name].key if name in known else name, known.get(name)) for name in map(str.strip, header)]
    wanted = contract.field(contract.event_time).key
    if wanted not in [key for key, _ in columns]:
        raise UserError(
            Condition.INPUT_INVALID,
            f"the header does not name the event time {wanted!r}: {', '.join(header) or 'it is empty'}",
            allowed=f"a first line with fields of {contract.name}: {', '.join(f.key for f in contract.fields)}",
            mend="put the fields' names into the first line, separated by commas",
            where=f"{where}:1",
        )
    return columns


def _json(cell: str, field: Field | None) -> str:
    """A cell as JSON of the field's type where it reads as one, else as a string: the contract then says why not."""
    kind = field.type if field else "string"
    if kind in ("integer", "number", "decimal") and _NUMBER.fullmatch(cell.strip()):
        return cell.strip()
    if kind == "boolean" and cell.strip().lower() in ("true", "false"):
        return cell.strip().lower()
    if kind in ("object", "array"):
        try:
            json.loads(cell)
        except (ValueError, RecursionError):
            return json.dumps(cell, ensure_ascii=False)
        return cell
    return json.dumps(cell, ensure_ascii=False)


def _key_bytes(key: object) -> bytes | None:
    if key is None:
        return None
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    return json.dumps(key, sort_keys=True).encode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
