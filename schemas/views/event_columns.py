"""The columns of `events`: a contract's fields, where an event was read, and, for a union, its time and its id."""

from __future__ import annotations

from collections.abc import Mapping

from seamline.kernel import quote
from seamline.schemas.contracts.contract import Contract

POSITION = {"_source": "VARCHAR", "_partition": "INTEGER", "_offset": "BIGINT"}
"""Where an event was read: columns of `events` beside the contract's fields."""

UNIT = "_unit"
"""Which unit of batch work an event belongs to, where one statement makes the partial rows of several."""

EVENT_TIME = "_event_time"
"""An event's own time, by its contract,"""
EVENT_ID = "_event_id"
"""and its id as text, NULL where it has none: columns of a union beside its users', and of rows (`rowwise`)."""
HIDDEN = {EVENT_TIME: "TIMESTAMP WITH TIME ZONE", EVENT_ID: "VARCHAR"}


def hidden_columns(contract: Contract, table: str = "") -> dict[str, str]:
    """What a contract's events give to the hidden columns; `table`: a qualifier with its dot, or ''."""
    id_ = f"{table}{quote(contract.event_id)}" if contract.event_id else "NULL"
    return {EVENT_TIME: f"{table}{quote(contract.event_time)}", EVENT_ID: f"{id_}::VARCHAR"}


def empty_events(fields: Mapping[str, str]) -> str:
    """A SELECT of no rows with the events' columns and types."""
    columns = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in {**fields, **POSITION}.items())
    return f"SELECT {columns} WHERE false"
