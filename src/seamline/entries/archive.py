"""Entries of an archive log: what stands in the raw tables, and at which of their versions."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from seamline.entries.base import Counts, EntryBase, Value
from seamline.frontier import Frontier


class Imported(Value):
    """A whole file taken into the archive: one source with one partition, offsets are row numbers."""

    source: str
    contract: str
    rows: int


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


class Maintained(EntryBase):
    """The same rows at newer table versions: small files were put together, or a new writer has fenced the tables."""

    kind: Literal["maintained"] = "maintained"
    claim: int
    tables: dict[str, int]
