"""What a view's backfill log adds up to: its newest entry is the whole state."""

from __future__ import annotations

from seamline.entries.backfills import Backfill, Backfills, Ended
from seamline.entries.base import EntryBase
from seamline.history.base import History
from seamline.ledger import Log


class BackfillHistory(History):
    """The backfills of one view that are not over, and the last that are."""

    CLAIMED = False

    def __init__(self, log: Log) -> None:
        self.state: Backfills | None = None
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Backfills):
            self.state = entry

    @property
    def open(self) -> dict[str, Backfill]:
        """By id, oldest first."""
        return {one.id: one for one in self.state.open} if self.state else {}

    @property
    def ended(self) -> tuple[Ended, ...]:
        """Oldest first."""
        return self.state.ended if self.state else ()
