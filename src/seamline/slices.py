"""Merging more partial rows than the kernel's memory holds: in slices by a hash of their keys, one after the other.

Lists and sketches do not spill to disk, so one GROUP BY over all rows of a large view may not fit. Each slice holds
every row of its keys, so what is merged, compared or counted slice by slice is what one statement gives. Where a slice
holds one key alone, slices no longer help; then the parts are merged by halves first (law 1: any tree is the same),
which bounds a group by what its stored lists may hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import pyarrow as pa

from seamline.attempts import new_attempt
from seamline.errors import Condition, SeamlineError
from seamline.kernel import Input, Kernel, Mixed, in_bytes, quote
from seamline.lake import Lake

T = TypeVar("T")

MOST = 256
"""Slices beyond which halving again is given up: what does not fit then is one key's, or nearly so."""

SWOLLEN = 40
"""Bytes of memory that merging takes for each byte of a Parquet file with lists or states in it, at most: seen of six
sketches in small groups. Plain columns spill to disk."""

Parts: TypeAlias = "Sequence[str] | Sequence[pa.Table]"
"""Partial rows as files of the lake (by path), or as tables."""


@dataclass(frozen=True)
class Slice:
    """The rows whose keys' hash leaves `number` when divided by `of`."""

    number: int = 0
    of: int = 1

    def rows(self, source: str, keys: Sequence[str]) -> str:
        """A SELECT of the slice's rows of a table."""
        if self.of == 1:
            return f"SELECT * FROM {source}"
        return f"SELECT * FROM {source} WHERE hash({', '.join(map(quote, keys))}) % {self.of} = {self.number}"

    @property
    def halves(self) -> tuple[Slice, Slice]:
        """Two slices that hold its rows."""
        return Slice(self.number, 2 * self.of), Slice(self.number + self.of, 2 * self.of)


WHOLE = Slice()


def in_slices(work: Callable[[Slice], T], first: int = 1, most: Callable[[], int] = lambda: MOST) -> Iterator[T]:
    """The results of `work` over slices that together hold every row once, beginning with `first` of them.

    A slice that runs out of memory is halved, and where none of its size has fitted so far, so are the others. Raises
    what `work` raises, KERNEL_MEMORY only beyond `most` slices, which is asked for once one did not fit.
    """
    waiting = [Slice(number, first) for number in reversed(range(first))]
    least, fitted, bound = first, 0, 0
    while waiting:
        one = waiting.pop()
        if one.of < least:
            waiting += reversed(one.halves)
            continue
        try:
            result = work(one)
        except SeamlineError as error:
            if error.condition is not Condition.KERNEL_MEMORY:
                raise
            bound = bound or max(most(), first)
            if one.of >= bound:
                raise
            least = max(least, one.of if one.of == fitted else 2 * one.of)
            waiting += reversed(one.halves)
            continue
        fitted = max(fitted, one.of)
        yield result


def useful(engine: Kernel, sources: dict[str, Input], keys: Sequence[str]) -> int:
    """How many slices may be of use: about as many as the tables have keys, a power of two of at most MOST."""
    if not keys:
        return 1
    hashed = f"approx_count_distinct(hash({', '.join(map(quote, keys))}))"
    held = [engine.run(f"SELECT {hashed} AS n FROM {name}", sources)["n"][0].as_py() for name in sources]
    return int(min(MOST, 1 << max(0, max(held) - 1).bit_length()))


def weight(source: Input) -> int:
    """Bytes of an input: of its files, or of its Arrow table as zstd would leave it, a third."""
    if isinstance(source, Mixed):
        return weight(source.files) + weight(source.table)
    return source.nbytes // 3 if isinstance(source, pa.Table) else sum(os.path.getsize(path) for path in source)


def slices_for(size: int, memory: str) -> int:
    """How many slices to begin with, for `size` bytes of Parquet that do not spill: a power of two. Pure."""
    limit, wanted = in_bytes(memory), size * SWOLLEN
    if not limit or wanted <= limit:
        return 1
    return min(MOST, 1 << ((wanted - 1) // limit).bit_length())


@dataclass(frozen=True)
class Merging:
    """How partial rows are merged."""

    statement: str
    """Over `partials`."""

    keys: tuple[str, ...]
    """Without any it is not sliced."""

    def over(self, one: Slice, source: str = "unsliced") -> str:
        """The statement over one slice of a table."""
        return f"WITH partials AS ({one.rows(source, self.keys)})\n{self.statement}"

    def table(self, lake: Lake, engine: Kernel, parts: Parts) -> pa.Table:
        """The merged rows of all parts. Raises KERNEL_MEMORY where one key's rows of two parts do not fit."""
        try:
            return self._table(engine, _source(lake, parts))
        except SeamlineError as error:
            if error.condition is not Condition.KERNEL_MEMORY or len(parts) <= 2:
                raise
        middle = len(parts) // 2
        return self.table(lake, engine, [self.table(lake, engine, half) for half in (parts[:middle], parts[middle:])])

    def _table(self, engine: Kernel, source: Input) -> pa.Table:
        sources = {"unsliced": source}
        most = partial(useful, engine, sources, self.keys)
        return pa.concat_tables(in_slices(lambda one: engine.run(self.over(one), sources), most=most))

    def write(self, lake: Lake, engine: Kernel, parts: Parts, path: str, last: str = "") -> int:
        """Writes the merged rows of all parts to one file; returns how many. `last`: an ORDER BY clause, or nothing.

        Files that it puts aside are gone afterwards. Raises like `table`.
        """
        try:
            return self._write(lake, engine, _source(lake, parts), path, last)
        except SeamlineError as error:
            if error.condition is not Condition.KERNEL_MEMORY or len(parts) <= 2:
                raise
        middle, halves = len(parts) // 2, (_aside(path), _aside(path))
        try:
            self.write(lake, engine, parts[:middle], halves[0])
            self.write(lake, engine, parts[middle:], halves[1])
            return self.write(lake, engine, halves, path, last)
        finally:
            lake.delete(halves)

    def _write(self, lake: Lake, engine: Kernel, source: Input, path: str, last: str) -> int:
        try:
            return lake.write(engine, f"{self.statement}{last}", {"partials": source}, path)
        except SeamlineError as error:
            sources = {"unsliced": source}
            if error.condition is not Condition.KERNEL_MEMORY or (most := useful(engine, sources, self.keys)) == 1:
                raise
        tried: list[str] = []

        def work(one: Slice) -> str:
            tried.append(_aside(path))
            lake.write(engine, self.over(one), sources, tried[-1])
            return tried[-1]

        try:
            done = list(in_slices(work, 2, lambda: most))
            return lake.write(engine, f"SELECT * FROM partials{last}", {"partials": lake.read(done)}, path)
        finally:
            lake.delete(tried)


UNMERGED = Merging("SELECT * FROM partials", ())
"""Rows put together as they are."""


def _aside(path: str) -> str:
    return f"{path.removesuffix('.parquet')}.{new_attempt()}.parquet"


def _source(lake: Lake, parts: Parts) -> Input:
    tables = [part for part in parts if isinstance(part, pa.Table)]
    return pa.concat_tables(tables) if tables else lake.read([part for part in parts if isinstance(part, str)])
