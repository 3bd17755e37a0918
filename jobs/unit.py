"""One unit of work, as it is given to whoever runs it and as it comes back: values, and nothing that runs.

A unit is one event date of one raw table (or an hour of it), below a cut. A task holds its statements as text, so
whoever runs it compiles nothing and needs nothing but the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from seamline.entries.base import Counts, DataFile, Stored
from seamline.jobs.sample import Wanted
from seamline.jobs.statements import Statements
from seamline.kernel import KERNEL_VERSION
from seamline.schemas.algebra import LAYOUT
from seamline.slices import Merging, Slice
from seamline.units import Unit


@dataclass(frozen=True)
class Folding:
    """In place of statements over raw: from a base's partial rows to the derived view's."""

    fold: str
    """A SELECT over the base's partial rows, `partials`."""

    keys: tuple[str, ...]
    """Theirs."""

    counts: Counts
    """What was counted when those rows were made."""

    merging: Merging
    """How the derived view's rows are merged, where they are made in slices."""

    last: str = ""
    """An ORDER BY clause, or nothing."""

    def over(self, one: Slice) -> str:
        """The fold of one slice of the base's rows, `unsliced`: folds of all of them merge to that of the whole."""
        return f"WITH partials AS ({one.rows('unsliced', self.keys)})\nSELECT * FROM (\n{self.fold}\n){self.last}"


@dataclass(frozen=True)
class UnitTask:
    """What one unit needs. Paths are relative to the lake."""

    lake: str
    """Its URI."""

    definition: str
    """The hash of the definition that is computed."""

    run: str
    """The batch run that the unit's marker belongs to; '': it leaves none."""

    of: Unit
    """The unit."""

    files: tuple[str, ...]
    """Its date's raw files, or a base view's where it is folded."""

    statements: Statements | Folding
    """How its partial rows are made."""

    size: int = 0
    """How large it is beside others: the larger are run first."""

    rows: int = 0
    """Raw rows in its files, as far as that is known."""

    memory: str = "1GB"
    """Its kernel's."""

    threads: int = 1
    """Its kernel's."""

    known: tuple[str, ...] = ()
    """The raw files as a base read them."""

    mended: str = ""
    """A file of records that another decoding rejected."""

    reading: str = ""
    """A file of how speed has read (`seamline.jobs.read_order`)."""

    groups: int = 0
    """Of how many groups the result says the hash."""

    wanted: Wanted | None = None
    """The groups whose rows are looked for; then nothing is written."""

    tally: tuple[int, ...] = ()
    """What its raw files are known to hold."""

    ahead: bool = False
    """Whether it is computed only as far as that goes together with others; else it is left to its view's own run."""

    copies: bool = True
    """Whether there may be copies among them."""

    @property
    def unit(self) -> str:
        """The unit's name."""
        return self.of.name

    @property
    def empty(self) -> bool:
        """Whether it holds nothing any more."""
        return not (self.files or self.mended)

    @property
    def known_counts(self) -> Counts:
        """What is known to have been counted, before it is run."""
        return self.statements.counts if isinstance(self.statements, Folding) else Counts()


class UnitResult(Stored):
    """One unit, done, and what stored it."""

    unit: str
    """Its name."""

    file: DataFile | None
    """Its partial rows; None: it has none."""

    counts: Counts
    """Law 3's."""

    disagreeing: int = 0
    """Copies of which what the view reads differs from the kept one."""

    beyond: int = 0
    """Copies of nothing that speed remembered within their horizon, which it counts again."""

    groups: tuple[tuple[int, int], ...] = ()
    """Hash and events of the groups of the least hashes."""

    cpu: float = 0.0
    """Seconds of CPU that it took, or its share of what was done for several at once."""

    rows: bytes = b""
    """Those of the groups that were wanted, as Arrow IPC."""

    tally: tuple[int, ...] = ()
    """Of its raw files, for whoever reads them once more."""


TODAY: dict[str, Any] = {"kernel": KERNEL_VERSION, "layout": LAYOUT}
"""How this process stores partials."""

Runner = Callable[[list[UnitTask]], Iterable[UnitResult]]
"""Runs units somewhere, in any order; each result as it comes. Spark, or a loop in this process."""
