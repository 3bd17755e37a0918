"""A view that a query names more than once is evaluated once: its rows stand in a WITH name of the query's own.

A view that is named once stays inlined, so that the query's filters reach the files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seamline.kernel import quote
from seamline.serving.guard import Reference

_WITH = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*WITH\b(?:\s+RECURSIVE\b)?", re.IGNORECASE | re.DOTALL)


def repeated(references: Sequence[Reference], node: Any) -> frozenset[str]:
    """The views that a checked query's tree names more than once, but for those whose name it gives to a WITH name."""
    counted = Counter(reference.name for reference in references)
    given = {name.lower() for name in _with_names(node)}
    return frozenset(name for name, number in counted.items() if number > 1 and name.lower() not in given)


def _with_names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _with_names(item)
    elif isinstance(node, dict):
        yield from (str(entry["key"]) for entry in node.get("cte_map", {}).get("map", []))
        for value in node.values():
            yield from _with_names(value)


def once(sql: str, views: Mapping[str, str]) -> str:
    """The query with a WITH name for each of these views (name to SELECT), before its own."""
    if not views:
        return sql
    made = ",\n".join(f"{quote(name)} AS MATERIALIZED (\n{select}\n)" for name, select in views.items())
    found = _WITH.match(sql)
    return f"{found[0]} {made},{sql[found.end() :]}" if found else f"WITH {made}\n{sql}"
