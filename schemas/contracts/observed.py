"""What the values of a sample of events look like, field by field: counted, and nothing of them is kept."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isinf

from seamline.schemas.contracts.types import BIGINT, DATE_PATTERN, EPOCHS, parse_instant

MOST_KEYS = 1000
"""Keys of one object that are told apart: what has more is a map, and no contract's object."""

DEEPEST = 16
"""Levels that objects and arrays are looked into."""

SELDOM = 10
"""Of so many values at most one may have been there before, where that is rare."""

_ENOUGH = 1000
"""Values that are compared before it is judged what is rare."""

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
"""How JSON writes a number."""

_PLAUSIBLE = (946_684_800, 4_102_444_800)
"""Seconds of the years 2000 and 2100."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT_LENGTHS = range(10, 48)


class Cell(str):
    """A CSV cell: text, that a contract may read as a number, a boolean, an object or an array."""

    __slots__ = ()


@dataclass(frozen=True)
class Observed:
    """One field's values. Its counters grow with each value; their size follows the number of keys, not of records."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Of JSON: null, boolean, integer, wide (beyond 64 bits), fraction (a number with fraction or exponent), beyond
    (what doubles hold), string, object, array."""

    cells: Counter[str] = field(default_factory=Counter)
    """The kinds that CSV cells read as: those could be strings, too."""

    strings: Counter[str] = field(default_factory=Counter)
    """`instant` and `date`: how many strings read as one."""

    numbers: Counter[str] = field(default_factory=Counter)
    """How many numbers are instants of this century as counts from 1970, by unit; `exponent`: written with one."""

    most: dict[str, int] = field(default_factory=dict)
    """Of numbers, digits before (`whole`) and after (`scale`) the point; of instants, `earliest` in microseconds,
    negated."""

    inside: dict[str, Observed] = field(default_factory=dict)
    """An object's fields, in the order they came."""

    passed: Counter[str] = field(default_factory=Counter)
    """`keys`: how many more there were than MOST_KEYS; `deep`: values nested too deep to be looked at."""

    elements: list[Observed] = field(default_factory=list)
    """One, of an array's elements, where there was any."""

    hashes: set[int] = field(default_factory=set)
    """64 bits of each string and integer, as long as few stood twice: some 70 bytes a record."""

    compared: Counter[str] = field(default_factory=Counter)
    """`values`: how many strings and integers were compared with those before; `again`: how many had been there."""

    @property
    def repeats(self) -> int | None:
        """How many values had been there before; None where that is no rare thing."""
        again = self.compared["again"]
        return None if again * SELDOM > self.compared["values"] else again

    @property
    def values(self) -> int:
        """How many there were that are not null."""
        return self.kinds.total() - self.kinds["null"]

    def add(self, value: object, *, unique: bool = False, depth: int = 0) -> None:
        """One value; where `unique`, it is compared with those before."""
        kind, value = _kind(value) if not isinstance(value, Cell) else self._cell(value)
        self.kinds[kind] += 1
        if isinstance(value, str):
            self._string(value)
        elif kind in ("integer", "wide", "fraction"):
            self._number(value)
        elif depth >= DEEPEST and kind in ("object", "array"):
            self.passed["deep"] += 1
        elif isinstance(value, dict):
            for key, one in value.items():
                self.member(key, one, depth=depth + 1)
        elif isinstance(value, list):
            if value and not self.elements:
                self.elements.append(Observed())
            for one in value:
                self.elements[0].add(one, depth=depth + 1)
        if unique and kind in ("string", "integer"):
            self._compare(value)

    def member(self, key: str, value: object, *, unique: bool = False, depth: int = 0) -> None:
        """One value of a field of this object."""
        if key not in self.inside:
            if len(self.inside) >= MOST_KEYS:
                self.passed["keys"] += 1
                return
            self.inside[key] = Observed()
        self.inside[key].add(value, unique=unique, depth=depth)

    def _cell(self, cell: Cell) -> tuple[str, object]:
        kind, value = _kind(_read_cell(cell))
        if kind == "beyond":
            kind, value = "string", str(cell)
        self.cells[kind] += 1
        return kind, value

    def _string(self, text: str) -> None:
        if len(text) not in _INSTANT_LENGTHS or not text[0].isdigit():
            return
        instant = parse_instant(text)
        if instant is not None:
            self.strings["instant"] += 1
            self.strings["date"] += bool(re.fullmatch(DATE_PATTERN, text))
            self._extend("earliest", -((instant - _EPOCH) // timedelta(microseconds=1)))

    def _number(self, value: object) -> None:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        _, digits, exponent = number.as_tuple()
        power = exponent if isinstance(exponent, int) else 0
        self.numbers["exponent"] += power > 0
        self._extend("whole", len(digits) + power)
        self._extend("scale", -power)
        for unit, place in EPOCHS.items():
            if _PLAUSIBLE[0] * 10**place <= number < _PLAUSIBLE[1] * 10**place:
                self.numbers[unit] += 1

    def _extend(self, name: str, value: int) -> None:
        self.most[name] = max(value, self.most.get(name, value))

    def _compare(self, value: object) -> None:
        self.compared["values"] += 1
        if self.compared["values"] > _ENOUGH and self.repeats is None:
            self.hashes.clear()
            return
        before = len(self.hashes)
        self.hashes.add(hash(value))
        self.compared["again"] += len(self.hashes) == before


@dataclass(frozen=True)
class ObservedEvents:
    """Events that were looked at."""

    event: Observed = field(default_factory=Observed)
    """All of them as one field's values."""

    counts: Counter[str] = field(default_factory=Counter)
    """`records`, `unreadable`, and `copies`: those that are, byte for byte, one from before."""

    known: set[int] = field(default_factory=set, repr=False)
    """64 bits of each record's bytes."""

    def add(self, record: bytes, document: Mapping[str, object] | None) -> None:
        """One record, with the object that it holds (None where it holds none)."""
        self.counts["records"] += 1
        if document is None:
            self.counts["unreadable"] += 1
            return
        before = len(self.known)
        self.known.add(hash(record))
        copy = len(self.known) == before
        self.counts["copies"] += copy
        self.event.kinds["object"] += 1
        for key, value in document.items():
            self.event.member(key, value, unique=not copy)


def read_document(record: bytes) -> dict[str, object] | None:
    """The object that a record holds, numbers with every digit, the first of equal keys; None where it holds none."""
    try:
        found = _DECODER.decode(record.decode())
    except (ValueError, RecursionError, InvalidOperation):
        return None
    return found if isinstance(found, dict) else None


def _first(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found = dict(reversed(pairs))
        return {key: found[key] for key, _ in pairs}
    return found


def _refuse(constant: str) -> object:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=_first, parse_float=Decimal, parse_constant=_refuse)


def _kind(value: object) -> tuple[str, object]:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if BIGINT[0] <= value <= BIGINT[1]:
            return "integer" if isinstance(value, int) else "fraction", value
        if isinf(_double(value)):
            return "beyond", None
        return "wide" if isinstance(value, int) else "fraction", value
    return _KINDS[type(value)], value


_KINDS = {type(None): "null", bool: "boolean", str: "string", dict: "object", list: "array"}


def _double(value: int | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _read_cell(cell: Cell) -> object:
    """A cell as the value that it may be read as, else as text."""
    text = cell.strip()
    if NUMBER.fullmatch(text) or text[:1] in ("{", "["):
        try:
            found: object = _DECODER.decode(text)
        except (ValueError, RecursionError, InvalidOperation):
            return str(cell)
        return found
    return text.lower() == "true" if text.lower() in ("true", "false") else str(cell)


def tallies(seen: Observed) -> Iterator[tuple[str, int]]:
    """The kinds of values that are not null, most first."""
    return ((kind, n) for kind, n in seen.kinds.most_common() if kind != "null" and n)
