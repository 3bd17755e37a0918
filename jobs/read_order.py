"""How speed has read a range, as its epochs say it: in which order, and what it remembered meanwhile.

From this and raw alone follows which copies it has counted again (`statements`). One row an epoch and partition:
`first` and `next` are the offsets that the epoch begins and ends at, `remembered` the first whose ids it remembered,
`horizon` in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from seamline.entries.speed import Epoch
from seamline.frontier import Frontier
from seamline.schemas.contracts.contract import Contract

READING = pa.schema(
    [
        ("epoch", pa.int64()),
        ("source", pa.string()),
        ("partition", pa.int32()),
        ("first", pa.int64()),
        ("next", pa.int64()),
        ("remembered", pa.int64()),
        ("horizon", pa.int64()),
    ]
)


def reading(epochs: Iterable[Epoch], contract: Contract, cut: Frontier) -> pa.Table:
    """The epochs after `cut`, as they read a contract. Written before, one remembered every id that stood."""
    rows = [row for epoch in epochs if not epoch.end <= cut for row in _rows(epoch, contract)]
    return pa.table([list(column) for column in zip(*rows, strict=True)] or [[] for _ in READING], schema=READING)


def _rows(epoch: Epoch, contract: Contract) -> Iterator[tuple[int, str, int, int, int, int, int]]:
    memory = epoch.memories.get(contract.decoding)
    start, horizon = Frontier(), int(contract.horizon.total_seconds())
    if memory is not None:
        start, horizon = memory.start, memory.horizon
    for one, end in epoch.end.items():
        yield epoch.number, one.source, one.number, epoch.start[one], end, start[one], horizon


def foreign(epochs: Iterable[Epoch], decoding: str) -> Frontier:
    """Up to where the ids that a decoding goes by were another's: what that one had rejected has none there."""
    began = {memory.spans[-1][0] for epoch in epochs if (memory := epoch.memories.get(decoding))
             and len(memory.spans) > 1}  # fmt: skip
    starts = [epoch.start for epoch in epochs if epoch.number in began]
    return starts[-1] if starts else Frontier()
