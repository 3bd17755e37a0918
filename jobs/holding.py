"""What a unit's raw files hold, told by their footers and by their positions alone, where those settle it.

A footer bounds what stands in each column: one source, one decoding, how many rows were not rejected. Positions are
read and counted, never guessed. Whatever this leaves open is counted by a statement, which gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from seamline.frontier import Frontier, Partition
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemes import scheme

MOST_ROWS = 4_000_000
"""Rows of a unit whose positions may be held, 16 bytes each."""

DENSE = 8
"""Offsets that lie so close to each other are counted in a field of flags, others by sorting them."""

_CONSTANT = ("_source", "_contract_version")


@dataclass(frozen=True)
class Tally:
    """What a unit's files hold, in rows."""

    stood: int
    """In its range."""

    foreign: int
    """Those of them of another decoding."""

    rejected: int
    """Those that were rejected."""

    positions: int
    """The positions that they stand at."""

    held: int
    """In all."""

    @property
    def plain(self) -> bool:
        """Every row is of this decoding and has a position of its own."""
        return not self.foreign and self.stood == self.positions


@dataclass(frozen=True)
class Whole:
    """What all rows of a unit's files must be, for their number to be told without a statement."""

    cut: Frontier
    """They lie below it,"""

    imports: tuple[str, ...]
    """or in one of these,"""

    decodings: tuple[str, ...]
    """and are decoded by one of these."""

    @classmethod
    def of(cls, contract: Contract, cut: Frontier, imports: tuple[str, ...]) -> Whole | None:
        """None where it depends on its position what judges a record."""
        return None if contract.before else cls(cut, imports, (contract.decoding, *contract.earlier))


def tally_of(lake: Lake, whole: Whole | None, paths: Sequence[str]) -> Tally | None:
    """What raw files hold; the time and memory of it follow their rows, some 20 ms a million. None where their footers
    do not say that all are in range and of this decoding, where one cannot be read, or they are not on this machine."""
    if whole is None or scheme(lake.uri):
        return None
    by_source: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    rows = rejected = 0
    try:
        for path in paths:
            with parquet.ParquetFile(lake.absolute(path)) as file:
                told = _told(file.metadata)
                if told is None or told.decoding not in whole.decodings or rows + told.rows > MOST_ROWS:
                    return None
                rows, rejected = rows + told.rows, rejected + told.rejected
                places = file.read(columns=["_partition", "_offset"], use_threads=False)
            partitions, offsets = (places[name].to_numpy() for name in ("_partition", "_offset"))
            if any(places[name].null_count for name in places.column_names):
                return None
            if not _below(whole, told.source, partitions, offsets):
                return None
            by_source.setdefault(told.source, []).append((partitions, offsets))
    except (OSError, pa.ArrowException, KeyError):
        return None  # the statement says what is wrong with it
    positions = sum(_distinct(*map(np.concatenate, zip(*found, strict=True))) for found in by_source.values())
    return Tally(stood=rows, foreign=0, rejected=rejected, positions=positions, held=rows)


@dataclass(frozen=True)
class _Told:
    """What a footer says of a whole file."""

    rows: int
    rejected: int
    source: str
    decoding: str


def _told(footer: Any) -> _Told | None:
    """None where a column is not bounded to one value. Bounds may be wide of the values, never inside them."""
    places = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
    found: dict[str, set[str]] = {name: set() for name in _CONSTANT}
    accepted = 0
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for name, values in found.items():
            said = group.column(places[name]).statistics
            if said is None or not said.has_min_max or said.null_count != 0 or not said.has_null_count:
                return None
            values |= {said.min, said.max}
        rejects = group.column(places["_reject"]).statistics
        if rejects is None or not rejects.has_null_count:
            return None
        accepted += rejects.null_count
    if any(len(values) != 1 for values in found.values()):
        return None
    return _Told(footer.num_rows, footer.num_rows - accepted, *(values.pop() for values in found.values()))


def _below(whole: Whole, source: str, partitions: NDArray[Any], offsets: NDArray[Any]) -> bool:
    """Whether every row of a source lies in the range."""
    return source in whole.imports or all(
        offsets[partitions == number].max() < whole.cut[Partition(source, int(number))]
        for number in _numbers(partitions)
    )


def _numbers(partitions: NDArray[Any]) -> NDArray[Any]:
    """Those that there are."""
    return partitions[:1] if partitions.min() == partitions.max() else np.unique(partitions)


def _distinct(partitions: NDArray[Any], offsets: NDArray[Any]) -> int:
    """The different positions of one source."""
    numbers = _numbers(partitions)
    if len(numbers) == 1:
        return _different(offsets)
    return sum(_different(offsets[partitions == number]) for number in numbers)


def _different(values: NDArray[Any]) -> int:
    """How many different whole numbers there are."""
    low, span = int(values.min()), int(values.max()) - int(values.min()) + 1
    if span <= DENSE * len(values):
        flags = np.zeros(span, np.bool_)
        flags[values - low] = True
        return int(np.count_nonzero(flags))
    ordered = np.sort(values)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
