"""Entries of a view's log of verifications: what was served, against what raw says of it."""

from __future__ import annotations

from datetime import date
from typing import Literal

from seamline.entries.base import EntryBase
from seamline.entries.batch import ColumnDrift


class Comparison(EntryBase):
    """A batch version that was served, compared with its view's own SELECT over raw events, at its cut."""

    kind: Literal["comparison"] = "comparison"
    definition: str
    version: int

    engine: str
    """What has run the SELECT."""

    dates: str = ""
    """The event dates that were looked at, as from..to, both included; '': all."""

    sample: int | None = None
    """Of how many groups at most; None: of all."""

    keys: int
    """Groups that were compared."""

    drift: tuple[ColumnDrift, ...] = ()
    """Columns that differ; `(group)` for groups that one side does not have."""

    gone: dict[str, date] = {}
    """By contract, the event date before which raw held nothing any more, so that nothing was compared."""

    left_out: dict[str, str] = {}
    """Columns that were not compared, by why."""

    seconds: float = 0
