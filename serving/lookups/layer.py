"""Rows in the order of their keys: what a lookup finds by halving.

Each key is coded by its place among the distinct values of its column (NULL after the last), and a row's keys are one
number of these codes. So one search finds a key, and two find where a prefix or a range begins and ends. To make a
layer takes a sort of its rows; to search one, the logarithm of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seamline.schemas.views.definition import Column
from seamline.serving.lookups.cells import CellReader, cells
from seamline.serving.lookups.rowsasked import KeyRange, KeyValue

Numbers = npt.NDArray[np.int64]
SHOWN = "_shown"
"""The column that says whether a group is a row of the view: HAVING may leave it out."""


class WholeValues:
    """Distinct numbers, in order."""

    def __init__(self, values: pa.Array) -> None:
        self._values: Numbers = values.to_numpy(zero_copy_only=False)
        self.count = len(values)

    def place(self, value: Any) -> int:
        """Before how many of them a value stands."""
        return int(self._values.searchsorted(value))

    def at(self, place: int) -> KeyValue:
        """The value at a place."""
        return int(self._values[place])

    def places(self, others: WholeValues) -> Numbers:
        """Where others stand among these; -1 for those that do not."""
        found = self._values.searchsorted(others._values)
        inside = found < self.count
        inside[inside] = self._values[found[inside]] == others._values[inside]
        return np.where(inside, found, -1).astype(np.int64)


class TextValues:
    """Distinct texts as bytes, in order."""

    def __init__(self, values: pa.Array) -> None:
        _, offsets, data = values.cast(pa.large_binary()).buffers()
        self._ends = memoryview(offsets or b"\0" * 8).cast("B").cast("q")
        self._data = memoryview(data or b"")
        self.count = len(values)

    def place(self, value: Any) -> int:
        """As of numbers: the logarithm of their count."""
        return bisect_left(range(self.count), value, key=self.at)

    def at(self, place: int) -> bytes:
        """The value at a place."""
        return bytes(self._data[self._ends[place] : self._ends[place + 1]])

    def places(self, others: TextValues) -> Numbers:
        """As of numbers."""
        found = np.full(others.count, -1, np.int64)
        for number in range(others.count):
            value = others.at(number)
            if (place := self.place(value)) < self.count and self.at(place) == value:
                found[number] = place
        return found


DistinctValues = WholeValues | TextValues


@dataclass(frozen=True, eq=False)
class Layer:
    """Rows of different keys, in order."""

    table: pa.Table
    """One chunk a column."""

    values: tuple[DistinctValues, ...]
    """Of each key."""

    codes: Numbers
    """Of each row, its keys as one number."""

    columns: tuple[str, ...]
    """The keys' names."""

    @classmethod
    def of(cls, table: pa.Table, keys: Sequence[Column]) -> Layer | None:
        """Rows in any order; None where their keys are too many for one number."""
        coded = [_coded(table[key.name].combine_chunks()) for key in keys]
        size = 1
        for values, _ in coded:
            size *= values.count + 1
        if size >= 2**63:
            return None
        codes = np.zeros(table.num_rows, np.int64)
        for values, places in coded:
            codes = codes * (values.count + 1) + places
        order = np.argsort(codes, kind="stable")
        if not np.array_equal(order, np.arange(len(order))):
            table, codes = table.take(order), codes[order]
        return cls(table.combine_chunks(), tuple(v for v, _ in coded), codes, tuple(key.name for key in keys))

    @property
    def size(self) -> int:
        """Bytes, more or less: dictionaries hold what columns do once more at most."""
        return int(self.table.nbytes + self.codes.nbytes + sum(self.table[name].nbytes for name in self.columns))

    def between(self, asked: KeyRange) -> tuple[int, int]:
        """Where the rows of a range begin and end."""
        low, width = 0, self._spans[len(asked.key)]
        for values, value in zip(self.values, asked.key, strict=False):
            place = values.count if value is None else values.place(value)
            if value is not None and (place == values.count or values.at(place) != value):
                return 0, 0
            low = low * (values.count + 1) + place
        first, last = low * width, (low + 1) * width
        if asked.since is not None or asked.until is not None:
            bucket = self.values[-1]
            last = first + (bucket.count if asked.until is None else bucket.place(asked.until))
            first += 0 if asked.since is None else bucket.place(asked.since)
        start = int(self.codes.searchsorted(first))
        if width == 1:
            return start, start + (start < len(self.codes) and int(self.codes[start]) == first)
        return start, max(start, int(self.codes.searchsorted(last)))

    def keys(self, row: int) -> tuple[tuple[bool, KeyValue], ...]:
        """A row's keys, as they are ordered among those of other layers."""
        left, found = int(self.codes[row]), list[tuple[bool, KeyValue]]()
        for values in reversed(self.values):
            left, place = divmod(left, values.count + 1)
            found.append((True, None) if place == values.count else (False, values.at(place)))
        return tuple(reversed(found))

    def rows_of(self, other: Layer) -> Numbers:
        """For each row of another layer, the one of the same keys here, or -1. Takes the logarithm of these rows for
        each of the other's."""
        wanted, known = np.zeros(len(other.codes), np.int64), np.ones(len(other.codes), bool)
        left, places = other.codes, list[Numbers]()
        for theirs in reversed(other.values):
            left, place = np.divmod(left, theirs.count + 1)
            places.append(place)
        for ours, theirs, place in zip(self.values, other.values, reversed(places), strict=True):
            mapped = np.append(ours.places(theirs), ours.count)[place]  # type: ignore[arg-type]
            known &= mapped >= 0
            wanted = wanted * (ours.count + 1) + mapped
        found = self.codes.searchsorted(wanted)
        known &= found < len(self.codes)
        known[known] = self.codes[found[known]] == wanted[known]
        return np.where(known, found, -1).astype(np.int64)

    def is_shown(self, row: int) -> bool:
        """Whether a row is one of the view's."""
        return self._all_shown or bool(self.table[SHOWN][row].as_py())

    def reader(self, column: str) -> CellReader:
        """A column's values as JSON, by row."""
        if column not in self._readers:
            self._readers[column] = cells(self.table[column].chunk(0))
        return self._readers[column]

    @cached_property
    def _all_shown(self) -> bool:
        return bool(pc.all(self.table[SHOWN]).as_py())

    @cached_property
    def _readers(self) -> dict[str, CellReader]:
        return {}

    @cached_property
    def _spans(self) -> tuple[int, ...]:
        """By how many keys are given, how many codes begin with them."""
        spans = [1]
        for values in reversed(self.values):
            spans.append(spans[-1] * (values.count + 1))
        return tuple(reversed(spans))


def _coded(column: pa.Array) -> tuple[DistinctValues, Numbers]:
    """A key's distinct values in order, and the place of each row's among them."""
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    coded = _plain(column, text).dictionary_encode()
    order = pc.sort_indices(coded.dictionary)
    ranks = np.empty(len(order), np.int64)
    ranks[order.to_numpy()] = np.arange(len(order))
    ranks = np.append(ranks, len(order))
    places = coded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False)
    sorted_values = coded.dictionary.take(order)
    return (TextValues if text else WholeValues)(sorted_values), ranks[places]


def _plain(column: pa.Array, text: bool) -> pa.Array:
    if text:
        return column.cast(pa.large_binary())
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return column.cast(pa.int64())
