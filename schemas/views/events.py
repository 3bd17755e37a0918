"""What a view reads: the fields and the order of one contract's events, or those of a union of several contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.views.buckets import TIMES
from seamline.schemas.views.event_columns import EVENT_ID, EVENT_TIME, HIDDEN
from seamline.schemas.views.order import Order
from seamline.schemas.views.original import original_select, over_none, union_edits
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.reserved_words import written
from seamline.schemas.views.union_binding import Union, bind_union


@dataclass(frozen=True)
class Events:
    """The contracts that FROM names, and what they give."""

    contracts: tuple[Contract, ...]
    """In the order of their names."""

    fields: Mapping[str, str]
    """Their types, by name."""

    order: Order
    """That of their events."""

    said: str
    """Its name in the definition's identity."""

    union: Union | None = None
    """Where there are several contracts."""

    @property
    def bound(self) -> dict[str, str]:
        """The columns that the statements may name: the union's own time and id too, which a user cannot."""
        return {**self.fields, **(HIDDEN if self.union else {})}

    @property
    def time(self) -> str:
        """A column to bucket by, for examples."""
        if self.union is None:
            return written(self.order.event_time)
        return written(next((name for name, kind in self.fields.items() if kind in TIMES), "at_time"))

    @property
    def reads(self) -> dict[str, str]:
        """What each contract of a union gives to it, normalised; empty for one contract."""
        return {part.contract.name: part.said for part in self.union.parts} if self.union else {}


def read_events(view: ParsedView, contracts: tuple[Contract, ...]) -> Events:
    """What FROM names, of these contracts in the order of their names. Raises VIEW_INVALID."""
    source, branches = view.source, view.branches
    by_name = {contract.name.lower(): contract for contract in contracts}
    for table in view.tables:
        if table.text.lower() not in by_name:
            raise source.refuse(table.start, f"unknown contract {table.text!r}", ", ".join(by_name))
    table = view.clauses.table
    if not branches:
        contract = by_name[table.text.lower()]
        order = Order(contract.event_time, contract.event_id)
        return Events(contracts, event_schema(contract), order, contract.name)
    own = original_select(source, [table], union_edits(branches, contracts, ordered=False))
    union = bind_union(source, branches, by_name, f"SELECT * FROM {over_none(own, contracts)}")
    return Events(contracts, union.fields, Order(EVENT_TIME, EVENT_ID), union.said, union)
