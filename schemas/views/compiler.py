"""A view over its contracts, compiled: one SELECT becomes statements that run in the kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.algebra.forms import fill
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.views.binding import Bound, bind, check_own, empty_events
from seamline.schemas.views.buckets import TIMES
from seamline.schemas.views.clauses import Clauses, read_clauses
from seamline.schemas.views.definition import Column, Definition
from seamline.schemas.views.finalise import Finaliser
from seamline.schemas.views.headers import check_sort, commented, read_header
from seamline.schemas.views.language import Source, engine_of
from seamline.schemas.views.order import Order
from seamline.schemas.views.original import Edit, original_select, table_edits, union_edits
from seamline.schemas.views.reserved_words import explained, written
from seamline.schemas.views.rowwise import EVENTS_CHECKED, Reading
from seamline.schemas.views.selection import Selection, read_selection
from seamline.schemas.views.text import ViewText
from seamline.schemas.views.unions import HIDDEN, ID, TIME, Branch, Union, bind_union, read_union
from seamline.schemas.views.unnest import ELEMENT


@dataclass(frozen=True)
class _Events:
    """What a view's SELECT reads: fields and their types, the order of its events, and, where that is a union of
    contracts, the union. `said`: its name in the definition's identity."""

    fields: Mapping[str, str]
    order: Order
    said: str
    union: Union | None = None

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

    def over(self, contracts: Iterable[Contract], statement: Callable[[str], str]) -> dict[str, str]:
        """A statement for each contract; it is given what stands after its FROM."""
        alone = statement("events")
        if self.union is None:
            return {contract.name: alone for contract in contracts}
        return {
            part.contract.name: statement(f"(\n  {self.union.over(part, alone)}\n) AS events")
            for part in sorted(self.union.parts, key=lambda part: part.contract.name)
        }


def compile_view(view: ViewText, *contracts: Contract) -> Definition:
    """The definition of a view over its contracts. Pure, but that DuckDB binds it over no rows. Raises VIEW_INVALID."""
    try:
        return _compiled(view, *contracts)
    except UserError as error:
        fields = {name for contract in contracts for name in event_schema(contract)}
        raise explained(
            view.source, error, lambda s: _compiled(replace(view, text=s.text), *contracts), fields
        ) from error


def _compiled(view: ViewText, *contracts: Contract) -> Definition:
    source = view.source
    header = read_header(source, source.tokens())
    tokens, branches = read_union(source, header.select)
    clauses = read_clauses(source, tokens)
    contracts = tuple(sorted(contracts, key=lambda contract: contract.name))
    events = _events(source, clauses, branches, contracts)
    selection = read_selection(source, clauses, events.fields)
    bound = bind(source, selection, events.bound, events.order)
    own, tail = original_select(source, tokens, _edits(clauses, branches, contracts, selection, bound))
    check_own(source, tokens[0].start, _over_none(own, tail, contracts))
    normalised = f"view {view.name} on {events.said}\n{selection.normalised}"
    identity = "\n".join([engine_of(normalised), normalised, *(contract.decoding for contract in contracts)])
    reading = Reading(events.order)
    keys = tuple(Column(key.name, key.sql_type) for key in bound.keys)
    stored = (
        *keys,
        *(
            Column(name, part.stored, part.most, part.since, part.engine, part.rare)
            for name, (part, _) in bound.parts.items()
        ),
    )
    finaliser = Finaliser(source, bound, stored)
    checked = (EVENTS_CHECKED, *filter(None, (reading.checked(measure, name) for name, measure in finaliser.named)))
    columns, having = commented(source, header, finaliser.outputs), finaliser.having
    buckets = require_bucket(source, selection, bound, f"time_bucket(INTERVAL '1 hour', {events.time}) AS hour")
    check_sort(source, header, keys, columns)
    return Definition(
        view=view.name,
        contracts=tuple(contract.name for contract in contracts),
        hash=hashlib.sha256(identity.encode()).hexdigest()[:16],
        text=view.text,
        normalised=normalised,
        properties=view.properties,
        keys=keys,
        columns=columns,
        partial_columns=stored,
        partials=events.over(contracts, _partial(bound, selection)),
        rows=events.over(contracts, _rows(reading.lines(bound), selection)),
        merge=_merge(bound),
        merges=_merges(bound),
        compared=finaliser.compared,
        checked=checked,
        having=having,
        own=own,
        tail=tail,
        comment=header.comment,
        where=selection.where,
        having_said=selection.having.said if selection.having else "",
        reads={part.contract.name: part.said for part in events.union.parts} if events.union else {},
        buckets=buckets,
    )


def _events(source: Source, clauses: Clauses, branches: tuple[Branch, ...], contracts: tuple[Contract, ...]) -> _Events:
    """What FROM names. Raises VIEW_INVALID."""
    by_name = {contract.name.lower(): contract for contract in contracts}
    for table in [branch.clauses.table for branch in branches] or [clauses.table]:
        if table.text.lower() not in by_name:
            raise source.refuse(table.start, f"unknown contract {table.text!r}", ", ".join(by_name))
    if not branches:
        contract = by_name[clauses.table.text.lower()]
        return _Events(event_schema(contract), Order(contract.event_time, contract.event_id), contract.name)
    own, tail = original_select(source, [clauses.table], union_edits(branches, contracts, ordered=False))
    union = bind_union(source, branches, by_name, f"SELECT * FROM {_over_none(own, tail, contracts)}")
    return _Events(union.fields, Order(TIME, ID), union.said, union)


def _over_none(own: tuple[tuple[str, str], ...], tail: str, contracts: Iterable[Contract]) -> str:
    """The user's own text over tables of no rows."""
    empty = {contract.name: f"({empty_events(event_schema(contract))})" for contract in contracts}
    return "".join(f"{text}{empty[name]}" for text, name in own) + tail


def require_bucket(
    source: Source, selection: Selection, bound: Bound, example: str, known: Sequence[str] = ()
) -> tuple[str, ...]:
    """The names of the keys that are time buckets or dates; `known`: the SQL of fields that are. Raises VIEW_INVALID
    where there is none."""
    found = tuple(
        key.name
        for key, typed in zip(selection.keys, bound.keys, strict=True)
        if typed.sql_type in TIMES and (key.bucket or (key.bare and (typed.sql_type == "DATE" or key.sql in known)))
    )
    if found:
        return found
    got = "no time bucket among the keys: every group would stay open for ever, so each refresh would touch all of it"
    got += ", and neither retention nor pruning by time could apply"
    offset = min(item.offset for item in selection.items)
    raise source.refuse(offset, got, "a key that is time_bucket(…), date_trunc(…) or a date", f"add {example}")


def _partial(bound: Bound, selection: Selection) -> Callable[[str], str]:
    lines = [f"{key.sql} AS {quote(key.name)}" for key in bound.keys]
    lines += [f"{sql} AS {quote(name)}" for name, (_, sql) in bound.parts.items()]
    return lambda events: _select(lines, _counted(selection, events))


def _rows(lines: list[str], selection: Selection) -> Callable[[str], str]:
    return lambda events: _listed(lines, _counted(selection, events))


def _counted(selection: Selection, events: str) -> str:
    """What is counted, after FROM: the events that WHERE leaves, or their elements."""
    where = f"WHERE TRY({selection.where})" if selection.where else ""
    if selection.unnested:
        unnested = selection.unnested.over(f"{events}\n  {where}".rstrip())
        return f"(\n  {unnested}\n) AS events"
    return f"{events}\n{where}".rstrip()


def _merges(bound: Bound) -> dict[str, str]:
    return {name: fill(part.merge, {"c": f"partials.{quote(name)}"}) for name, (part, _) in bound.parts.items()}


def _merge(bound: Bound) -> str:
    lines = [f"partials.{quote(key.name)}" for key in bound.keys]
    lines += [f"{sql} AS {quote(name)}" for name, sql in _merges(bound).items()]
    return _select(lines, "partials")


def _select(lines: list[str], source: str) -> str:
    return f"{_listed(lines, source)}\nGROUP BY ALL"


def _listed(lines: list[str], source: str) -> str:
    return "SELECT\n  " + ",\n  ".join(lines) + f"\nFROM {source}"


def _edits(
    clauses: Clauses,
    branches: tuple[Branch, ...],
    contracts: tuple[Contract, ...],
    selection: Selection,
    bound: Bound,
) -> list[Edit]:
    """Calls that DuckDB does not know, or whose answer would depend on the order of events, as it does them; the
    element of an array; and the contracts' names, which stay usable as qualifiers."""
    calls = [Edit(m.offset, m.end + 1, bound.own(m)) for m in selection.measures if bound.own(m)]
    unnested = selection.unnested
    edits = [*calls, *(Edit(start, end + 1, ELEMENT) for start, end in (unnested.places if unnested else ()))]
    table = clauses.table
    if unnested:
        edits.append(Edit(table.start, table.start, f"(SELECT *, unnest({unnested.array.text}) AS {ELEMENT} FROM "))
        edits.append(Edit(table.end + 1, table.end + 1, f" AS {quote(clauses.alias)})"))
    if branches:
        edits += union_edits(branches, contracts, ordered=bool(calls))
    else:
        edits += table_edits(table, clauses.alias, contracts[0].name)
    return edits
