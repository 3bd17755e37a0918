"""What is kept of a decoding's ids as it begins to be read: its own from the ledger, those of another with the same
identities, or nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seamline.entries.speed import Epoch, Memory
from seamline.frontier import Frontier, topic_of
from seamline.history.speed import SpeedHistory
from seamline.kernel import Kernel
from seamline.lake import Lake
from seamline.streaming.logtime import ALLOWANCE, second
from seamline.streaming.speed.dedup import Generation, Kept, generations
from seamline.streaming.speed.runs import IdentityRun
from seamline.streaming.stream_plan import DecodingPlan

Load = Callable[[int], pa.Table]
"""The ids read from an epoch on: decoding, hi, lo, seen, epoch."""

READ_IDS = """FROM (SELECT NULL::UINTEGER AS epoch WHERE false UNION ALL BY NAME FROM partials)
SELECT decoding, hi, lo, seen, coalesce(epoch, {since})::UINTEGER AS epoch WHERE epoch IS NULL OR epoch >= {since}"""
"""Of ids, as `partials`. Written before, they say no epoch, and `seen` is the second they were counted in."""


def begin(
    plan: DecodingPlan, history: SpeedHistory, frontier: Frontier, kept: Mapping[str, Kept], load: Load, now: datetime
) -> Kept:
    """What is kept of a decoding that is read from `frontier` on. `kept` is what is there of others.

    Decodings with the same identities give a record the same id, so one that takes another's place goes on with its
    ids: what the older one has accepted, of several one that accepts the same. Nothing is lacking, either, where a
    topic is read for the first time.
    """
    newest = history.epochs.get(history.last_epoch)
    memories = _memories(history, newest)
    number = history.last_epoch + 1
    if plan.decoding in memories:
        return _recalled(plan, memories[plan.decoding], history, frontier, load, now)
    before = predecessor(plan, kept, memories)
    if before:
        recall = before not in kept  # one that holds no id yet is kept, too
        found = _recalled(plan, memories[before], history, frontier, load, now) if recall else kept[before]
        return found.inherited(plan, number)
    new = not any(topic_of(one.source) in plan.topics for one in frontier) or newest is None
    return Kept(plan, ((number, plan.decoding),), new, (Generation(number, frontier),))


def predecessor(plan: DecodingPlan, kept: Mapping[str, Kept], memories: Mapping[str, Memory]) -> str:
    """The decoding whose ids a new one goes on with, or '': one whose place it takes before one that accepts the same,
    and that before any other; one that is read now before one that the newest epoch names, and of several the one that
    reaches back furthest."""
    named = {decoding: one.spans for decoding, one in memories.items() if one.identity == plan.identity}
    named |= {decoding: one.spans for decoding, one in kept.items() if one.plan.identity == plan.identity}
    order = sorted(
        (one not in plan.after, one not in plan.likes, one not in kept, spans, one) for one, spans in named.items()
    )
    return order[0][-1] if order else ""


def _memories(history: SpeedHistory, newest: Epoch | None) -> dict[str, Memory]:
    """What the newest epoch remembered; written before, it says nothing but which decodings it read."""
    if newest is None or newest.memories:
        return newest.memories if newest else {}
    found = {}
    for decoding in newest.decodings:
        first = history.trailing(lambda epoch, of=decoding: of in epoch.decodings)[0]  # type: ignore[misc]
        spans = ((first.number, decoding),)
        found[decoding] = Memory(horizon=0, identity="", spans=spans, start=first.start, whole=True)
    return found


def _recalled(
    plan: DecodingPlan, memory: Memory, history: SpeedHistory, frontier: Frontier, load: Load, now: datetime
) -> Kept:
    """As the ledger says. An epoch whose entry was lost had ids that nobody knows: it goes on after that. A horizon
    that is longer than the newest epoch's may reach back beyond what is remembered."""
    number, since, spans = history.last_epoch + 1, memory.since, memory.spans
    horizon = int(plan.horizon.total_seconds())
    whole = memory.whole and horizon <= (memory.horizon or horizon)  # written before, none is said
    lost = max((n for n in range(since, number) if not history.covers(n)), default=0)
    if lost:
        since, whole = lost + 1, False
        spans = _from(spans, since)
    starts = history.starts(since)
    starts.setdefault(since, frontier if since == number else memory.start)
    table = _of_spans(load(since), spans) if since < number else pa.table({"epoch": pa.array([], pa.uint32())})
    made = generations(table, starts, horizon, second(now + ALLOWANCE))
    return Kept(plan, spans, whole, tuple(made))


def _from(spans: tuple[tuple[int, str], ...], since: int) -> tuple[tuple[int, str], ...]:
    at = max(number for number, (first, _) in enumerate(spans) if first <= since)
    return ((since, spans[at][1]), *spans[at + 1 :])


def _of_spans(ids: pa.Table, spans: tuple[tuple[int, str], ...]) -> pa.Table:
    """The rows of the decoding that each epoch goes by."""
    ends = [first for first, _ in spans[1:]] + [2**32 - 1]
    parts = []
    for (first, decoding), end in zip(spans, ends, strict=True):
        epochs = pc.and_(pc.greater_equal(ids["epoch"], first), pc.less(ids["epoch"], end))
        parts.append(ids.filter(pc.and_(epochs, pc.equal(ids["decoding"], decoding))))
    return pa.concat_tables(parts)


def forgotten_ids(lake: Lake, engine: Kernel, files: Sequence[str]) -> IdentityRun:
    """The identities of events that were forgotten, as requests have found them: near to any time."""
    statement = "SELECT DISTINCT _id_hi, _id_lo FROM found WHERE _id_hi IS NOT NULL"
    rows = engine.run(statement, {"found": lake.read(files)}) if files else pa.table({"_id_hi": [], "_id_lo": []})
    hi, lo = (rows[name].cast(pa.uint64()).to_numpy() for name in ("_id_hi", "_id_lo"))
    return IdentityRun.of(hi, lo, np.zeros(len(hi), np.uint32))


def loader(lake: Lake, engine: Kernel, history: SpeedHistory) -> Load:
    """Reads the id files of the lake."""

    def load(since: int) -> pa.Table:
        paths = [file.path for file in history.ids(since)]
        empty = pa.table({"decoding": pa.array([], pa.string()), "hi": pa.array([], pa.uint64()),
                          "lo": pa.array([], pa.uint64()), "seen": pa.array([], pa.uint32()),
                          "epoch": pa.array([], pa.uint32())})  # fmt: skip
        return engine.run(READ_IDS.format(since=since), {"partials": lake.read(paths)}) if paths else empty

    return load
