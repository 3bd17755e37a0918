"""A bound view checked: DuckDB runs it, its columns can be served, time is among its keys, and its header fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.views.binding import BoundMeasure, BoundSelect
from seamline.schemas.views.bound import BoundView
from seamline.schemas.views.buckets import TIMES
from seamline.schemas.views.definition import Column, Compared, Original, Output
from seamline.schemas.views.described import check_sort, commented
from seamline.schemas.views.engine import types_of
from seamline.schemas.views.finalise import Finaliser
from seamline.schemas.views.original import Edit, original_select, over_none, table_edits, union_edits
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.selection import Selection
from seamline.schemas.views.source import Source
from seamline.schemas.views.unnest import ELEMENT


@dataclass(frozen=True)
class Finished:
    """How a view's stored columns become those that it shows."""

    keys: tuple[Column, ...]

    stored: tuple[Column, ...]
    """Keys first."""

    columns: tuple[Output, ...]
    """Over merged partials."""

    having: str
    """Over merged partials."""

    named: tuple[tuple[str, BoundMeasure], ...]
    """Each aggregate once, by what people call it."""

    compared: tuple[Compared, ...]
    """Each as the audit compares it."""

    buckets: tuple[str, ...]
    """The keys that are time buckets or dates."""


@dataclass(frozen=True)
class CheckedView:
    """A bound view that nothing is wrong with."""

    bound: BoundView

    original: Original
    """The user's SELECT, as DuckDB itself runs it."""

    finished: Finished


def check_view(view: BoundView, *, timeless: bool = False) -> CheckedView:
    """Everything that needs more than names and types to be judged; `timeless`: it may do without a time bucket, as
    what no layer keeps. Raises VIEW_INVALID."""
    parsed, events, bound = view.parsed, view.events, view.select
    original = original_select(parsed.source, parsed.select, _edits(view))
    types_of(parsed.source, parsed.select[0].start, over_none(original, events.contracts))  # DuckDB has to run it too
    stored = tuple(
        Column(name, part.stored, part.most, part.since, part.engine, part.rare)
        for name, (part, _) in bound.parts.items()
    )
    example = "" if timeless else f"time_bucket(INTERVAL '1 hour', {events.time}) AS hour"
    return CheckedView(view, original, finish(parsed, view.selection, bound, stored, example))


def finish(
    view: ParsedView,
    selection: Selection,
    bound: BoundSelect,
    partial: Sequence[Column],
    example: str,
    known: Sequence[str] = (),
) -> Finished:
    """The columns that a view shows, of its keys and of the `partial` columns beside them, with what its header says of
    them. `example`: a time bucket to write, '' where none is needed; `known`: the SQL of fields that are one.

    Raises VIEW_INVALID.
    """
    keys = tuple(Column(key.name, key.sql_type) for key in bound.keys)
    finaliser = Finaliser(view.source, bound, (*keys, *partial))
    columns, having = commented(view.source, view.header, finaliser.outputs), finaliser.having
    buckets = _require_bucket(view.source, selection, bound, example, known)
    check_sort(view.source, view.header, keys, columns)
    return Finished(keys, finaliser.stored, columns, having, finaliser.named, finaliser.compared, buckets)


def _require_bucket(
    source: Source, selection: Selection, bound: BoundSelect, example: str, known: Sequence[str]
) -> tuple[str, ...]:
    """The names of the keys that are time buckets or dates. Raises VIEW_INVALID where none is, given an `example`."""
    found = tuple(
        key.name
        for key, typed in zip(selection.keys, bound.keys, strict=True)
        if typed.sql_type in TIMES and (key.bucket or (key.bare and (typed.sql_type == "DATE" or key.sql in known)))
    )
    if found or not example:
        return found
    message = (
        "no time bucket among the keys: every group would stay open for ever, so each refresh would touch all of it"
    )
    message += ", and neither retention nor pruning by time could apply"
    offset = min(item.offset for item in selection.items)
    raise source.refuse(offset, message, "a key that is time_bucket(…), date_trunc(…) or a date", f"add {example}")


def _edits(view: BoundView) -> list[Edit]:
    """Calls that DuckDB does not know, or whose answer would depend on the order of events, as it does them; the
    element of an array; and the contracts' names, which stay usable as qualifiers."""
    selection, bound, clauses = view.selection, view.select, view.parsed.clauses
    calls = [Edit(m.offset, m.end + 1, f"({bound.own(m)})") for m in selection.measures if bound.own(m)]
    unnested = selection.unnested
    edits = [*calls, *(Edit(start, end + 1, ELEMENT) for start, end in (unnested.places if unnested else ()))]
    table = clauses.table
    if unnested:
        edits.append(Edit(table.start, table.start, f"(SELECT *, unnest({unnested.array.text}) AS {ELEMENT} FROM "))
        edits.append(Edit(table.end + 1, table.end + 1, f" AS {quote(clauses.alias)})"))
    contracts = view.events.contracts
    if view.parsed.branches:
        edits += union_edits(view.parsed.branches, contracts, ordered=bool(calls))
    else:
        edits += table_edits(clauses, contracts[0].name)
    return edits
