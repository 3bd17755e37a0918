"""Ordinary aggregates over a view's finished values, and which of them say something else than they seem to.

A sum of sums is the sum; an average of averages is not the average, nor is a sum of distinct counts one. Such a query
runs as it is written, and its answer carries a warning with the MEASURE form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seamline.kernel import fold
from seamline.schemas.algebra import NAMES
from seamline.schemas.views.definition import Definition, Output
from seamline.serving.guard import place
from seamline.serving.sources import STAR, ColumnName, QuerySource, Scope, path, sources, within
from seamline.sql import Node

_WORDS = """
approx_quantile avg bit_and bit_or bit_xor bool_and bool_or corr count_if countif entropy favg fsum geomean
geometric_mean kahan_sum kurtosis kurtosis_pop mad max mean median min percentile_cont percentile_disc product quantile
quantile_cont quantile_disc sem skewness stddev stddev_pop stddev_samp sum sumkahan var_pop var_samp variance
"""
_COMBINING = frozenset(_WORDS.split())
"""Aggregates that make one value out of many; those that list, count or pick rows say what they do."""

_SAME = {"fsum": "sum", "kahan_sum": "sum", "sumkahan": "sum", "favg": "avg"}


@dataclass(frozen=True)
class PlainCall:
    """One aggregate over a column as named."""

    function: str
    column: ColumnName

    sources: tuple[QuerySource, ...]
    """What its SELECT reads."""

    grouped: frozenset[str]
    """The columns that are grouped by."""

    window: bool

    where: str
    """Its place."""


def plain_calls(sql: str, node: Any) -> tuple[PlainCall, ...]:
    """The aggregates over columns in a checked query's tree."""
    return tuple(_calls(sql, node, {}, (), frozenset()))


def warnings(calls: Iterable[PlainCall], definitions: Mapping[str, Definition]) -> tuple[str, ...]:
    """What is to be said of an answer, each once, in the query's order."""
    return tuple(dict.fromkeys(said for call in calls if (said := _warning(call, definitions))))


def _calls(
    sql: str, node: Any, scope: Scope, reads: tuple[QuerySource, ...], grouped: frozenset[str]
) -> Iterator[PlainCall]:
    if isinstance(node, list):
        for item in node:
            yield from _calls(sql, item, scope, reads, grouped)
    elif isinstance(node, dict):
        *named, (_, scope) = within(node, scope)
        for query, seen in named:
            yield from _calls(sql, query, seen, (), frozenset())
        if node.get("type") == "SELECT_NODE":
            reads, grouped = tuple(sources(node.get("from_table", {}), scope)), _grouped(node)
        elif fold(node.get("function_name", "")) in _COMBINING and (column := _column(node)):
            where, window = place(sql, int(node["query_location"])), node.get("class") == "WINDOW"
            yield PlainCall(fold(node["function_name"]), column, reads, grouped, window, where)
        for key, value in node.items():
            if key != "cte_map":
                yield from _calls(sql, value, scope, reads, grouped)


def _column(call: Node) -> ColumnName:
    """The column that is the first argument, perhaps cast; empty where it is something else."""
    if not call.get("arguments"):
        return ()
    argument = call["arguments"][0]["expression"]
    while argument.get("class") == "CAST":
        argument = argument["child"]
    return path(argument) if argument.get("class") == "COLUMN_REF" else ()


def _grouped(node: Node) -> frozenset[str]:
    """The plain columns that a SELECT groups by, where it has one grouping."""
    items = node.get("select_list", [])
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        by = items
    elif len(node.get("group_sets", [])) > 1:
        by = []
    else:
        by = [_numbered(group, items) for group in node.get("group_expressions", [])]
    return frozenset(path(group)[-1] for group in by if group.get("class") == "COLUMN_REF")


def _numbered(group: Node, items: list[Node]) -> Node:
    """GROUP BY 1."""
    text = str(group.get("literal", {}).get("text", ""))
    return items[int(text) - 1] if text.isdigit() and 0 < int(text) <= len(items) else group


def _warning(call: PlainCall, definitions: Mapping[str, Definition]) -> str:
    said = (_said(call, one) for one in _resolve(call.sources, call.column, definitions))
    return next(filter(None, said), "")


def _said(call: PlainCall, found: _Found) -> str:
    source, definition, output = found
    function = NAMES.get(_SAME.get(call.function, call.function), call.function)
    keys = {fold(key.name) for key in definition.keys}
    whole = bool(source.view) and len(call.sources) == 1 and not call.window and keys <= call.grouped
    if not output.aggregate or function in output.combines or whole:
        return ""
    name = ".".join(call.column)
    what = f"{output.aggregate}()" if output.aggregate != "expression" else "an expression over aggregates"
    grain = ", ".join(key.name for key in definition.keys) or "nothing"
    return (
        f"{call.where}: {call.function}({name}) is taken over finished values, each {what} of one ({grain}) of "
        f"{definition.view}; for {output.name} at this query's own grain write MEASURE({name})"
    )


_Found = tuple[QuerySource, Definition, Output]
_Founds = tuple[_Found, ...]
"""The views' columns that a column's values may be of: several after a union."""


def _resolve(reads: tuple[QuerySource, ...], column: ColumnName, definitions: Mapping[str, Definition]) -> _Founds:
    """The views' columns behind a name, where there is no doubt."""
    *qualifier, name = column[-2:]
    entries = [source for source in reads if not qualifier or source.alias == qualifier[0]]
    if not qualifier and any(not (source.view or source.inner or source.branches) for source in entries):
        return ()  # nothing is known of its columns
    found = [founds for source in entries for called, founds in _columns(source, definitions) if called == name]
    return found[0] if len(found) == 1 else ()


def _columns(source: QuerySource, definitions: Mapping[str, Definition]) -> list[tuple[str, _Founds]]:
    """A source's columns by name, in order."""
    if source.view:
        definition = definitions[source.view]
        columns: list[tuple[str, _Founds]] = [(fold(o.name), ((source, definition, o),)) for o in definition.columns]
    else:
        inner = _united(source, definitions) if source.branches else _selected(source, definitions)
        columns = [(name, tuple((source, *found[1:]) for found in founds)) for name, founds in inner]
    names = [*source.names, *(name for name, _ in columns[len(source.names) :])]
    return [(name, founds) for name, (_, founds) in zip(names, columns, strict=False)]


def _selected(source: QuerySource, definitions: Mapping[str, Definition]) -> list[tuple[str, _Founds]]:
    columns: list[tuple[str, _Founds]] = []
    for name, origin in source.items:
        if name == STAR:
            columns += [column for inner in source.inner for column in _columns(inner, definitions)]
        else:
            columns.append((name, _resolve(source.inner, origin, definitions) if origin else ()))
    return columns


def _united(source: QuerySource, definitions: Mapping[str, Definition]) -> list[tuple[str, _Founds]]:
    """Each column with what it is in every branch; a branch of which not all is known says nothing."""
    first, *others = (_columns(branch, definitions) for branch in source.branches)
    if source.by_name:
        every = [*first, *(column for other in others for column in other)]
        return [(name, sum((f for n, f in every if n == name), ())) for name in dict(every)]
    alike = [first, *(other for other in others if len(other) == len(first))]
    return [(name, sum((other[n][1] for other in alike), ())) for n, (name, _) in enumerate(first)]
