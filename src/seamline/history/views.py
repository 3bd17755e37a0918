"""What a view's log adds up to: its states, of which the newest is what is served."""

from __future__ import annotations

from seamline.entries.base import EntryBase
from seamline.entries.batch import Withdrawn
from seamline.entries.views import Published
from seamline.history.base import History
from seamline.ledger import Log


class ViewHistory(History):
    """The states of one view, newest last, every definition they have named, and below which number the versions of a
    definition are withdrawn."""

    def __init__(self, log: Log) -> None:
        self.states: dict[int, Published] = {}
        self.definitions: set[str] = set()
        self.withdrawn: dict[str, int] = {}
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Published):
            self.states[number] = entry
            self.definitions |= {record.definition for record in entry.definitions}
        elif isinstance(entry, Withdrawn):
            self.withdrawn[entry.definition] = max(self.withdrawn.get(entry.definition, 0), entry.below)

    @property
    def state(self) -> Published | None:
        """The newest state, or None where the view was never applied."""
        return next(reversed(self.states.values()), None)

    def stood(self, definition: str) -> frozenset[int]:
        """The versions of a definition that were served and not gone back from: a version that was held never was, and
        what an operator has rolled back is not vouched for any more."""
        found: set[int] = set()
        for _, state in sorted(self.states.items()):
            if state.served == definition:
                last = state.version
                found = {number for number in found if last is not None and number < last}
                found |= {last} if last is not None else set()
        return frozenset(found)
