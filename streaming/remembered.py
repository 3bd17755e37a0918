"""The identities that speed has counted within each decoding's dedup horizon, in sorted arrays that merge as they grow.

20 bytes each: two 64-bit halves, and the second they were counted in. Looking one up is a binary search in a few
arrays, so what a micro-batch costs depends on what it holds, hardly on how much is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seamline.kernel import Input, Kernel, literal
from seamline.streaming.tasks import POSITIONS

GROWTH = 4
"""Two neighbouring runs are merged once the older is not so many times as long: there are about log4(n) runs."""

LONGEST = 16_000_000
"""A run is not merged beyond this many identities: that takes half a second, between two micro-batches."""

_LOAD = "SELECT hi, lo, seen FROM ids WHERE decoding = {decoding} AND seen >= {since}"


@dataclass(frozen=True)
class Run:
    """Identities in the order of their higher halves. `seen`: seconds since 1970."""

    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    seen: NDArray[np.uint32]

    @classmethod
    def of(cls, hi: NDArray[np.uint64], lo: NDArray[np.uint64], seen: NDArray[np.uint32]) -> Run:
        """From identities in any order."""
        order = np.argsort(hi, kind="stable")
        return cls(hi[order], lo[order], seen[order])

    def __len__(self) -> int:
        return len(self.hi)

    def holds(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some identities are here."""
        found = np.zeros(len(hi), bool)
        at = np.searchsorted(self.hi, hi)
        asked = np.arange(len(hi))
        while len(asked):  # once, but where identities share a half
            asked = asked[at[asked] < len(self.hi)]
            asked = asked[self.hi[at[asked]] == hi[asked]]
            found[asked] |= self.lo[at[asked]] == lo[asked]
            asked = asked[~found[asked]]
            at[asked] += 1
        return found

    def merged(self, other: Run) -> Run:
        """Both as one."""
        at = np.searchsorted(self.hi, other.hi)
        return Run(
            np.insert(self.hi, at, other.hi), np.insert(self.lo, at, other.lo), np.insert(self.seen, at, other.seen)
        )

    def since(self, second: int) -> Run:
        """Without what was counted before a second."""
        kept = self.seen >= second
        return self if kept.all() else Run(self.hi[kept], self.lo[kept], self.seen[kept])


@dataclass
class Memory:
    """One decoding's identities: runs, the longest first."""

    horizon: timedelta
    runs: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """One more run; those that have become alike in length are merged."""
        if len(run):
            self.runs.append(run)
        while len(self.runs) > 1 and self._alike(*map(len, self.runs[-2:])):
            last = self.runs.pop()
            self.runs[-1] = self.runs[-1].merged(last)

    def holds(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some identities are remembered."""
        found = np.zeros(len(hi), bool)
        for run in self.runs:
            found |= run.holds(hi, lo)
        return found

    def expire(self, now: datetime) -> None:
        """Forgets what is older than the horizon."""
        kept = (run.since(int((now - self.horizon).timestamp())) for run in self.runs)
        self.runs = sorted((run for run in kept if len(run)), key=len, reverse=True)

    @staticmethod
    def _alike(older: int, newer: int) -> bool:
        return older < GROWTH * newer and older + newer <= LONGEST


class Remembered:
    """The ids of one stream. Positions order copies: of several in one batch the lowest stays."""

    def __init__(self, engine: Kernel) -> None:
        self._engine = engine
        self._memories: dict[str, Memory] = {}

    @property
    def decodings(self) -> frozenset[str]:
        """The decodings whose ids are remembered."""
        return frozenset(self._memories)

    def follow(self, decoding: str, horizon: timedelta, files: list[Input], now: datetime) -> None:
        """Remembers a decoding from now on, beginning with what `files` (written by `commit_epoch`) hold of it."""
        self._memories[decoding] = memory = Memory(horizon)
        statement = _LOAD.format(decoding=literal(decoding), since=int((now - horizon).timestamp()))
        for source in files:
            loaded = self._engine.run(statement, {"ids": source})
            memory.add(Run.of(*(_array(loaded[name]) for name in ("hi", "lo", "seen"))))

    def find_duplicates(self, ids: pa.Table) -> pa.Table:
        """Positions (like POSITIONS) of copies in `ids` (like IDS): within it, and of what is remembered."""
        found = [POSITIONS.empty_table()]
        for decoding, memory in sorted(self._memories.items()):
            mine = _of(ids, decoding)
            if mine.num_rows:
                hi, lo = _array(mine["hi"]), _array(mine["lo"])
                copies = _later(mine, hi, lo) | memory.holds(hi, lo)
                found.append(mine.filter(pa.array(copies)).select(POSITIONS.names).cast(POSITIONS))
        return pa.concat_tables(found)

    def add(self, counted: pa.Table, at: datetime) -> None:
        """Remembers ids (like IDS) that were counted at `at`; none of them twice."""
        for decoding, memory in self._memories.items():
            mine = _of(counted, decoding)
            seen = np.full(mine.num_rows, int(at.timestamp()), np.uint32)
            memory.add(Run.of(_array(mine["hi"]), _array(mine["lo"]), seen))

    def expire(self, now: datetime) -> None:
        """Forgets what is older than its decoding's horizon."""
        for memory in self._memories.values():
            memory.expire(now)

    def __len__(self) -> int:
        return sum(len(run) for memory in self._memories.values() for run in memory.runs)


def _of(ids: pa.Table, decoding: str) -> pa.Table:
    """One decoding's events that have an id."""
    return ids.filter(pc.and_(pc.equal(ids["decoding"], decoding), pc.is_valid(ids["hi"])))


def _later(ids: pa.Table, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of some ids have a copy at a lower position among them."""
    sources = ids["source"].combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(sources.dictionary.to_numpy(zero_copy_only=False).astype(str)))
    source = rank[sources.indices.to_numpy(zero_copy_only=False)]
    order = np.lexsort((_array(ids["offset"]), _array(ids["partition"]), source, lo, hi))
    later = np.zeros(len(hi), bool)
    later[order[1:]] = (hi[order[1:]] == hi[order[:-1]]) & (lo[order[1:]] == lo[order[:-1]])
    return later


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy()
    return values
