"""A definition: one view over one contract, compiled to three statements that run in the kernel.

Nothing here is stored: a definition is made again from the view's text and the contract's text, which
the ledger keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seamline.schemas.algebra import Exactness


@dataclass(frozen=True)
class Column:
    """A stored column and its DuckDB type."""

    name: str
    sql_type: str


@dataclass(frozen=True)
class Output:
    """A column of the view. A key has no aggregate. `bound` says how far an inexact one may be off."""

    name: str
    sql_type: str
    exactness: Exactness = "exact"
    aggregate: str = ""
    bound: str = ""


@dataclass(frozen=True)
class Definition:
    """A compiled view.

    partial: `events` (the contract's fields) to partial rows; merge: `partials` to at most one row for
    each key, same columns; finalise: merged `partials` to the view's columns in the user's order.
    None of `partial` and `merge` raises on data; `finalise` raises only where a value that is out of range is
    computed (its message contains VALUE_OUT_OF_RANGE); `inspect` is finalise for whole scans: NULL in its
    place, and for each such column a text `_error_<column>`, NULL where all is well.
    A view without keys has one row, even over no events.
    """

    view: str
    contract: str
    hash: str
    text: str
    normalised: str
    properties: dict[str, str] = field(hash=False)
    keys: tuple[Column, ...]
    columns: tuple[Output, ...]
    partial_columns: tuple[Column, ...]
    partial: str
    merge: str
    finalise: str
    inspect: str
    head: str
    tail: str

    @property
    def merge_and_finalise(self) -> str:
        """`partials` of any split to the view's columns, in one statement."""
        return over(self.finalise, f"({self.merge})")

    def select_over(self, events: str) -> str:
        """The user's own SELECT, character by character, over another table: what every answer is checked against."""
        return f"{self.head}{events}{self.tail}"


def over(finalise: str, source: str) -> str:
    """`finalise` reading from another source than the table `partials`."""
    select, _, _ = finalise.rpartition("\nFROM partials")
    return f"{select}\nFROM {source} AS partials"
