"""Which columns of its views a query can name, on DuckDB's own syntax tree: what it cannot is not even looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seamline.kernel import fold
from seamline.serving.sources import path
from seamline.sql import Node

_TABLES = ("BASE_TABLE", "SUBQUERY", "TABLE_FUNCTION", "EXPRESSION_LIST")

Names = frozenset[str] | None
"""Names of columns, in lower case, with others perhaps; None: any column may be asked for."""


def named(tree: Mapping[str, Any]) -> Names:
    """The names in a checked query that may be columns.

    None where columns are asked for otherwise: by a star, by their number, by what two views have in common, by a
    list of other names after a view's, or all of a row by its table's name.
    """
    found: set[str] = set()
    alone: set[str] = set()
    tables: set[str] = set()
    for node in _nodes(tree):
        kind = node.get("class", node.get("type"))
        if kind in ("STAR", "POSITIONAL_REFERENCE") or node.get("ref_type") == "NATURAL":
            return None
        if node.get("column_name_alias"):
            return None
        if kind == "COLUMN_REF":
            names = path(node)
            found.update(names)
            alone.update(names if len(names) == 1 else ())
        if kind in _TABLES:
            tables.add(fold(node.get("alias") or node.get("table_name", "")))
        found.update(map(fold, node.get("using_columns", [])))
    return None if alone & tables else frozenset(found)


def _nodes(node: Any) -> Iterator[Node]:
    if isinstance(node, list):
        for item in node:
            yield from _nodes(item)
    elif isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
