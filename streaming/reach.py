"""How far a role's log reaches: what the other role, or upkeep, needs to know of it."""

from __future__ import annotations

from seamline.entries.archive import Archived, ArchiveSnapshot
from seamline.entries.speed import Compacted, Epoch, SpeedSnapshot
from seamline.frontier import START, Frontier
from seamline.ledger import Log


class Reach:
    """How far a role's log reaches, without the rest of what it says."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.frontier = START
        self._number = 0

    def load(self) -> Frontier:
        """From the newest entry back to the first that says it all."""
        numbers = self.log.numbers()
        self._number = numbers[-1] if numbers else 0
        self.frontier = START
        for entry in filter(None, map(self.log.read, reversed(numbers))):
            if isinstance(entry, Compacted):  # which may hold the newest epoch, or old ones
                self.frontier = self.frontier.join(entry.end)
            elif isinstance(entry, Epoch | SpeedSnapshot | Archived | ArchiveSnapshot):
                self.frontier = self.frontier.join(entry.end)
                break
        return self.frontier

    def catch_up(self) -> Frontier:
        """On from the newest entry that was seen; where those after it are gone, as `load` does."""
        before = self._number
        for number, entry in self.log.after(before):
            self._number = number
            if isinstance(entry, Epoch | Archived):
                self.frontier = entry.end
        return self.frontier if self._number > before or self.log.last() == before else self.load()
