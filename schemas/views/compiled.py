"""A checked view as a definition: the statements that run in the kernel, and what the definition's identity is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from seamline.kernel import quote
from seamline.schemas.algebra.forms import fill
from seamline.schemas.views.binding import BoundSelect
from seamline.schemas.views.checked import CheckedView
from seamline.schemas.views.definition import Definition, select
from seamline.schemas.views.event_columns import POSITION, UNIT, hidden_columns
from seamline.schemas.views.events import Events
from seamline.schemas.views.language import engine_of
from seamline.schemas.views.rowwise import EVENTS_CHECKED, Reading
from seamline.schemas.views.selection import Selection
from seamline.schemas.views.union_binding import BoundBranch, BranchColumn, Union


def define(view: CheckedView) -> Definition:
    """The definition. Pure, and it refuses nothing."""
    events, selection, bound = view.bound.events, view.bound.selection, view.bound.select
    parsed, finished = view.bound.parsed, view.finished
    normalised = f"view {parsed.name} on {events.said}\n{selection.normalised}"
    identity = "\n".join([engine_of(normalised), normalised, *(contract.decoding for contract in events.contracts)])
    reading = Reading(events.order)
    read = (reading.checked(measure, name) for name, measure in finished.named)
    checked = (EVENTS_CHECKED, *filter(None, read))
    merges = {name: fill(part.merge, {"c": f"partials.{quote(name)}"}) for name, (part, _) in bound.parts.items()}
    return Definition(
        view=parsed.name,
        contracts=tuple(contract.name for contract in events.contracts),
        hash=hashlib.sha256(identity.encode()).hexdigest()[:16],
        text=parsed.text,
        normalised=normalised,
        properties=parsed.properties,
        keys=finished.keys,
        columns=finished.columns,
        partial_columns=finished.stored,
        partials=_for_each(events, _partial(bound, selection)),
        by_unit=_for_each(events, _partial(bound, selection, f"events.{UNIT}")),
        rows=_for_each(events, _rows(reading.lines(bound), selection)),
        merge=_merge(bound, merges),
        merges=merges,
        compared=finished.compared,
        checked=checked,
        having=finished.having,
        original=view.original,
        comment=parsed.header.comment,
        where=selection.where,
        having_said=selection.having.said if selection.having else "",
        reads=events.reads,
        buckets=finished.buckets,
    )


def _for_each(events: Events, statement: Callable[[str], str]) -> dict[str, str]:
    """A statement for each contract; it is given what stands after its FROM."""
    alone = statement("events")
    union = events.union
    if union is None:
        return {contract.name: alone for contract in events.contracts}
    return {
        branch.contract.name: statement(f"(\n  {_branch_rows(union, branch, alone)}\n) AS events")
        for branch in sorted(union.parts, key=lambda branch: branch.contract.name)
    }


def _branch_rows(union: Union, branch: BoundBranch, statement: str) -> str:
    """A SELECT from one contract's `events`: the columns that a statement names, of the union and of positions."""
    given = {name.lower(): column for name, column in branch.columns.items()}
    hidden = hidden_columns(branch.contract, "events.")
    lines = [name for name in (UNIT, *POSITION) if f"events.{name}" in statement]
    lines += [f"{sql} AS {name}" for name, sql in hidden.items() if _names(statement, name)]
    for name, kind in union.fields.items():
        if _names(statement, name):
            lines.append(f"{_as(given.get(name.lower()), kind)} AS {quote(name)}")
    where = f"\n  WHERE TRY({branch.where})" if branch.where else ""
    return "SELECT " + (",\n    ".join(lines) or "1 AS _one") + f"\n  FROM events{where}"


def _names(statement: str, column: str) -> bool:
    return f"events.{quote(column)}" in statement


def _as(column: BranchColumn | None, kind: str) -> str:
    """A branch's column with the union's type; NULL where the branch has none."""
    if column is None:
        return f"NULL::{kind}"
    sql = column.sql if column.bare else f"TRY({column.sql})"
    return sql if column.sql_type == kind else f"TRY_CAST({sql} AS {kind})"


def _partial(bound: BoundSelect, selection: Selection, *beside: str) -> Callable[[str], str]:
    """Partial rows; `beside`: columns that they are grouped by beside their keys."""
    lines = [*beside, *(f"{key.grouped} AS {quote(key.name)}" for key in bound.keys)]
    lines += [f"{sql} AS {quote(name)}" for name, (_, sql) in bound.parts.items()]
    return lambda events: select(lines, _counted(selection, events), grouped=True)


def _rows(lines: list[str], selection: Selection) -> Callable[[str], str]:
    return lambda events: select(lines, _counted(selection, events))


def _counted(selection: Selection, events: str) -> str:
    """What is counted, after FROM: the events that WHERE leaves, or their elements."""
    where = f"WHERE TRY({selection.where})" if selection.where else ""
    if selection.unnested:
        unnested = selection.unnested.over(f"{events}\n  {where}".rstrip())
        return f"(\n  {unnested}\n) AS events"
    return f"{events}\n{where}".rstrip()


def _merge(bound: BoundSelect, merges: dict[str, str]) -> str:
    lines = [f"partials.{quote(key.name)}" for key in bound.keys]
    lines += [f"{sql} AS {quote(name)}" for name, sql in merges.items()]
    return select(lines, "partials", grouped=True)
