"""Entries of a speed log: epochs, what was put together of them, and what was dropped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from seamline.entries.base import Counts, DataFile, EntryBase, Stored, Value
from seamline.frontier import Frontier


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


class Epoch(EntryBase, Stored):
    """One committed micro-batch: a segment for each live definition, one range."""

    kind: Literal["epoch"] = "epoch"
    number: int
    claim: int

    decodings: tuple[str, ...] = ()
    """The contract decodings that were read."""

    memories: dict[str, Memory] = {}
    """Those of them that have ids (written before: none, and the ids of every epoch that stands)."""

    start: Frontier
    end: Frontier

    files: dict[str, DataFile | None]
    """By definition; None where it has no rows."""

    ids: DataFile | None = None

    counts: dict[str, Counts] = {}
    """By contract; records that no contract claims stand under the empty name."""

    newest: datetime | None = None
    """The latest Kafka timestamp read."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names."""
        return _paths(self.files, self.ids)


class Compacted(EntryBase, Stored):
    """Epochs `first` to `last` as one segment a definition. The epochs stay until they are retired."""

    kind: Literal["compacted"] = "compacted"
    claim: int
    first: int
    last: int
    start: Frontier
    end: Frontier
    files: dict[str, DataFile | None]
    ids: DataFile | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names."""
        return _paths(self.files, self.ids)


def _paths(files: Mapping[str, DataFile | None], ids: DataFile | None) -> tuple[str, ...]:
    return tuple(file.path for file in (*files.values(), ids) if file is not None)


class Retired(EntryBase):
    """Epochs (and compacted segments within) are dropped from the log's readable past."""

    kind: Literal["retired"] = "retired"
    claim: int

    last: int
    """The last of them."""

    replaced: tuple[tuple[int, int], ...] = ()
    """Epochs dropped because a compacted segment stands for them: first, last of each."""
