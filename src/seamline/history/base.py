"""How a history follows its log: it is loaded from the newest entry that holds all before it, and advanced by tailing.

An entry that is missing between two that stand is left out, so that the ranges no longer meet and the seam check names
the hole.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

from seamline.entries.base import Claim, EntryBase
from seamline.ledger import Log, newest

AT_ONCE = 16
"""Logs asked at one time."""


class History:
    """Follows one log. `number` is the last entry read, `claim` the newest claim (its number, and the entry)."""

    CLAIMED: ClassVar[bool] = True
    """Whether the log has one writer at a time, whose claims stand for ever, so that no number is used twice. Where it
    has none, one that was removed may be put again by who slept: it never counted."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.number = self._told = 0
        self.claim: tuple[int, Claim] | None = None
        self.load()

    def load(self) -> bool:
        """Lists the log and reads what stands after `number`, over gaps; True where there was any.

        From the newest entry back to one that holds all before it, without those that others stand for; so in time by
        what still counts.
        """
        numbers, before = self._listed(), None
        while not self._read_back(numbers, over_gaps=numbers == before):
            numbers, before = self._listed(), numbers  # one went meanwhile: another that stands by now holds it
        return self._is_news()

    def _listed(self) -> list[int]:
        return [number for number in self.log.numbers() if number > self.number]

    def _read_back(self, numbers: list[int], *, over_gaps: bool) -> bool:
        """False, and nothing read, where one of them is gone; `over_gaps`: what is gone is left out."""
        found: list[tuple[int, EntryBase]] = []
        left_out: dict[int, EntryBase] = {}
        for number in reversed(numbers):
            if number in left_out:
                continue
            entry = self.log.read(number)
            if entry is None:
                if over_gaps:
                    continue
                return False
            found.append((number, entry))
            if self.begins_at(entry):
                break
            left_out.update(dict.fromkeys(entry.held_entries, entry))
        for number, entry in reversed(found):
            self._take(number, entry, first=number == found[-1][0])
        for number in left_out.keys() & set(numbers):
            self.pass_over(number, left_out[number])
        return True

    def catch_up(self) -> bool:
        """Reads on by asking for the next number; True where there was something new. What a look had read before the
        store failed it is new to the next one."""
        found = list(self.log.after(self.number))
        if found and not self.CLAIMED and self.number and not self.log.stands(self.number):
            return self.load()  # its own went, oldest first: so what was found may have been put again
        for number, entry in found:
            self._take(number, entry)
        return self._is_news()

    def _is_news(self) -> bool:
        told, self._told = self._told, self.number
        return self.number > told

    def _take(self, number: int, entry: EntryBase, *, first: bool = False) -> None:
        self.number = number
        if isinstance(entry, Claim):
            self.claim = (number, entry)
        if first and self.begins_at(entry):
            self.begin(number, entry)
        else:
            self.apply(number, entry)

    def begins_at(self, entry: EntryBase) -> bool:
        """Whether nothing before an entry need be read."""
        return entry.is_whole

    def begin(self, number: int, entry: EntryBase) -> None:
        """Takes a whole entry in place of all before it, which was not read."""
        self.apply(number, entry)

    def apply(self, number: int, entry: EntryBase) -> None:
        """Adds one entry to what the log says. Unknown kinds never get here: decoding refuses them."""

    def pass_over(self, number: int, holder: EntryBase) -> None:
        """One that stands was not read, as another holds it."""


def read_on(histories: Collection[History], beyond: bool = False) -> bool:
    """Reads each of them on; True where one had something new. A request for each, a few side by side, and one for each
    new entry. `beyond`: where the next entry of one is missing, what stands after it is looked for."""

    def read(history: History) -> bool:
        return history.catch_up() or (beyond and history.load())

    if len(histories) <= 2:
        return any([read(one) for one in histories])
    with ThreadPoolExecutor(min(AT_ONCE, len(histories)), thread_name_prefix="read-on") as pool:
        return any(list(pool.map(read, histories)))


AnyHistory = TypeVar("AnyHistory", bound=History)


def grown(store: Any, kind: str, histories: Collection[AnyHistory]) -> list[AnyHistory]:
    """Those, all of logs of a kind, of which a newer entry stands: a request for each 1,000 entries of that kind."""
    newest_of = newest(store, kind) if histories else {}
    return [one for one in histories if newest_of.get(one.log.name, 0) > one.number]
