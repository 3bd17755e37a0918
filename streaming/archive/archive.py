"""The archive role: every record ever read, appended to the raw tables, then one ledger entry.

`Archive` knows neither Spark nor Kafka. Files are written by the tasks; the driver commits them to each table, then
puts the entry. A table that is ahead of the ledger (death in between) is restored before anything else is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from itertools import chain

import pyarrow as pa

from seamline.attempts import check_age
from seamline.claims import Stay
from seamline.clock import Clock, system_clock
from seamline.commitpoint import reach
from seamline.entries.archive import Archived, Begins, Imported, Maintained
from seamline.entries.base import Counts
from seamline.errors import ConflictError, TransientError
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.forget import ForgetHistory
from seamline.history.speed import SpeedHistory
from seamline.kernel import Kernel, Limits
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.observe.timed import EMPTY, OK, step, timed
from seamline.sides.raw import RawFile, raw_files
from seamline.streaming.archive import refile
from seamline.streaming.archive.erasing import Erasing
from seamline.streaming.archive.expiring import Expiring, Going, due, files_of_gone
from seamline.streaming.archive.filing import FilingJob, LeftOut, Shelf, filing_task, fitted
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.archive.merges import WHOLE, Growth, merges
from seamline.streaming.archive.refile import Holdings
from seamline.streaming.archive.snapshots import SNAPSHOT_EVERY, Snapshots
from seamline.streaming.archive.tables import Fence, Joined, RawTable
from seamline.streaming.archive.vacuum import log_before, pinned, unneeded
from seamline.streaming.gathered import gather
from seamline.streaming.logtime import LogTime
from seamline.streaming.tasks import Task, Tasks
from seamline.streaming.topic_check import Check, no_check

log = logging.getLogger(__name__)

CLEARED_GRACE = timedelta(hours=1)
"""What nothing served needs any more can be read for so long: longer than the longest query."""

RETENTION = timedelta(days=1)
"""Raw as it stood can be read for so long at least (`archive.retention_hours`)."""


class Archive:
    """The archive of one stream between its claim and its end. Not safe to use from several threads at once.

    `origin`: where a stream without entries begins; `check` raises where a topic is not the one it was.

    What changes: `history` and `tables` with each entry; `origin` by `begin`; `shelves`, and the tables for them, by
    `use`. Between a commit to a raw table and the entry that names it, memory may be ahead of the ledger.
    """

    def __init__(
        self,
        lake: Lake,
        stream: str,
        writer: Writer,
        shelves: Sequence[Shelf],
        *,
        engine: Kernel | None = None,
        clock: Clock = system_clock,
        check: Check = no_check,
        origin: Frontier | None = None,
        snapshot_every: int = SNAPSHOT_EVERY,
        retention: timedelta = RETENTION,
    ) -> None:
        self.lake = lake
        self.stream = stream
        self.writer = writer
        self.clock = clock
        self.check = check
        self.origin = origin or Frontier()
        self.retention = retention
        self.engine = engine or lake.kernel()
        self.history = ArchiveHistory(lake.archive_log(stream))
        self.tables: dict[str, RawTable] = {}
        self.shelves: tuple[Shelf, ...] = ()
        self._forgets = ForgetHistory(lake.forget_log(stream))
        self._cleared: set[int] = set()
        self._time = LogTime()
        self._growth = Growth()
        self._snapshots = Snapshots(self.history, writer, clock, snapshot_every)
        self._unfinished = False
        self.use(shelves)

    @property
    def frontier(self) -> Frontier:
        """Where the next entry starts."""
        return self.history.frontier if self.history.begun else self.origin

    @property
    def holdings(self) -> Holdings:
        """What records are filed again from."""
        return Holdings(self.lake, self.engine, self.shelves, self.tables, self.history, self.forgotten)

    def use(self, shelves: Sequence[Shelf]) -> None:
        """Files by these from now on: tables are made, restored and widened; what was refused before is tried again."""
        if self._unfinished:
            self.tables.clear()
        new = []
        with self._writing():
            for shelf in shelves:
                if shelf.table not in self.tables:
                    self.tables[shelf.table] = self._open(shelf)
                    new += [shelf.table] if shelf.table not in self.history.tables else []
            self.shelves = tuple(self._fitted(shelf) for shelf in shelves)
        self._unfinished = False
        self._file_again(*refile.filled(self.holdings, new))
        self._file_again(*refile.mended(self.holdings))
        self._maintained()

    def _fitted(self, shelf: Shelf) -> Shelf:
        return fitted(shelf, self.tables[shelf.table], self.engine, self.history.first_date(shelf.contract))

    @property
    def forgotten(self) -> LeftOut:
        """Which records were taken out of raw: copies of them are not filed any more."""
        found: dict[str, tuple[str, ...]] = {}
        for number in self.history.erased.keys() & self._forgets.requests.keys():
            one = self._forgets.requests[number]
            found[one.contract] = (*found.get(one.contract, ()), one.file)
        return found

    def forget(self) -> bool:
        """Takes the records of requests that have come out of every raw table that the ledger names, and commits that
        over an empty range. False where there are none.

        A request waits until raw holds what speed has read before it knew of it: so whatever was served of a copy stood
        in raw, for the audit to see, and whatever comes later counts in neither layer.
        """
        self._forgets.catch_up()
        new = {n: one for n, one in self._forgets.requests.items() if n not in self.history.erased}
        speed = SpeedHistory(self.lake.speed_log(self.stream)) if new else None
        if speed is None:
            return False
        known = {number: speed.forgets_from(number) for number in new}
        new = {n: one for n, one in new.items() if (at := known[n]) is not None and at <= self.frontier}
        if not new:
            return False
        erasing, began = Erasing(self.lake, self.engine, new), self.clock()
        self._open_former()
        before, shelves = self.versions(), {shelf.table: shelf for shelf in self.shelves}
        rewritten = [one for path, table in sorted(self.tables.items()) for one in erasing.of(shelves.get(path), table)]
        reach("forget.after-rewritten")
        with self._writing():
            for path in sorted({one.former.table for one in rewritten}):
                self.tables[path].exchange([one for one in rewritten if one.former.table == path])
        reach("forget.after-erased")
        self._sync(files_by_table(one.file for one in rewritten if one.file))
        check_age(began, self.clock())
        said = {"tables": self.versions(), "dates": erasing.dates(rewritten), "erased": (*new,), "before": before}
        said |= {"begins": self._begun_anew({one.contract for one in new.values()})}
        self.writer.put(self._beside(erasing.counts(rewritten)).model_copy(update=said))
        reach("forget.after-raw")
        self.history.catch_up()
        self._unfinished = False
        return True

    def let_go(self, ends: Frontier | None) -> dict[str, Going | Stay]:
        """Takes event dates that are past their retention, and that nobody needs, out of raw, as `expiring` says, and
        commits that over an empty range; returns, by contract, what went, or why it waits. `ends`: where the topics'
        partitions end now, if anybody knows.

        What is due moves once a day; while it waits, a look takes what `expiring` says.
        """
        time, found = self._time.lowest(self.frontier, ends), dict[str, Going | Stay]()
        for shelf in [one for one in self.shelves if one.label == one.contract]:
            before, begun = due(shelf.kept, time(shelf.topics)), self.history.first_date(shelf.contract)
            if before is None or (begun is not None and before <= begun):
                continue
            expiring = Expiring(self.lake, self.stream, self.engine, self.history, self.clock())
            going = expiring.going(shelf, before)
            if isinstance(going, Going):
                self._remove(going)
            if going is not None:
                found[shelf.contract] = going
        return found

    def _remove(self, going: Going) -> None:
        by_table = files_by_table(going.files)
        if not by_table.keys() <= self.tables.keys():
            self._open_former()
        reach("archive.before-gone")
        with self._writing():
            for path, files in sorted(by_table.items()):
                self.tables[path].remove(files)
        reach("archive.after-gone")
        self._sync()
        said = {"tables": self.versions(), "begins": {going.contract: going.begins}}
        self.writer.put(self._beside({}).model_copy(update=said))
        reach("archive.after-begins")
        self.history.catch_up()
        self._unfinished = False
        self.shelves = tuple(replace(one, begins=self.history.first_date(one.contract)) for one in self.shelves)

    def _begun_anew(self, contracts: Collection[str]) -> dict[str, Begins]:
        """Where raw of contracts begins whose records are forgotten: no version from before this writer's next entry
        has read what can be known of the dates that are gone, so none is built on."""
        return {
            name: Begins(date=begins.date, entry=self.writer.last + 1, end=self.frontier)
            for name, begins in self.history.begins.items()
            if name in contracts
        }

    def clear(self) -> list[str]:
        """Deletes what raw still holds of records that nothing served needs any more, an hour after that was so: files
        of older versions, all of dates that are gone, and what the tables' logs say of them. Returns the paths.

        What is to go is settled while the claim is this one's, as `vacuum` does: nobody needs it, since runs that read
        an older version are void.
        """
        self._forgets.catch_up()
        cleared, now = self._forgets.cleared, self.clock()
        due = {n: self._forgets.requests[n] for n, one in cleared.items() if now - one.at > CLEARED_GRACE}
        due = {n: one for n, one in due.items() if n not in self._cleared and n not in self._forgets.forgotten}
        going: list[str] = []
        for number in sorted(due.keys() & self.history.erased.keys()):
            erased, erasing = self.history.erased[number], Erasing(self.lake, self.engine, {number: due[number]})
            for table, days in erased.dates.items():
                going += erasing.left(table, days, self._standing(table))
            for table, version in erased.after.items():
                if version != erased.before.get(table):
                    going += log_before(self.lake, table, version)
            first = self.history.first_date(contract := due[number].contract)
            waiting = Inbox(self.lake, self.stream).files() if first else ()
            gone = files_of_gone(self.lake, contract, erased.after, first) if first else ()
            going += [path for path in gone if path not in waiting]
        reach("archive.after-settled")
        if due:
            self.writer.check()
            self.lake.delete(going)
            self._cleared |= due.keys()
        return going

    def _standing(self, table: str) -> frozenset[str]:
        """The files of a table as it is named now."""
        return frozenset(file.path for file in raw_files(self.lake, table, self.history.tables.get(table)))

    def _open_former(self) -> None:
        """Opens the tables that nothing is filed in any more, to write them."""
        with self._writing():
            for path in sorted(self.history.tables.keys() - self.tables.keys()):
                self.tables[path] = RawTable(self.lake, path, fence=Fence.of(self.writer, self._named))
                self.tables[path].restore(self._named(path))
                self.tables[path].fit(pa.schema([]))

    def begin(self, origin: Frontier) -> None:
        """A stream that has no entry yet begins at `origin`. After an attempt that did not come to its entry: as a new
        process would begin."""
        self.origin = origin
        if self._unfinished:
            self.use(self.shelves)

    def _open(self, shelf: Shelf) -> RawTable:
        table = RawTable(self.lake, shelf.table, shelf.schema(self.engine), fence=Fence.of(self.writer, self._named))
        table.restore(self._named(shelf.table))
        self._growth.add(table.listed, self.clock())
        return table

    def _named(self, path: str) -> int:
        return self.history.tables.get(path, 0)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Around commits to raw tables. Raises WRITER_CONFLICT where another process wrote one: transient while the
        claim is still this one's, since the other then cannot go on, and the next start restores the table."""
        self.writer.check()
        self._unfinished = True
        try:
            yield
        except ConflictError as error:
            self.writer.check()
            raise TransientError(error.condition, error.message, hint=error.hint, where=error.where) from error

    def run_batch(self, tasks: Tasks, stop: Frontier = START) -> Archived | None:
        """Files and commits what `tasks` read. None, and nothing committed, where they read nothing.

        `stop`: where topics are left.
        """
        with timed("append", stream=self.stream) as work:
            entry = self._run_batch(tasks, stop)
            work.comes_to(OK if entry is not None else EMPTY)
            return entry

    def _run_batch(self, tasks: Tasks, stop: Frontier) -> Archived | None:
        began = self.clock()
        limits = Limits(self.engine.limits.folders, self.engine.limits.memory, 1)
        job = FilingJob(self.lake.uri, self.frontier, limits, stop, self.forgotten)
        with step("append", "read", stream=self.stream):
            seen = gather(tasks(Task(self.shelves, partial(filing_task, job=job))))
        if not seen.read:
            return None
        files = [RawFile(**one) for one in seen.files]
        entry = Archived(
            at=began, claim=self.writer.claim, start=self.frontier, end=self.frontier.join(seen.end), tables={},
            dates={}, counts=seen.filed, newest=seen.latest,
        )  # fmt: skip
        with step("append", "commit", stream=self.stream):
            committed = self.commit(entry, files)
        self._time.read(seen.newest, began)
        return committed

    def advance(self, passed: Frontier) -> Archived | None:
        """Commits that no record is left to be read below `passed`. None, and nothing committed, where that stands."""
        if passed <= self.frontier:
            return None
        entry = Archived(
            at=self.clock(), claim=self.writer.claim, start=self.frontier, end=self.frontier.join(passed), tables={},
            dates={},
        )  # fmt: skip
        return self.commit(entry, [])

    def commit(self, entry: Archived, files: Sequence[RawFile]) -> Archived:
        """Adds files to their tables, one Delta commit each, then puts the entry, which names the versions."""
        reach("archive.before-delta")
        by_table = files_by_table(files)
        with self._writing():
            reach("archive.after-check")
            for path, of_table in sorted(by_table.items()):
                self.tables[path].add(of_table)
        reach("archive.after-delta")
        self._sync(by_table)
        self.check()
        check_age(entry.at, self.clock())
        dates = {path: tuple(sorted({date.fromisoformat(f.day) for f in fs})) for path, fs in sorted(by_table.items())}
        entry = entry.model_copy(update={"tables": self.versions(), "dates": dates})
        self.writer.put(entry)
        reach("archive.after-entry")
        self.history.catch_up()
        self._unfinished = False
        self._growth.add(files, self.clock())
        return entry

    def _sync(self, written: Mapping[str, Sequence[RawFile]] | None = None) -> None:
        """Makes all that the next entry names outlast a power loss: files, and what Delta's logs say of them."""
        files = (file.path for of_table in (written or {}).values() for file in of_table)
        tables = ((table, self.history.tables.get(path, -1)) for path, table in self.tables.items())
        self.lake.sync(chain(files, (path for table, since in tables for path in table.log_files(since))))

    def take_all(self, inbox: Inbox) -> int:
        """Commits what is asked for; returns how many imports that made. One for a contract not known yet is left."""
        taken = 0
        for request in inbox.requests():
            fresh = self.clock() - request.at <= self.retention / 4
            fresh = fresh and request.imported.contract not in self.forgotten
            filed = refile.requested(self.holdings, request, fresh=fresh)
            if filed is None:
                log.warning("%s waits: its contract is not one of the stream's", request.path)
                continue
            taken += self.take_import(request.imported, *filed) is not None
            inbox.remove(request)
        return taken

    def take_import(
        self, imported: Imported, files: Sequence[RawFile], counts: Mapping[str, Counts]
    ) -> Archived | None:
        """Makes a whole file part of the archive; None where it is already."""
        known = imported.source in self.history.imports
        return None if known else self.commit(self._beside(counts, (imported,)), files)

    def _file_again(self, files: Sequence[RawFile], counts: Mapping[str, Counts]) -> None:
        """Commits records that were read before; nothing where there are none."""
        if files:
            self.commit(self._beside(counts), files)

    def _beside(self, counts: Mapping[str, Counts], imports: tuple[Imported, ...] = ()) -> Archived:
        """An entry over an empty range."""
        return Archived(
            at=self.clock(), claim=self.writer.claim, start=self.frontier, end=self.frontier, tables={}, dates={},
            counts=dict(counts), imports=imports,
        )  # fmt: skip

    def versions(self) -> dict[str, int]:
        """Every raw table of the stream and its version; those that are not written any more too."""
        return {**self.history.tables, **{path: table.version for path, table in self.tables.items()}}

    def maintain(self) -> Maintained | None:
        """Puts files of dates that grew together, as `merges` says: about WHOLE bytes at once, a commit for each table;
        keeps the log short.

        What cannot be read now is left as it is.
        """
        due, left = self._growth.due(self.clock()), WHOLE
        for path in sorted({table for table, _ in due} & self.tables.keys()):
            joined: list[Joined] = []
            for day, files in self.tables[path].of_days(day for table, day in due if table == path).items():
                if left > 0:
                    groups = merges(files, due[path, day])
                    joined += self._joined(path, groups)
                    left -= sum(file.size for group in groups for file in group)
                    self._growth.looked_at(path, day, due[path, day])
            if joined:
                reach("archive.after-joined")
                with self._writing():
                    self.tables[path].swap(joined)
                reach("archive.after-swap")
                self.lake.sync(file.path for _, file in joined)
        maintained = self._maintained()
        self._snapshots.keep()
        return maintained

    def _joined(self, path: str, groups: Iterable[Sequence[RawFile]]) -> Iterator[Joined]:
        for group in groups:
            try:
                yield group, self.tables[path].join(group)
            except TransientError as error:
                log.warning("files of %s on %s stay as they are for now: %s", path, group[0].day, error)

    def vacuum(self, spared: Callable[[], Collection[str]] = tuple) -> list[str]:
        """Deletes what nobody reads any more, as `vacuum` says, but for `spared`; returns the paths.

        What is to go is settled while the claim is this one's and stays what nobody needs: a process that is frozen
        before it deletes, and wakes when others have written, deletes nothing of theirs.
        """
        now = self.clock()
        pins = pinned(self.lake, now)
        going = [
            path
            for table in sorted(self.versions())
            for path in unneeded(self.lake, table, pins.get(table, ()), now, self.retention)
        ]
        without = frozenset(spared())
        going = [path for path in going if path not in without]
        reach("archive.after-settled")
        self.writer.check()
        self.lake.delete(going)
        return going

    def _maintained(self) -> Maintained | None:
        """Names the versions that tables have come to with the same rows, where there are any."""
        named = self.history.tables
        after = {**named, **{path: table.version for path, table in self.tables.items() if path in named}}
        entry = None
        if after != named:
            self._sync()
            entry = Maintained(at=self.clock(), claim=self.writer.claim, tables=after)
            self.writer.put(entry)
            self.history.catch_up()
        self._unfinished = False
        return entry


def files_by_table(files: Iterable[RawFile]) -> dict[str, list[RawFile]]:
    """Files by the raw tables that they are for."""
    found: dict[str, list[RawFile]] = {}
    for file in files:
        found.setdefault(file.table, []).append(file)
    return found
