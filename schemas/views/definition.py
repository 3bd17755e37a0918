"""A definition: one view over contracts of one stream, compiled to statements that run in the kernel.

Nothing here is stored: a definition is made again from the view's text and the contract's text, which
the ledger keeps.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seamline.kernel import fold, quote
from seamline.schemas.algebra import Exactness
from seamline.schemas.algebra.forms import InSpark
from seamline.slices import Merging


@dataclass(frozen=True)
class Column:
    """A stored column and its DuckDB type."""

    name: str
    sql_type: str

    most: int = 0
    """How many elements its list keeps at most, where that is stated."""

    since: int = 0
    """This, `engine` and `rare`: as of the algebra's part that it is."""

    engine: bool = False
    rare: bool = False


@dataclass(frozen=True)
class Output:
    """A column of the view."""

    name: str
    sql_type: str
    exactness: Exactness = "exact"

    aggregate: str = ""
    """A key has none."""

    bound: str = ""
    """How far an inexact one may be off."""

    finalise: str = ""
    """Its SQL over merged `partials`."""

    check: str = ""
    """SQL that is NULL or says what is out of range, or ''."""

    uses: tuple[str, ...] = ()
    """The partial columns it is made of."""

    combines: tuple[str, ...] = ()
    """The aggregates that a query may apply to its finished values."""

    comment: str = ""
    """The user's."""

    said: str = ""
    """Its expression as the definition's identity has it."""

    spark: InSpark | None = None
    """The same in Spark SQL, its merges by the names of partial columns, where it can be said there."""


EVENTS = Column("_events", "BIGINT")
"""The partial column that every definition has, whatever its view shows: how many events a group has."""

EVENTS_COMPARED = "(events)"
"""Stands in place of a column for that number."""


@dataclass(frozen=True)
class Compared:
    """One aggregate as the audit compares it."""

    name: str
    """Its column's, or says which call of a computed column it is."""

    sql: str
    """Over merged `partials`; NULL where it is out of range."""

    sql_type: str
    exactness: Exactness

    scale: str = ""
    """What an error bound is relative to, or ''."""

    uses: tuple[str, ...] = ()
    """The partial columns that both are made of."""


@dataclass(frozen=True)
class Checked:
    """One aggregate as it is computed another way, in plain Python (`schemas.plainly`), from a definition's `rows`."""

    name: str
    """As Compared's."""

    entry: str
    """Its name in the algebra."""

    types: tuple[str, ...]
    """Its arguments'."""

    constants: tuple[Any, ...]

    arguments: tuple[str, ...]
    """The columns of `rows` that hold them."""

    where: str
    """The column that says whether FILTER leaves the event, or ''."""

    at: str
    """The column of its place, or ''."""

    value: str
    """Over merged `partials`, what is served."""

    check: str
    """The same: NULL, or what is out of range; or ''."""

    uses: tuple[str, ...]
    """The partial columns that both are made of."""


@dataclass(frozen=True)
class Original:
    """The user's own SELECT in pieces, to be run over any tables."""

    pieces: tuple[tuple[str, str], ...]
    """Each is followed by the table of the contract that stands with it."""

    tail: str
    """Follows the last one."""

    def over(self, tables: Mapping[str, str]) -> str:
        """The SELECT over these tables, by contract."""
        return "".join(f"{text}{tables[contract]}" for text, contract in self.pieces) + self.tail


@dataclass(frozen=True)
class Base:
    """What a view over a view is derived from."""

    of: Definition

    fold: str
    """Partial rows of that definition (any split), as `partials`, to the derived view's."""

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

    None of `partials` and `merge` raises on data; `finalise` raises only where a value that is out of range is computed
    (its message contains VALUE_OUT_OF_RANGE).
    """

    view: str

    contracts: tuple[str, ...]
    """Their names, in order."""

    hash: str
    text: str
    normalised: str
    properties: dict[str, str] = field(hash=False)
    keys: tuple[Column, ...]
    columns: tuple[Output, ...]
    partial_columns: tuple[Column, ...]

    partials: Mapping[str, str] = field(hash=False)
    """By contract, `events` (its fields, and where they were read) to partial rows."""

    by_unit: Mapping[str, str] = field(hash=False)
    """By contract, the same of several units at once, told apart by a first column `_unit` of both."""

    rows: Mapping[str, str] = field(hash=False)
    """By contract, `events` to one row for each event (or element) that counts, no two put together: its keys as
    `_key1`, …, what `checked` reads, its position, event id (as text) and time."""

    merge: str
    """`partials` to at most one row for each key, same columns."""

    merges: dict[str, str] = field(hash=False)
    """Each partial column's merge over `partials`."""

    compared: tuple[Compared, ...]
    """Each aggregate once, for the audit."""

    checked: tuple[Checked, ...] = field(hash=False)
    """Each as it is computed another way."""

    having: str
    """The condition that a merged row must meet, or ''."""

    original: Original
    """The user's own SELECT."""

    comment: str = ""

    where: str = ""
    """The condition, as the definition's identity has it."""

    having_said: str = ""
    """The same of the condition on merged rows."""

    reads: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What each contract of a union gives, as the definition's identity has it."""

    buckets: tuple[str, ...] = ()
    """The keys that are time buckets or dates: one at least."""

    base: Base | None = None
    """The view it is derived from."""

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
        lines = [f"{output.finalise} AS {quote(output.name)}" for output in self.columns]
        return select(lines, _partials(source), self.having)

    def compare_over(self, source: str) -> str:
        """Keys and everything that an audit compares, of every group whatever HAVING says: `_1`, `_2`, … as in
        `compared`, and `_scale1`, … where there is one."""
        lines = [f"partials.{quote(key.name)} AS {quote(key.name)}" for key in self.keys]
        lines += [f"{one.sql} AS _{number}" for number, one in enumerate(self.compared, start=1)]
        lines += [f"{one.scale} AS _scale{number}" for number, one in enumerate(self.compared, start=1) if one.scale]
        return select(lines, _partials(source))

    @property
    def merge_and_finalise(self) -> str:
        """`partials` of any split to the view's columns, in one statement."""
        return self.finalise_over(f"({self.merge})")

    def needed(self, columns: Iterable[Output]) -> tuple[str, ...]:
        """The stored columns that some of the view's are made of: the keys, theirs, and those of HAVING."""
        keys = {key.name for key in self.keys}
        text = "\n".join([self.having, *(column.finalise for column in columns)])
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
            merge=select(lines, "partials", grouped=True),
            merges=merges,
        )

    def select_over(self, events: Mapping[str, str] | str) -> str:
        """The user's own SELECT over other tables, one for each contract (a name alone: for the only contract),
        character by character but for calls that DuckDB does not have or answers by the order of rows: what every
        answer is checked against."""
        tables = dict.fromkeys(self.contracts, events) if isinstance(events, str) else events
        return self.original.over(tables)


def _partials(source: str) -> str:
    return source if source == "partials" else f"{source} AS partials"


def select(lines: Sequence[str], source: str, where: str = "", *, grouped: bool = False) -> str:
    """A SELECT's text; `grouped`: by all of its lines that do not aggregate."""
    text = "SELECT\n  " + ",\n  ".join(lines) + f"\nFROM {source}"
    return text + (f"\nWHERE {where}" if where else "") + ("\nGROUP BY ALL" if grouped else "")
