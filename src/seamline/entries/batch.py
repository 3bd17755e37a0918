"""Entries of a definition's batch log: runs under way, the versions they led to, and which are withdrawn."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from seamline.entries.base import Counts, DataFile, EntryBase, Stored, Value
from seamline.frontier import Frontier


class Reserved(EntryBase):
    """A batch run works towards this cut; no compaction may cross it, no epoch after it go, until `until`."""

    kind: Literal["reserved"] = "reserved"
    run: str
    cut: Frontier
    until: datetime
    base: int | None = None
    archive_entry: int

    tables: dict[str, int] | None = None
    """The version of each raw table that it reads; None: written before, and no run goes on with it."""

    dates: dict[str, tuple[date, ...]] | None = None
    """By raw table, the event dates that it recomputes; None: every date."""

    imports: tuple[str, ...] = ()
    """The sources of whole imports that it reads."""

    view_entry: int = 0
    """The view's newest state that the run saw: once another version was served, it starts afresh."""

    folded: int | None = None
    """As in the version it leads to."""

    asked: str = ""
    """As in the version it leads to."""

    backfill: str = ""
    """As in the version it leads to."""

    skipped: dict[str, str] = {}
    """As in the version it leads to, of this run alone."""

    gone: dict[str, date] = {}
    """As in the version it leads to."""

    kept: int | None = None
    """Where it builds on no version: the one whose dates stand of which raw is gone."""


class ColumnDrift(Value):
    """One column's difference between what was served and what was recomputed, at the same cut."""

    column: str
    groups: int
    largest: str
    explained: str = ""


class Verified(Value):
    """A sample of a version's groups, computed another way, against what will be served."""

    groups: int = 0
    """Of the sample."""

    checked: int = 0
    """Those of them that were."""

    left: dict[str, int] = {}
    """How many were not, by why."""

    unchecked: dict[str, str] = {}
    """Columns that nothing else evaluates, by why."""

    wrong: tuple[ColumnDrift, ...] = ()
    """Columns that differ, of `(group)` and `(events)` too."""

    note: str = ""
    """Why nothing was looked at."""


class Audit(Value):
    """Old version + epochs up to the new cut, against the new version at that cut (law 6), and a sample of that version
    against raw."""

    compared: bool
    groups: int = 0
    drift: tuple[ColumnDrift, ...] = ()
    explained: tuple[ColumnDrift, ...] = ()
    disagreeing_copies: int = 0
    note: str = ""

    verified: Verified | None = None
    """The sample; None: written before there was one."""

    @property
    def wrong(self) -> tuple[ColumnDrift, ...]:
        """Columns that another evaluator computes otherwise: never published without an operator's word."""
        return self.verified.wrong if self.verified else ()

    @property
    def clean(self) -> bool:
        """No difference but explained ones."""
        return not self.drift and not self.wrong


class Version(EntryBase, Stored):
    """A batch version: the segment (origin, cut] recomputed from the archive."""

    kind: Literal["version"] = "version"
    run: str
    cut: Frontier

    base: int | None
    """The version in which units that are not listed here still stand."""

    complete: bool
    """Every unit is listed."""

    folded: int | None = None
    """Of a view over a view, the version of its base definition whose units it was folded from; None: from raw."""

    asked: str = ""
    """The event dates that an operator wanted recomputed, whatever had changed: from..to, both included; '': none."""

    backfill: str = ""
    """The id of the backfill that asked for them; '': none."""

    skipped: dict[str, str] = {}
    """Whole dates that an operator wanted recomputed, and then left as they were, by whose word: until they are."""

    gone: dict[str, date] = {}
    """By raw table that it read, the event date before which that held nothing any more: what stands here of earlier
    ones was computed before, and carried."""

    begins: dict[str, date] = {}
    """By contract, the event date before which it holds nothing, since raw held nothing any more when the definition
    was first built."""

    units: dict[str, tuple[DataFile, ...]]
    """Unit (`seamline.units` says how they are named) to its files, for the event dates that were rewritten."""

    archive_entry: int

    tables: dict[str, int] | None = None
    """The version of each raw table that was read; None: written before, and nobody knows."""

    imports: tuple[str, ...] = ()
    """The sources of whole imports that it holds."""

    counts: Counts = Counts()
    """Law 3's, of all units that stand."""

    cpu: float = 0.0
    """Seconds of CPU that its units took; 0: nobody knows."""

    unit_counts: dict[str, Counts] = {}
    """Law 3's, of the units listed here."""

    audit: Audit = Audit(compared=False)
    kernel: str

    raw: str = ""
    """Where its audit found drift, the raw files that it was computed from (`raw.fingerprint`): while they stand,
    computing it again would give the same."""


class Withdrawn(EntryBase):
    """Batch versions of a definition with numbers below `below` are never served again, and may be removed.

    It stands twice, and retention removes only what both say: in the view's log, between two states, so that what is
    served next has seen it; then in the definition's batch log, so that a run that had not seen it puts nothing.
    """

    kind: Literal["withdrawn"] = "withdrawn"
    definition: str
    below: int

    forgets: int = 0
    """The newest request of the stream's forget log whose records had gone from raw when it was put, if it was put for
    one: whatever was reserved before may have read them, and leads to no version."""
