"""Identities in sorted arrays that merge as they grow: looking one up costs what is asked, hardly what is held.

20 bytes each: two 64-bit halves, and the second of the Kafka timestamp of the record it was read in (0: it has none).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROWTH = 4
"""Two neighbouring runs are merged once the older is not so many times as long: there are about log4(n) runs."""

LONGEST = 16_000_000
"""A run is not merged beyond this many identities: that takes half a second, between two micro-batches."""


@dataclass(frozen=True)
class IdentityRun:
    """Identities in the order of their higher halves."""

    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]

    seen: NDArray[np.uint32]
    """Seconds since 1970; 0 for a record without a time."""

    @classmethod
    def of(cls, hi: NDArray[np.uint64], lo: NDArray[np.uint64], seen: NDArray[np.uint32]) -> IdentityRun:
        """From identities in any order; what is the same in all three is held once."""
        order = np.argsort(hi, kind="stable")
        run = cls(hi[order], lo[order], seen[order])
        return run if len(run) < 2 or (run.hi[1:] != run.hi[:-1]).all() else run._once()

    def __len__(self) -> int:
        return len(self.hi)

    def holds(
        self, hi: NDArray[np.uint64], lo: NDArray[np.uint64], seen: NDArray[np.uint32], horizon: int
    ) -> NDArray[np.bool_]:
        """Which of some identities are here with a time within `horizon` seconds of theirs."""
        found = np.zeros(len(hi), bool)
        at = np.searchsorted(self.hi, hi)
        asked = np.arange(len(hi))
        while len(asked):  # once, but where identities share a half, or come again
            asked = asked[at[asked] < len(self.hi)]
            asked = asked[self.hi[at[asked]] == hi[asked]]
            here = at[asked]
            found[asked] = (self.lo[here] == lo[asked]) & within(self.seen[here], seen[asked], horizon)
            asked = asked[~found[asked]]
            at[asked] += 1
        return found

    def merged(self, other: IdentityRun) -> IdentityRun:
        """Both as one."""
        at = np.searchsorted(self.hi, other.hi)
        return IdentityRun(
            np.insert(self.hi, at, other.hi), np.insert(self.lo, at, other.lo), np.insert(self.seen, at, other.seen)
        )

    def _once(self) -> IdentityRun:
        order = np.lexsort((self.seen, self.lo, self.hi))
        hi, lo, seen = self.hi[order], self.lo[order], self.seen[order]
        new = np.ones(len(hi), bool)
        new[1:] = (hi[1:] != hi[:-1]) | (lo[1:] != lo[:-1]) | (seen[1:] != seen[:-1])
        return IdentityRun(hi[new], lo[new], seen[new])


def within(one: NDArray[np.uint32], other: NDArray[np.uint32], horizon: int) -> NDArray[np.bool_]:
    """Whether two records' times lie within `horizon` seconds; one without a time lies within any."""
    near = np.abs(one.astype(np.int64) - other.astype(np.int64)) <= horizon
    found: NDArray[np.bool_] = near | (one == 0) | (other == 0)
    return found


def added(runs: Sequence[IdentityRun], run: IdentityRun) -> list[IdentityRun]:
    """Runs, the longest first, with one more; those that have become alike in length are merged."""
    grown = [*runs, *([run] if len(run) else [])]
    while len(grown) > 1 and _alike(*map(len, grown[-2:])):
        last = grown.pop()
        grown[-1] = grown[-1].merged(last)
    return grown


def together(runs: Sequence[IdentityRun]) -> list[IdentityRun]:
    """As few runs as there may be, of those that nothing is added to any more."""
    made: list[IdentityRun] = []
    for run in reversed(runs):
        small = made and len(made[-1]) + len(run) <= LONGEST
        made.append(run.merged(made.pop()) if small else run)
    return made[::-1]


def _alike(older: int, newer: int) -> bool:
    return older < GROWTH * newer and older + newer <= LONGEST


def later_copies(
    hi: NDArray[np.uint64], lo: NDArray[np.uint64], seen: NDArray[np.uint32], place: Sequence[Any], horizon: int
) -> NDArray[np.bool_]:
    """Which of some identities have a copy at a lower place among them, within the horizon.

    `place`: arrays that order positions, the weightiest last (as `lexsort` has them).
    """
    order = np.lexsort((*place, lo, hi))
    same = (hi[order[1:]] == hi[order[:-1]]) & (lo[order[1:]] == lo[order[:-1]])
    later = np.zeros(len(hi), bool)
    if not same.any():
        return later
    first = np.concatenate(([True], ~same))
    begins, times = np.flatnonzero(first), seen[order].astype(np.int64)
    lowest, highest = np.minimum.reduceat(times, begins), np.maximum.reduceat(times, begins)
    later[order] = ~first
    ends = np.append(begins[1:], len(hi))
    for number in np.flatnonzero((ends - begins > 1) & ((lowest == 0) | (highest - lowest > horizon))):
        group = slice(begins[number], ends[number])
        later[order[group]] = _apart(times[group].tolist(), horizon)
    return later


def _apart(times: Sequence[int], horizon: int) -> list[bool]:
    """Of one event's records in order, some of which lie further apart: which have one before them that is near."""
    earlier: list[int] = []  # in order of time
    timeless, copies = False, list[bool]()
    for number, time in enumerate(times):
        at = bisect_left(earlier, time - horizon)
        near = at < len(earlier) and earlier[at] <= time + horizon
        copies.append(number > 0 and (timeless or time == 0 or near))
        if time == 0:
            timeless = True
        else:
            insort(earlier, time)
    return copies
