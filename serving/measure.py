"""MEASURE(column): the query's tree with every such call written out as a merge of the view's partials.

The tree is the one that seamline.serving.guard checked. A call's column belongs to a view of its own SELECT's FROM;
that entry becomes the view's tiles (its rows, with their merged partials beside them), and the call the expression
that merges and finishes them anew (seamline.serving.remerge), under the call's own FILTER and OVER.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from seamline.errors import Condition, TerminalError, UserError
from seamline.kernel import fold, quote
from seamline.schemas.views.definition import Definition, Output
from seamline.serving.guard import place
from seamline.serving.remerge import Splice, expression
from seamline.serving.reserved import MERGED, TILES
from seamline.serving.sources import QuerySource, Scope, sources, within
from seamline.sql import Node

SCHEMA = ("temp", "main")
"""The catalogue and schema of a connection's own views."""

_FORM = "MEASURE(column) over a view after FROM in the same SELECT, with FILTER or OVER where wanted"


@dataclass(frozen=True)
class Measured:
    """A query with MEASURE as it runs."""

    sql: str

    tiles: tuple[str, ...]
    """The views whose tiles it reads."""

    plain: str
    """The same query with an ordinary aggregate in the place of each call, character for character, by which DuckDB
    says where a query does not bind."""


@dataclass(frozen=True)
class Parser:
    """What is asked of DuckDB."""

    tree: Callable[[str], str]
    """An SQL text's tree, as JSON."""

    text: Callable[[str], str]
    """A tree's text."""

    aggregates: frozenset[str]
    """Their names."""


def measured(sql: str, definitions: Mapping[str, Definition], parser: Parser) -> Measured:
    """A checked query with its MEASURE calls written out. Raises QUERY_INVALID with line:column."""
    tree = json.loads(parser.tree(sql))
    work = _Writing(sql, definitions, parser)
    work.walk(tree["statements"][0]["node"], {}, None)
    written = parser.text(json.dumps(tree))
    if not _used(json.loads(parser.tree(written))) <= _used(tree):
        message = "a query that DuckDB writes otherwise than it reads it"
        raise TerminalError(Condition.KERNEL_FAILED, message, hint="write it in a simpler way, and report it")
    return Measured(written, tuple(dict.fromkeys(work.tiles)), _plain(sql, work.calls))


def is_measure(node: Node) -> bool:
    """Whether a node is such a call."""
    return node.get("class") in ("FUNCTION", "WINDOW") and fold(node.get("function_name", "")) == "measure"


@dataclass
class _Select:
    """One SELECT."""

    sources: tuple[QuerySource, ...]
    """What its FROM gives."""

    needed: dict[str, Definition] = field(default_factory=dict)
    """The entries whose tiles its calls need."""


@dataclass
class _Writing:
    """Writes out one tree, in place."""

    sql: str
    definitions: Mapping[str, Definition]
    parser: Parser
    tiles: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def walk(self, node: Any, scope: Scope, select: _Select | None) -> None:
        """`select`: the SELECT whose expressions these are; None where no MEASURE may stand."""
        if isinstance(node, list):
            for item in node:
                self.walk(item, scope, select)
        elif isinstance(node, dict):
            *named, (_, scope) = within(node, scope)
            for query, seen in named:
                self.walk(query, seen, None)
            if node.get("type") == "SELECT_NODE":
                self._select(node, scope)
            else:
                select = None if node.get("type") == "SET_OPERATION_NODE" else select
                self._below(node, scope, select)
                if is_measure(node):
                    self._call(node, select)

    def _below(self, node: Node, scope: Scope, select: _Select | None) -> None:
        for key, value in node.items():
            if key != "cte_map":
                self.walk(value, scope, select)

    def _select(self, node: Node, scope: Scope) -> None:
        table = node.get("from_table", {})
        select = _Select(tuple(sources(table, scope)))
        self.walk(table, scope, None)
        own = {key: value for key, value in node.items() if key not in ("from_table", "type")}
        alone = [n for n in _nodes(own) if n.get("class") == "COLUMN_REF" and len(n["column_names"]) == 1]
        for item in node.get("select_list", []):
            self._name(item)
        orders = [order for modifier in node.get("modifiers", []) for order in modifier.get("orders", [])]
        every = [o["expression"] for o in orders if not o["expression"].get("expr")]  # ORDER BY ALL is a star too
        self._below(own, scope, select)
        if select.needed:
            self._read_tiles(table, select, scope)
            self._refuse_rows(node, alone, select)
            for inner in _nodes(own, inside=False):
                if inner.get("class") == "STAR" and inner not in every:
                    self._star(inner, select)
                elif inner.get("class") == "POSITIONAL_REFERENCE":
                    raise self._invalid(inner, "a column by its number beside MEASURE", "name it")

    def _name(self, item: Node) -> None:
        """The column's name: the user's, `column` for MEASURE(column), else what DuckDB calls such an expression."""
        if item.get("alias") or item.get("class") == "STAR" or not any(map(is_measure, _nodes(item))):
            return
        if is_measure(item):
            item["alias"] = _column_names(item)[-1] if _column_names(item) else "measure"
        else:
            alone = {"type": "SELECT_NODE", "select_list": [copy.deepcopy(item)], "from_table": {"type": "EMPTY"},
                     "aggregate_handling": "STANDARD_HANDLING", "cte_map": {}}  # fmt: skip
            text = self.parser.text(json.dumps({"error": False, "statements": [{"node": alone}]}))
            item["alias"] = text.removeprefix("SELECT ").strip()

    # one call

    def _call(self, node: Node, select: _Select | None) -> None:
        self._check(node)
        if select is None:
            raise self._invalid(node, "MEASURE in a place that reads no view", "write it in a SELECT over the view")
        source, output = self._resolve(node, select)
        definition = self.definitions[source.view]
        select.needed[source.alias] = definition
        self.calls.append(int(node["query_location"]))
        parsed = json.loads(self.parser.tree(f"SELECT {expression(definition, output)}"))
        (made,) = parsed["statements"][0]["node"]["select_list"]
        made = Splice(source.alias, dict(node), self.parser.aggregates).bound(made)
        alias = node.get("alias")
        node.clear()
        node.update(made, **({"alias": alias} if alias else {}))

    def _check(self, node: Node) -> None:
        if len(node.get("qualified_name", {}).get("path", [])) > 1:
            raise self._invalid(node, "MEASURE with something before it", "write MEASURE(column)")
        extra = ("distinct", "arg_orders", "ignore_nulls", "has_ignore_nulls", "export_state")
        if any(node.get(key) for key in extra) or node.get("order_bys", {}).get("orders"):
            hint = "leave DISTINCT, ORDER BY and IGNORE NULLS out: the view's definition says what is counted"
            raise self._invalid(node, "MEASURE with more than a column in it", hint)
        if not 1 <= len(_column_names(node)) <= 2:
            message = "MEASURE of something that is no column of a view"
            raise self._invalid(node, message, "name one column, and compute outside: MEASURE(a) / MEASURE(b)")

    def _resolve(self, node: Node, select: _Select) -> tuple[QuerySource, Output]:
        """The entry after FROM that a call's column belongs to, and the column."""
        *qualifier, name = _column_names(node)
        entries = [s for s in select.sources if not qualifier or s.alias == fold(qualifier[0])]
        if not entries:
            known = ", ".join(s.alias for s in select.sources) or "(nothing)"
            hint = f"name one of what this SELECT reads: {known}"
            raise self._invalid(node, f"MEASURE of {'.'.join([*qualifier, name])}", hint)
        found = [(s, o) for s in entries if s.view for n, o in self._outputs(s) if n == fold(name)]
        if len(found) > 1:
            hint = f"write {found[0][0].alias}.{name}"
            raise self._invalid(node, f"MEASURE({name}), which more than one view here has", hint)
        if not found:
            raise self._unknown(node, entries)
        (source, output) = found[0]
        if len(source.names) > len(self.definitions[source.view].columns):
            raise self._invalid(node, f"more names for {source.view} than it has columns", "leave some out")
        if not output.aggregate:
            message = f"MEASURE({name}), which is a key of {source.view}"
            raise self._invalid(node, message, f"use {name} as it is: a key has nothing to merge")
        keys = {f"partials.{quote(key.name)}" for key in self.definitions[source.view].keys}
        if any(key in output.finalise for key in keys):
            message = f"MEASURE({name}), which is computed from a key of {source.view} and so has no value without it"
            raise self._invalid(node, message, "measure the aggregates it is made of, and compute from those")
        return source, output

    def _outputs(self, source: QuerySource) -> Iterator[tuple[str, Output]]:
        columns = self.definitions[source.view].columns
        names = [*source.names, *(fold(o.name) for o in columns[len(source.names) :])]
        return zip(names, columns, strict=False)

    def _unknown(self, node: Node, entries: list[QuerySource]) -> UserError:
        name = _column_names(node)[-1]
        known = [n for s in entries if s.view for n, o in self._outputs(s) if o.aggregate]
        close = get_close_matches(fold(name), known, n=3)
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        elif all(s.view for s in entries):
            hint = f"name one of {', '.join(known)}"
        else:
            hint = "a subquery or WITH gives finished values: write MEASURE inside it, where it reads the view"
        return self._invalid(node, f"MEASURE({name}), which is no column of a view after FROM here", hint)

    # the tiles, and what must not be seen of them

    def _read_tiles(self, table: Node, select: _Select, scope: Scope) -> None:
        if table.get("type") == "JOIN":
            if table.get("ref_type") == "NATURAL":
                raise self._invalid(table, "a NATURAL join beside MEASURE", "join USING (…), and name the columns")
            self._read_tiles(table["left"], select, scope)
            self._read_tiles(table["right"], select, scope)
        elif table.get("type") == "BASE_TABLE":
            name = str(table["table_name"])
            alias = str(table.get("alias") or name)
            if fold(name) not in scope and fold(alias) in select.needed:
                self.tiles.append(fold(name))
                tiles = TILES + fold(name)  # with its schema before it, no WITH name can stand in its place
                path = {"path": [*SCHEMA, tiles]}
                table.update(zip(("catalog_name", "schema_name"), SCHEMA, strict=True), alias=alias, table_name=tiles)
                table["qualified_name"] = path

    def _refuse_rows(self, node: Node, alone: list[Node], select: _Select) -> None:
        """A whole row would show partial columns. `alone`: the names that stood without a qualifier."""
        aliases = {fold(item["alias"]) for item in node["select_list"] if item.get("alias")}
        for reference in alone:
            name = fold(reference["column_names"][0])
            if name in select.needed and name not in aliases and not self._has(select, name):
                raise self._invalid(reference, f"the whole row of {name} beside MEASURE", "name its columns")

    def _has(self, select: _Select, name: str) -> bool:
        return any(n == name for s in select.sources if s.view for n, _ in self._outputs(s))

    def _star(self, star: Node, select: _Select) -> None:
        relation = fold(star.get("relation_name", ""))
        hidden = [
            MERGED + name
            for alias, definition in select.needed.items()
            if relation in ("", alias)
            for name in definition.merges
        ]
        if hidden and star.get("columns") and (star.get("expr") or {}).get("class", "STAR") != "STAR":
            raise self._invalid(star, "COLUMNS(…) beside MEASURE", "name the columns, or write *")
        if hidden:
            star["exclude_list"] = list(dict.fromkeys([*star.get("exclude_list", []), *hidden]))

    def _invalid(self, node: Node, message: str, hint: str) -> UserError:
        where = place(self.sql, int(node.get("query_location", 2**63)))
        return UserError(Condition.QUERY_INVALID, message, detail=_FORM, hint=hint, where=where)


def _nodes(node: Any, inside: bool = True) -> Iterator[Node]:
    """A node and all below it; of a SELECT inside it nothing, where not `inside`."""
    if isinstance(node, list):
        for item in node:
            yield from _nodes(item, inside)
    elif isinstance(node, dict) and (inside or node.get("type") != "SELECT_NODE"):
        yield node
        for value in node.values():
            yield from _nodes(value, inside)


def _used(tree: Node) -> frozenset[tuple[str, str]]:
    """The tables and functions in a tree: those that were checked, and no others, may run."""
    names = ("table_name", "function_name", "type_name")
    return frozenset((key, fold(node[key])) for node in _nodes(tree) for key in names if node.get(key))


def _column_names(call: Node) -> list[str]:
    """The names of a call's one column; empty where it is called otherwise."""
    arguments = call.get("arguments", [])
    only = arguments[0] if len(arguments) == 1 else {}
    is_column = only.get("expression", {}).get("class") == "COLUMN_REF" and not only.get("name")
    return [str(name) for name in only["expression"]["column_names"]] if is_column else []


def _plain(sql: str, calls: list[int]) -> str:
    """The query with `max` for each MEASURE, every other character in its place."""
    text = bytearray(sql.encode())
    for at in calls:
        length = 9 if text[at : at + 1] == b'"' else 7
        text[at : at + length] = b"max".ljust(length)
    return text.decode()
