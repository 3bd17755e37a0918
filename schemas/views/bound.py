"""A view bound to its contracts: every name in it is a field, a key or a column, and every expression has its type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.binding import BoundSelect, bind
from seamline.schemas.views.events import Events, read_events
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.select_list import read_selection
from seamline.schemas.views.selection import Selection


@dataclass(frozen=True)
class BoundView:
    """A parsed view, what it reads, its SELECT with the names looked up, and the same with types."""

    parsed: ParsedView
    events: Events
    selection: Selection
    select: BoundSelect


def bind_view(parsed: ParsedView, contracts: Iterable[Contract]) -> BoundView:
    """A view over these contracts. Pure, but that DuckDB binds expressions over no rows. Raises VIEW_INVALID."""
    events = read_events(parsed, tuple(sorted(contracts, key=lambda contract: contract.name)))
    selection = read_selection(parsed.source, parsed.clauses, events.fields)
    return BoundView(parsed, events, selection, bind(parsed.source, selection, events.bound, events.order))
