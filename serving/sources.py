"""What the columns of one SELECT come from: views, or something else, by alias, on DuckDB's own syntax tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]
Path = tuple[str, ...]
"""A column as it is named: `(column,)` or `(alias, column)`, in lower case."""


@dataclass(frozen=True)
class Source:
    """One entry after FROM.

    view: its name where it is one, with its columns renamed to `names` (the first ones, if any); inner: the entries
    that a subquery without grouping reads, its columns that are theirs in `items`, `star` where it gives all of them.
    Where it is neither, nothing is known of its columns.
    """

    alias: str
    view: str = ""
    names: tuple[str, ...] = ()
    inner: tuple[Source, ...] = ()
    items: tuple[tuple[str, Path], ...] = ()
    star: bool = False


Scope = Mapping[str, Source]
"""WITH names that can be seen, in lower case."""


def within(node: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    """The parts of a query's node below its WITH list, each with the names it sees; the last is the node itself.

    A name is seen by the names after it and by the query, and by itself only if recursive.
    """
    for entry in node.get("cte_map", {}).get("map", []):
        name, query = str(entry["key"]).lower(), entry["value"]
        recursive = query.get("query_node", {}).get("type") == "RECURSIVE_CTE_NODE"
        hidden = {key: source for key, source in scope.items() if key != name}
        yield query, {**scope, name: Source(name)} if recursive else hidden
        found = (
            Source(name) if recursive or query.get("aliases") else derived(name, query.get("query_node", {}), hidden)
        )
        scope = {**scope, name: found}
    yield node, scope


def sources(table: Node, scope: Scope) -> Iterator[Source]:
    """The entries of a FROM clause."""
    kind, alias = table.get("type"), str(table.get("alias", "")).lower()
    names = tuple(str(name).lower() for name in table.get("column_name_alias", []))
    if kind == "JOIN":
        yield from sources(table["left"], scope)
        yield from sources(table["right"], scope)
    elif kind == "BASE_TABLE":
        name = str(table["table_name"]).lower()
        if name not in scope:
            yield Source(alias or name, view=name, names=names)
        else:
            known = scope[name]
            yield (
                Source(alias or name) if names else Source(alias or name, "", (), known.inner, known.items, known.star)
            )
    elif kind == "SUBQUERY":
        yield Source(alias) if names else derived(alias, table.get("subquery", {}).get("node", {}), scope)
    elif kind != "EMPTY":
        yield Source(alias)


def derived(alias: str, node: Node, scope: Scope) -> Source:
    """A subquery as a source: looked through where each of its rows is one of what it reads."""
    grouped = any(node.get(key) for key in ("group_expressions", "group_sets", "having"))
    if node.get("type") != "SELECT_NODE" or grouped or node.get("aggregate_handling") != "STANDARD_HANDLING":
        return Source(alias)
    *_, (_, scope) = within(node, scope)
    items: list[tuple[str, Path]] = []
    star = False
    for item in node.get("select_list", []):
        if item.get("class") == "COLUMN_REF":
            names = path(item)
            items.append((str(item.get("alias", names[-1])).lower(), names))
        elif item.get("class") == "STAR":
            star |= set(item) <= {"class", "type", "query_location", "query_location_length", "columns"}
        else:
            items.append((str(item.get("alias", "")).lower(), ()))
    return Source(alias, inner=tuple(sources(node.get("from_table", {}), scope)), items=tuple(items), star=star)


def path(reference: Node) -> Path:
    """A COLUMN_REF's names."""
    return tuple(str(name).lower() for name in reference.get("column_names", []))
