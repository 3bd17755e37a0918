"""Retention of the batch layer: old versions stop being restorable, then what no entry lists is swept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import obstore

from seamline.clock import Clock
from seamline.config import Settings
from seamline.entries import Version
from seamline.history import BatchHistory
from seamline.jobs.reserve import SWEPT_AFTER
from seamline.lake import BATCH, RUNS, Lake
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.properties import Keep, batch_keep


@dataclass(frozen=True)
class Retained:
    """What one pass removed: ledger entries, files, markers."""

    entries: int
    files: int
    markers: int


def retain(lake: Lake, settings: Settings, clock: Clock) -> Retained:
    """One pass over the batch logs, files and markers of a lake. Safe beside running jobs and queries."""
    now = clock()
    catalogue = Catalogue(lake)
    served = {state.served: state.version for state in catalogue.states.values()}
    live = {definition for state in catalogue.states.values() for definition in state.live}
    entries, listed = 0, set[str]()
    for definition in lake.batches():
        history = BatchHistory(lake.batch_log(definition))
        own = catalogue.properties(definition)
        keep = batch_keep(own, settings.batch.keep_versions) if definition in live else Keep()
        first = lowest_needed(history, keep, served.get(definition), now)
        listed |= _files(history.versions.values())  # of removed entries too: their files go a day after they went
        for number in range(history.log.first(), first):
            history.log.remove(number)
            entries += 1
    files = _sweep(lake, BATCH, now, listed)
    return Retained(entries, files, _sweep(lake, RUNS, now, set()))


def lowest_needed(history: BatchHistory, keep: Keep, served: int | None, now: datetime) -> int:
    """The lowest entry that a restorable version, the served one, or a reservation that holds still needs; the last one
    where none does: it stays, so that numbers are never used again."""
    holding = {number: reserved for number, reserved in history.reserved.items() if reserved.until > now}
    wanted = {*keep.of(history.versions, now), served, *(reserved.base for reserved in holding.values())}
    needed = [n for number in wanted for n in _down(history, number)]
    return min([*needed, *holding], default=history.number)


def _down(history: BatchHistory, number: int | None) -> Iterable[int]:
    """A version and those it builds on, down to a complete one."""
    while number is not None and number in history.versions:
        yield number
        version = history.versions[number]
        number = None if version.complete else version.base


def _files(versions: Iterable[Version]) -> set[str]:
    return {file.path for version in versions for files in version.units.values() for file in files}


def _sweep(lake: Lake, prefix: str, now: datetime, listed: set[str]) -> int:
    swept = 0
    for item in lake.listed(prefix):
        if item["path"] not in listed and now - item["last_modified"] > SWEPT_AFTER:
            obstore.delete(lake.store, item["path"])
            swept += 1
    return swept
