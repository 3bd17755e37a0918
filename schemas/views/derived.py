"""A view over a view: the coarser one folded from the finer one's partial rows, and from nothing else.

`MEASURE(column)` names a column of the base, re-aggregated as a query's MEASURE does; keys and WHERE are over the
base's keys. The derived view's partial columns are those of the base that its columns need, merged under its own keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from seamline.kernel import quote
from seamline.schemas.views.checked import Finished, finish
from seamline.schemas.views.definition import Base, Definition, Original, select
from seamline.schemas.views.derived_binding import BoundDerived, bind_derived
from seamline.schemas.views.event_columns import UNIT
from seamline.schemas.views.language import engine_of
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.rowwise import folded_rows


def compile_derived(view: ParsedView, base: Definition) -> Definition:
    """The definition of a view over another. Pure, but that DuckDB binds it over no rows. Raises VIEW_INVALID."""
    bound = bind_derived(view, base)
    example = f"time_bucket(INTERVAL '1 day', {base.buckets[0]}) AS day"
    known = [f"partials.{quote(name)}" for name in base.buckets]
    return _define(bound, finish(view, bound.selection, bound.select, bound.partial, example, known))


def _define(view: BoundDerived, finished: Finished) -> Definition:
    """The definition of a checked view over a view."""
    parsed, base, selection, bound = view.parsed, view.base, view.selection, view.select
    kept = {column.name for column in view.partial}
    merges = {name: sql for name, sql in base.merges.items() if name in kept}
    folded = [f"{key.grouped} AS {quote(key.name)}" for key in bound.keys]
    fold = _select(folded, merges, view.where)
    fold_by_unit = _select([f"partials.{UNIT}", *folded], merges, view.where)
    normalised = f"view {parsed.name} over {base.view}\n{selection.normalised}"
    partials = _composed(base.partials, fold)
    pieces = _pieces(partials)
    base_keys, keys = tuple(key.name for key in base.keys), tuple(key.grouped for key in bound.keys)
    definition = Definition(
        view=parsed.name,
        contracts=base.contracts,
        hash=hashlib.sha256(f"{engine_of(normalised)}\n{normalised}\n{base.hash}".encode()).hexdigest()[:16],
        text=parsed.text,
        normalised=normalised,
        properties=parsed.properties,
        keys=finished.keys,
        columns=finished.columns,
        partial_columns=finished.stored,
        partials=partials,
        by_unit=_composed(base.by_unit, fold_by_unit),
        rows=folded_rows(base.rows, base_keys, keys, view.where),
        merge=_select([f"partials.{quote(key.name)}" for key in finished.keys], merges),
        merges=merges,
        compared=tuple(one for one in base.compared if kept.issuperset(one.uses)),
        checked=tuple(one for one in base.checked if kept.issuperset(one.uses)),
        having=finished.having,
        original=Original(pieces, ""),
        comment=parsed.header.comment,
        where=selection.where,
        having_said=selection.having.said if selection.having else "",
        buckets=finished.buckets,
        base=Base(base, fold),
    )
    tail = f"{_closed([*partials.values()][-1])}\n)\n{definition.merge_and_finalise}"
    return replace(definition, original=Original(pieces, tail))


def _composed(base: Mapping[str, str], fold: str) -> dict[str, str]:
    return {contract: f"WITH partials AS (\n{sql}\n)\n{fold}" for contract, sql in base.items()}


_EVENTS = "(WITH events AS (SELECT * FROM "


def _pieces(partials: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What is run over raw events for the same answer, up to each contract's name: the composition, and no more."""
    before, found = f"WITH partials AS (\n{_EVENTS}", list[tuple[str, str]]()
    for contract, sql in partials.items():
        found.append((before, contract))
        before = f"{_closed(sql)}\nUNION ALL BY NAME\n{_EVENTS}"
    return tuple(found)


def _closed(partial: str) -> str:
    return f") SELECT * FROM (\n{partial}\n))"


def _select(keys: Sequence[str], merges: Mapping[str, str], where: str = "") -> str:
    lines = [*keys, *(f"{sql} AS {quote(name)}" for name, sql in merges.items())]
    return select(lines, "partials", where, grouped=True)
