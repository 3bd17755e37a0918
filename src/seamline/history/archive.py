"""What an archive log adds up to: how far raw reaches, at which table versions, and what was touched when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from seamline.entries.archive import Archived, ArchiveSnapshot, Begins, Erased, Imported, Maintained, Touched
from seamline.entries.base import Claim, Counts, EntryBase, held
from seamline.frontier import START, Frontier
from seamline.history.base import History
from seamline.ledger import Log

FINE = 8
"""What was touched together is told together once it spans at most one part in so many of its age: whoever asks for
what came after a moment is told of at most so much more. So there are some FINE x log(REMEMBERED) parts, whatever the
entries."""

REMEMBERED = timedelta(days=32)
"""Of what is older, no dates are told: who built on it builds anew."""


class ArchiveHistory(History):
    """How far the archive is, at which table versions, and which event dates its entries touched."""

    def __init__(self, log: Log) -> None:
        self.frontier: Frontier = START
        self.tables: dict[str, int] = {}
        self.imports: dict[str, Imported] = {}
        self.counts: dict[str, Counts] = {}
        self.claims: list[int] = []
        self.erased: dict[int, Erased] = {}
        self.begins: dict[str, Begins] = {}
        self.snapshot: tuple[int, ArchiveSnapshot] | None = None
        self.begun = False
        self._opened: tuple[Touched, ...] | None = None
        self._since: list[Touched] = []
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Archived):
            self._add(number, entry)
        elif isinstance(entry, Maintained):
            self.tables.update(entry.tables)
        elif isinstance(entry, ArchiveSnapshot):
            self._begin_at(number, entry)
        elif isinstance(entry, Claim):
            self.claims.append(number)

    def _add(self, number: int, entry: Archived) -> None:
        self.begun = True
        self._since.append(touched_by(number, entry))
        self.frontier = entry.end
        self.tables.update(entry.tables)
        self.imports.update({i.source: i for i in entry.imports})
        self.begins.update(entry.begins)
        for request in entry.erased:
            self.erased[request] = Erased(
                request=request, entry=number, before=entry.before, after=entry.tables, dates=entry.dates
            )
        for contract, counts in entry.counts.items():
            self.counts[contract] = self.counts.get(contract, Counts()) + counts

    def _begin_at(self, number: int, entry: ArchiveSnapshot) -> None:
        self.begun = True
        self.snapshot = number, entry
        self.claims = list(entry.claims)
        self.frontier, self.tables, self.counts = entry.end, dict(entry.tables), dict(entry.counts)
        self.imports = {i.source: i for i in entry.imports}
        self.erased = {one.request: one for one in entry.erased}
        self.begins = dict(entry.begins)
        self._opened, self._since = None, []

    @property
    def touched(self) -> tuple[Touched, ...]:
        """What was touched, oldest first. The snapshot's part is opened where it is asked for."""
        if self._opened is None:
            self._opened = self.snapshot[1].opened(self.log.path(self.snapshot[0])) if self.snapshot else ()
        return (*self._opened, *self._since)

    @property
    def filed(self) -> datetime | None:
        """When records of Kafka were last filed; None where none were, or too long ago to tell."""
        return max((one.at for one in self.touched if not one.beside), default=None)

    def first_date(self, contract: str) -> date | None:
        """The event date at which a contract's raw begins; None: nothing of it is gone."""
        return self.begins[contract].date if contract in self.begins else None

    def after_snapshot(self) -> int:
        """How many entries stand after the newest snapshot, or in all."""
        return self.number - (self.snapshot[0] if self.snapshot else 0)

    def summed(self, claim: int, now: datetime) -> ArchiveSnapshot:
        """The snapshot of all of it. Takes time by what was touched since the one before, and by what that says."""
        return ArchiveSnapshot(
            at=now, claim=claim, claims=tuple(self.claims), end=self.frontier, tables=self.tables, counts=self.counts,
            imports=tuple(self.imports.values()), erased=tuple(self.erased.values()),
            begins=self.begins, touched=held(coarsened(self.touched, now)),
        )  # fmt: skip


def touched_by(number: int, entry: Archived) -> Touched:
    """What one entry touched."""
    beside = bool(entry.imports) or entry.start == entry.end
    return Touched(
        number=number, since=entry.at, at=entry.at, start=entry.start, end=entry.end, dates=entry.dates, beside=beside
    )


def coarsened(touched: Iterable[Touched], now: datetime) -> list[Touched]:
    """The same in fewer parts: neighbours are told together as FINE and REMEMBERED say.

    Two that stay neighbours span more together than one part in FINE of their age, so the parts grow with it."""
    found: list[Touched] = []
    for one in touched:
        age = now - one.at
        if found and (age > REMEMBERED or one.at - found[-1].since <= age / FINE):
            found[-1] = _together(found[-1], one)
        else:
            found.append(one)
        if age > REMEMBERED:
            found[-1] = found[-1].model_copy(update={"dates": None})
    return found


def _together(before: Touched, one: Touched) -> Touched:
    return Touched(
        number=one.number, since=before.since, at=one.at, start=before.start, end=one.end,
        dates=_dates(before.dates, one.dates), beside=before.beside or one.beside,
    )  # fmt: skip


def _dates(
    before: dict[str, tuple[date, ...]] | None, one: dict[str, tuple[date, ...]] | None
) -> dict[str, tuple[date, ...]] | None:
    if before is None or one is None:
        return None
    return before | {table: tuple(sorted({*before.get(table, ()), *days})) for table, days in one.items()}
