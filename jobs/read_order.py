"""How speed has read a range, as its epochs say it: in which order, and what it remembered meanwhile.

From this and raw alone follows which copies it has counted again (`statements`). One row an epoch and partition:
`first` and `next` are the offsets that the epoch begins and ends at, `remembered` the first whose ids it remembered,
`horizon` in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import pyarrow as pa

from seamline.entries.speed import Epoch, Memory
from seamline.frontier import Frontier
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import lineage

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
    memory = memory_of(epoch, contract)
    start, horizon = Frontier(), int(contract.horizon.total_seconds())
    if memory is not None:
        start, horizon = memory.start, memory.horizon
    for one, end in epoch.end.items():
        yield epoch.number, one.source, one.number, epoch.start[one], end, start[one], horizon


def memory_of(epoch: Epoch, contract: Contract) -> Memory | None:
    """What an epoch remembered by what judged its records: a contract, the last of those whose place that has taken, or
    the one before it."""
    before = contract.before
    if before is not None and (before.until is None or epoch.end <= before.until):
        return memory_of(epoch, before.contract)
    listed = (epoch.memories.get(decoding) for decoding in (contract.decoding, *reversed(contract.earlier)))
    return next((memory for memory in listed if memory is not None), None)


def foreign(epochs: Sequence[Epoch], contract: Contract) -> Frontier:
    """Up to where the ids that a contract goes by were of another decoding: what that had rejected has none there."""
    own = set(lineage(contract))
    memories = [memory for epoch in epochs if (memory := memory_of(epoch, contract))]
    began = {_own_since(memory, own) for memory in memories if len(memory.spans) > 1}
    starts = [epoch.start for epoch in epochs if epoch.number in began]
    return starts[-1] if starts else Frontier()


def _own_since(memory: Memory, own: Collection[str]) -> int:
    """The epoch from which on it goes by ids of these decodings alone; 0 where it did from its first."""
    others = [number for number, (_, decoding) in enumerate(memory.spans) if decoding not in own]
    return memory.spans[others[-1] + 1][0] if others else 0
