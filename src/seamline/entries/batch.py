"""Entries of a definition's batch log: runs under way, the versions they led to, and which are withdrawn."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from seamline.entries.base import Counts, DataFile, EntryBase, Stored, Value
from seamline.frontier import Frontier


class Reserved(EntryBase):
    """A batch run works towards this cut; no compaction may cross it, no epoch after it go, until `until`.

    `view_entry` is the view's newest state that the run saw: once another version was served, it starts afresh.
    `folded`: as in the version it leads to.
    """

    kind: Literal["reserved"] = "reserved"
    run: str
    cut: Frontier
    until: datetime
    base: int | None = None
    archive_entry: int
    view_entry: int = 0
    folded: int | None = None


class ColumnDrift(Value):
    """One column's difference between what was served and what was recomputed, at the same cut."""

    column: str
    groups: int
    largest: str
    explained: str = ""


class Verified(Value):
    """A sample of a version's groups, computed another way, against what will be served.

    groups: of the sample; checked: of those; left: how many were not, by why; unchecked: columns that nothing else
    evaluates, by why; wrong: columns that differ, of `(group)` and `(events)` too; note: why nothing was looked at.
    """

    groups: int = 0
    checked: int = 0
    left: dict[str, int] = {}
    unchecked: dict[str, str] = {}
    wrong: tuple[ColumnDrift, ...] = ()
    note: str = ""


class Audit(Value):
    """Old version + epochs up to the new cut, against the new version at that cut (law 6), and a sample of that version
    against raw. `verified` None: written before there was one."""

    compared: bool
    groups: int = 0
    drift: tuple[ColumnDrift, ...] = ()
    explained: tuple[ColumnDrift, ...] = ()
    disagreeing_copies: int = 0
    note: str = ""
    verified: Verified | None = None

    @property
    def wrong(self) -> tuple[ColumnDrift, ...]:
        """Columns that another evaluator computes otherwise: never published without an operator's word."""
        return self.verified.wrong if self.verified else ()

    @property
    def clean(self) -> bool:
        """No difference but explained ones."""
        return not self.drift and not self.wrong


class Version(EntryBase, Stored):
    """A batch version: the segment (origin, cut] recomputed from the archive.

    `units`: unit (`seamline.units` says how they are named) to its files, for the event dates that were rewritten; the
    others still stand in `base`.
    With `complete` every unit is listed. `imports` are the sources of whole imports it holds.
    `folded`: of a view over a view, the version of its base definition whose units it was folded from; None: from raw.
    `raw`: where its audit found drift, the raw files that it was computed from (`raw.fingerprint`): while they
    stand, computing it again would give the same.
    `unit_counts` are law 3's counts of the units listed here, `counts` of all units that stand.
    """

    kind: Literal["version"] = "version"
    run: str
    cut: Frontier
    base: int | None
    complete: bool
    folded: int | None = None
    units: dict[str, tuple[DataFile, ...]]
    archive_entry: int
    imports: tuple[str, ...] = ()
    counts: Counts = Counts()
    unit_counts: dict[str, Counts] = {}
    audit: Audit = Audit(compared=False)
    kernel: str
    raw: str = ""


class Withdrawn(EntryBase):
    """Batch versions of a definition with numbers below `below` are never served again, and may be removed.

    It stands twice, and retention removes only what both say: in the view's log, between two states, so that what is
    served next has seen it; then in the definition's batch log, so that a run that had not seen it puts nothing.
    """

    kind: Literal["withdrawn"] = "withdrawn"
    definition: str
    below: int
