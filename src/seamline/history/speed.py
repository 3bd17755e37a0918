"""What a speed log adds up to: the epochs that stand, how far they reach, and the ids that were counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from seamline.entries.base import Counts, DataFile, EntryBase, Stored
from seamline.entries.speed import Compacted, Epoch, Retired, SegmentEntry, SpeedSnapshot, told, told_apart
from seamline.errors import Condition, TerminalError
from seamline.frontier import START, Frontier
from seamline.history.base import History
from seamline.history.epochs import Epochs, Span, span_within
from seamline.ledger import Log
from seamline.packs import unpacked
from seamline.segment import Segment

AnySegment = TypeVar("AnySegment", bound=SegmentEntry)


@dataclass(frozen=True)
class Superseded:
    """An entry that nothing new is read from."""

    number: int
    """Its own."""

    paths: tuple[str, ...]
    """Files that go with it."""

    at: datetime
    """Since when: the time of the entry that stands for it, or that dropped it."""

    held: bool
    """Whether all that it says stands in another entry."""


class SpeedHistory(History):
    """Epochs and compacted segments that stand, the frontier, the ids that were counted, and which entries may go.

    `keep` takes the packs that entries carry, by path, from who will read them; else they are dropped. `every`: all
    that stands is read, whatever a snapshot says, by who removes it.
    """

    def __init__(self, log: Log, keep: Callable[[str, bytes], None] | None = None, *, every: bool = False) -> None:
        self._keep, self._every = keep, every
        self.snapshots: dict[int, datetime] = {}
        self._epoch_entries: dict[int, int] = {}
        self._segment_entries: dict[Span, int] = {}
        self._counted: dict[Span, Mapping[str, Counts]] = {}
        self.superseded: dict[int, Superseded] = {}
        self.epochs = Epochs(self._opened)
        self.compacted: dict[Span, Compacted] = {}
        self.origin: Frontier | None = None
        self.frontier: Frontier = START
        self.last_epoch = 0
        self.counts: dict[str, Counts] = {}
        self.newest: datetime | None = None
        super().__init__(log)

    def apply(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, Epoch):
            self._add(number, self._without_data(entry))
        elif isinstance(entry, Compacted):
            self._compact(number, self._without_data(entry))
        elif isinstance(entry, Retired):
            self._retire(number, entry)
        elif isinstance(entry, SpeedSnapshot):
            for before in self.snapshots.keys() - self.superseded.keys():
                self._supersede(before, (), entry.at, held=True)
            self.snapshots[number], self.origin = entry.at, self.origin or entry.origin

    def begins_at(self, entry: EntryBase) -> bool:
        return not self._every and entry.is_whole

    def begin(self, number: int, entry: EntryBase) -> None:
        if isinstance(entry, SpeedSnapshot):
            self._forget()
            epochs, segments = entry.opened(self.log.path(number))
            for at, epoch in zip(entry.epoch_entries, epochs, strict=True):
                self._add(at, epoch)
            for at, segment in zip(entry.segment_entries, segments, strict=True):
                self._compact(at, segment)
            self.epochs.drop(entry.last, ())
        self.apply(number, entry)

    def _forget(self) -> None:
        for known in (self._epoch_entries, self._segment_entries, self._counted, self.superseded, self.snapshots):
            known.clear()
        self.compacted.clear()
        self.counts.clear()
        self.epochs, self.origin, self.newest = Epochs(self._opened), None, None
        self.frontier, self.last_epoch = START, 0

    def summed(self, claim: int, now: datetime) -> SpeedSnapshot:
        """The snapshot of what stands. Takes time by the segments and the epochs that stand alone."""
        alone = sorted(self.epochs.alone)
        spans = sorted(self.compacted, key=self._segment_entries.__getitem__)
        return SpeedSnapshot(
            at=now, claim=claim, end=self.frontier, origin=self.origin, last=self.epochs.lowest - 1,
            epochs=told(self.epochs.alone[number] for number in alone), epoch_entries=self.entries_of(alone),
            segments=told_apart(self.compacted[span] for span in spans),
            segment_entries=tuple(self._segment_entries[span] for span in spans),
        )  # fmt: skip

    def _opened(self, group: Compacted) -> tuple[Epoch, ...]:
        own: EntryBase | None = group
        if group.apart:
            own = self.log.read(self._segment_entries[group.first, group.last])
        if isinstance(own, Compacted):
            return own.opened()
        raise TerminalError(
            Condition.OUT_OF_RETENTION,
            f"epochs {group.first} to {group.last} are gone since the log was read",
            hint="read the log again: newer epochs stand for what it says now",
            where=self.log.name,
        )

    def _add(self, number: int, epoch: Epoch) -> None:
        if epoch.number == 1:
            self.origin = epoch.start
        self.epochs.add(epoch)
        self._epoch_entries[epoch.number] = number
        self.frontier, self.last_epoch = epoch.end, epoch.number
        self._count((epoch.number, epoch.number), epoch)

    def _compact(self, number: int, entry: Compacted) -> None:
        span = (entry.first, entry.last)
        if entry.ids_alone:
            self._count(span, entry)
            self._drop(entry.last, (), entry.at)
        self.compacted[span], self._segment_entries[span] = entry, number
        if entry.holds:
            if entry.first == 1:
                self.origin = entry.start
            self.epochs.take(entry)
            for epoch in range(entry.first, entry.last + 1):
                if epoch in self._epoch_entries:
                    self._supersede(self._epoch_entries.pop(epoch), (), entry.at, held=True)
        if entry.last > self.last_epoch:  # its epochs' entries are gone
            self.frontier, self.last_epoch = entry.end, entry.last
        if entry.counts and not entry.ids_alone:
            self._count(span, entry)

    def _count(self, span: Span, entry: Epoch | Compacted) -> None:
        """Adds what an entry counted, but for those of its epochs that were added before."""
        before = [self._counted.pop(one) for one in self._counted_within(span)]
        for contract, counts in entry.counts.items():
            known = sum((one[contract] for one in before if contract in one), Counts())
            self.counts[contract] = self.counts.get(contract, Counts()) + counts - known
        self._counted[span] = entry.counts
        if entry.newest is not None:
            self.newest = max(entry.newest, self.newest or entry.newest)

    def _counted_within(self, span: Span) -> list[Span]:
        first, last = span
        if first == last:
            return [span] if span in self._counted else []
        return [one for one in self._counted if first <= one[0] and one[1] <= last]

    def _retire(self, number: int, entry: Retired) -> None:
        self._drop(entry.last, entry.replaced, entry.at)
        self._supersede(number, (), entry.at)

    def _drop(self, last: int, replaced: Iterable[Span], at: datetime) -> None:
        """What ends at epoch `last` or before, and what a segment of `replaced` stands for."""
        for epoch in self.epochs.drop(last, replaced):
            self._supersede(self._epoch_entries.pop(epoch.number), epoch.paths, at)
        narrower = [span_within(wider, narrower=True) for wider in replaced]
        for span, compacted in list(self.compacted.items()):
            if span[1] <= last or any(test(span) for test in narrower):
                del self.compacted[span]
                self._supersede(self._segment_entries.pop(span), compacted.paths, at)

    def _supersede(self, number: int, paths: tuple[str, ...], at: datetime, *, held: bool = False) -> None:
        self.superseded[number] = Superseded(number, paths, at, held)

    def pass_over(self, number: int, holder: EntryBase) -> None:
        self._supersede(number, (), holder.at, held=True)

    def entries_of(self, epochs: Iterable[int]) -> tuple[int, ...]:
        """The numbers of the entries of epochs that stand alone."""
        return tuple(self._epoch_entries[epoch] for epoch in epochs)

    def removed(self, numbers: Iterable[int]) -> None:
        """Those entries are gone from the log."""
        for number in numbers:
            self.superseded.pop(number, None)
            self.snapshots.pop(number, None)

    def _without_data(self, entry: AnySegment) -> AnySegment:
        if not entry.data:
            return entry
        if self._keep is not None:
            self._keep(entry.pack, unpacked(entry.data, entry.pack))
        return entry.model_copy(update={"data": ""})

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

    def forgets_from(self, request: int) -> Frontier | None:
        """Where the first epoch begins that knows copies of what a request has found; None where none does yet. Where
        there is no epoch at all, each that comes will."""
        if not self.last_epoch:
            return START
        known = self.trailing(lambda epoch: epoch.forgets >= request)
        return known[0].start if known else None

    def covers(self, number: int) -> bool:
        """Whether an epoch stands, or a compacted segment does for it."""
        return number in self.epochs or any(first <= number <= last for first, last in self.compacted)

    def starts(self, since: int = 0) -> dict[int, Frontier]:
        """Where epochs from `since` on begin, as far as entries that stand say it."""
        compacted = {first: entry.start for (first, _), entry in self.compacted.items() if first >= since}
        return compacted | {number: self.epochs[number].start for number in self.epochs if number >= since}

    def end_of(self, epoch: int) -> Frontier | None:
        """Where an epoch ended that stands, or that is the last of a compacted segment."""
        ends = (entry.end for (_, last), entry in self.compacted.items() if last == epoch)
        return self.epochs[epoch].end if epoch in self.epochs else next(ends, None)

    @property
    def ends(self) -> list[int]:
        """The epochs of which `end_of` says it, in order."""
        return sorted({*self.epochs, *(last for _, last in self.compacted)})

    def lacks(self, epoch: Epoch, decoding: str) -> bool:
        """Whether a copy of what lies below an epoch's end may come above it, within the horizon, and be taken for new.

        Written before, an epoch only says which decodings it read.
        """
        memory = epoch.memories.get(decoding)
        return not memory.whole if memory else bool(epoch.memories) or decoding not in epoch.decodings

    def segments(self, definition: str, *ends: Frontier) -> list[Segment]:
        """Every segment of a definition that stands. An epoch that does not list the definition is a hole.

        An epoch without records covers nothing: it only says what is listed from there on. Where `ends` are told, the
        first of which a chain is to begin at and the others to end at, what lies before it is left out, and epochs
        whose compacted segment holds none of them inside.
        """

        def is_part(one: Epoch | Compacted) -> bool:
            return definition in one.files and one.start != one.end and not (ends and one.end <= ends[0])

        divided = [g for g in self.epochs.groups if not ends or any(is_inside(end, g.start, g.end) for end in ends)]
        epochs = (self.epochs[number] for number in self.epochs.within(divided))
        return [
            *(segment_of(definition, one, (one.number, one.number)) for one in epochs if is_part(one)),
            *(segment_of(definition, one, span) for span, one in self.compacted.items() if is_part(one)),
        ]

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
        left = (self.epochs[number] for number in self.epochs if number >= since and number not in covered)
        return files + [held for epoch in left if (held := epoch.id_file)]


def is_inside(cut: Frontier, start: Frontier, end: Frontier) -> bool:
    """Whether a cut divides a range."""
    return not cut <= start and not end <= cut


def segment_of(definition: str, entry: Epoch | Compacted, span: tuple[int, int]) -> Segment:
    """A definition's part of an entry that lists it."""
    file, stored = entry.file(definition), Stored(kernel=entry.kernel, layout=entry.layout)
    files = (file.path,) if file else ()
    return Segment(definition, entry.start, entry.end, *span, files, file.rows if file else 0, stored)
