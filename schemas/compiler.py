"""A view over its contracts, compiled: one SELECT becomes statements that run in the kernel."""

from __future__ import annotations

import hashlib

from sqlglot import Token

from seamline.kernel import KERNEL_VERSION, quote
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.algebra.forms import fill
from seamline.schemas.binding import Bound, bind, check_own, empty_events
from seamline.schemas.buckets import TIMES
from seamline.schemas.clauses import Clauses, read_clauses
from seamline.schemas.contracts import Contract, event_schema
from seamline.schemas.definition import Column, Definition
from seamline.schemas.finishing import Finisher
from seamline.schemas.headers import check_sort, commented, read_header
from seamline.schemas.language import Source
from seamline.schemas.selection import Selection, read_selection
from seamline.schemas.unnest import ELEMENT
from seamline.schemas.views import ViewText


def compile_view(view: ViewText, *contracts: Contract) -> Definition:
    """The definition of a view over its contracts. Pure, but that DuckDB binds it over no rows. Raises VIEW_INVALID."""
    source = view.source
    header = read_header(source, source.tokens())
    tokens = header.select
    clauses = read_clauses(source, tokens)
    (contract,) = contracts
    if clauses.table.text.lower() != contract.name.lower():
        raise source.refuse(clauses.table.start, f"unknown contract {clauses.table.text!r}", contract.name)
    fields = event_schema(contract)
    selection = read_selection(source, clauses, fields)
    bound = bind(source, selection, fields, contract.event_time)
    head, tail = _own(source, tokens, clauses, selection, bound)
    check_own(source, tokens[0].start, f"{head}({empty_events(fields)}){tail}")
    normalised = f"view {view.name} on {contract.name}\n{selection.normalised}"
    identity = f"{KERNEL_VERSION} {LAYOUT}\n{normalised}\n{contract.decoding}"
    keys = tuple(Column(key.name, key.sql_type) for key in bound.keys)
    stored = (*keys, *(Column(name, part.stored, part.most) for name, (part, _) in bound.parts.items()))
    finisher = Finisher(source, bound, stored)
    columns, having = commented(source, header, finisher.outputs), finisher.having
    _require_bucket(source, selection, bound, contract.event_time)
    check_sort(source, header, keys, columns)
    return Definition(
        view=view.name,
        contracts=tuple(sorted(contract.name for contract in contracts)),
        hash=hashlib.sha256(identity.encode()).hexdigest()[:16],
        text=view.text,
        normalised=normalised,
        properties=view.properties,
        keys=keys,
        columns=columns,
        partial_columns=stored,
        partials={contract.name: _partial(bound, selection)},
        merge=_merge(bound),
        merges=_merges(bound),
        compared=finisher.compared,
        having=having,
        own=((head, contract.name),),
        tail=tail,
        comment=header.comment,
        where=selection.where,
        having_said=selection.having.said if selection.having else "",
    )


def _require_bucket(source: Source, selection: Selection, bound: Bound, event_time: str) -> None:
    """Refuses a view none of whose keys is a time bucket or a date. Raises VIEW_INVALID."""
    for key, typed in zip(selection.keys, bound.keys, strict=True):
        if typed.sql_type in TIMES and (key.bucket or (key.bare and typed.sql_type == "DATE")):
            return
    got = "no time bucket among the keys: every group would stay open for ever, so each refresh would touch all of it"
    got += ", and neither retention nor pruning by time could apply"
    mend = f"add time_bucket(INTERVAL '1 hour', {event_time}) AS hour"
    offset = min(item.offset for item in selection.items)
    raise source.refuse(offset, got, "a key that is time_bucket(…), date_trunc(…) or a date", mend)


def _partial(bound: Bound, selection: Selection) -> str:
    lines = [f"{key.sql} AS {quote(key.name)}" for key in bound.keys]
    lines += [f"{sql} AS {quote(name)}" for name, (_, sql) in bound.parts.items()]
    where = f"WHERE TRY({selection.where})" if selection.where else ""
    if selection.unnested:
        events = selection.unnested.over(f"events\n  {where}".rstrip())
        return _select(lines, f"(\n  {events}\n) AS events")
    return _select(lines, f"events\n{where}".rstrip())


def _merges(bound: Bound) -> dict[str, str]:
    return {name: fill(part.merge, {"c": f"partials.{quote(name)}"}) for name, (part, _) in bound.parts.items()}


def _merge(bound: Bound) -> str:
    lines = [f"partials.{quote(key.name)}" for key in bound.keys]
    lines += [f"{sql} AS {quote(name)}" for name, sql in _merges(bound).items()]
    return _select(lines, "partials")


def _select(lines: list[str], source: str) -> str:
    return "SELECT\n  " + ",\n  ".join(lines) + f"\nFROM {source}\nGROUP BY ALL"


def _own(source: Source, tokens: list[Token], clauses: Clauses, selection: Selection, bound: Bound) -> tuple[str, str]:
    """The user's SELECT before and after the contract's name, which stays usable as a qualifier.

    Calls that DuckDB does not know, or whose answer would depend on the order of events, are written as it does them.
    """
    table, unnested = clauses.table, selection.unnested
    changed = [(m.offset, m.end, bound.own(m)) for m in selection.measures if bound.own(m)]
    changed += [(start, end, ELEMENT) for start, end in (unnested.places if unnested else ())]
    head = _replaced(source.text, tokens[0].start, table.start, sorted(changed))
    tail = _replaced(source.text, table.end + 1, tokens[-1].end + 1, sorted(changed))
    if clauses.alias == table.text:
        tail = f" AS {quote(table.text)}{tail}"
    if unnested:
        head += f"(SELECT *, unnest({unnested.array.text}) AS {ELEMENT} FROM "
        tail = f" AS {quote(clauses.alias)}){tail}"
    return head, tail


def _replaced(text: str, start: int, end: int, changed: list[tuple[int, int, str]]) -> str:
    out = ""
    for first, last, sql in changed:
        if start <= first < end:
            out, start = out + text[start:first] + sql, last + 1
    return out + text[start:end]
