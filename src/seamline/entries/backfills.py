"""Entries of a view's backfill log: what operators want recomputed, and their words to it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from seamline.entries.base import EntryBase, Value
from seamline.frontier import Frontier


class Attempted(Value):
    """A run of a backfill: units that it has done are kept, and are good for a later one where nothing touched them."""

    run: str
    at: datetime
    cut: Frontier
    archive_entry: int


class Word(Value):
    """What somebody said, and when."""

    at: datetime
    by: str
    text: str = ""


class Backfill(Value):
    """Event dates of a view that an operator wants recomputed, until a version that does so is served."""

    id: str
    view: str

    asked: str
    """The event dates, from..to, both included; '..' is all of them."""

    definition: str
    """The one that was served when it was asked for: it is recomputed under no other."""

    since: datetime
    by: str
    paused: Word | None = None

    skipped: dict[str, Word] = {}
    """Whole event dates, as units are named, that keep their old files."""

    failed: dict[str, str] = {}
    """Units that failed as often as is tried, by why; of the newest run."""

    runs: tuple[Attempted, ...] = ()
    """Oldest first."""

    built: int | None = None
    """The version that was built beside what is served, to be looked at."""


class Ended(Value):
    """A backfill that is over."""

    id: str
    view: str
    asked: str
    at: datetime
    by: str

    version: int | None = None
    """What it led to; None: it was cancelled."""


class Backfills(EntryBase):
    """The whole state of a view's backfills."""

    kind: Literal["backfills"] = "backfills"
    open: tuple[Backfill, ...] = ()
    ended: tuple[Ended, ...] = ()

    @property
    def is_whole(self) -> bool:
        return True
