"""A view's events row by row: keys and arguments as the kernel computes them, each row alone, and no aggregate.

What other hands make of them, in one pass, is what an answer is checked against: nothing here groups or merges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seamline.kernel import quote
from seamline.schemas.algebra.forms import fill
from seamline.schemas.plainly import PLAINLY
from seamline.schemas.views.binding import BoundMeasure, BoundSelect
from seamline.schemas.views.definition import EVENTS, EVENTS_COMPARED, Checked
from seamline.schemas.views.event_columns import EVENT_ID, EVENT_TIME, POSITION
from seamline.schemas.views.order import Order

EVENTS_CHECKED = Checked(
    EVENTS_COMPARED, "count", ("BIGINT",), (), (), "", "", f"partials.{quote(EVENTS.name)}", "", (EVENTS.name,)
)


def key_of(number: int) -> str:
    """The column of rows that holds the key of this number, from 1."""
    return f"_key{number}"


@dataclass
class Reading:
    """What is read of each event, each expression once."""

    order: Order

    columns: dict[str, str] = field(default_factory=dict)
    """SQL to the name of its column."""

    def column(self, sql: str) -> str:
        """The column of an expression over one event."""
        return self.columns.setdefault(sql, f"_read{len(self.columns) + 1}") if sql else ""

    def checked(self, measure: BoundMeasure, name: str) -> Checked | None:
        """One aggregate, and what it reads; None where nothing else can evaluate it."""
        evaluator = PLAINLY.get(measure.aggregate)
        if evaluator is None:
            return None
        form, stored = measure.form, measure.stored(name)
        return Checked(
            name,
            measure.aggregate,
            measure.types,
            measure.constants,
            tuple(self.column(fill(evaluator.reads, {"x": sql})) for sql in measure.arguments),
            self.column(measure.where),
            self.column(self.order.at()) if evaluator.ordered else "",
            fill(form.finalise, stored),
            fill(form.check, stored),
            tuple(dict.fromkeys(column for column, _ in measure.parts.values())),
        )

    def lines(self, bound: BoundSelect) -> list[str]:
        """The select list over `events`."""
        id_ = f"events.{quote(self.order.event_id)}::VARCHAR" if self.order.event_id else "NULL::VARCHAR"
        return [
            *(f"{key.grouped} AS {key_of(n)}" for n, key in enumerate(bound.keys, start=1)),
            *(f"{sql} AS {name}" for sql, name in self.columns.items()),
            *(f"events.{name}" for name in POSITION),
            f"{id_} AS {EVENT_ID}",
            f"events.{quote(self.order.event_time)} AS {EVENT_TIME}",
        ]


def folded_rows(rows: Mapping[str, str], base: tuple[str, ...], keys: tuple[str, ...], where: str) -> dict[str, str]:
    """Rows of a view over a view: those of its base, whose keys (`base`) are computed from, and filtered by. `keys` are
    SQL over `partials`, as `where` is."""
    named = ", ".join(f"{key_of(n)} AS {quote(name)}" for n, name in enumerate(base, start=1))
    made = ", ".join(f"{sql} AS {key_of(n)}" for n, sql in enumerate(keys, start=1))
    old = ", ".join(key_of(n) for n in range(1, len(base) + 1))
    hidden = ", ".join(map(quote, base))
    condition = f"\nWHERE {where}" if where else ""
    return {
        contract: f"SELECT {made}, partials.* EXCLUDE ({hidden})\n"
        f"FROM (\nSELECT {named}, * EXCLUDE ({old})\nFROM (\n{sql}\n)\n) AS partials{condition}"
        for contract, sql in rows.items()
    }
