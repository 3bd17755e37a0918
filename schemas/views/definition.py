"""A definition: one view over contracts of one stream, compiled to statements that run in the kernel.

Nothing here is stored: a definition is made again from the view's text and the contract's text, which
the ledger keeps.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seamline.kernel import fold, quote
from seamline.schemas.algebra import Exactness
from seamline.schemas.algebra.forms import InSpark
from seamline.slices import Merging


@dataclass(frozen=True)
class Column:
    """A stored column and its DuckDB type. `most`: how many elements its list keeps at most, where that is stated;
    `since`, `engine` and `rare`: as of the algebra's part that it is."""

    name: str
    sql_type: str
    most: int = 0
    since: int = 0
    engine: bool = False
    rare: bool = False


@dataclass(frozen=True)
class Output:
    """A column of the view. A key has no aggregate. `bound` says how far an inexact one may be off.

    finished: its SQL over merged `partials`; check: SQL that is NULL or says what is out of range, or ''; uses: the
    partial columns it is made of; combines: the aggregates that a query may apply to its finished values; comment:
    the user's; said: its expression as the definition's identity has it; spark: the same in Spark SQL, its merges
    by the names of partial columns, where it can be said there.
    """

    name: str
    sql_type: str
    exactness: Exactness = "exact"
    aggregate: str = ""
    bound: str = ""
    finished: str = ""
    check: str = ""
    uses: tuple[str, ...] = ()
    combines: tuple[str, ...] = ()
    comment: str = ""
    said: str = ""
    spark: InSpark | None = None


EVENTS = Column("_events", "BIGINT")
"""The partial column that every definition has, whatever its view shows: how many events a group has."""

EVENTS_COMPARED = "(events)"
"""Stands in place of a column for that number."""


@dataclass(frozen=True)
class Compared:
    """One aggregate as the audit compares it: `sql` over merged `partials`, NULL where it is out of range. `name` is
    its column's, or says which call of a computed column it is; `scale`: what an error bound is relative to, or '';
    `uses`: the partial columns that both are made of."""

    name: str
    sql: str
    sql_type: str
    exactness: Exactness
    scale: str = ""
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """One aggregate as it is computed another way, in plain Python (`schemas.plainly`), from a definition's `rows`.

    name: as Compared's; entry: its name in the algebra; types and constants: its arguments'; arguments, where, at: the
    columns of `rows` that hold those, whether FILTER leaves the event, and its place, or ''; value: over merged
    `partials`, what is served; check: the same, NULL or what is out of range, or ''; uses: the partial columns that
    both are made of.
    """

    name: str
    entry: str
    types: tuple[str, ...]
    constants: tuple[Any, ...]
    arguments: tuple[str, ...]
    where: str
    at: str
    value: str
    check: str
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Original:
    """The user's own SELECT in pieces, to be run over any tables: each of `pieces` is followed by the table of the
    contract that stands with it, and the last one by `tail`."""

    pieces: tuple[tuple[str, str], ...]
    tail: str

    def over(self, tables: Mapping[str, str]) -> str:
        """The SELECT over these tables, by contract."""
        return "".join(f"{text}{tables[contract]}" for text, contract in self.pieces) + self.tail


@dataclass(frozen=True)
class Base:
    """What a view over a view is derived from. fold: partial rows of that definition (any split), as `partials`, to the
    derived view's."""

    of: Definition
    fold: str

    @property
    def view(self) -> str:
        """The base's name."""
        return self.of.view

    @property
    def definition(self) -> str:
        """The base definition's hash."""
        return self.of.hash


@dataclass(frozen=True)
class Definition:
    """A compiled view.

    contracts: their names, in order; partials: for each, `events` (its fields, and where they were read) to partial
    rows; rows: for each, `events` to one row for each event (or element) that counts, no two put together: its keys as
    `_key1`, …, what `checked` reads, its position, event id (as text) and time; merge: `partials` to at most one row
    for each key, same columns; merges: each partial column's merge over
    `partials`; compared: each aggregate once, for the audit; checked: each
    as it is computed another way; having: the condition that a merged row must meet, or '';
    where, having_said and reads: the conditions, and what each contract of a union gives, as the definition's identity
    has them; original: the user's own SELECT.
    None of `partials` and `merge` raises on data; `finalise` raises only where a value that is out of range is
    computed (its message contains VALUE_OUT_OF_RANGE).
    One of the keys is a time bucket or a date; `buckets` are all that are. base: the view it is derived from, or None.
    """

    view: str
    contracts: tuple[str, ...]
    hash: str
    text: str
    normalised: str
    properties: dict[str, str] = field(hash=False)
    keys: tuple[Column, ...]
    columns: tuple[Output, ...]
    partial_columns: tuple[Column, ...]
    partials: Mapping[str, str] = field(hash=False)
    rows: Mapping[str, str] = field(hash=False)
    merge: str
    merges: dict[str, str] = field(hash=False)
    compared: tuple[Compared, ...]
    checked: tuple[Checked, ...] = field(hash=False)
    having: str
    original: Original
    comment: str = ""
    where: str = ""
    having_said: str = ""
    reads: Mapping[str, str] = field(default_factory=dict, hash=False)
    buckets: tuple[str, ...] = ()
    base: Base | None = None

    @property
    def bases(self) -> tuple[Definition, ...]:
        """What it is derived from, nearest first."""
        return (self.base.of, *self.base.of.bases) if self.base else ()

    @property
    def partial(self) -> str:
        """The one partial statement of a view over one contract."""
        (statement,) = self.partials.values()
        return statement

    @property
    def merging(self) -> Merging:
        """How partial rows are merged where they may be more than memory holds."""
        return Merging(self.merge, tuple(key.name for key in self.keys))

    @property
    def finalise(self) -> str:
        """Merged `partials` to the view's columns in the user's order."""
        return self.finalise_over("partials")

    def finalise_over(self, source: str) -> str:
        """`finalise` reading from another source than the table `partials`."""
        lines = [f"{output.finished} AS {quote(output.name)}" for output in self.columns]
        return _select(lines, source) + (f"\nWHERE {self.having}" if self.having else "")

    def compare_over(self, source: str) -> str:
        """Keys and everything that an audit compares, of every group whatever HAVING says: `_1`, `_2`, … as in
        `compared`, and `_scale1`, … where there is one."""
        lines = [f"partials.{quote(key.name)} AS {quote(key.name)}" for key in self.keys]
        lines += [f"{one.sql} AS _{number}" for number, one in enumerate(self.compared, start=1)]
        lines += [f"{one.scale} AS _scale{number}" for number, one in enumerate(self.compared, start=1) if one.scale]
        return _select(lines, source)

    @property
    def merge_and_finalise(self) -> str:
        """`partials` of any split to the view's columns, in one statement."""
        return self.finalise_over(f"({self.merge})")

    def needed(self, columns: Iterable[Output]) -> tuple[str, ...]:
        """The stored columns that some of the view's are made of: the keys, theirs, and those of HAVING."""
        keys = {key.name for key in self.keys}
        text = "\n".join([self.having, *(column.finished for column in columns)])
        names = [column.name for column in self.partial_columns]
        return tuple(name for name in names if name in keys or f"partials.{quote(name)}" in text)

    def narrowed(self, names: Container[str]) -> Definition:
        """The same view with its keys and the columns of these names, folded: only what they are made of is
        read and merged. It is for answering, and has its parent's identity."""
        keys = {key.name for key in self.keys}
        columns = tuple(c for c in self.columns if c.name in keys or fold(c.name) in names)
        kept = set(self.needed(columns))
        merges = {name: sql for name, sql in self.merges.items() if name in kept}
        lines = [f"partials.{quote(key.name)}" for key in self.keys]
        lines += [f"{sql} AS {quote(name)}" for name, sql in merges.items()]
        return replace(
            self,
            columns=columns,
            partial_columns=tuple(c for c in self.partial_columns if c.name in kept),
            merge=f"{_select(lines, 'partials')}\nGROUP BY ALL",
            merges=merges,
        )

    def select_over(self, events: Mapping[str, str] | str) -> str:
        """The user's own SELECT over other tables, one for each contract (a name alone: for the only contract),
        character by character but for calls that DuckDB does not have or answers by the order of rows: what every
        answer is checked against."""
        tables = dict.fromkeys(self.contracts, events) if isinstance(events, str) else events
        return self.original.over(tables)


def _select(lines: list[str], source: str) -> str:
    aliased = source if source == "partials" else f"{source} AS partials"
    return "SELECT\n  " + ",\n  ".join(lines) + f"\nFROM {aliased}"
