"""Entries of a speed log: epochs, what was put together of them, and what was dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal

from seamline.entries.base import Counts, DataFile, EntryBase, Stored, Value, held, opened
from seamline.frontier import Frontier
from seamline.packs import ENTRY, address

IDS = "ids"
"""What the ids of an entry are named, beside its definitions."""


class Memory(Value):
    """Which ids of one decoding were remembered while an epoch was made: those read at or after `start`."""

    horizon: int
    """In seconds."""

    identity: str
    """What its ids are made of."""

    spans: tuple[tuple[int, str], ...]
    """From which epoch on it goes by the ids of which decoding, oldest first: those of the decoding that it takes the
    place of, then its own."""

    start: Frontier
    """Where the first of these epochs begins, of the contract's topic alone."""

    whole: bool
    """Nothing below it lies within a horizon of what follows."""

    @property
    def since(self) -> int:
        """The first epoch whose ids are remembered."""
        return self.spans[0][0]


class SegmentEntry(EntryBase, Stored):
    """What an epoch and a compacted segment have in common: one range, and partial rows of each definition listed."""

    claim: int
    start: Frontier
    end: Frontier

    files: dict[str, DataFile | None]
    """By definition, every one that was live; None where it has no rows. Without a path: a table of the pack."""

    ids: DataFile | None = None
    """The ids that were counted; without a path: a table of the pack, IDS."""

    pack: str = ""
    """Where the pack stands that holds them all; the path of the entry itself where that carries it."""

    data: str = ""
    """The pack that the entry carries, as `packs.carry` gives it. Who follows a log drops it."""

    def file(self, definition: str) -> DataFile | None:
        """Where a listed definition's partial rows stand."""
        return self._placed(self.files[definition], definition)

    @property
    def id_file(self) -> DataFile | None:
        """Where the ids stand."""
        return self._placed(self.ids, IDS)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names, besides itself."""
        own = tuple(file.path for file in (*self.files.values(), self.ids) if file is not None and file.path)
        return (self.pack, *own) if self.pack and not self.pack.endswith(ENTRY) else own

    def _placed(self, file: DataFile | None, name: str) -> DataFile | None:
        if file is None or file.path:
            return file
        return DataFile(path=address(self.pack, self._named(name)), rows=file.rows)

    def _named(self, name: str) -> str:
        """What a table is called in the pack."""
        return name


class Epoch(SegmentEntry):
    """One committed micro-batch: a segment for each live definition, over one range."""

    kind: Literal["epoch"] = "epoch"
    number: int

    decodings: tuple[str, ...] = ()
    """The contract decodings that were read."""

    memories: dict[str, Memory] = {}
    """Of those that have ids; written before: none, and the ids of every epoch that stands."""

    counts: dict[str, Counts] = {}
    """By contract; records that no contract claims stand under the empty name."""

    newest: datetime | None = None
    """The latest Kafka timestamp read."""

    handovers: dict[str, Frontier] = {}
    """By `Handover.id`, where the first epoch began that goes by it; as long as a definition's record does not say."""

    forgets: int = 0
    """The newest request of the forget log by which copies are known of what was forgotten."""

    within: bool = False
    """Whether its pack holds the tables of other epochs too."""

    def _named(self, name: str) -> str:
        return within(self.number, name) if self.within else name


def within(number: int, name: str) -> str:
    """What an epoch's table is called in a pack that holds those of several."""
    return f"{number}-{name}"


class Compacted(SegmentEntry):
    """Epochs `first` to `last` as one segment a definition.

    One of the first level holds the epochs themselves, too: their entries are read no more, and each end stands as long
    as this does. What others stand for stays until it is retired.
    """

    kind: Literal["compacted"] = "compacted"
    first: int
    last: int

    level: int = 0
    """How often its rows were put together; 0: written before, when it followed from the width."""

    epochs: str = ""
    """The epochs as `told` packs them; nothing where it does not hold them."""

    entries: tuple[int, ...] = ()
    """The numbers of those epochs' own entries."""

    held: tuple[str, ...] = ()
    """Objects that those epochs name, and that go with this entry."""

    apart: bool = False
    """In a snapshot: whether its epochs stand in its own entry alone."""

    counts: dict[str, Counts] = {}
    """Of its epochs together."""

    newest: datetime | None = None
    """The latest Kafka timestamp that they read."""

    ids_alone: bool = False
    """Whether it stands for its epochs with nothing but their ids: they, and all that was made of them, are dropped,
    since they held records that are forgotten."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names, besides itself."""
        return (*super().paths, *self.held)

    @property
    def held_entries(self) -> Collection[int]:
        return self.entries

    @property
    def holds(self) -> bool:
        """Whether its entry holds its epochs."""
        return self.apart or bool(self.epochs)

    def opened(self) -> tuple[Epoch, ...]:
        """The epochs that it holds, in order. Raises TerminalError LEDGER_FORMAT where they are damaged."""
        epochs = opened(Epoch, self.epochs, self.pack)
        return tuple(one.model_copy(update={"pack": self.pack}) if one.within else one for one in epochs)


def told(epochs: Iterable[Epoch]) -> str:
    """Epochs, without the data that they carried, as a compacted entry holds them."""
    return held(epochs, "data")


class Retired(EntryBase):
    """Epochs (and compacted segments within) are dropped from the log's readable past."""

    kind: Literal["retired"] = "retired"
    claim: int

    last: int
    """The last of them."""

    replaced: tuple[tuple[int, int], ...] = ()
    """Epochs dropped because a compacted segment stands for them: first, last of each."""


class SpeedSnapshot(EntryBase):
    """The entries that stand, as they say where data are: who opens the log reads none before this one.

    It holds no data, neither rows nor ids. Those entries stay, with what they carry, as long as they would without it.
    """

    kind: Literal["speed_snapshot"] = "speed_snapshot"
    claim: int

    end: Frontier
    """How far the log reaches."""

    origin: Frontier | None
    """Where epoch 1 started, as far as it was known."""

    last: int
    """Up to which epoch all were dropped."""

    epochs: str
    """Those that stand alone, in order, as `told` packs them."""

    epoch_entries: tuple[int, ...]
    """The numbers of their entries."""

    segments: str
    """What was put together of epochs, by the numbers of the entries."""

    segment_entries: tuple[int, ...]
    """These numbers."""

    @property
    def is_whole(self) -> bool:
        return True

    def opened(self, where: str) -> tuple[tuple[Epoch, ...], tuple[Compacted, ...]]:
        """The epochs and the segments. Raises TerminalError LEDGER_FORMAT where they are damaged."""
        return opened(Epoch, self.epochs, where), opened(Compacted, self.segments, where)


def told_apart(segments: Iterable[Compacted]) -> str:
    """Segments without what only their own entries hold, as a snapshot has them."""
    apart = (one.model_copy(update={"apart": one.holds}) for one in segments)
    return held(apart, "data", "epochs", "entries", "held")
