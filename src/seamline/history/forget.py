"""What a stream's forget log adds up to: the requests, and how far each has come."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from seamline.entries.base import EntryBase
from seamline.entries.forget import Cleared, Forget, Forgotten
from seamline.history.base import History
from seamline.ledger import Log


@dataclass(frozen=True)
class Forgetting:
    """What was asked to be forgotten of what a view reads."""

    requests: tuple[int, ...]

    records: int
    """How many they found."""

    pending: tuple[int, ...]
    """Those of which records may be in what is served."""

    withheld: bool
    """Whether one of these asked that nothing is answered until then."""

    def said(self) -> dict[str, object]:
        """As it is shown with answers."""
        return {"records": self.records, "requests": list(self.requests), "pending": list(self.pending)}


class ForgetHistory(History):
    """Requests by the numbers of their entries, and what was said of each since."""

    CLAIMED = False

    def __init__(self, log: Log) -> None:
        self.requests: dict[int, Forget] = {}
        self.cleared: dict[int, Cleared] = {}
        self.forgotten: dict[int, Forgotten] = {}
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Forget):
            self.requests[number] = entry
        elif isinstance(entry, Cleared):
            self.cleared.update(dict.fromkeys(entry.requests, entry))
        elif isinstance(entry, Forgotten):
            self.forgotten.update(dict.fromkeys(entry.requests, entry))

    def of(self, contracts: Collection[str]) -> Forgetting | None:
        """What was asked of some contracts' records; None where nothing was."""
        mine = {number: one for number, one in self.requests.items() if one.contract in contracts}
        if not mine:
            return None
        return Forgetting(
            requests=tuple(mine),
            records=sum(one.counts.read for one in mine.values()),
            pending=tuple(number for number in mine if number not in self.cleared),
            withheld=any(one.withhold for number, one in mine.items() if number not in self.cleared),
        )

    @property
    def pending(self) -> dict[int, Forget]:
        """Those whose records are still in something that is served, oldest first."""
        return {number: one for number, one in self.requests.items() if number not in self.cleared}
