"""Decides whether a text is one SELECT over views and allowed functions, on DuckDB's own syntax tree.

The tree is DuckDB's (`json_serialize_sql`), not another parser's: what is looked at is what runs, so there is no text
that one parser reads as harmless and the other does not. A name after FROM is a view, or a WITH name that is in scope
just there; anything else in the tree must stand in seamline.serving.allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from seamline.errors import Condition, UserError
from seamline.kernel import fold
from seamline.serving.allowed import AGGREGATES, BY_NAME, FUNCTIONS, MEASURE, NODES, TABLE_FUNCTIONS
from seamline.serving.reserved import RESERVED
from seamline.serving.sources import Scope, within
from seamline.sql import NOWHERE, Node, tokens

LONGEST = 100_000
"""Characters of one query."""

WITH_INSIDE_WITH = 4
"""How deep."""

_ALLOWED = "one SELECT over the served views (WITH, subqueries, joins and set operations too)"
_FUNCTIONS_HINT = "docs/serving.md lists the functions that a query may use"


@dataclass(frozen=True)
class Reference:
    """A view named after FROM."""

    name: str
    """Folded."""

    where: str
    """The place of the name in the query."""


@dataclass(frozen=True)
class AllowedQuery:
    """An allowed query."""

    references: tuple[Reference, ...]
    """The views that it names, in order."""

    measured: bool
    """Whether MEASURE is in it."""

    parameters: tuple[str, ...]
    """The names of its parameters, folded: `1` for `$1`; numbers in their order, others in the query's."""

    node: Node
    """Its tree."""


def check_text(sql: str) -> None:
    """What must hold before the text is parsed. Raises QUERY_REFUSED.

    DuckDB's parser takes five times as long for each WITH inside a WITH where the innermost is no SQL (eight of them
    take minutes), and cannot be interrupted. Its tokenizer reads on in linear time.
    """
    if len(sql) > LONGEST:
        raise refused(f"a query of {len(sql):,} characters", f"{LONGEST:,} characters", "shorten it")
    try:
        found = tokens(sql)
    except UnicodeEncodeError as error:
        raise refused("characters that are no Unicode text", "Unicode text", "correct the query") from error
    depth, inside = 0, list[int]()
    for token in found:
        if token.kind == "word" and token.text.upper() == "WITH":
            inside = [*(level for level in inside if level < depth), depth]
        depth += (token.sign == "(") - (token.sign == ")")
        if len(inside) > WITH_INSIDE_WITH:
            message, where = f"WITH inside WITH, {len(inside)} deep", place(sql, len(sql[: token.start].encode()))
            raise refused(message, f"{WITH_INSIDE_WITH} deep", "write one WITH with a list of names", where)


def check(sql: str, tree: str) -> AllowedQuery:
    """An allowed query. `tree`: what seamline.sql.TREE gives for it.

    Raises QUERY_INVALID where it is not SQL, QUERY_REFUSED where it is more than is allowed, with line:column.
    """
    try:
        parsed = json.loads(tree)
        if parsed["error"] and "expression depth" in parsed["error_message"]:
            raise RecursionError
        if parsed["error"]:
            raise _unparsed(sql, parsed)
        statements = parsed.get("statements", [])
        if len(statements) != 1:
            raise refused(f"{len(statements)} statements", _ALLOWED, "send one SELECT at a time")
        checker = _Checker(sql)
        checker.walk(statements[0]["node"], {})
    except RecursionError:
        raise too_deep() from None
    references, named = tuple(dict.fromkeys(checker.references)), dict.fromkeys(checker.parameters)
    return AllowedQuery(references, checker.measured, _ordered(named), statements[0]["node"])


def refused(message: str, detail: str, hint: str, where: str = "") -> UserError:
    """QUERY_REFUSED."""
    return UserError(Condition.QUERY_REFUSED, message, detail=detail, hint=hint, where=where)


def too_deep() -> UserError:
    """A query nested deeper than the parser goes."""
    return refused("a query nested too deeply", _ALLOWED, "write it with WITH instead of nesting")


def place(sql: str, offset: int) -> str:
    """`line:column` (from 1, in characters) of an offset in UTF-8 bytes; empty where DuckDB gives none."""
    if offset >= NOWHERE:
        return ""
    before = sql.encode()[:offset].decode(errors="ignore")
    line = before.count("\n") + 1
    return f"{line}:{len(before) - (before.rfind(chr(10)) + 1) + 1}"


def _unparsed(sql: str, parsed: Node) -> UserError:
    if parsed.get("error_type") == "parser":
        where = place(sql, int(parsed["position"])) if "position" in parsed else ""
        return UserError(
            Condition.QUERY_INVALID, str(parsed.get("error_message", "")), detail=_ALLOWED,
            hint="correct the query at that place", where=where,
        )  # fmt: skip
    if "named and positional" in str(parsed.get("error_message")):
        message, detail = "parameters by number and by name in one query", "$1, $2, … (or ?), or else $name"
        return UserError(Condition.QUERY_INVALID, message, detail=detail, hint="name them all one way")
    return refused("a statement that is no SELECT", _ALLOWED, "ask with SELECT; other commands change or read settings")


class _Checker:
    """Walks one tree. The last offset seen serves nodes that have none of their own."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.references: list[Reference] = []
        self.measured = False
        self.parameters: list[str] = []
        self._offset = NOWHERE

    def walk(self, node: Any, scope: Scope) -> None:
        """Checks a node and everything below it; `scope` holds the WITH names that can be seen here."""
        if isinstance(node, list):
            for item in node:
                self.walk(item, scope)
        elif isinstance(node, dict):
            offset = int(node.get("query_location", NOWHERE))
            self._offset = offset if offset < NOWHERE else self._offset
            kind = node.get("class", node.get("type"))
            self._own(node)
            if "sample" in node:
                raise self._refused("a sample", _ALLOWED, "a sample gives other rows each time: filter by a hash")
            if isinstance(kind, str):
                self._check(kind, node, scope)
            self._below(node, scope)

    def _below(self, node: Node, scope: Scope) -> None:
        *named, (_, scope) = within(node, scope)
        for part, seen in named:
            self.walk(part, seen)
        for key, value in node.items():
            if key != "cte_map":
                self.walk(value, scope)

    def _own(self, node: Node) -> None:
        """No name may begin like those that serving gives; after FROM such a one is a view that is not there."""
        named = [
            name for key, value in node.items() if key not in ("text", "table_name", "path") for name in _listed(value)
        ]
        for name in (*named, *(entry["key"] for entry in node.get("cte_map", {}).get("map", []))):
            if fold(name).startswith(RESERVED):
                detail = f"names that do not begin with {', '.join(RESERVED)}"
                raise self._refused(f"the name {name}", detail, "choose another name")

    def _check(self, kind: str, node: Node, scope: Scope) -> None:
        if kind not in NODES:
            raise self._refused(_kinds(kind), _ALLOWED, "leave that part out")
        if kind == "BASE_TABLE":
            self._table(node, scope)
        elif kind == "TABLE_FUNCTION":
            self._table_function(node)
        elif kind in ("FUNCTION", "WINDOW"):
            self._function(node)
        elif kind == "TYPE":
            self._unqualified(node, "type")
        elif kind == "PARAMETER":
            self.parameters.append(fold(str(node["identifier"])))

    def _table(self, node: Node, scope: Scope) -> None:
        name = str(node.get("table_name", ""))
        self._unqualified(node, "table")
        if "at_clause" in node:
            raise self._refused(
                "AT after a view", _ALLOWED, "ask as of an epoch: 'as_of' over HTTP, --as-of in the CLI"
            )
        if fold(name) not in scope:
            self.references.append(Reference(fold(name), place(self.sql, self._offset)))

    def _table_function(self, node: Node) -> None:
        name = fold(node.get("function", {}).get("function_name", ""))
        if name not in TABLE_FUNCTIONS:
            detail = f"views; table functions {', '.join(sorted(TABLE_FUNCTIONS))}"
            raise self._refused(f"table function {name}", detail, "name a view after FROM")

    def _function(self, node: Node) -> None:
        name = fold(node.get("function_name", ""))  # a schema before it may be a column: shop.upper()
        if node.get("catalog") or fold(node.get("schema", "")) == "system":
            raise self._refused(f"function {name} of a catalogue", "a function by its name alone", _FUNCTIONS_HINT)
        self.measured |= name in MEASURE
        if name not in FUNCTIONS:
            raise self._refused(
                f"function {name}", "functions that compute from their arguments alone", _FUNCTIONS_HINT
            )

        if name in BY_NAME:
            self._by_name(name, node.get("arguments", []))

    def _by_name(self, name: str, arguments: list[Node]) -> None:
        """An aggregate that is called by its name in a text must be written out, and listed."""
        said = arguments[1] if len(arguments) > 1 and not arguments[1].get("name") else {}
        called = said.get("expression", {}).get("literal", {})
        if called.get("kind") != "STRING" or fold(called["text"]) not in AGGREGATES:
            message = f"{name} with {called.get('text', 'a name that is computed')!r}"
            raise self._refused(message, "the name of an allowed aggregate, written out", _FUNCTIONS_HINT)

    def _unqualified(self, node: Node, what: str) -> None:
        path = node.get("qualified_name", {}).get("path", [])
        if len(path) > 1 or any(node.get(key) for key in ("catalog", "catalog_name", "schema", "schema_name")):
            message = f"{what} {'.'.join(map(str, path))}"
            raise self._refused(message, f"a {what} by its name alone", "views have no schema or catalogue before them")

    def _refused(self, message: str, detail: str, hint: str) -> UserError:
        return refused(message, detail, hint, place(self.sql, self._offset))


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: int(name) if name.isdigit() else 0))


def _listed(value: Any) -> list[str]:
    """The names that a node's key holds: one, or a list of them."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _kinds(kind: str) -> str:
    words = {
        "SHOW_REF": "DESCRIBE, SHOW or SUMMARIZE",
        "PIVOT": "PIVOT or UNPIVOT",
        "DEFAULT": "DEFAULT",
    }
    return words.get(kind, kind.replace("_NODE", "").replace("_", " ").lower())
