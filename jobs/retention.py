"""Retention of the batch layer: versions are withdrawn, then removed; then what no entry lists is swept.

What is withdrawn is decided in the view's log, between two of its states, so that it is never what is served. Then the
definition's batch log says it too: a run that had not seen it is refused its next put. Only what both say is removed,
and only files that were unlisted then. So a process that is frozen anywhere in between, for however long, and wakes
when others have served, reserved and put, removes nothing that anybody came to need.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seamline.attempts import may_be_swept
from seamline.clock import Clock
from seamline.commitpoint import reach
from seamline.config import Settings
from seamline.entries.batch import Version, Withdrawn
from seamline.entries.views import Published
from seamline.errors import ConflictError
from seamline.history.batch import BatchHistory
from seamline.history.views import ViewHistory
from seamline.jobs.carried import spared
from seamline.lake import BACKFILLS, BATCH, RUNS, Lake
from seamline.ledger import HELD_GRACE, Log, newest
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.properties import Keep, batch_keep

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a definition is decided on, where others put meanwhile; then the next pass does."""


@dataclass(frozen=True)
class Retained:
    """What one pass removed: ledger entries, files, markers."""

    entries: int
    files: int
    markers: int


@dataclass(frozen=True)
class Settled:
    """What may be removed of a definition, as its logs say."""

    history: BatchHistory

    below: int = 0
    """Entries with lower numbers may."""

    files: Sequence[str] = ()
    """These may, too."""


def retain(lake: Lake, settings: Settings, clock: Clock) -> Retained:
    """One pass over the batch logs, files and markers of a lake. Safe beside running jobs and queries."""
    now = clock()
    one_pass = _Pass(Catalogue(lake), settings, now)
    kept = spared(lake)  # before the batch logs: what has led to a version by then is listed there
    old = _old_files(lake, now, kept)
    settled, listed = [], set[str]()
    for definition in lake.batches():
        history = BatchHistory(lake.batch_log(definition))
        settled.append(one_pass.settle(history, definition, old.pop(definition, ())))
        listed |= files_of(history.versions.values())
    reach("retention.after-settled")
    entries = sum(remove_below(one.history.log, one.below) for one in settled)
    entries += sum(trim(one_pass.catalogue.history(view), now) for view in one_pass.catalogue.states)
    entries += sum(trim_words(Log(lake.store, name), now) for name in newest(lake.store, BACKFILLS))
    strays = [path for paths in old.values() for path in paths if path not in listed]  # of no log: nobody puts them
    files = [path for one in settled for path in one.files] + strays
    markers = [item["path"] for item in lake.listed(RUNS) if _is_old(item, now) and item["path"] not in kept]
    lake.delete(files + markers)
    return Retained(entries, len(files), len(markers))


@dataclass(frozen=True)
class _Pass:
    """What one pass decides by."""

    catalogue: Catalogue
    settings: Settings
    now: datetime

    def settle(self, history: BatchHistory, definition: str, old: Sequence[str]) -> Settled:
        """Puts what is withdrawn of a definition into its logs, as far as nobody else puts meanwhile."""
        for _ in range(ATTEMPTS):
            with suppress(ConflictError):
                return self._settled(history, definition, old)
        logger.info("definition %s is worked on: its old versions and files are left to the next pass", definition)
        return Settled(history)

    def _settled(self, history: BatchHistory, definition: str, old: Sequence[str]) -> Settled:
        if history.by_request and history.gone:
            return Settled(history)  # what went with a request is removed for that (clearing.py)
        view, below = self.catalogue.history_of(definition), history.withdrawn
        if view is not None:
            view.catch_up()  # before the batch log: what is served by now stands there
            history.catch_up()
            below = max(history.withdrawn, lowest_needed(history, *self._kept(view.state, definition), self.now))
            reach("retention.before-view")
            if below > view.withdrawn.get(definition, 1):  # below the first stands nothing
                view.log.put_last(view.number + 1, Withdrawn(at=self.now, definition=definition, below=below))
        reach("retention.after-view")
        listed = files_of(history.versions.values())  # of withdrawn ones too: their files go in the pass after
        files = [path for path in old if path not in listed]
        if below > history.withdrawn or files:
            history.log.put_last(history.number + 1, Withdrawn(at=self.now, definition=definition, below=below))
        return Settled(history, below, files)

    def _kept(self, state: Published | None, definition: str) -> tuple[Keep, int | None]:
        """Which versions of a definition are restorable, and which is served."""
        if state is None or definition not in state.live:
            return Keep(), None
        keep = batch_keep(self.catalogue.properties(definition), self.settings.batch.keep_versions)
        return keep, state.version if state.served == definition else None


def lowest_needed(history: BatchHistory, keep: Keep, served: int | None, now: datetime) -> int:
    """The lowest entry that a restorable version, the served one, or a reservation that holds still needs; the last one
    where none does: it stays, so that numbers are never used again."""
    holding = {number: reserved for number, reserved in history.reserved.items() if reserved.until > now}
    held = {at for reserved in holding.values() for at in (reserved.base, reserved.kept)}
    wanted = {*keep.of(history.versions, now), served, *held}
    needed = [n for number in wanted for n in _down(history, number)]
    return min([*needed, *holding], default=max([*history.versions, *history.reserved], default=history.number))


def _down(history: BatchHistory, number: int | None) -> Iterable[int]:
    """A version and those it builds on, down to a complete one."""
    while number is not None and number in history.versions:
        yield number
        version = history.versions[number]
        number = None if version.complete else version.base


def remove_below(log: Log, below: int) -> int:
    """Oldest first; returns how many there were."""
    numbers = [number for number in log.numbers() if number < below]
    for number in numbers:
        log.remove(number)
    return len(numbers)


def trim(view: ViewHistory, now: datetime) -> int:
    """Removes what of a view's log a newer state holds, a while after that was put, oldest first; returns how many."""
    if view.state is None or not view.state.is_whole:
        return 0
    below = max((number for number, state in view.states.items() if now - state.at > HELD_GRACE), default=0)
    return remove_below(view.log, below)


def trim_words(log: Log, now: datetime) -> int:
    """The same of a log each of whose entries is the whole state."""
    last = log.last()
    entry = log.read(last) if last else None
    return remove_below(log, last) if entry is not None and now - entry.at > HELD_GRACE else 0


def files_of(versions: Iterable[Version]) -> set[str]:
    """The files that some versions list."""
    return {file.path for version in versions for files in version.units.values() for file in files}


def _old_files(lake: Lake, now: datetime, kept: Collection[str]) -> dict[str, list[str]]:
    """Data files old enough for a sweep, but for those kept, by their definition."""
    found = defaultdict[str, list[str]](list)
    for item in lake.listed(BATCH):
        if _is_old(item, now) and item["path"] not in kept:
            found[item["path"].removeprefix(BATCH).partition("/")[0]].append(item["path"])
    return found


def _is_old(item: Mapping[str, Any], now: datetime) -> bool:
    return may_be_swept(item["last_modified"], now)
