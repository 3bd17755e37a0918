"""The ledger: append-only logs of numbered JSON entries, put if absent. The only place anything is committed.

A put that finds its number taken is never tried again under the next one: either what stands there is this very
attempt's (the answer was lost), or the caller stops, or decides again from the start. Claims are never removed: each
stands under the very number that the writer before it would put next, however late that one wakes.

In a local folder an entry is durable before it counts. One that is not whole, and after which none is, was never put
(a power loss under a version that did not sync): readers see nothing there, and the next put takes its number.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Self, cast

from pydantic import TypeAdapter, ValidationError

from seamline import hints, objects
from seamline.entries import Entry
from seamline.entries.base import FORMAT, Claim, EntryBase
from seamline.errors import Condition, ConflictError, TerminalError

_ENTRY: TypeAdapter[Any] = TypeAdapter(Entry)
WIDTH = 20

HELD_GRACE = timedelta(minutes=10)
"""An entry that another holds stays for this long: who follows the log, or has just listed it, finds it."""

LEDGER = "ledger/"
"""What the paths of all entries begin with."""


class Log:
    """One log under `ledger/`, for instance `speed/main`. Numbers start at 1."""

    def __init__(self, store: Any, name: str) -> None:
        self.store = store
        self.name = name
        self._disk = objects.local_disk(store)

    def path(self, number: int) -> str:
        """Zero-padded, so that names sort as numbers where a store sorts."""
        return f"{LEDGER}{self.name}/{number:0{WIDTH}d}.json"

    def read(self, number: int) -> EntryBase | None:
        """The entry of that number, or None where there is none (not yet, or no longer)."""
        payload = self._payload(number)
        if payload is None or (self._is_torn(payload) and self.last() <= number):
            return None  # at its number stands a whole one where another writer has put that meanwhile
        return decode(payload, self.path(number))

    def stands(self, number: int) -> bool:
        """Whether an entry of that number stands."""
        return objects.stands(self.store, self.path(number))

    def first(self) -> int:
        """The lowest number that stands (retention removes the oldest), or 1 where the log is empty."""
        return min(self._named(), default=1)

    def last(self) -> int:
        """The highest number that stands, or 0."""
        return max(self.numbers(), default=0)

    def numbers(self) -> list[int]:
        """Every number that stands, in order. There are gaps where retention has passed: it leaves claims."""
        numbers = sorted(self._named())
        while numbers and (payload := self._payload(numbers[-1])) is not None and self._is_torn(payload):
            numbers.pop()
        return numbers

    def after(self, number: int) -> Iterator[tuple[int, EntryBase]]:
        """Entries with higher numbers, in order, up to the first that is missing: how readers tail."""
        while (entry := self.read(number + 1)) is not None:
            number += 1
            yield number, entry

    def entries(self) -> Iterator[tuple[int, EntryBase]]:
        """Every entry that stands, in order, over gaps."""
        for number in self.numbers():
            if (entry := self.read(number)) is not None:
                yield number, entry

    def put(self, number: int, entry: EntryBase) -> None:
        """Puts one entry if its number is free, and a hint of it. Raises LEDGER_CONFLICT where another attempt's stands
        there.

        Safe to repeat: an entry of the same attempt that already stands is this one, its answer was lost.
        """
        self.put_untold(number, entry)
        self.tell(entry)

    def tell(self, entry: EntryBase) -> bool:
        """Hints that an entry of this log stands. False where the store failed it: that costs readers time alone."""
        return hints.tell(self.store, self.name, entry.attempt)

    def put_untold(self, number: int, entry: EntryBase) -> None:
        """`put` without the hint, for who gives it. Raises LEDGER_CONFLICT."""
        payload = entry.model_dump_json().encode()
        if objects.put_if_absent(self.store, self.path(number), payload):
            return
        if self._freed(number) and objects.put_if_absent(self.store, self.path(number), payload):
            return
        standing = self.read(number)
        if standing is not None and standing.attempt == entry.attempt:
            return
        raise ConflictError(
            Condition.LEDGER_CONFLICT,
            f"entry {number} of {self.name} was put by another attempt ({_describe(standing)})",
            hint="read the log again and decide again from the start",
            where=self.path(number),
        )

    def put_last(self, number: int, entry: EntryBase) -> None:
        """The same in a log without claims: onto its newest entry, which retention always leaves.

        Raises LEDGER_CONFLICT too where higher numbers stand or that number was removed: this process slept. If it did
        between that look and its put, the entry before it is gone by now, as the oldest go first: then it may stand
        where another was, and counts for nothing.
        """
        if self.last() not in (number - 1, number):
            raise self._past(number)
        self.put(number, entry)
        if number > 1 and not self.stands(number - 1):
            raise self._past(number)

    def _past(self, number: int) -> ConflictError:
        return ConflictError(
            Condition.LEDGER_CONFLICT,
            f"entry {number} of {self.name} is long past: the log goes on at {self.last() + 1}",
            hint="read the log again and decide again from the start",
            where=self.path(number),
        )

    def remove(self, number: int) -> None:
        """Retention only: oldest first, never a claim, and never what a served or restorable version needs.

        One that is gone already is well.
        """
        objects.delete(self.store, [self.path(number)])

    def remove_all(self, numbers: Iterable[int]) -> None:
        """The same where others stand for them, so that their order is nothing to a reader: all at once."""
        objects.delete(self.store, [self.path(number) for number in numbers])

    def _payload(self, number: int) -> bytes | None:
        return objects.get(self.store, self.path(number))

    def _is_torn(self, payload: bytes) -> bool:
        """Whether an entry's bytes are not whole: only a disk that lost power holds such."""
        return self._disk is not None and not _is_json(payload)

    def _freed(self, number: int) -> bool:
        """Whether what stood under a number was never put, and is set aside now."""
        payload = self._payload(number)
        if self._disk is None or payload is None or not self._is_torn(payload) or self.last() > number:
            return False
        self._disk.set_aside(self.path(number), payload)
        return True

    def _named(self) -> Iterator[int]:
        return (number for _, number in _named(self.store, self.name))


class Writer:
    """The one writer of a log, between its claim and the claim of another.

    `claim` is the number of its claim entry. Every put goes to the number after the last one seen, so a claim by
    another process takes that number and this writer's next put is refused with WRITER_CONFLICT. What changes, by `put`
    alone: the number that is next, and when a hint was given last.
    """

    def __init__(self, log: Log, claim: int, holder: str) -> None:
        self.log = log
        self.claim = claim
        self.holder = holder
        self._next = claim + 1
        self._told = -math.inf

    @classmethod
    def take(cls, log: Log, claim: Claim) -> Self:
        """Puts the claim after the newest entry. Raises LEDGER_CONFLICT where another put came first."""
        number = log.last() + 1
        log.put(number, claim)
        return cls(log, number, claim.holder)

    @property
    def last(self) -> int:
        """The number of its newest entry, or of its claim."""
        return self._next - 1

    def check(self) -> None:
        """Raises WRITER_CONFLICT where the claim is lost by now: before anything is done that no entry guards."""
        standing = self.log.read(self._next)
        if standing is not None:
            raise writer_conflict(self.log.name, _describe(standing), self._next)

    def put(self, entry: EntryBase) -> int:
        """Puts the next entry and returns its number. Raises WRITER_CONFLICT where the claim is lost."""
        number = self._next
        try:
            self.log.put_untold(number, entry)
        except ConflictError as error:
            raise writer_conflict(self.log.name, _describe(self.log.read(number)), number) from error
        self._next = number + 1
        now = time.monotonic()
        if now - self._told >= hints.SPARED and self.log.tell(entry):
            self._told = now
        return number


def newest(store: Any, kind: str) -> dict[str, int]:
    """The highest number in each log of a kind, by the log's name. A request for each 1,000 entries."""
    found: dict[str, int] = {}
    for log, number in _named(store, kind):
        found[log] = max(number, found.get(log, 0))
    return found


def _named(store: Any, below: str) -> Iterator[tuple[str, int]]:
    """Each entry of a log, or of every log of a kind: the log's name, and its number."""
    for path in objects.paths(store, f"{LEDGER}{below}/"):
        log, _, name = path.removeprefix(LEDGER).rpartition("/")
        if name.endswith(".json") and name[:-5].isdigit():
            yield log, int(name[:-5])


def writer_conflict(log: str, holder: str, number: int) -> ConflictError:
    """Another process writes this log."""
    return ConflictError(
        Condition.WRITER_CONFLICT,
        f"log {log} is written by another process ({holder}, entry {number})",
        detail="one writer a log",
        hint="stop one of the two; the other goes on where the ledger stands",
        where=f"{LEDGER}{log}",
    )


def decode(payload: bytes, where: str) -> EntryBase:
    """One entry from its bytes. Raises LEDGER_FORMAT for a newer format or a damaged entry."""
    try:
        raw = json.loads(payload)
        if isinstance(raw, dict) and int(raw.get("format", FORMAT)) > FORMAT:
            raise TerminalError(
                Condition.LEDGER_FORMAT,
                f"entry format {raw['format']}",
                detail=f"{FORMAT} or older",
                hint="upgrade Seamline on this machine to at least the version that wrote the entry",
                where=where,
            )
        return cast(EntryBase, _ENTRY.validate_python(raw))
    except (ValueError, ValidationError) as error:
        raise TerminalError(
            Condition.LEDGER_FORMAT,
            f"not a ledger entry: {error}",
            hint="restore the file from a copy",
            where=where,
        ) from error


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload)
    except ValueError:
        return False
    return True


def _describe(entry: EntryBase | None) -> str:
    if entry is None:
        return "an entry that is gone"
    name = getattr(entry, "kind", "entry")
    holder = f" by {entry.holder}" if isinstance(entry, Claim) else ""
    return f"{name}{holder} at {entry.at.isoformat()}"
