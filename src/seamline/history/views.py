"""What a view's log adds up to: its states, of which the newest is what is served."""

from __future__ import annotations

from collections.abc import Mapping

from seamline.entries.base import EntryBase, held
from seamline.entries.batch import Withdrawn
from seamline.entries.views import EarlierState, Published
from seamline.history.base import History
from seamline.ledger import Log

KEPT_STATES = 256
"""A state holds so many of those before it: what was served when is told for so long, whatever else has gone."""


class ViewHistory(History):
    """The states of one view, every definition they have named, and below which number the versions of a definition are
    withdrawn. The newest state holds all of it, so the log is opened in the time of one entry."""

    CLAIMED = False

    def __init__(self, log: Log) -> None:
        self.state: Published | None = None
        self.definitions: set[str] = set()
        self.withdrawn: dict[str, int] = {}
        self._opened: dict[int, EarlierState] | None = {}
        self._since: dict[int, EarlierState] = {}
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Published):
            if entry.is_whole:
                self._opened, self._since = None, {}
            self.state = entry
            self._since[number] = entry.as_earlier(number)
            self.definitions |= {*entry.named, *(record.definition for record in entry.definitions)}
            self._withdraw(entry.withdrawn)
        elif isinstance(entry, Withdrawn):
            self._withdraw({entry.definition: entry.below})

    def _withdraw(self, below: Mapping[str, int]) -> None:
        for definition, number in below.items():
            self.withdrawn[definition] = max(self.withdrawn.get(definition, 0), number)

    @property
    def states(self) -> Mapping[int, EarlierState]:
        """What each state served, oldest first, the newest too; of those before, KEPT_STATES."""
        if self._opened is None:
            opened = self.state.opened(self.log.path(min(self._since))) if self.state else ()
            self._opened = {one.number: one for one in opened}
        return self._opened | self._since

    def whole(self, following: Published) -> Published:
        """A state that is to be put after all of this, with all of it that is to be found in it."""
        earlier = list(self.states.values())[-KEPT_STATES:]
        named = {*self.definitions, *(record.definition for record in following.definitions)}
        return following.model_copy(
            update={"earlier": held(earlier), "named": tuple(sorted(named)), "withdrawn": dict(self.withdrawn)}
        )

    def stood(self, definition: str) -> frozenset[int]:
        """The versions of a definition that were served and not gone back from: a version that was held never was, and
        what an operator has rolled back is not vouched for any more."""
        found: set[int] = set()
        for state in self.states.values():
            if state.served == definition:
                last = state.version
                found = {number for number in found if last is not None and number < last}
                found |= {last} if last is not None else set()
        return frozenset(found)
