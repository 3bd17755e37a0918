"""What the columns of one SELECT come from: views, or something else, by alias, on DuckDB's own syntax tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from seamline.kernel import fold
from seamline.sql import Node

ColumnName = tuple[str, ...]
"""A column as it is named: `(column,)` or `(alias, column)`, in lower case."""


@dataclass(frozen=True)
class QuerySource:
    """One entry after FROM. Of what is no view, subquery or set operation as below, no columns are known."""

    alias: str

    view: str = ""
    """Its name where it is one."""

    names: tuple[str, ...] = ()
    """What its first columns are renamed to."""

    inner: tuple[QuerySource, ...] = ()
    """The entries that a subquery without grouping reads."""

    items: tuple[tuple[str, ColumnName], ...] = ()
    """The columns of such a subquery in order, those that are of `inner` with their path, STAR for all of them."""

    branches: tuple[QuerySource, ...] = ()
    """Of a set operation, those whose rows it gives."""

    by_name: bool = False
    """Whether their columns meet by name, or else in order."""


STAR = "*"
"""Stands for all columns of `inner` among `items`."""

Scope = Mapping[str, QuerySource]
"""WITH names that can be seen, in lower case."""


def within(node: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    """The parts of a query's node below its WITH list, each with the names it sees; the last is the node itself.

    A name is seen by the names after it and by the query; by itself only in the second branch of a recursive one. What
    it says itself means before it what stood before it: in `WITH p AS (SELECT * FROM p)` the second p is another.
    """
    for entry in node.get("cte_map", {}).get("map", []):
        name, query = fold(entry["key"]), entry["value"]
        inner = query.get("query_node", {})
        if inner.get("type") == "RECURSIVE_CTE_NODE":
            yield from _recursive(name, query, inner, scope)
            found = QuerySource(name)
        else:
            yield query, scope
            found = replace(derived(name, inner, scope), names=tuple(map(fold, query.get("aliases", []))))
        scope = {**scope, name: found}
    yield node, scope


def _recursive(name: str, query: Node, inner: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    """The parts of a recursive WITH name: its own WITH list and its first branch do not see it, all else does."""
    *named, (_, outer) = within(inner, scope)
    yield from named
    yield inner.get("left", {}), outer
    seen = {**outer, name: QuerySource(name)}
    yield {key: value for key, value in inner.items() if key not in ("left", "cte_map")}, seen
    yield {key: value for key, value in query.items() if key != "query_node"}, seen


def sources(table: Node, scope: Scope) -> Iterator[QuerySource]:
    """The entries of a FROM clause."""
    kind, alias = table.get("type"), fold(table.get("alias", ""))
    names = tuple(map(fold, table.get("column_name_alias", [])))
    if kind == "JOIN":
        yield from sources(table["left"], scope)
        yield from sources(table["right"], scope)
    elif kind == "BASE_TABLE":
        name = fold(table["table_name"])
        if name not in scope:
            yield QuerySource(alias or name, view=name, names=names)
        else:
            known = scope[name]
            yield replace(known, alias=alias or name, names=names + known.names[len(names) :])
    elif kind == "SUBQUERY":
        yield replace(derived(alias, table.get("subquery", {}).get("node", {}), scope), names=names)
    elif kind != "EMPTY":
        yield QuerySource(alias)


def derived(alias: str, node: Node, scope: Scope) -> QuerySource:
    """A subquery as a source: looked through where each of its rows is one of what it reads."""
    if node.get("type") == "SET_OPERATION_NODE":
        *_, (_, scope) = within(node, scope)
        kind, children = str(node.get("setop_type", "")), node.get("children", [])
        given = children if kind.startswith("UNION") else children[:1]
        return QuerySource(
            alias, branches=tuple(derived("", one, scope) for one in given), by_name=kind == "UNION_BY_NAME"
        )
    grouped = any(node.get(key) for key in ("group_expressions", "group_sets", "having"))
    if node.get("type") != "SELECT_NODE" or grouped or node.get("aggregate_handling") != "STANDARD_HANDLING":
        return QuerySource(alias)
    *_, (_, scope) = within(node, scope)
    items = tuple(map(_item, node.get("select_list", [])))
    return QuerySource(alias, inner=tuple(sources(node.get("from_table", {}), scope)), items=items)


def _item(item: Node) -> tuple[str, ColumnName]:
    """One of a SELECT's items: its name, and its path where it is a column."""
    if item.get("class") == "COLUMN_REF":
        names = path(item)
        return fold(item.get("alias", names[-1])), names
    plain = set(item) <= {"class", "type", "query_location", "query_location_length", "columns"}
    return (STAR if item.get("class") == "STAR" and plain else fold(item.get("alias", ""))), ()


def path(reference: Node) -> ColumnName:
    """A COLUMN_REF's names."""
    return tuple(map(fold, reference.get("column_names", [])))
