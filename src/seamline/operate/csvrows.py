"""CSV as JSON: the header's columns are a contract's fields, each row is the JSON object of its cells. Pure.

Quoting is read strictly: where it cannot be said where a row ends, the file is refused rather than guessed at.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from seamline.errors import Condition, UserError
from seamline.operate.packing import LONGEST
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.observed import NUMBER
from seamline.schemas.contracts.types import Field

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_FAULTS = (
    ("unexpected end of data", "a quote that is not closed", "close it, or double a quote that belongs to the text"),
    ("expected after", "text after a closing quote", 'write "" for a quote inside a quoted cell'),
    ("new-line", "a carriage return that ends no line", "end lines with a newline: tr '\\r' '\\n' where there is none"),
    ("field larger", f"a cell of over {LONGEST >> 20} MB", "look for a quote that is not closed"),
)
"""What Python's reader says, what it means, and the hint."""


@dataclass(frozen=True)
class NamedFields:
    """A file's columns, read by a contract."""

    columns: tuple[tuple[str, Field | None], ...]
    """JSON keys with their fields."""

    unknown: tuple[str, ...] = ()
    """Columns that are no field."""

    lacking: tuple[str, ...] = ()
    """Fields that are no column."""


def read_csv(lines: Iterator[bytes], contract: Contract, where: str) -> tuple[NamedFields, Iterator[bytes]]:
    """The header, and each row as a JSON object typed by the contract; one that does not fit the header as it was.

    An empty cell is a field that is missing; objects and arrays are JSON in their cell; numbers keep every digit.
    Raises UserError INPUT_INVALID where the header does not name the event time, or a row has no certain end.
    """
    csv.field_size_limit(LONGEST)
    first = next(lines, b"")
    delimiter = _delimiter(_text(first), contract)
    rows = iter(_WrittenRows(chain([first], lines), delimiter, where))
    names, _ = next(rows)  # no line is one row too, without cells
    hint = f"put the fields' names into the first line, separated by {' or '.join(DELIMITERS.values())}"
    header = name_fields(names, contract, f"{where}:1", hint)
    return header, _objects(rows, header)


def read_cells(lines: Iterator[bytes], where: str) -> Iterator[tuple[bytes, dict[str, str] | None]]:
    """Each row's text with its cells by the header's names, without the empty ones, before there is a contract; None
    where the row does not fit the header. Raises UserError INPUT_INVALID where two columns have one name, or a row
    has no certain end."""
    csv.field_size_limit(LONGEST)
    first = next(lines, b"")
    delimiter = max(DELIMITERS, key=lambda one: len(_names(_text(first), one)))
    rows = iter(_WrittenRows(chain([first], lines), delimiter, where))
    names = [name.strip() for name in next(rows)[0]]
    doubled = [name for name in names if name and names.count(name) > 1]
    if doubled:
        message = f"two columns are named {doubled[0]!r}"
        raise UserError(
            Condition.INPUT_INVALID, message, detail="each name once", hint="rename one", where=f"{where}:1"
        )
    for row, written in rows:
        fits = len(row) == len(names)
        cells = {name: cell for name, cell in zip(names, row, strict=True) if cell} if fits else None
        if row:
            yield _bytes(written), cells


def _objects(rows: Iterator[tuple[list[str], str]], header: NamedFields) -> Iterator[bytes]:
    for row, written in rows:
        if row and len(row) == len(header.columns):
            cells = zip(header.columns, row, strict=True)
            members = (f"{_quoted(key)}:{_json(cell, field)}" for (key, field), cell in cells if cell)
            yield _bytes("{" + ",".join(members) + "}")
        elif row:
            yield _bytes(written.rstrip("\r\n"))


class _WrittenRows:
    """Rows with the text that each was read from. That text, and the number of its last line, change with each line
    that Python's reader asks for."""

    def __init__(self, lines: Iterable[bytes], delimiter: str, where: str) -> None:
        self._where = where
        self._taken: list[str] = []
        self._length = 0
        self._number = 0
        self._rows = csv.reader(self._text(lines), delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[tuple[list[str], str]]:
        while (row := self._next()) is not None:
            yield row, "".join(self._taken)

    def _text(self, lines: Iterable[bytes]) -> Iterator[str]:
        for line in lines:
            self._number += 1
            self._length += len(line)
            self._taken.append(_text(line))
            if self._length > LONGEST:
                raise csv.Error("field larger than a row may be")
            yield self._taken[-1]

    def _next(self) -> list[str] | None:
        self._taken.clear()
        self._length = 0
        began = self._number + 1
        try:
            return next(self._rows, None)
        except csv.Error as error:
            faults = ((message, hint) for said, message, hint in _FAULTS if said in str(error))
            message, hint = next(faults, (str(error), "correct the row"))
            lines = f"{began}" if self._number <= began else f"{began} to {self._number}"
            raise UserError(
                Condition.INPUT_INVALID,
                f"the row of line {lines} has {message}",
                detail="CSV as RFC 4180 has it: cells with quotes, delimiters or line ends stand in double quotes",
                hint=hint,
                where=f"{self._where}:{began}",
            ) from error


def name_fields(names: list[str], contract: Contract, where: str, hint: str) -> NamedFields:
    """The columns by the contract; `hint`: how to name them. Names and JSON keys of fields differ in more than case, so
    case does not count.

    Raises UserError INPUT_INVALID where the event time is not named, or two columns are the same.
    """
    known = _known(contract)
    found = [(name, known.get(name.lower())) for name in map(str.strip, names)]
    columns = tuple((field.key if field else name, field) for name, field in found)
    wanted = contract.field(contract.event_time).key
    keys = [key for key, _ in columns]
    detail = f"fields of {contract.name}: {', '.join(f.key for f in contract.fields)}"
    if wanted not in keys:
        message = f"the header does not name the event time {wanted!r}: {', '.join(names) or 'it is empty'}"
        raise UserError(Condition.INPUT_INVALID, message, detail=detail, hint=hint, where=where)
    doubled = [name for (name, _), key in zip(found, keys, strict=True) if key and keys.count(key) > 1]
    if doubled:
        message = f"columns {' and '.join(map(repr, doubled))} are the same field"
        raise UserError(
            Condition.INPUT_INVALID, message, detail="each field once", hint="rename or remove one", where=where
        )
    lacking = tuple(field.key for field in contract.fields if field.key not in keys)
    return NamedFields(columns, tuple(name for name, field in found if field is None), lacking)


def _known(contract: Contract) -> dict[str, Field]:
    by_name = {field.name.lower(): field for field in contract.fields}
    return by_name | {field.key.lower(): field for field in contract.fields}


def _delimiter(line: str, contract: Contract) -> str:
    """The one with which the first line names the event time; of several that with most columns, of none a comma."""
    known, wanted = _known(contract), contract.field(contract.event_time)
    able = []
    for delimiter in DELIMITERS:
        names = _names(line, delimiter)
        if any(known.get(name.strip().lower()) is wanted for name in names):
            able.append((len(names), delimiter))
    return max(able, key=lambda one: one[0], default=(0, ","))[1]


def _names(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.partition("\r")[0]], delimiter=delimiter), [])


def _json(cell: str, field: Field | None) -> str:
    """A cell as JSON of the field's type where it reads as one, else as a string: the contract then says why not."""
    kind = field.type if field else "string"
    counted = kind in ("integer", "number", "decimal") or (field and field.epoch)
    if counted and NUMBER.fullmatch(cell.strip()):
        return cell.strip()
    if kind == "boolean" and cell.strip().lower() in ("true", "false"):
        return cell.strip().lower()
    return json_or_text(cell) if kind in ("object", "array") else _quoted(cell)


def json_or_text(cell: str) -> str:
    """A cell that holds JSON as it stands, another as a string."""
    try:
        json.loads(cell)
    except (ValueError, RecursionError):
        return _quoted(cell)
    return cell


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
