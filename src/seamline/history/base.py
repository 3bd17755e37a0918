"""How a history follows its log: it is loaded whole once, and advanced by tailing.

An entry that is missing between two that stand is left out, so that the ranges no longer meet and the seam check names
the hole.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from seamline.entries.base import Claim, EntryBase
from seamline.ledger import Log

AT_ONCE = 16
"""Logs asked at one time."""


class History:
    """Follows one log. `number` is the last entry read, `claim` the newest claim (its number, and the entry)."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.number = self._told = 0
        self.claim: tuple[int, Claim] | None = None
        self.load()

    def load(self) -> bool:
        """Lists the log and reads every entry that stands after `number`, over gaps; True where there was one."""
        before = self.number
        for number in self.log.numbers():
            if number > before and (entry := self.log.read(number)) is not None:
                self._take(number, entry)
        return self._is_news()

    def catch_up(self) -> bool:
        """Reads on by asking for the next number; True where there was something new. What a look had read before the
        store failed it is new to the next one."""
        for number, entry in self.log.after(self.number):
            self._take(number, entry)
        return self._is_news()

    def _is_news(self) -> bool:
        told, self._told = self._told, self.number
        return self.number > told

    def _take(self, number: int, entry: EntryBase) -> None:
        self.number = number
        if isinstance(entry, Claim):
            self.claim = (number, entry)
        self.apply(number, entry)

    def apply(self, number: int, entry: EntryBase) -> None:
        """Adds one entry to what the log says. Unknown kinds never get here: decoding refuses them."""


def read_on(histories: Collection[History], beyond: bool = False) -> bool:
    """Reads each of them on; True where one had something new. A request for each, a few side by side, and one for each
    new entry. `beyond`: where the next entry of one is missing, what stands after it is looked for."""

    def read(history: History) -> bool:
        return history.catch_up() or (beyond and history.load())

    if len(histories) <= 2:
        return any([read(one) for one in histories])
    with ThreadPoolExecutor(min(AT_ONCE, len(histories)), thread_name_prefix="read-on") as pool:
        return any(list(pool.map(read, histories)))
