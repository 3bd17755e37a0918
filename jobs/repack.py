"""Raw files whose row groups hold more than a kernel can read at once, copied into smaller ones for one run.

A reader takes 2,048 rows at a time, of one row group. What the kernel writes is bounded by bytes; files that were
written before that was so, or put together by Delta, need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pyarrow import Table, parquet

from seamline.attempts import new_attempt
from seamline.errors import Condition, SeamlineError
from seamline.kernel import GROUP_BYTES, Input, Kernel, Mixed
from seamline.lake import Lake
from seamline.portions import cut, portion_bytes

T = TypeVar("T")

VECTOR = 2048
"""Rows that the kernel reads at once."""


def repacked(
    lake: Lake, engine: Kernel, inputs: Mapping[str, Input], work: Callable[[dict[str, Input]], T], folder: str
) -> T:
    """`work` over inputs; where memory does not hold it, once more with the inputs' large row groups cut.

    Copies stand in `folder` of the lake until it is done. Raises what `work` raises.
    """
    most = min(GROUP_BYTES, portion_bytes(engine))
    try:
        return work(dict(inputs))
    except SeamlineError as error:
        if error.condition is not Condition.KERNEL_MEMORY:
            raise
        wide = {name: [path for path in _paths(given) if is_wide(path, most)] for name, given in inputs.items()}
        if not any(wide.values()):
            raise
    copies: dict[str, str] = {}
    try:
        for path in sorted({path for paths in wide.values() for path in paths}):
            copies[path] = lake.absolute(f"{folder}/{new_attempt()}.repacked")
            _copy(path, copies[path], most)
        small = {name: [copies.get(path, path) for path in _paths(given)] for name, given in inputs.items()}
        return work({name: small[name] or given for name, given in inputs.items()})
    finally:
        for copied in copies.values():
            Path(copied).unlink(missing_ok=True)


def is_wide(path: str, most: int = GROUP_BYTES) -> bool:
    """Whether one read of a file may hold more than `most` bytes, as its footer says."""
    return _rows_within(path, most) < VECTOR


def _rows_within(path: str, most: int) -> int:
    """How many rows of the file's densest row group make `most` bytes; VECTOR where one has no more, or no more rows
    than one."""
    metadata = parquet.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    wide = [one for one in groups if one.num_rows > 1 and one.total_byte_size > most]
    return min((max(1, most * one.num_rows // one.total_byte_size) for one in wide), default=VECTOR)


def _copy(path: str, into: str, most: int) -> None:
    Path(into).parent.mkdir(parents=True, exist_ok=True)
    file = parquet.ParquetFile(path)
    with parquet.ParquetWriter(into, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches(batch_size=_rows_within(path, most)):
            for group in cut(Table.from_batches([batch]), most):
                writer.write_table(group)


def _paths(given: Input) -> list[str]:
    return [] if isinstance(given, Table | Mixed) else list(given)
