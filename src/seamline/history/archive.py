"""What an archive log adds up to: how far raw reaches, and at which table versions."""

from __future__ import annotations

from seamline.entries.archive import Archived, Imported, Maintained
from seamline.entries.base import Counts, EntryBase
from seamline.frontier import START, Frontier
from seamline.history.base import History
from seamline.ledger import Log


class ArchiveHistory(History):
    """How far the archive is, at which table versions, and which event dates each entry touched."""

    def __init__(self, log: Log) -> None:
        self.frontier: Frontier = START
        self.tables: dict[str, int] = {}
        self.imports: dict[str, Imported] = {}
        self.entries: dict[int, Archived] = {}
        self.counts: dict[str, Counts] = {}
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Archived):
            self.entries[number] = entry
            self.frontier = entry.end
            self.tables.update(entry.tables)
            self.imports.update({i.source: i for i in entry.imports})
            for contract, counts in entry.counts.items():
                self.counts[contract] = self.counts.get(contract, Counts()) + counts
        elif isinstance(entry, Maintained):
            self.tables.update(entry.tables)
