"""The identities that speed has read within each decoding's dedup horizon, and what an epoch says of them.

A record is a copy where one of the same event was read before it whose Kafka timestamp lies within the horizon of its
own. What is remembered is everything read from one epoch on: ids are forgotten by generations of epochs, the oldest
first, once the log's own time (`logtime`) has moved a horizon and an eighth past all they hold: timestamps of one
partition may run back by so much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seamline.entries.speed import Memory
from seamline.frontier import Frontier, topic_of
from seamline.streaming.logtime import ALLOWANCE, second
from seamline.streaming.speed.runs import IdentityRun, added, later_copies, together
from seamline.streaming.stream_plan import DecodingPlan
from seamline.streaming.tasks import POSITIONS

MOST = 50_000_000
"""A stream remembers no more ids than this, 1 GB of them: what goes beyond is forgotten before its time."""

GENERATIONS = 8
"""A horizon is forgotten in about so many parts."""

Times = Callable[[tuple[str, ...]], int | None]
"""Topics to their time in seconds since 1970, or None where nobody can say."""


@dataclass(frozen=True)
class Generation:
    """The ids of some epochs on end."""

    first: int
    """The first of the epochs."""

    start: Frontier
    """Where that begins."""

    began: int = 0
    """The latest second among the first of these ids and all before them."""

    needed: int = 0
    """The latest second among all of these."""

    runs: tuple[IdentityRun, ...] = ()

    def read(self, run: IdentityRun, needed: int) -> Generation:
        """With the ids of one more epoch."""
        runs = tuple(added(self.runs, run))
        return replace(self, began=self.began or needed, needed=max(needed, self.needed), runs=runs)

    def __len__(self) -> int:
        return sum(map(len, self.runs))


@dataclass(frozen=True)
class Kept:
    """What is kept of one decoding; the rest as in `entries.Memory`."""

    plan: DecodingPlan
    spans: tuple[tuple[int, str], ...]
    whole: bool

    generations: tuple[Generation, ...]
    """The oldest first."""

    lacking: int = 0
    """Where it is not whole, the latest second of the topic when it began, as far as that is known (else 0)."""

    @property
    def horizon(self) -> int:
        """In seconds."""
        return int(self.plan.horizon.total_seconds())

    @property
    def part(self) -> int:
        """How long a generation is, and how far timestamps may run back."""
        return self.horizon // GENERATIONS

    @cached_property
    def entry(self) -> Memory:
        """What the next epoch says of it."""
        start = self.generations[0].start
        mine = start.only(source for source in start.sources if topic_of(source) in self.plan.topics)
        return Memory(horizon=self.horizon, identity=self.plan.identity, spans=self.spans, start=mine, whole=self.whole)

    def followed(self, plan: DecodingPlan) -> Kept:
        """The same decoding, as the plan has it now; a longer horizon may reach back beyond what is remembered."""
        return replace(self, plan=plan, whole=self.whole and plan.horizon <= self.plan.horizon)

    def inherited(self, plan: DecodingPlan, epoch: int) -> Kept:
        """For another decoding with the same identities, from an epoch on."""
        spans = (*(span for span in self.spans if span[0] < epoch), (epoch, plan.decoding))
        return replace(self.followed(plan), spans=spans)

    def holds(self, ids: IdentityRun) -> NDArray[np.bool_]:
        """Which of some identities are copies of what is remembered."""
        order = np.argsort(ids.hi)  # neighbours are looked for near each other, which is several times as fast
        hi, lo, seen = ids.hi[order], ids.lo[order], ids.seen[order]
        near, found = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        for generation in self.generations:
            for run in generation.runs:
                near |= run.holds(hi, lo, seen, self.horizon)
        found[order] = near
        return found

    def read(self, epoch: int, start: Frontier, ids: IdentityRun, believed: int) -> Kept:
        """After an epoch that began at `start`; no time beyond the second `believed` is."""
        newest = self.generations[-1]
        needed = max(newest.needed, min(int(ids.seen.max(initial=0)), believed))
        if len(newest) and needed - newest.began > self.part:
            whole = replace(newest, runs=tuple(together(newest.runs)))
            more = Generation(epoch, start).read(ids, needed)
            return replace(self, generations=(*self.generations[:-1], whole, more))
        return replace(self, generations=(*self.generations[:-1], newest.read(ids, needed)))

    def at(self, time: int | None, latest: int) -> Kept:
        """At the topic's time, of which `latest` is the latest that was read: without what nothing can be near to."""
        kept = self if self.whole or self.lacking else replace(self, lacking=latest)
        if time is None:
            return kept
        if not kept.whole and kept.lacking and time > kept.lacking + self.horizon + self.part:
            kept = replace(kept, whole=True)
        while kept.forgets(time):
            kept = kept.without_oldest()
        return kept

    def forgets(self, time: int) -> bool:
        """Whether its oldest generation is not needed any more at a topic's time."""
        oldest = self.generations[0]
        return len(self.generations) > 1 and time > oldest.needed + self.horizon + self.part

    def without_oldest(self) -> Kept:
        """The oldest generation forgotten."""
        left = self.generations[1:]
        since = left[0].first
        at = max(number for number, (first, _) in enumerate(self.spans) if first <= since)
        return replace(self, generations=left, spans=((since, self.spans[at][1]), *self.spans[at + 1 :]))

    def __len__(self) -> int:
        return self._ids

    @cached_property
    def _ids(self) -> int:
        return sum(map(len, self.generations))


class Remembered:
    """The ids of one stream, by decoding. `kept` is changed by `keep`, `read` and `forget` alone, `erased` by `erase`:
    events of which each record is a copy, whenever it comes."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.erased = IdentityRun(np.array([], np.uint64), np.array([], np.uint64), np.array([], np.uint32))

    @property
    def since(self) -> int | None:
        """The first epoch whose ids are remembered by any decoding; None where there are none."""
        return min((kept.spans[0][0] for kept in self.kept.values()), default=None)

    @property
    def entries(self) -> dict[str, Memory]:
        """What the next epoch says."""
        return {decoding: kept.entry for decoding, kept in sorted(self.kept.items())}

    def keep(self, kept: dict[str, Kept]) -> None:
        """Remembers these from now on, and no others."""
        self.kept = kept

    def erase(self, erased: IdentityRun) -> None:
        """These, and no others, were forgotten."""
        self.erased = erased

    def find_duplicates(self, ids: pa.Table) -> pa.Table:
        """Positions (like POSITIONS) of copies in `ids` (like IDS): within it, and of what is remembered."""
        found = [POSITIONS.empty_table()]
        for decoding, mine in _by_decoding(ids).items():
            kept, asked = self.kept[decoding], _columns(mine)
            copies = later_copies(asked.hi, asked.lo, asked.seen, _places(mine), kept.horizon) | kept.holds(asked)
            copies |= self.erased.holds(asked.hi, asked.lo, asked.seen, kept.horizon)
            found.append(mine.filter(pa.array(copies)).select(POSITIONS.names).cast(POSITIONS))
        return pa.concat_tables(found)

    def read(self, epoch: int, start: Frontier, ids: pa.Table, now: datetime) -> None:
        """Remembers the ids (like IDS) that an epoch has read, copies too: each may have copies that are near to it."""
        believed = second(now + ALLOWANCE)
        for decoding, mine in _by_decoding(ids).items():
            asked = _columns(mine)
            run = IdentityRun.of(asked.hi, asked.lo, asked.seen)
            self.kept[decoding] = self.kept[decoding].read(epoch, start, run, believed)

    def may_forget(self, latest: int) -> bool:
        """Whether anything could change at this time, the latest of all."""
        return len(self) > MOST or any(not kept.whole or kept.forgets(latest) for kept in self.kept.values())

    def forget(self, times: Times, latest: int) -> None:
        """Forgets what is not needed at these times, and what is too much."""
        self.kept = {d: kept.at(times(kept.plan.topics), latest) for d, kept in self.kept.items()}
        while len(self) > MOST and (most := self._largest()):
            self.kept[most] = self.kept[most].without_oldest()

    def _largest(self) -> str | None:
        """The decoding with most ids, of those that can forget some."""
        can = {d: len(kept) for d, kept in self.kept.items() if len(kept.generations) > 1}
        return max(can, key=lambda one: can[one], default=None)

    def __len__(self) -> int:
        return sum(map(len, self.kept.values()))


def generations(loaded: pa.Table, starts: Mapping[int, Frontier], horizon: int, believed: int) -> list[Generation]:
    """What was read before, from a table of hi, lo, seen, epoch. `starts`: where epochs begin, as far as that is known;
    the first is where it is remembered from."""
    known = sorted(starts)
    made = [Generation(known[0], starts[known[0]])]
    if not loaded.num_rows:
        return made
    loaded = loaded.sort_by("epoch")
    ids, epochs = _columns(loaded), np.searchsorted(known, loaded["epoch"].to_numpy(), side="right") - 1
    parts, rows = np.unique(epochs, return_index=True)
    needed = np.maximum.accumulate(np.minimum(np.maximum.reduceat(ids.seen, rows), believed)).tolist()
    begin = 0
    for at, part in enumerate(parts):
        if needed[at] - needed[begin] > horizon // GENERATIONS:
            made[-1] = _filled(made[-1], ids, (rows[begin], rows[at]), needed[begin], needed[at - 1])
            made.append(Generation(known[part], starts[known[part]]))
            begin = at
    made[-1] = _filled(made[-1], ids, (rows[begin], len(ids)), needed[begin], needed[-1])
    return made


def _filled(generation: Generation, ids: IdentityRun, rows: tuple[int, int], began: int, needed: int) -> Generation:
    here = slice(*rows)
    run = IdentityRun.of(ids.hi[here], ids.lo[here], ids.seen[here])
    return replace(generation, began=began, needed=needed, runs=(run,))


def _by_decoding(ids: pa.Table) -> dict[str, pa.Table]:
    """Each decoding's events that have an id, by decodings in order, those of one in the order of the table."""
    there = ids.filter(pc.is_valid(ids["hi"]))
    ordered = there.take(pc.sort_indices(there["decoding"]))  # it is stable
    runs = pc.run_end_encode(ordered["decoding"].combine_chunks())
    found, first = dict[str, pa.Table](), 0
    for decoding, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        found[decoding] = ordered.slice(first, end - first)
        first = end
    return found


def _columns(ids: pa.Table) -> IdentityRun:
    """Identities in the order of the table."""
    return IdentityRun(*(ids[name].to_numpy() for name in ("hi", "lo", "seen")))


def _places(ids: pa.Table) -> tuple[NDArray[np.int64], ...]:
    """What orders positions: offset, partition, source."""
    sources = ids["source"].combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(sources.dictionary.to_numpy(zero_copy_only=False).astype(str)))
    source = rank[sources.indices.to_numpy()]
    return ids["offset"].to_numpy(), ids["partition"].to_numpy(), source
