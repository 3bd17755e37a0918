"""An epoch: one micro-batch of the speed layer, decoded, deduplicated and committed in one ledger entry.

Nothing here knows Spark or Kafka. `Speed.run_batch` is given a way to apply a function to the tasks' records, and a
checker that asks whether the topics are still the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from seamline.attempts import check_age, new_attempt
from seamline.clock import Clock, system_clock
from seamline.commitpoint import reach
from seamline.entries.base import Counts, DataFile
from seamline.entries.speed import IDS, Epoch
from seamline.errors import Condition, TerminalError, TransientError
from seamline.frontier import START, Frontier
from seamline.history.forget import ForgetHistory
from seamline.history.speed import SpeedHistory
from seamline.ipc import to_ipc
from seamline.kernel import KERNEL_VERSION, Kernel, Limits
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.observe.timed import EMPTY, OK, step, timed
from seamline.packs import CARRIED, carry, pack
from seamline.schemas.algebra import LAYOUT
from seamline.streaming.gathered import Gathered, gather
from seamline.streaming.logtime import Ends, LogTime, no_ends
from seamline.streaming.speed.dedup import Kept, Remembered
from seamline.streaming.speed.recall import begin, forgotten_ids, loader
from seamline.streaming.stream_plan import UNCLAIMED, DecodingPlan, StreamPlan
from seamline.streaming.tasks import (
    KEPT_BYTES,
    ONE_THREAD,
    POSITIONS,
    Job,
    Row,
    Task,
    Tasks,
    decode_task,
    partials_without,
)
from seamline.streaming.topic_check import Check, no_check

FORGET_EVERY = timedelta(minutes=1)

_IDS = "SELECT DISTINCT decoding, hi, lo, seen, {epoch}::UINTEGER AS epoch FROM ids WHERE hi IS NOT NULL"


class Speed:
    """The speed layer of one stream between its claim and its end: what it remembers, and how it commits.

    `origin`: where a stream without epochs begins (its partitions' earliest offsets). `check` raises where a topic is
    not the one it was; it is asked before each entry. `ends` says where the partitions end. An entry carries a pack of
    at most `carried` bytes. `history`: its log, where that was read already since the claim. Not safe to use from
    several threads at once.

    What changes: `history` and `remembered` with each entry; `forgotten`, the newest request by which copies are known,
    by `look_for_forgotten`; `origin` by `begin`; `plan`, and what is remembered for it, by `use`.
    """

    def __init__(
        self,
        lake: Lake,
        stream: str,
        writer: Writer,
        plan: StreamPlan,
        *,
        engine: Kernel | None = None,
        clock: Clock = system_clock,
        check: Check = no_check,
        ends: Ends = no_ends,
        origin: Frontier | None = None,
        task_limits: Limits | None = None,
        kept_bytes: int = KEPT_BYTES,
        carried: int = CARRIED,
        history: SpeedHistory | None = None,
    ) -> None:
        self.lake = lake
        self.stream = stream
        self.writer = writer
        self.clock = clock
        self.check = check
        self.ends = ends
        self.engine = engine or lake.kernel()
        self.task_limits = task_limits or ONE_THREAD
        self.kept_bytes = kept_bytes
        self.carried = carried
        self.history = history or SpeedHistory(lake.speed_log(stream), lake.packs.keep, every=True)
        self.origin = origin or Frontier()
        self.remembered = Remembered()
        self._time = LogTime()
        self._forgot_at = clock() - FORGET_EVERY
        self.forgets = ForgetHistory(lake.forget_log(stream))
        self.forgotten = 0
        self.plan = plan
        self.use(plan)
        self._erase()

    @property
    def frontier(self) -> Frontier:
        """Where the next epoch starts."""
        return self.history.frontier if self.history.last_epoch else self.origin

    def begin(self, origin: Frontier) -> None:
        """A stream that has no epoch yet begins here."""
        self.origin = origin

    def use(self, plan: StreamPlan) -> None:
        """Goes by another plan from the next batch on; the ids of decodings that are new to it are recalled."""
        load, before, kept = loader(self.lake, self.engine, self.history), self.remembered.kept, dict[str, Kept]()
        for one in plan.decodings:
            if one.decoding in before:
                kept[one.decoding] = before[one.decoding].followed(one)
            elif one.has_id:
                kept[one.decoding] = begin(one, self.history, self.frontier, before | kept, load, self.clock())
        self.remembered.keep(kept)
        self.plan = plan

    def look_for_forgotten(self) -> None:
        """Looks whether records were forgotten: copies of them count no more, whenever they come."""
        self.forgets.catch_up()
        self._erase()

    def _erase(self) -> None:
        newest = max(self.forgets.requests, default=0)
        if newest > self.forgotten:
            files = [one.file for one in self.forgets.requests.values()]
            self.remembered.erase(forgotten_ids(self.lake, self.engine, files))
            self.forgotten = newest

    def run_batch(self, tasks: Tasks, stop: Frontier = START) -> Epoch | None:
        """Decodes, deduplicates and commits what `tasks` read. None, and nothing committed, where they read nothing.

        `stop`: where topics are left. Dedup is optimistic: partials are made again only where copies were found, from
        the events that the tasks sent along, or, where those were too large, by applying `tasks` a second time.

        Raises what `check` raises, WRITER_CONFLICT where the claim is lost, and TransientError where the second reading
        differs from the first.
        """
        with timed("epoch", {"epoch": self.history.last_epoch + 1}, stream=self.stream) as work:
            epoch = self._run_batch(tasks, stop)
            work.comes_to(OK if epoch is not None else EMPTY)
            return epoch

    def _run_batch(self, tasks: Tasks, stop: Frontier) -> Epoch | None:
        self._check_whole()
        began = self.clock()
        self._forget(began)
        job = Job(self.frontier, limits=self.task_limits, kept_bytes=self.kept_bytes, stop=stop)
        with self._step("read"):
            seen = gather(tasks(Task(self.plan, partial(decode_task, job=job))))
        if not seen.read:
            return None
        with self._step("dedup"):
            copies = self.remembered.find_duplicates(seen.ids)
            touched = self._touched(copies)
        with self._step("remake") if touched else nullcontext():
            again = self._made_here(touched, seen, copies)
            if again is None:
                job = replace(job, without=to_ipc(copies))
                again = gather(tasks(Task(self.plan, partial(decode_task, job=job))))
                check_same(seen, again)
        remade = {one.decoding for one in touched}  # a definition's partials of other contracts stand
        partials = {of: t for of, t in seen.partials.items() if of[1] not in remade}
        return commit_epoch(self, replace(seen, partials={**partials, **again.partials}), copies, began)

    def _step(self, name: str) -> AbstractContextManager[None]:
        return step("epoch", name, stream=self.stream)

    def announce(self, passed: Frontier = START, *, wanted: bool = False) -> Epoch | None:
        """Commits an epoch without records where one is owed (`is_owed`) or `wanted`, or up to `passed`, below which
        there is none to be read. None, and nothing committed, where none of it.

        Raises what `check` raises, and WRITER_CONFLICT where the claim is lost.
        """
        self._check_whole()
        now = self.clock()
        if passed <= self.frontier and not wanted and not is_owed(self.history, self.plan, self.forgotten):
            return None
        return commit_epoch(self, Gathered(end=passed), POSITIONS.empty_table(), now)

    def _check_whole(self) -> None:
        """Raises TransientError PROCESS_FAILED where an entry of this writer stands that it failed to take over: its
        frontier and its ids are older than the ledger, and what it committed from here would count records again."""
        if self.history.number < self.writer.last:
            raise TransientError(
                Condition.PROCESS_FAILED,
                f"entry {self.writer.last} of log {self.history.log.name} stands, and this process failed right after",
                hint="it starts again where the ledger stands",
            )

    def remember(self, seen: Gathered, epoch: Epoch) -> None:
        """After the entry stands: what it has read."""
        self.history.catch_up()
        self._time.read(seen.newest, epoch.at)
        self.remembered.read(epoch.number, epoch.start, seen.ids, epoch.at)

    def _forget(self, now: datetime) -> None:
        """Forgets what the log's time has moved past. Kafka is asked for its ends at most once a minute."""
        if abs(now - self._forgot_at) < FORGET_EVERY or not self.remembered.may_forget(self._time.latest):
            return
        self._forgot_at = now
        self.remembered.forget(self._time.lowest(self.frontier, self.ends()), self._time.latest)

    def _touched(self, copies: pa.Table) -> tuple[DecodingPlan, ...]:
        """The decodings whose partials hold a copy."""
        found = set(copies["decoding"].unique().to_pylist())
        return tuple(one for one in self.plan.decodings if one.decoding in found)

    def _made_here(self, touched: tuple[DecodingPlan, ...], seen: Gathered, copies: pa.Table) -> Gathered | None:
        """Partials without the copies, from events that the tasks sent along; None where a task kept too many."""
        rows: list[Row] = []
        for plan in touched:
            sent, valid = seen.events.get(plan.decoding, []), pc.equal(seen.ids["decoding"], plan.decoding)
            if plan.partials and sum(table.num_rows for table in sent) != pc.sum(valid).as_py():
                return None
            if sent:
                left_out = copies.filter(pc.equal(copies["decoding"], plan.decoding))
                rows += partials_without(self.engine, plan, pa.concat_tables(sent), left_out)
        return gather(rows)


def is_owed(history: SpeedHistory, plan: StreamPlan, forgotten: int = 0) -> bool:
    """Whether a stream at rest owes an epoch without records.

    A first batch version can begin only where an epoch says that from there on each one lists its definition, and reads
    its decoding. Records bring such epochs; where none come, this says it: when the newest epoch lacks something live,
    or does not go by what was `forgotten`.
    """
    newest = history.epochs.get(history.last_epoch)
    if newest is None:
        return False
    decodings = {one.decoding for one in plan.decodings}
    if newest.forgets < forgotten:
        return True
    return not newest.files.keys() >= set(plan.definitions) or not decodings <= set(newest.decodings)


def commit_epoch(speed: Speed, seen: Gathered, copies: pa.Table, began: datetime) -> Epoch:
    """Files first, invisible; then the one entry. `copies` are the positions that were found to be duplicates."""
    attempt = new_attempt()
    at = speed.clock()
    reach("speed.before-files")
    number = speed.history.last_epoch + 1
    with step("epoch", "write", stream=speed.stream):
        tables = _tables(speed, seen, number)
        path, carried = write_pack(speed, tables, attempt)
    rows = {name: DataFile(path="", rows=table.num_rows) for name, table in tables.items()}
    epoch = Epoch(
        attempt=attempt,
        at=at,
        number=number,
        claim=speed.writer.claim,
        decodings=tuple(one.decoding for one in speed.plan.decodings),
        memories=speed.remembered.entries,
        start=speed.frontier,
        end=speed.frontier.join(seen.end),
        files={definition: rows.get(definition) for definition in speed.plan.definitions},
        ids=rows.get(IDS),
        pack=path,
        data=carried,
        counts=count(seen, copies, {one.decoding: one.label for one in speed.plan.decodings}),
        newest=seen.latest,
        kernel=KERNEL_VERSION,
        layout=LAYOUT,
        handovers={one: speed.history.handovers.get(one, speed.frontier) for one in speed.plan.handovers},
        forgets=speed.forgotten,
    )
    check_balance(epoch)
    speed.lake.sync(epoch.paths)
    reach("speed.after-files")
    speed.check()
    check_age(began, speed.clock())
    with step("epoch", "put", stream=speed.stream):
        speed.writer.put(epoch)
    reach("speed.after-entry")
    speed.remember(seen, epoch)
    return epoch


def count(seen: Gathered, copies: pa.Table, labels: Mapping[str, str]) -> dict[str, Counts]:
    """Law 3's terms by label. What no contract claims is read and rejected under the empty name."""
    duplicates: dict[str, int] = {}
    for decoding in copies["decoding"].to_pylist():
        duplicates[labels[decoding]] = duplicates.get(labels[decoding], 0) + 1
    counts = {}
    for label in sorted({*labels.values(), *seen.read}):
        read, rejected, duplicate = (part.get(label, 0) for part in (seen.read, seen.rejected, duplicates))
        if read or label != UNCLAIMED:
            counts[label] = Counts(
                read=read, rejected=rejected, duplicate=duplicate, counted=read - rejected - duplicate
            )
    return counts


def check_balance(epoch: Epoch) -> None:
    """Law 3 within one entry: no term may be below zero, and they must add up. Raises KERNEL_FAILED."""
    for label, counts in epoch.counts.items():
        if not counts.balanced or min(counts.read, counts.counted, counts.rejected, counts.duplicate) < 0:
            raise TerminalError(
                Condition.KERNEL_FAILED,
                f"epoch {epoch.number} counts {counts} for {label!r}, which do not add up",
                hint="this is a defect: report it with the range; nothing was committed",
                where=f"({epoch.start}] to ({epoch.end}]",
            )


def check_same(first: Gathered, second: Gathered) -> None:
    """Both readings of a micro-batch must have seen the same range. Raises BROKER_UNAVAILABLE."""
    if first.end != second.end:
        raise TransientError(
            Condition.BROKER_UNAVAILABLE,
            f"the same range was read twice and ended at {first.end}, then at {second.end}",
            hint="start again: nothing was committed, and what has no entry is read again",
        )


def _tables(speed: Speed, seen: Gathered, number: int) -> dict[str, pa.Table]:
    """What an epoch holds: by definition its partial rows, merged where several tasks made them, and the ids."""
    made: dict[str, list[pa.Table]] = {}
    for (definition, _), tables in seen.partials.items():
        made.setdefault(definition, []).extend(tables)
    merges, held = dict(speed.plan.merges), dict[str, pa.Table]()
    for definition in speed.plan.definitions:
        tables = made.get(definition, [])
        if tables:
            held[definition] = (
                merges[definition].table(speed.lake, speed.engine, tables) if len(tables) > 1 else tables[0]
            )
    if seen.ids.num_rows:
        held[IDS] = speed.engine.run(_IDS.format(epoch=number), {"ids": seen.ids})
    return {name: table for name, table in held.items() if table.num_rows}


def write_pack(speed: Speed, tables: Mapping[str, pa.Table], attempt: str) -> tuple[str, str]:
    """Puts the tables into one pack: its path, and its bytes where the next entry carries them itself."""
    if not tables:
        return "", ""
    body = pack(tables)
    if len(body) <= speed.carried:
        return speed.writer.log.path(speed.writer.last + 1), carry(body)
    path = speed.lake.pack_path(speed.stream, attempt)
    speed.lake.put(path, body)
    return path, ""
