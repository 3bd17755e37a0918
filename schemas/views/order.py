"""How a contract's events are put in order, for aggregates whose answer depends on it.

By event time, then by event id. The position decides only between events without an id: of copies of one event, each
layer counts one, and which one may differ, so what an answer depends on must be the same for all copies.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.views.event_columns import POSITION


@dataclass(frozen=True)
class Order:
    """The order of one contract's events. Events that are equal in it differ in value alone."""

    event_time: str
    """The contract's field."""

    event_id: str | None = None
    """The contract's field, where it has one."""

    def at(self) -> str:
        """An event's place, as a value of type AT, over `events`."""
        time, *place = self._terms("events.")
        return "{" + ", ".join(f"'{name}': {sql}" for name, sql in zip("tspo", [time, *place], strict=True)) + "}"

    def own(self) -> str:
        """The same as terms of an ORDER BY."""
        return ", ".join(self._terms(""))

    def _terms(self, table: str) -> list[str]:
        time, (source, partition, offset) = f"{table}{quote(self.event_time)}", (f"{table}{name}" for name in POSITION)
        if self.event_id is None:
            return [time, source, partition, offset]
        id_ = f"{table}{quote(self.event_id)}"
        numbers = [f"CASE WHEN {id_} IS NULL THEN {number} ELSE 0 END" for number in (partition, offset)]
        return [time, f"coalesce({id_}::VARCHAR, {source})", *numbers]


UNORDERED = Order("")
"""Where no order of events is asked for."""
