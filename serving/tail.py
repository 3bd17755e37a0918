"""The speed side of one view in memory: a chain of runs, each the merged partials of adjacent epochs.

A run is to memory what a compacted segment is to the lake. As epochs are added, the newest runs are merged by fours
(a log-structured merge), so that a tail of n epochs has at most 3 log4(n) runs: what a query reads, and what its
provenance lists, does not grow with the number of epochs, and each partial row is merged about log4(n) times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from seamline.frontier import Frontier
from seamline.kernel import Input, Kernel, quote
from seamline.lake import Lake
from seamline.schemas.stored import check_segments
from seamline.schemas.views.definition import Definition
from seamline.segment import Segment, check_seam
from seamline.slices import Parts

FANOUT = 4
"""Runs of one level that become one run of the next."""

Merge = Callable[[Sequence[pa.Table]], pa.Table]
"""Partials of adjacent runs to the partials of both: the definition's merge."""


@dataclass(frozen=True)
class EpochRun:
    """Adjacent epochs, merged."""

    segment: Segment
    """The range that they cover."""

    table: pa.Table
    """Their partial rows."""

    @property
    def epochs(self) -> int:
        """How many epochs it stands for."""
        return self.segment.last - self.segment.first + 1

    @property
    def level(self) -> int:
        """The power of FANOUT that the number of epochs reaches."""
        level, reached = 0, FANOUT
        while reached <= self.epochs:
            level, reached = level + 1, reached * FANOUT
        return level


Runs = tuple[EpochRun, ...]


def extend(cut: Frontier, runs: Runs, run: EpochRun, merge: Merge) -> Runs:
    """The runs after `run` is added at the end. Raises SEAM_HOLE or SEAM_OVERLAP where it does not begin there."""
    check_seam(runs[-1].segment.end if runs else cut, [run.segment])
    runs = (*runs, run)
    while len(runs) >= FANOUT and len({r.level for r in runs[-FANOUT:]}) == 1:
        runs = (*runs[:-FANOUT], join(runs[-FANOUT:], merge))
    return runs


def join(runs: Sequence[EpochRun], merge: Merge) -> EpochRun:
    """Adjacent runs as one."""
    table = merge([r.table for r in runs])
    return EpochRun(span([r.segment for r in runs], table.num_rows), table)


def span(segments: Sequence[Segment], rows: int) -> Segment:
    """One segment over the range of adjacent ones, held in memory: it has rows, but no files."""
    first, last = segments[0], segments[-1]
    return Segment(first.definition, first.start, last.end, first.first, last.last, rows=rows)


class Partials:
    """Reads and merges partials of one definition. Every table has the definition's partial columns and types."""

    def __init__(self, lake: Lake, engine: Kernel, definition: Definition) -> None:
        self._lake = lake
        self._engine = engine
        self._definition = definition
        columns = definition.partial_columns
        self._typed = ", ".join(f"{quote(c.name)}::{c.sql_type} AS {quote(c.name)}" for c in columns)
        empty = ", ".join(f"NULL::{c.sql_type} AS {quote(c.name)}" for c in columns)
        self._empty: pa.Table = engine.run(f"SELECT {empty} WHERE false")

    def load(self, segments: Sequence[Segment]) -> EpochRun:
        """Adjacent segments, read from the lake and merged into one run. Raises KERNEL_VERSION."""
        check_segments(self._definition, segments)
        files = [path for s in segments for path in s.files]
        if not files:
            table = self._empty
        elif len(files) == 1:
            table = self._run(f"SELECT {self._typed} FROM partials", self._lake.read(files))
        else:
            table = self._merged(files)
        return EpochRun(span(segments, table.num_rows), table)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Partial rows of several runs as at most one row a key."""
        held = [table for table in tables if table.num_rows]
        return self._merged(held) if held else self._empty

    def _merged(self, parts: Parts) -> pa.Table:
        statement = f"SELECT {self._typed} FROM ({self._definition.merge}) AS merged"
        return replace(self._definition.merging, statement=statement).table(self._lake, self._engine, parts)

    def _run(self, statement: str, rows: Input) -> pa.Table:
        return self._engine.run(statement, {"partials": rows})
