"""What both outlets of a view carry: which version a Delta table holds and where it was cut, how far a topic reaches.

A `Mark` stands in the commit of a Delta table, a `Marker` closes each transaction of a topic. Whoever publishes next
goes on from what they say, and an outside reader merges by them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from seamline.frontier import Frontier

FORMAT = 1
"""Of both; a reader that knows a lower one stops."""


@dataclass(frozen=True)
class Mark:
    """Which rows are meant."""

    view: str
    stream: str
    definition: str

    version: int | None
    """None: no batch version yet, everything is told by epochs."""

    state: int
    """The number of the view's state in the ledger that serves this version: later ones are higher, after a rollback
    too."""

    cut: Frontier

    keys: tuple[str, ...]
    """The columns that make a group's key, in the order of a topic's keys."""

    def is_same(self, other: Mark) -> bool:
        """Whether the other is of the very same rows."""
        return (self.view, self.definition, self.version) == (other.view, other.definition, other.version)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT, "view": self.view, "stream": self.stream, "definition": self.definition,
            "version": self.version, "state": self.state, "cut": self.cut.to_json(), "keys": list(self.keys),
        }  # fmt: skip

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """The inverse. Raises KeyError or ValueError for anything else."""
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}")
        return cls(
            said["view"], said["stream"], said["definition"], said["version"], said["state"],
            Frontier.from_json(said["cut"]), tuple(said["keys"]),
        )  # fmt: skip


@dataclass(frozen=True)
class DeltaBase:
    """The commit of a Delta table that a topic's rows go on from."""

    table: str
    version: int


@dataclass(frozen=True)
class Marker:
    """One transaction of a topic: up to it, the topic and its base say what the view answers at `reached`."""

    mark: Mark
    reached: Frontier

    epoch: int | None
    """The last one after the cut; None: none."""

    sequence: int
    """Transactions are counted from 1."""

    base: DeltaBase | None
    """None: there is no batch version, or no table: nothing but the topic."""

    ends: tuple[int, ...] = ()
    """By partition, the offset after the last row that counts."""

    rows: int = 0
    """That the transaction sent."""

    gone: int = 0
    """Of groups that are no more."""

    def goes_on(self, mark: Mark, base: DeltaBase | None) -> bool:
        """Whether what follows differs from it by epochs alone."""
        return self.mark.is_same(mark) and self.mark.cut == mark.cut and self.base == base

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        base = None if self.base is None else {"table": self.base.table, "version": self.base.version}
        return {
            **self.mark.to_json(), "reached": self.reached.to_json(), "epoch": self.epoch, "sequence": self.sequence,
            "base": base, "ends": list(self.ends), "rows": self.rows, "gone": self.gone,
        }  # fmt: skip

    def to_bytes(self) -> bytes:
        """As a record's value."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """The inverse. Raises KeyError or ValueError for anything else."""
        said = json.loads(value)
        base = said["base"] and DeltaBase(said["base"]["table"], said["base"]["version"])
        return cls(
            Mark.from_json(said), Frontier.from_json(said["reached"]), said["epoch"], said["sequence"], base,
            tuple(said["ends"]), said["rows"], said["gone"],
        )  # fmt: skip

    def headers(self) -> list[tuple[str, bytes]]:
        """What each of its rows carries."""
        return [
            ("seamline.reached", json.dumps(self.reached.to_json(), separators=(",", ":")).encode()),
            ("seamline.sequence", str(self.sequence).encode()),
            ("seamline.definition", self.mark.definition.encode()),
            ("seamline.version", b"" if self.mark.version is None else str(self.mark.version).encode()),
        ]
