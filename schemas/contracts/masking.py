"""A record's bytes as they may be shown: what a contract hides is masked, every other byte stands as it was. Pure.

Only what the contract knows is shown: a secret under another name, or in a place where the contract has something else,
is just what a rejected record may hold. Where nothing can be located, all of it is masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from seamline.schemas.contracts.classified import ITEMS, KeyPath
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.types import Field

MASK = "***"

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def masked(value: bytes, contract: Contract) -> bytes:
    """The bytes with each value that the contract hides, or does not know, as the string `***`.

    The same bytes where the contract hides nothing; `whole_masked` where they are no JSON object.
    """
    if not contract.hidden:
        return value
    try:
        text = value.decode()
        if not isinstance(json.loads(text), dict):
            return whole_masked(value)
        spans = list(_Places(text, contract.hidden).members(_after(text, 0), contract.fields, ()))
    except (ValueError, RecursionError):
        return whole_masked(value)
    shown, end = [], 0
    for start, stop in spans:
        shown += [text[end:start], json.dumps(MASK)]
        end = stop
    return "".join((*shown, text[end:])).encode()


def whole_masked(value: bytes) -> bytes:
    """What stands for bytes of which nothing is shown."""
    return f"{MASK} ({len(value)} bytes)".encode()


class _Places:
    """Over a text that is JSON, to the places of what is hidden."""

    def __init__(self, text: str, hidden: frozenset[KeyPath]) -> None:
        self._text = text
        self._hidden = hidden

    def members(self, at: int, fields: tuple[Field, ...], path: KeyPath) -> Iterator[tuple[int, int]]:
        """Of the object that begins at `at`."""
        known: Mapping[str, Field] = {one.key: one for one in fields}
        at = _after(self._text, at + 1)
        while self._text[at] != "}":
            key, at = _DECODER.raw_decode(self._text, at)
            start = _after(self._text, _after(self._text, at) + 1)
            value, end = _DECODER.raw_decode(self._text, start)
            yield from self._value(value, start, end, known.get(key), (*path, key))
            at = self._next(end)

    def _elements(self, at: int, item: Field, path: KeyPath) -> Iterator[tuple[int, int]]:
        at = _after(self._text, at + 1)
        while self._text[at] != "]":
            value, end = _DECODER.raw_decode(self._text, at)
            yield from self._value(value, at, end, item, path)
            at = self._next(end)

    def _value(self, value: Any, start: int, end: int, field: Field | None, path: KeyPath) -> Iterator[tuple[int, int]]:
        if field is not None and path not in self._hidden:
            if field.fields and isinstance(value, dict):
                yield from self.members(start, field.fields, path)
                return
            if field.item is not None and isinstance(value, list):
                yield from self._elements(start, field.item, (*path, ITEMS))
                return
            if not isinstance(value, dict | list):
                return
        yield start, end

    def _next(self, end: int) -> int:
        """Where the next member begins, or the bracket that closes."""
        at = _after(self._text, end)
        return _after(self._text, at + 1) if self._text[at] == "," else at


def _after(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
