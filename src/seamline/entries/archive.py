"""Entries of an archive log: what stands in the raw tables, at which of their versions, and snapshots of the log."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from seamline.entries.base import Counts, EntryBase, Value, opened
from seamline.frontier import Frontier


class Imported(Value):
    """A whole file taken into the archive: one source with one partition, offsets are row numbers."""

    source: str
    contract: str
    rows: int


class Begins(Value):
    """Where a contract's raw begins: every event date before it is gone, in one entry or in several."""

    date: date

    entry: int
    """The newest of the archive's entries that had touched one of those dates,"""

    end: Frontier
    """and how far raw had come by it: what was computed from less than that lacks records of dates that are gone."""

    def were_read(self, cut: Frontier, entry: int) -> bool:
        """Whether a version with that cut, which has read the archive up to that entry, has read all of them."""
        return self.end <= cut and self.entry <= entry


class Archived(EntryBase):
    """Everything in (start, end] (and whole imports) stands in the raw tables at these versions."""

    kind: Literal["archived"] = "archived"
    claim: int
    start: Frontier
    end: Frontier

    tables: dict[str, int]
    """Raw table path to Delta version, for every raw table of the stream."""

    dates: dict[str, tuple[date, ...]]
    """Raw table to the event dates that this entry touched."""

    counts: dict[str, Counts] = {}
    imports: tuple[Imported, ...] = ()
    newest: datetime | None = None

    erased: tuple[int, ...] = ()
    """The requests of the forget log whose records it took out of the raw tables."""

    before: dict[str, int] = {}
    """Then, the versions of the raw tables that still held them."""

    begins: dict[str, Begins] = {}
    """By contract, where its raw begins from this entry on."""


class Erased(Value):
    """The records of a request were taken out of the raw tables."""

    request: int
    """Its number in the forget log."""

    entry: int
    """Of the archive's entry that says so."""

    before: dict[str, int]
    """The versions of the raw tables that were the last to hold them."""

    after: dict[str, int]
    """The first that do not."""

    dates: dict[str, tuple[date, ...]]
    """By raw table, the event dates that they stood under or count in."""


class Maintained(EntryBase):
    """The same rows at newer table versions: small files were put together, or a new writer has fenced the tables."""

    kind: Literal["maintained"] = "maintained"
    claim: int
    tables: dict[str, int]


class Touched(Value):
    """What some neighbouring entries took into raw, together."""

    number: int
    """The last of these entries."""

    since: datetime
    """When the first of them was put."""

    at: datetime
    """When the last was."""

    start: Frontier
    end: Frontier
    """The range that they committed."""

    dates: dict[str, tuple[date, ...]] | None
    """Raw table to the event dates that they touched; None: any."""

    beside: bool = False
    """Whether one took in records of no range: imports, or what was filed again."""


class ArchiveSnapshot(EntryBase):
    """All that the entries before it say: they are read no more, and go."""

    kind: Literal["snapshot"] = "snapshot"
    claim: int

    claims: tuple[int, ...]
    """The entries before it that are claims, which stay."""

    end: Frontier
    """How far raw reaches."""

    tables: dict[str, int]
    """Raw table path to Delta version."""

    counts: dict[str, Counts]
    """Of all that was archived."""

    imports: tuple[Imported, ...]
    """All that were taken in."""

    erased: tuple[Erased, ...] = ()
    begins: dict[str, Begins] = {}

    touched: str
    """What was touched when, oldest first, as `held` packs it: the older the coarser."""

    @property
    def is_whole(self) -> bool:
        return True

    def opened(self, where: str = "") -> tuple[Touched, ...]:
        """What was touched. Raises TerminalError LEDGER_FORMAT where it is damaged."""
        return opened(Touched, self.touched, where)
