"""What a speed log adds up to: the epochs that stand, how far they reach, and the ids that were counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from seamline.entries.base import Counts, DataFile, EntryBase, Stored
from seamline.entries.speed import Compacted, Epoch, Retired
from seamline.frontier import START, Frontier
from seamline.history.base import History
from seamline.ledger import Log
from seamline.packs import unpacked
from seamline.segment import Segment


class SpeedHistory(History):
    """Epochs and compacted segments that stand, the frontier, and the ids that were counted.

    `keep` takes the packs that entries carry, by path, from who will read them; else they are dropped.
    """

    def __init__(self, log: Log, keep: Callable[[str, bytes], None] | None = None) -> None:
        self._keep = keep
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
            entry = self._without_data(entry)
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

    def _without_data(self, epoch: Epoch) -> Epoch:
        if not epoch.data:
            return epoch
        if self._keep is not None:
            self._keep(epoch.pack, unpacked(epoch.data, epoch.pack))
        return epoch.model_copy(update={"data": ""})

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

    @property
    def handovers(self) -> dict[str, Frontier]:
        """The handovers that were taken, and where, as far as no definition's record says it for good."""
        return self.newest_epoch.handovers if self.newest_epoch else {}

    @property
    def newest_epoch(self) -> Epoch | None:
        """The newest epoch, as far as it stands."""
        return self.epochs.get(self.last_epoch)

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
            if last >= since and (held := entry.id_file) and not covered & set(range(first, last + 1)):
                files.append(held)
                covered |= set(range(first, last + 1))
        for number, epoch in self.epochs.items():
            if number not in covered and number >= since and (held := epoch.id_file):
                files.append(held)
        return files


def segment_of(definition: str, entry: Epoch | Compacted, span: tuple[int, int]) -> Segment:
    """A definition's part of an entry that lists it."""
    file, stored = entry.file(definition), Stored(kernel=entry.kernel, layout=entry.layout)
    files = (file.path,) if file else ()
    return Segment(definition, entry.start, entry.end, *span, files, file.rows if file else 0, stored)
