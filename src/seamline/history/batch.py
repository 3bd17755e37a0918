"""What a definition's batch log adds up to: its versions, what each is made of, and the runs under way."""

from __future__ import annotations

from datetime import datetime

from seamline.entries.base import Counts, DataFile, EntryBase
from seamline.entries.batch import Reserved, Version, Withdrawn
from seamline.errors import Condition, TerminalError
from seamline.history.base import History
from seamline.ledger import Log
from seamline.units import standing


class BatchHistory(History):
    """Versions of one definition that are not withdrawn, and the reservations that still hold.

    Versions below `withdrawn` are `gone`, whether or not their entries are removed by now. `forgets`: the newest
    request to forget records for which runs of before are `void`, and the entry that says so; `by_request`:
    the newest withdrawal was for one. `begun`: when the first
    run since the newest version reserved its cut; None where none has.
    """

    def __init__(self, log: Log) -> None:
        self.withdrawn = 0
        self.withdrawn_at: datetime | None = None
        self.forgets: tuple[int, int] = (0, 0)
        self.gone: dict[int, Version] = {}
        self.void: set[str] = set()
        self.by_request = False
        self.versions: dict[int, Version] = {}
        self.reserved: dict[int, Reserved] = {}
        self.begun: datetime | None = None
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Version):
            self.versions[number], self.begun = entry, None
        elif isinstance(entry, Reserved):
            self.reserved[number], self.begun = entry, self.begun or entry.at
        elif isinstance(entry, Withdrawn):
            self.withdrawn, self.withdrawn_at = max(self.withdrawn, entry.below), entry.at
            self.by_request = entry.forgets > 0
            self.gone |= {n: version for n, version in self.versions.items() if n < self.withdrawn}
            self.versions = {n: version for n, version in self.versions.items() if n >= self.withdrawn}
            if entry.forgets > self.forgets[0]:
                self.forgets = entry.forgets, number
                self.void |= {reserved.run for reserved in self.reserved.values()}
                self.reserved.clear()

    def held(self, now: datetime) -> list[Reserved]:
        """Reservations that have neither expired nor led to a version."""
        done = {version.run for version in self.versions.values()}
        return [r for r in self.reserved.values() if r.until > now and r.run not in done]

    def files(self, number: int) -> dict[str, tuple[DataFile, ...]]:
        """Unit to files of a version: its own units, and its base's for other dates.

        Raises OUT_OF_RETENTION where the version, or one that it is based on, is gone.
        """
        version = self.versions.get(number)
        if version is None:
            raise TerminalError(
                Condition.OUT_OF_RETENTION,
                f"batch version {number} is not in log {self.log.name}{self._why_gone(number)}",
                hint="choose a version that 'seamline views show' lists",
            )
        if version.complete or version.base is None:
            return dict(version.units)
        return standing(self.files(version.base), version.units)

    def _why_gone(self, number: int) -> str:
        request, _ = self.forgets
        return f": it went with request {request} to forget records" if request and number < self.withdrawn else ""

    def lineage(self, number: int) -> list[tuple[int, Version]]:
        """A version and those whose files still stand in it, newest first. Raises OUT_OF_RETENTION."""
        self.files(number)  # raises where one of them is gone
        found = [(number, self.versions[number])]
        while not found[-1][1].complete and (base := found[-1][1].base) is not None:
            found.append((base, self.versions[base]))
        return found

    def lowest(self, number: int) -> int:
        """The lowest version whose files still stand in a version. Raises OUT_OF_RETENTION where it is gone."""
        return self.lineage(number)[-1][0]

    def unit_counts(self, number: int | None) -> dict[str, Counts]:
        """Law 3's counts of every unit that stands in a version; none for no version."""
        version = self.versions.get(number) if number is not None else None
        if version is None:
            return {}
        return standing({} if version.complete else self.unit_counts(version.base), version.unit_counts)
