"""Rows in portions that fit into the kernel's memory: bounded by bytes, and halved where a bound was too hopeful.

Decoding judges each record by itself, and partials of portions merge (law 1), so it changes nothing where rows are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pyarrow as pa

from seamline.errors import Condition, SeamlineError
from seamline.kernel import Kernel, in_bytes

T = TypeVar("T")

SWOLLEN = 32
"""Bytes of memory that decoding takes for each byte of records: 12 to 20 were seen, of JSON of 1 KB to 16 MB."""

LEAST = 1 << 20


def portion_bytes(engine: Kernel) -> int:
    """Bytes of records that one decode statement may hold at once."""
    return max(LEAST, in_bytes(engine.limits.memory) // SWOLLEN)


def in_portions(work: Callable[[pa.Table], T], rows: pa.Table, most: int) -> Iterator[T]:
    """The results of `work` over portions of `rows`, in order, each of at most `most` bytes or one row.

    One that runs out of memory is halved. Raises what `work` raises; KERNEL_MEMORY only of a single row.
    """
    waiting = [rows]
    while waiting:
        one = waiting.pop()
        if one.num_rows > 1 and one.nbytes > most:
            waiting += _halves(one)
            continue
        try:
            result = work(one)
        except SeamlineError as error:
            if error.condition is not Condition.KERNEL_MEMORY or one.num_rows <= 1:
                raise
            waiting += _halves(one)
            continue
        yield result


def lists_of(values: Iterable[bytes], rows: int, most: int) -> Iterator[list[bytes]]:
    """Values in order, in lists of at most `rows` and, where there are several in one, `most` bytes."""
    held: list[bytes] = []
    size = 0
    for value in values:
        if held and (len(held) == rows or size + len(value) > most):
            yield held
            held, size = [], 0
        held.append(value)
        size += len(value)
    if held:
        yield held


def cut(rows: pa.Table, most: int) -> list[pa.Table]:
    """Rows in order, in portions of at most `most` bytes or one row."""
    return list(in_portions(lambda one: one, rows, most))


def _halves(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The second half and then the first, as a stack takes them."""
    half = rows.num_rows // 2
    return rows.slice(half), rows.slice(0, half)
