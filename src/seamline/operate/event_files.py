"""Events in files: JSON lines, CSV or Parquet, plain or packed, as the bytes of records. Pure but for reading the file.

A line that cannot be read is passed on as it stands: its contract rejects it, with the reason, where it can be counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, UserError
from seamline.operate.csvrows import NamedFields, read_cells, read_csv
from seamline.operate.event_sources import CSV, PARQUET, EventSource, source_of
from seamline.operate.packing import (
    DAMAGED,
    FREE,
    LONGEST,
    SWELLING,
    LineTooLongError,
    SwollenError,
    lines,
    pieces,
)
from seamline.operate.parquetrows import look_parquet, read_parquet
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.observed import Cell, read_document
from seamline.schemas.contracts.types import EPOCHS, parse_count, parse_instant

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Event:
    """One record to be."""

    value: bytes

    key: bytes | None
    """None: its contract has no key, or its object none."""

    readable: bool
    """Whether it is a JSON object."""


@dataclass(frozen=True)
class Contents:
    """A file that is being read."""

    records: Iterator[bytes]
    """The bytes of each; empty lines are passed over, a row becomes the JSON object of its cells."""

    header: NamedFields | None = None
    """Of a file of rows."""


class EventFile:
    """One file, read once from its beginning. `done` and `size` are bytes of the file as it is stored."""

    def __init__(self, file: Path | EventSource) -> None:
        """Raises UserError INPUT_INVALID where the name says no known format, or there is no such file."""
        self.source = source_of(file) if isinstance(file, Path) else file
        self.where, self.size = str(self.source), self.source.size
        try:
            self._raw = self.source.open()
        except (*DAMAGED, NotImplementedError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(Condition.INPUT_INVALID, f"cannot be read: {why}", where=self.where) from error

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self.size if self._raw.closed else self._raw.tell()

    def lines(self) -> Iterator[bytes]:
        """Lines with their ends. Raises UserError INPUT_INVALID naming the line where the file is damaged."""
        number, packed = 0, self.source.packed
        try:
            if packed and not self.size:
                raise EOFError("it is empty")
            for line in lines(pieces(self._raw, packed, self.size)):
                number += 1
                if number == 1 and line.startswith(_UTF_16):
                    name = Path(self.where).name
                    raise self._refused(1, "the file is UTF-16", "UTF-8", f"iconv -f UTF-16 -t UTF-8 {name}")
                yield line.removeprefix(_BOM) if number == 1 else line
        except DAMAGED as error:
            message = f"the file is damaged after this line: {error}"
            raise self._refused(number, message, f"a whole {packed or 'text'} file", "fetch the file again") from error
        except LineTooLongError as error:
            message = f"a line of over {LONGEST >> 20} MB"
            raise self._refused(
                number + 1, message, "one JSON object a line", "put line ends between the objects"
            ) from error
        except SwollenError as error:
            message = f"the file unpacks to over {SWELLING} times its bytes"
            detail = f"{FREE >> 20} MB, or {SWELLING} times the file's bytes"
            raise self._refused(number, message, detail, "look at what it holds, and unpack it first") from error

    def read(self, contract: Contract) -> Contents:
        """What it holds by a contract. Raises as `lines`, `read_csv` and `read_parquet` do, now or as its records are
        asked for."""
        if self.source.kind == CSV:
            header, rows = read_csv(self.lines(), contract, self.where)
            return Contents(rows, header)
        if self.source.kind == PARQUET:
            with self._whole(0):
                columns, rows = read_parquet(self._raw, contract, self.where)
            return Contents(self._rows(rows), columns)
        return Contents(line for line in (line.rstrip(b"\r\n") for line in self.lines()) if line.strip())

    def look(self) -> Iterator[tuple[bytes, dict[str, object] | None]]:
        """Each record's bytes and the object that it holds (None: none), before there is a contract; a CSV row's values
        are Cells. Raises as `lines`, `read_cells` and `look_parquet` do."""
        if self.source.kind == CSV:
            for written, cells in read_cells(self.lines(), self.where):
                yield written, None if cells is None else {name: Cell(cell) for name, cell in cells.items()}
            return
        for line in self._rows(look_parquet(self._raw, self.where)) if self.source.kind == PARQUET else self.lines():
            if line.strip():
                record = line.rstrip(b"\r\n")
                yield record, read_document(record)

    def _rows(self, rows: Iterator[bytes]) -> Iterator[bytes]:
        """The same rows. Raises UserError INPUT_INVALID naming the row where the file is damaged."""
        done = 0
        while True:
            with self._whole(done):
                row = next(rows, None)
            if row is None:
                return
            yield row
            done += 1

    @contextmanager
    def _whole(self, row: int) -> Iterator[None]:
        try:
            yield
        except (*DAMAGED, pa.ArrowException, ValueError, OverflowError) as error:
            message = f"the file is damaged after this row: {error}"
            raise self._refused(row, message, "a whole Parquet file", "fetch the file again") from error

    def _refused(self, line: int, message: str, detail: str, hint: str) -> UserError:
        return UserError(Condition.INPUT_INVALID, message, detail=detail, hint=hint, where=f"{self.where}:{line}")

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()


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


def event_time(value: bytes, contract: Contract) -> datetime | None:
    """When an event happened, in UTC; None where its object does not say so."""
    return _time(_member(value, contract), contract)


def newest(values: Iterable[bytes], contract: Contract, now: datetime) -> datetime | None:
    """The latest event time among those that the contract would accept at `now`; None where there is none."""
    times = (event_time(value, contract) for value in values)
    within = (t for t in times if t is not None and contract.earliest <= t <= now + contract.ahead)
    return max(within, default=None)


def shift(value: bytes, contract: Contract, by: timedelta) -> bytes:
    """The same bytes with the event time moved; every other byte stays. Unchanged where there is no event time."""
    member = _member(value, contract)
    time = _time(member, contract)
    if member is None or time is None:
        return value
    try:
        moved = _moved(member, time, by, contract.field(contract.event_time).epoch)
    except OverflowError:
        return value
    return (member.text[: member.start] + moved + member.text[member.end :]).encode()


@dataclass(frozen=True)
class _Member:
    """The value of one key of a JSON object, and where in its text it stands."""

    text: str
    start: int
    end: int
    value: Any


def _member(value: bytes, contract: Contract) -> _Member | None:
    """The event time as it is written: of the object's own keys the first of that name, as the contract reads it."""
    wanted = contract.field(contract.event_time).key
    try:
        text = value.decode()
        at = _after(text, 0)
        while text[at] in "{,":
            at = _after(text, at + 1)
            if text[at] != '"':
                return None
            key, at = _DECODER.raw_decode(text, at)
            at = _after(text, at)
            if text[at] != ":":
                return None
            start = _after(text, at + 1)
            found, at = _DECODER.raw_decode(text, start)
            if key == wanted:
                return _Member(text, start, at, found)
            at = _after(text, at)
    except (ValueError, IndexError, RecursionError, InvalidOperation):
        pass
    return None


_DECODER = json.JSONDecoder(parse_float=Decimal)


def _after(text: str, at: int) -> int:
    """The first place from `at` on that is no white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _time(member: _Member | None, contract: Contract) -> datetime | None:
    epoch = contract.field(contract.event_time).epoch
    if member and epoch:
        return parse_count(member.value, epoch)
    return parse_instant(member.value) if member and isinstance(member.value, str) else None


def _moved(member: _Member, time: datetime, by: timedelta, epoch: str) -> str:
    """The event time moved, as JSON of the kind it was. Raises OverflowError beyond the years there are."""
    moved = (time + by).astimezone(UTC)
    if not epoch:
        return json.dumps(moved.isoformat().replace("+00:00", "Z"))
    span = Decimal(by // timedelta(microseconds=1)).scaleb(EPOCHS[epoch] - 6)
    with localcontext(prec=60):
        count = f"{Decimal(member.value) + span:f}"
    count = count.rstrip("0").rstrip(".") if "." in count else count
    return json.dumps(count) if isinstance(member.value, str) else count


def _key_bytes(key: object) -> bytes | None:
    if key is None:
        return None
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    return json.dumps(key, sort_keys=True).encode()
