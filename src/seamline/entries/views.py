"""Entries of a view's log: its definitions, and what of them is served. `Withdrawn` (`batch.py`) stands here too."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from seamline.entries.base import EntryBase, Value, opened
from seamline.frontier import Frontier


class Handover(Value):
    """Where a contract's text has taken the place of another that judges records otherwise, none of those that there
    were: from a position on, which the first epoch says that goes by it (`Epoch.handovers`)."""

    id: str

    before: str
    """The text that judges what lies below."""

    earlier: tuple[str, ...] = ()
    """The decodings that this one had taken the place of."""

    imports: tuple[str, ...] = ()
    """The whole imports that it judges, too."""

    together: tuple[str, ...] = ()
    """The definitions that take the handover in one epoch."""

    at: Frontier | None = None
    """The position, once a batch version was published that knows it."""


class DefinitionRecord(Value):
    """What is needed to compile a definition again."""

    definition: str
    sql: str

    contracts: dict[str, str]
    """YAML by name."""

    bases: tuple[str, ...] = ()
    """The SQL of what a view over a view is derived from, nearest first."""

    names: dict[str, str] = {}
    """Where these texts have taken the place of others that answer alike: what the definition, and those it is derived
    from, would be called by their texts, and what they are called."""

    earlier: dict[str, tuple[str, ...]] = {}
    """Then, by contract, the decodings that it went by before."""

    handovers: dict[str, tuple[Handover, ...]] = {}
    """By contract, the texts that judge records below positions, oldest first; the one in `contracts` is the last."""


class EarlierState(Value):
    """What a state of a view served, without the texts of its definitions."""

    number: int
    """Of its entry."""

    at: datetime
    live: tuple[str, ...]
    served: str | None
    version: int | None
    reason: str = ""
    by: str = ""

    handovers: dict[str, tuple[str, ...]] = {}
    """By definition, what had judged its records otherwise by then, if anything."""


class Published(EntryBase):
    """The whole state of one view: its definitions, and which definition and batch version is served."""

    kind: Literal["published"] = "published"
    view: str
    definitions: tuple[DefinitionRecord, ...]

    live: tuple[str, ...]
    """Definitions that get epochs; a dropped view has none."""

    served: str | None
    """None: nothing is served yet."""

    version: int | None
    """None: served from the stream's origin by epochs alone."""

    dropped: tuple[str, int | None] | None = None
    """What a dropped view served at last (definition, version): the same definition, applied again, goes on from there.
    """

    reason: str = ""

    by: str = ""
    """Who put it, as their machine knows them."""

    pinned: bool = False
    """Whether an operator's word is that no run publishes anything until it is taken back."""

    earlier: str | None = None
    """The states before it, as `held` packs them; None: written before, and it holds none of what others say."""

    named: tuple[str, ...] = ()
    """Every definition that was ever one of the view's."""

    withdrawn: dict[str, int] = {}
    """By definition, the version below which all were withdrawn when it was put."""

    @property
    def is_whole(self) -> bool:
        return self.earlier is not None

    def as_earlier(self, number: int) -> EarlierState:
        """What it served, as later ones hold it."""
        handovers = {
            record.definition: tuple(sorted(one.id for listed in record.handovers.values() for one in listed))
            for record in self.definitions
            if any(record.handovers.values())
        }
        return EarlierState(
            number=number, at=self.at, live=self.live, served=self.served, version=self.version, reason=self.reason,
            by=self.by, handovers=handovers,
        )  # fmt: skip

    def opened(self, where: str = "") -> tuple[EarlierState, ...]:
        """The states before it that it holds, oldest first. Raises TerminalError LEDGER_FORMAT."""
        return opened(EarlierState, self.earlier, where) if self.earlier else ()
