"""Views that are written into a query, as WITH names of its own before those that it has.

A view that a query names more than once is evaluated once. One that is named once is inlined, as where it is defined
beforehand: the query's filters reach the files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from seamline.kernel import quote
from seamline.serving.guard import Reference
from seamline.serving.rebound import Text

_WITH = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*WITH\b(?:\s+RECURSIVE\b)?", re.IGNORECASE | re.DOTALL)


def repeated(references: Sequence[Reference]) -> frozenset[str]:
    """The views that a checked query names more than once."""
    return frozenset(name for name, number in Counter(one.name for one in references).items() if number > 1)


def hidden(references: Sequence[Reference], node: Any) -> frozenset[str]:
    """The views whose names a checked query's tree gives to WITH names, too: they cannot be written into it."""
    given = {name.lower() for name in _with_names(node)}
    return frozenset(one.name for one in references if one.name.lower() in given)


def _with_names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _with_names(item)
    elif isinstance(node, dict):
        yield from (str(entry["key"]) for entry in node.get("cte_map", {}).get("map", []))
        for value in node.values():
            yield from _with_names(value)


def within_query(sql: str, views: Mapping[str, str], once: Set[str]) -> Text:
    """The query with a WITH name for each of these views (name to SELECT), before its own; `once`: those that are
    evaluated once. Each character of the query stays in its column, some lines further down."""
    if not views:
        return Text(sql)
    made = ",\n".join(
        f"{quote(name)} AS {'' if name in once else 'NOT '}MATERIALIZED (\n{select}\n)"
        for name, select in views.items()
    )
    found = _WITH.match(sql)
    if found is None:
        return _below(f"WITH {made}\n", sql)
    word = "WITH RECURSIVE" if found[0].upper().endswith("RECURSIVE") else "WITH"
    return _below(f"{word} {made},\n", re.sub(r"[^\n]", " ", found[0]) + sql[found.end() :])


def _below(head: str, sql: str) -> Text:
    return Text(head + sql, before=head.count("\n"))
