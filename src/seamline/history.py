"""What the logs of the ledger add up to: each history is a fold of one log, advanced by tailing it.

Streaming, jobs and serving share these and nothing else. A history is loaded whole once; an entry that is missing
between two that stand is left out, so that the ranges no longer meet and the seam check names the hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from seamline.entries import (
    Archived,
    Claim,
    Compacted,
    Counts,
    DataFile,
    EntryBase,
    Epoch,
    Gone,
    Imported,
    Maintained,
    Published,
    Reserved,
    Retired,
    Stored,
    TopicRead,
    Topics,
    Version,
    Withdrawn,
)
from seamline.errors import Condition, TerminalError
from seamline.frontier import START, Frontier, Partition, joined
from seamline.ledger import Log
from seamline.segment import Segment
from seamline.units import standing


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


class SpeedHistory(History):
    """Epochs and compacted segments that stand, the frontier, and the ids that were counted."""

    def __init__(self, log: Log) -> None:
        self.epochs: dict[int, Epoch] = {}
        self.compacted: dict[tuple[int, int], Compacted] = {}
        self.origin: Frontier | None = None
        self.frontier: Frontier = START
        self.last_epoch = 0
        self.counts: dict[str, Counts] = {}
        self.newest: datetime | None = None
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Epoch):
            if entry.number == 1:
                self.origin = entry.start
            self.epochs[entry.number] = entry
            self.frontier, self.last_epoch = entry.end, entry.number
            for contract, counts in entry.counts.items():
                self.counts[contract] = self.counts.get(contract, Counts()) + counts
            if entry.newest is not None:
                self.newest = max(entry.newest, self.newest or entry.newest)
        elif isinstance(entry, Compacted):
            self.compacted[(entry.first, entry.last)] = entry
        elif isinstance(entry, Retired):
            self._retire(entry)

    def _retire(self, entry: Retired) -> None:
        self.epochs = {
            n: e
            for n, e in self.epochs.items()
            if n > entry.last and not any(first <= n <= last for first, last in entry.replaced)
        }
        self.compacted = {span: c for span, c in self.compacted.items() if span[1] > entry.last}

    def trailing(self, holds: Callable[[Epoch], bool]) -> list[Epoch]:
        """The longest run of epochs up to the newest that stand and for which `holds`."""
        run: list[Epoch] = []
        number = self.last_epoch
        while number in self.epochs and holds(self.epochs[number]):
            run.append(self.epochs[number])
            number -= 1
        return run[::-1]

    def covers(self, number: int) -> bool:
        """Whether an epoch stands, or a compacted segment does for it."""
        return number in self.epochs or any(first <= number <= last for first, last in self.compacted)

    def starts(self) -> dict[int, Frontier]:
        """Where epochs begin, as far as entries that stand say it."""
        compacted = {first: entry.start for (first, _), entry in self.compacted.items()}
        return compacted | {number: epoch.start for number, epoch in self.epochs.items()}

    def lacks(self, epoch: Epoch, decoding: str) -> bool:
        """Whether a copy of what lies below an epoch's end may come above it, within the horizon, and be taken for new.

        Written before, an epoch only says which decodings it read.
        """
        memory = epoch.memories.get(decoding)
        return not memory.whole if memory else bool(epoch.memories) or decoding not in epoch.decodings

    def segments(self, definition: str) -> list[Segment]:
        """Every segment of a definition that stands. An epoch that does not list the definition is a hole.

        An epoch without records covers nothing: it only says what is listed from there on.
        """
        epochs = [
            segment_of(definition, e, (e.number, e.number))
            for e in self.epochs.values()
            if definition in e.files and e.start != e.end
        ]
        wider = [
            segment_of(definition, c, span)
            for span, c in self.compacted.items()
            if definition in c.files and c.start != c.end
        ]
        return epochs + wider

    @property
    def beginning(self) -> Frontier | None:
        """Where epoch 1 started, also where only a compacted segment still says so; None where nothing does."""
        if self.origin is not None:
            return self.origin
        return next((c.start for (first, _), c in self.compacted.items() if first == 1), None)

    def ids(self, since: int) -> list[DataFile]:
        """Files of the ids read from epoch `since` on, each at least once (the widest files that hold them)."""
        files: list[DataFile] = []
        covered: set[int] = set()
        for (first, last), entry in sorted(self.compacted.items(), key=lambda item: item[0][0] - item[0][1]):
            if last >= since and entry.ids is not None and not covered & set(range(first, last + 1)):
                files.append(entry.ids)
                covered |= set(range(first, last + 1))
        for number, epoch in self.epochs.items():
            if number not in covered and number >= since and epoch.ids is not None:
                files.append(epoch.ids)
        return files


def segment_of(definition: str, entry: Epoch | Compacted, span: tuple[int, int]) -> Segment:
    """A definition's part of an entry that lists it."""
    file, stored = entry.files[definition], Stored(kernel=entry.kernel, layout=entry.layout)
    files = (file.path,) if file else ()
    return Segment(definition, entry.start, entry.end, *span, files, file.rows if file else 0, stored)


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


class TopicsHistory(History):
    """Which topics a stream reads, has left, and what of them is gone."""

    def __init__(self, log: Log) -> None:
        self.read: dict[str, TopicRead] = {}
        self.gone: tuple[Gone, ...] = ()
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Topics):
            self.read = {one.source: one for one in entry.read}
            self.gone = entry.gone

    @property
    def accepted(self) -> Frontier:
        """Below it, what Kafka has no more was accepted as gone."""
        return joined(Frontier({Partition(one.source, one.partition): one.end}) for one in self.gone)

    def gone_of(self, contracts: Iterable[str], reached: Frontier) -> tuple[Gone, ...]:
        """What of some contracts' topics was accepted as gone, below a frontier."""
        names = set(contracts)
        of_them = {source for source, read in self.read.items() if names & read.contracts.keys()}
        return tuple(
            one
            for one in self.gone
            if one.source in of_them and one.start < reached[Partition(one.source, one.partition)]
        )


class BatchHistory(History):
    """Versions of one definition that are not withdrawn, and the reservations that still hold.

    Versions below `withdrawn` are gone, whether or not their entries are removed by now.
    """

    def __init__(self, log: Log) -> None:
        self.withdrawn = 0
        self.versions: dict[int, Version] = {}
        self.reserved: dict[int, Reserved] = {}
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Version):
            self.versions[number] = entry
        elif isinstance(entry, Reserved):
            self.reserved[number] = entry
        elif isinstance(entry, Withdrawn):
            self.withdrawn = max(self.withdrawn, entry.below)
            self.versions = {n: version for n, version in self.versions.items() if n >= self.withdrawn}

    def held(self, now: datetime) -> list[Reserved]:
        """Reservations that have neither expired nor led to a version."""
        done = {version.run for version in self.versions.values()}
        return [r for r in self.reserved.values() if r.until > now and r.run not in done]

    def files(self, number: int) -> dict[str, tuple[DataFile, ...]]:
        """Unit to files of a version: its own units, and its base's for other dates."""
        version = self.versions.get(number)
        if version is None:
            raise TerminalError(
                Condition.OUT_OF_RETENTION,
                f"batch version {number} is not in log {self.log.name}",
                hint="choose a version that 'seamline views show' lists",
            )
        if version.complete or version.base is None:
            return dict(version.units)
        return standing(self.files(version.base), version.units)

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


class ViewHistory(History):
    """The states of one view, newest last, and below which number the versions of a definition are withdrawn."""

    def __init__(self, log: Log) -> None:
        self.states: dict[int, Published] = {}
        self.withdrawn: dict[str, int] = {}
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Published):
            self.states[number] = entry
        elif isinstance(entry, Withdrawn):
            self.withdrawn[entry.definition] = max(self.withdrawn.get(entry.definition, 0), entry.below)

    @property
    def state(self) -> Published | None:
        """The newest state, or None where the view was never applied."""
        return self.states[max(self.states)] if self.states else None

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


def unretirable(cuts: Iterable[Frontier], frontier: Frontier) -> Frontier:
    """The frontier up to which epochs may be retired: below every served, restorable or reserved cut."""
    bound = frontier
    for cut in cuts:
        bound = bound.meet(cut)
    return bound


def expired(at: datetime, now: datetime, retention: timedelta) -> bool:
    """Whether something from `at` is older than its retention."""
    return now - at > retention
