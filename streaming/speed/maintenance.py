"""Upkeep of a speed log by its one writer, between micro-batches: compaction, retirement, sweeping."""

from __future__ import annotations

import logging
from datetime import timedelta

from seamline.commitpoint import reach
from seamline.config import Settings
from seamline.entries.speed import Compacted, Retired
from seamline.errors import SeamlineError
from seamline.frontier import Frontier, joined
from seamline.history.batch import BatchHistory
from seamline.kernel import KERNEL_VERSION
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.stored import unread
from seamline.schemas.views.properties import batch_keep, speed_retention
from seamline.slices import Merging
from seamline.streaming.every import Every
from seamline.streaming.reach import Reach
from seamline.streaming.speed.compact import (
    Link,
    cover,
    due,
    needed_cuts,
    plan_compaction,
    plan_ids_alone,
    plan_retirement,
    plan_sweep,
    removed_below,
)
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.speed.together import compact_run, keep_ids

log = logging.getLogger(__name__)

SWEEP_EVERY = timedelta(hours=6)

SNAPSHOT_EVERY = 64
"""Entries after which the next snapshot is put: who opens the log reads at most so many besides."""


class Maintenance:
    """Knows when upkeep is due, and does a little of it at a time: a batch that waits for it is not fresh.

    What changes: up to which epoch there was nothing to compact, by `after_epoch`.
    """

    def __init__(
        self, speed: Speed, catalogue: Catalogue, settings: Settings, snapshot_every: int = SNAPSHOT_EVERY
    ) -> None:
        self.speed = speed
        self.catalogue = catalogue
        self.settings = settings
        self._batches: dict[str, BatchHistory] = {}
        self._archived = Reach(speed.lake.archive_log(speed.stream))
        self._archived.load()
        self._looked_at = 0
        self._snapshot_every = snapshot_every
        self._retire = Every(timedelta(seconds=settings.speed.retire_seconds), speed.clock())
        self._sweep = Every(SWEEP_EVERY, speed.clock())

    def after_epoch(self) -> None:
        """Puts a snapshot, or compacts one run, as soon as there can be one."""
        history = self.speed.history
        if history.number - max(history.snapshots, default=0) >= self._snapshot_every:
            self.snapshot()
        size = self.settings.speed.compact_epochs
        if history.last_epoch - self._looked_at < size:
            return
        if not self.compact():
            self._looked_at = history.last_epoch

    def between_batches(self) -> None:
        """Retires, removes and sweeps when it is due."""
        now = self.speed.clock()
        if self.speed.forgets.cleared:
            self.forget()
        if self._retire.due(now):
            self.retire()
            self.remove()
        if self._sweep.due(now):
            self.sweep()

    def compact(self) -> Compacted | None:
        """Compacts the first run that may be; None where there is none."""
        size = self.settings.speed.compact_epochs
        links, now = cover(self.speed.history), self.speed.clock()
        run = plan_compaction(links, self.cuts(), size, now, self._reads)
        return compact_run(self.speed, run, self._merges(run)) if run else None

    def forget(self) -> Compacted | None:
        """Where nothing that is served needs epochs any more which hold records that are forgotten, keeps their ids
        alone. The newest epoch always stays, so one without records comes after them first."""
        forgets = self.speed.forgets
        cut = joined(one.cut for number, one in forgets.cleared.items() if number not in forgets.forgotten)
        run = plan_ids_alone(self.speed.history, cut)
        if not run:
            return None
        if run[-1].last == self.speed.history.last_epoch:
            self.speed.announce(wanted=True)
        return keep_ids(self.speed, run)

    def retire(self) -> Retired | None:
        """Puts what may go out of readers' sight."""
        history, now = self.speed.history, self.speed.clock()
        as_of = timedelta(hours=self.settings.speed.as_of_hours)
        since = self.speed.remembered.since
        planned = plan_retirement(history, self.cuts(), now, self._retention(), as_of, since)
        if planned is None:
            return None
        entry = Retired(at=now, claim=self.speed.writer.claim, last=planned[0], replaced=planned[1])
        self.speed.writer.put(entry)
        history.catch_up()
        return entry

    def snapshot(self) -> None:
        """Says in one entry where all that stands is. Takes time by that."""
        history = self.speed.history
        self.speed.writer.put(history.summed(self.speed.writer.claim, self.speed.clock()))
        reach("snapshot.after-entry")
        history.catch_up()

    def remove(self) -> int:
        """Removes entries that were superseded a while ago, and their files; returns how many. What stands after the
        newest snapshot waits for one of its own."""
        history, now = self.speed.history, self.speed.clock()
        newest = max(history.snapshots, default=0)
        if newest and any(one.number > newest for one in due(history.superseded.values(), history.number, now)):
            self.snapshot()
        below = removed_below(history.snapshots, history.number, now)
        left = due(history.superseded.values(), below, now)
        if not left:
            return 0
        self.speed.lake.delete(path for one in left for path in one.paths)
        reach("sweep.after-files")
        history.log.remove_all(one.number for one in left if one.held)
        reach("sweep.after-held")
        for one in left:
            if not one.held:  # in order: what says that others were dropped goes after them
                history.log.remove(one.number)
        history.removed(one.number for one in left)
        return len(left)

    def sweep(self) -> int:
        """Deletes files that nobody can need; returns how many."""
        lake, now = self.speed.lake, self.speed.clock()  # before the listing: what is listed young stays
        listed = [(item["path"], item["last_modified"]) for item in lake.listed(lake.speed_prefix(self.speed.stream))]
        files = plan_sweep(self.speed.history, listed, now)
        lake.delete(files)
        return len(files)

    def cuts(self) -> list[Frontier]:
        """Where chains of this stream may have to start, as the ledger stands now."""
        definitions = [one.hash for one in self.catalogue.live(self.speed.stream)]
        for definition in definitions:
            if definition in self._batches:
                self._batches[definition].catch_up()
            else:
                self._batches[definition] = BatchHistory(self.speed.lake.batch_log(definition))
        default = self.settings.batch.keep_versions
        keeps = {one: batch_keep(self.catalogue.properties(one), default) for one in definitions}
        states = self.catalogue.states.values()
        archived = self._archived.catch_up()
        return needed_cuts(definitions, states, self._batches, self.speed.history, keeps, archived, self.speed.clock())

    def _reads(self, link: Link) -> bool:
        """Whether today's statements read all of a segment; of a definition that cannot be compiled nobody knows."""
        if (link.entry.kernel, link.entry.layout) == (KERNEL_VERSION, LAYOUT):
            return True
        try:
            return not any(unread(self.catalogue.definition(one), link.entry) for one in link.definitions)
        except SeamlineError:
            return False

    def _merges(self, run: tuple[Link, ...]) -> dict[str, Merging]:
        """How a run's definitions merge; without it, rows are put together as they are."""
        merges = {}
        for definition in run[0].definitions:
            try:
                merges[definition] = self.catalogue.definition(definition).merging
            except SeamlineError as error:
                log.info("epochs of definition %s are put together without merging: %s", definition, error)
        return merges

    def _retention(self) -> timedelta:
        """The longest that a live view of the stream asks for: its epochs hold all of them."""
        default = timedelta(hours=self.settings.speed.retention_hours)
        live = self.catalogue.live(self.speed.stream)
        return max((speed_retention(one.properties, default) for one in live), default=default)
