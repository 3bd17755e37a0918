"""A view's union bound over its contracts: each branch makes one contract's events into rows of the union's columns.

With try semantics; and it carries the events' time, id and position along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.views.binding import Binder
from seamline.schemas.views.buckets import check_times
from seamline.schemas.views.calls import condition, is_bare
from seamline.schemas.views.engine import types_of
from seamline.schemas.views.event_columns import POSITION, empty_events
from seamline.schemas.views.names import alias_of, find_fields
from seamline.schemas.views.order import UNORDERED
from seamline.schemas.views.source import Source, WrittenField
from seamline.schemas.views.unions import Branch
from seamline.sql import Token


@dataclass(frozen=True)
class BranchColumn:
    """A column that a branch gives."""

    sql: str
    """Over `events`."""

    sql_type: str
    bare: bool

    offset: int
    """Its first character."""


@dataclass(frozen=True)
class BoundBranch:
    """One branch, bound over its contract."""

    branch: Branch
    contract: Contract

    columns: Mapping[str, BranchColumn]
    """By name."""

    where: str

    said: str
    """The branch, normalised."""


@dataclass(frozen=True)
class Union:
    """A view's contracts as one table."""

    fields: Mapping[str, str]
    """Its columns' types, by name."""

    parts: tuple[BoundBranch, ...]
    """What each contract gives to them."""

    @property
    def said(self) -> str:
        """The same for any order of the branches."""
        return "(" + " union all by name ".join(sorted(part.said for part in self.parts)) + ")"


def bind_union(source: Source, branches: Iterable[Branch], contracts: Mapping[str, Contract], own: str) -> Union:
    """The union over its contracts (by name in lower case). `own`: the user's own text of it, over no rows, from which
    DuckDB tells the columns' types. Raises VIEW_INVALID."""
    parts = tuple(_part(source, branch, contracts[branch.clauses.table.text.lower()]) for branch in branches)
    first = parts[0]
    for part in parts[1:]:
        if part.contract.stream != first.contract.stream:
            message = f"{part.contract.name} is in stream {part.contract.stream!r}"
            message += f", and {first.contract.name} in stream {first.contract.stream!r}"
            hint = "give both contracts one stream, or make a view for each"
            raise source.refuse(part.branch.clauses.table.start, message, "contracts of one stream", hint)
    types = types_of(source, first.branch.first.start, own)
    return Union({name: kind for name, kind in types.items() if name not in POSITION}, parts)


def _part(source: Source, branch: Branch, contract: Contract) -> BoundBranch:
    fields = event_schema(contract)
    clauses = branch.clauses
    found = find_fields(source, clauses, fields)
    binder = Binder(source, f"WITH events AS ({empty_events(fields)})", UNORDERED)
    columns: dict[str, BranchColumn] = {}
    if branch.star:
        at = clauses.table.start
        columns = {name: BranchColumn(f"events.{quote(name)}", kind, True, at) for name, kind in fields.items()}
    given = []
    for item in branch.columns or ():
        name, column = _column(source, item, found, binder)
        if name.lower() in {one.lower() for one in columns}:
            raise source.refuse(column.offset, f"column {name!r} twice", "each name once", "give it another name")
        columns[name] = column
        given.append(f"{column.sql} as {quote(name)}")
    where = ""
    if clauses.where:
        check_times(source, clauses.where)
        where = condition(source, clauses.where, found)
        binder.condition(where, clauses.where[0].start)
    said = ", ".join([*(["*"] if branch.star else []), *given])
    said = f"select {said} from {contract.name}" + (f" where {where}" if where else "")
    return BoundBranch(branch, contract, columns, where, said)


def _column(
    source: Source, item: list[Token], found: dict[int, WrittenField], binder: Binder
) -> tuple[str, BranchColumn]:
    body, name = alias_of(source, item, found)
    at = body[0].start
    if name.startswith("_"):
        message = f"name {name!r} is kept for Seamline"
        raise source.refuse(at, message, "other names", "choose a name without a leading underscore")
    check_times(source, body)
    sql, bare = condition(source, body, found), is_bare(body, found)
    return name, BranchColumn(sql, binder.type_of(sql if bare else f"TRY({sql})", at), bare, at)
