"""A simulated stream, what readers were told at every moment, and by plain Python which events were counted in it."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from copying import near, second
from simulation import BEGIN, HORIZON, LEAST, World
from truth import Event, Record

from seamline.entries.batch import Version
from seamline.entries.views import Published
from seamline.frontier import Frontier, Partition, Position
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.views import ViewHistory
from seamline.operate.viewchanges import Changes, find_changes
from seamline.serving.chains import topics_only

Group = tuple[datetime, str | None]
Numbers = dict[tuple[Group, str], int]
Counted = dict[Position, Event]


@dataclass(frozen=True)
class Seen:
    """What a reader saw last while an epoch was the newest."""

    answer: Numbers
    state: Published
    version: Version | None
    end: Frontier


class Watched:
    """A stream, and at every moment what readers are told."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.seen: dict[int, Seen] = {}
        self.ranges: dict[int, tuple[Frontier, Frontier]] = {}
        self.knew: dict[int, int] = {}
        self.stood: set[tuple[str, int, int]] = set()

    def look(self) -> None:
        world = self.world
        world.serving.catch_up()
        world.history.catch_up()
        world.clock.advance(timedelta(seconds=1))
        world.speed_clock.advance(timedelta(seconds=1))
        for number in world.history.epochs:
            if number not in self.ranges:
                epoch = world.history.epochs[number]
                self.ranges[number] = epoch.start, epoch.end
                self.knew[number] = epoch.forgets
        newest = world.history.last_epoch
        state = ViewHistory(world.lake.view_log("sales")).state
        if newest and state is not None:
            rows = world.answer("sales")
            told = {((r["hour"], r["shop"]), c): r[c] or 0 for r in rows for c in ("orders", "amount")}
            versions = BatchHistory(world.lake.batch_log(str(state.served))).versions
            version = versions[state.version] if state.version is not None else None
            self.seen[newest] = Seen(told, state, version, world.history.frontier)

    def ask(self, first: int, last: int, **where: str) -> Changes:
        return find_changes(self.world.lake, self.world.lake.kernel(), "sales", first, last, where)

    # --- by hand

    def records(self, until: Frontier) -> Iterator[tuple[Position, Record]]:
        return self.world.topic.between(Frontier(), until)

    def accepted(self, record: Record) -> Event | None:
        return record.accepted(LEAST[0])

    def counted(self, seen: Seen) -> Counted:
        """The events in an answer, each where it was counted."""
        cut, found = Frontier(), Counted()
        if (entry := seen.version) is not None:
            cut = topics_only(entry.cut)
            whole = [(Position(s, 0, r.offset), r) for s in sorted(entry.imports) for r in self.world.files[s]]
            stood = [one for one in (*whole, *self.records(cut)) if not self.erased(*one, entry.archive_entry)]
            once: set[tuple[str, datetime]] = set()
            for at, record in sorted(stood, key=lambda one: tuple(one[0])):
                event = self.accepted(record)
                if event is not None and (event.id is None or (event.id, event.placed) not in once):
                    found[at] = event
                    once |= {(event.id, event.placed)} if event.id is not None else set()
        return found | self.by_speed(cut, seen.end)

    def by_speed(self, cut: Frontier, end: Frontier) -> Counted:
        """What epochs between two ends counted: no copy of what had been read before, near to it in time."""
        read: dict[tuple[str, datetime], list[int]] = defaultdict(list)
        found = Counted()
        for number, (start, stop) in sorted(self.ranges.items()):
            mine = [one for n, one in self.world.asked.items() if n <= self.knew[number]]
            forgotten = {event for one in mine for event in one.events}
            for at, record in sorted(self.world.topic.between(start, stop), key=lambda one: tuple(one[0])):
                event, time = self.accepted(record), second(record.timestamp)
                if event is None:
                    continue
                copy = False
                if event.id is not None:
                    times = read[event.id, event.placed]
                    copy = any(near(one, time, int(HORIZON.total_seconds())) for one in times)
                    copy |= (event.id, event.placed) in forgotten
                    times.append(time)
                if not copy and cut <= start and stop <= end:
                    found[at] = event
        return found

    def erased(self, at: Position, record: Record, entry: int) -> bool:
        """Whether raw has it no more at an entry of the archive."""
        done = ArchiveHistory(self.world.lake.archive_log("main")).erased
        return any(self.world.asked[n].takes(at, record) for n, one in done.items() if one.entry <= entry)

    def late(self, at: Position, sides: tuple[Seen, Seen]) -> bool:
        """Whether something newer had been read of its partition, that anybody can know of."""
        before = [
            (p.offset, self.accepted(r))
            for p, r in self.records(self.world.topic.end)
            if p[:2] == at[:2] and tuple(p) in self.stood and not self.unknown(p, r, sides)
        ]
        own = self.accepted(self.record(at))
        return any(o < at.offset and e is not None and own is not None and e.placed > own.placed for o, e in before)

    def filed(self) -> set[tuple[str, int, int]]:
        """What ever stood in raw: all but copies that came after their request."""
        files = Path(self.world.lake.uri).glob("raw/orders-*/_event_date=*/*.parquet")
        columns = ["_source", "_partition", "_offset"]
        return {tuple(row.values()) for file in files for row in pq.ParquetFile(file).read(columns).to_pylist()}

    def unknown(self, at: Position, record: Record, sides: tuple[Seen, Seen]) -> bool:
        """Whether it was erased so long ago that both answers are of versions that never knew of it."""
        done = ArchiveHistory(self.world.lake.archive_log("main")).erased
        return any(
            self.world.asked[n].takes(at, record)
            and all(
                side.version is not None
                and one.entry <= side.version.archive_entry
                and self.world.asked[n].until <= topics_only(side.version.cut)
                for side in sides
            )
            for n, one in done.items()
        )

    def divided(self, first: int, last: int) -> dict[tuple[Group, str], dict[str, int]]:
        """The parts of every number, by what each event says of itself."""
        self.stood = self.filed()
        before, after = self.counted(self.seen[first]), self.counted(self.seen[last])
        ids = [{(e.id, e.placed) for e in side.values() if e.id is not None} for side in (before, after)]
        parts: dict[tuple[Group, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for side, other, others, sign in ((after, before, ids[0], 1), (before, after, ids[1], -1)):
            for at, event in side.items():
                if at in other:
                    continue
                cause = self.cause(at, event, others, sign, (self.seen[first], self.seen[last]))
                group = event.placed.replace(minute=0, second=0, microsecond=0), event.shop
                parts[group, "orders"][cause] += sign
                parts[group, "amount"][cause] += sign * (event.amount or 0)
        found = {at: {c: n for c, n in of.items() if n} for at, of in parts.items()}
        return {at: of for at, of in found.items() if of}

    def record(self, at: Position) -> Record:
        if at.source.startswith("import:"):
            return next(one for one in self.world.files[at.source] if one.offset == at.offset)
        return next(record for place, record in self.records(self.world.topic.end) if place == at)

    def cause(self, at: Position, event: Event, others: set[Any], sign: int, sides: tuple[Seen, Seen]) -> str:
        if event.id is not None and (event.id, event.placed) in others:
            return "duplicates"
        if sign < 0 and self.erased(at, self.record(at), sys.maxsize):
            return "forgotten"
        if at.source.startswith("import:"):
            return "imports"
        if sign < 0 or at.offset < sides[0].end[Partition(at.source, at.partition)]:
            return "backfill"
        return "late" if self.late(at, sides) else "new"


def events(drawn: random.Random, count: int) -> Iterable[Event]:
    for _ in range(count):
        hour = drawn.choice([-50, -25, -1, 0, 1, 2])
        id_, shop = drawn.choice(["1", "2", "3", "4", None]), drawn.choice(["a", "b", None])
        amount = drawn.choice([0, 1, 2, 7, None, -1])
        yield Event(id_, BEGIN + timedelta(hours=hour), shop, amount, buyer=drawn.choice(["ann", "bob", None]))


def live(watched: Watched, drawn: random.Random, known: dict[Any, Event]) -> None:
    """One thing that happens."""
    world = watched.world
    often = ["epoch", "epoch", "epoch", "backlog", "refresh", "refresh", "wait", "import", "compact"]
    what = drawn.choice([*often, "forget", "erase", "erase"])
    if what in ("epoch", "backlog"):
        for one in events(drawn, drawn.randrange(1, 5)):
            event = known.setdefault((one.id, one.placed), one) if one.id else one
            value = b"{" if drawn.random() < 0.1 else event.encode(drawn.randrange(3))
            world.send(drawn.randrange(2), value, None if value == b"{" else event)
    if what == "epoch":
        world.run_speed([drawn.choice([1, 3, 99, 99])] * 3, split=drawn.choice([1, 2]))
    elif what == "refresh":
        world.run_archive([99])
        world.refresh("sales", rebuild=drawn.random() < 0.2)
    elif what == "wait":
        world.wait(timedelta(hours=11))
    elif what == "import":
        some = [known.setdefault((e.id, e.placed), e) if e.id else e for e in events(drawn, 2)]
        world.import_file([(event.encode(), event) for event in some])
    elif what == "compact":
        world.maintenance.after_epoch()
    elif what in ("forget", "erase"):
        world.run_archive([99])
        world.forget(drawn.choice(["ann", "bob"]))
        if what == "erase":
            world.hear()
            world.archive.forget()
    watched.look()
