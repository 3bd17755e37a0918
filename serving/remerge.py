"""A measure at another grain: a view's column merged again from its tiles' partials, as DuckDB's syntax tree.

Finalising cannot simply be written over aggregates (TRY takes none), so the merged partials go through a struct:
`list_transform([{'a__sum': sum(…), 'a__count': sum(…)}], lambda partials: <finished>)[1]`. The struct has the partial
columns' names, so the finished text stands as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamline.kernel import fold, literal, quote
from seamline.schemas.views.definition import Definition, Output
from seamline.serving.reserved import MERGED
from seamline.sql import Node

_FUNCTION = {
    "class": "FUNCTION", "type": "FUNCTION", "order_bys": {"type": "ORDER_MODIFIER"}, "distinct": False,
    "is_operator": False, "export_state": False,
}  # fmt: skip


def tiles(definition: Definition) -> str:
    """A view's rows with its merged partial columns after its own, over `partials` of any split."""
    lines = [f"{output.finalise} AS {quote(output.name)}" for output in definition.columns]
    lines += [f"partials.{quote(name)} AS {quote(MERGED + name)}" for name in definition.merges]
    having = f"\nWHERE {definition.having}" if definition.having else ""
    return f"SELECT {', '.join(lines)}\nFROM ({definition.merge}) AS partials{having}"


def expression(definition: Definition, output: Output) -> str:
    """A column's SQL over `partials`, merging and finalising at once."""
    stored = {column.name: column.sql_type for column in definition.partial_columns}
    merged = {name: f"({definition.merges[name]})::{stored[name]}" for name in output.uses}
    if len(merged) == 1 and output.finalise == f"partials.{quote(output.uses[0])}":
        return merged[output.uses[0]]
    fields = ", ".join(f"{literal(name)}: {sql}" for name, sql in merged.items())
    return f"list_transform([{{{fields}}}], lambda partials: {output.finalise})[1]"


@dataclass(frozen=True)
class Splice:
    """Puts an `expression`'s tree in the place of one call."""

    alias: str
    """What the tiles' columns are qualified with."""

    call: Node
    """The MEASURE node, whose FILTER and OVER every aggregate takes."""

    aggregates: frozenset[str]
    """DuckDB's, by name."""

    def bound(self, node: Any, params: frozenset[str] = frozenset()) -> Any:
        """The tree with its columns and aggregates bound; `params`: the lambda parameters that can be seen."""
        if isinstance(node, list):
            return [self.bound(item, params) for item in node]
        if not isinstance(node, dict):
            return node
        kind = node.get("class")
        if kind == "COLUMN_REF":
            return self._column(node["column_names"], params)
        if kind == "LAMBDA":
            inner = params | frozenset(_names(node["lhs"]))
            return {**node, "expr": self.bound(node["expr"], inner)}
        made = {key: self.bound(value, params) for key, value in node.items()}
        finalising = "partials" in params  # a merge may have aggregates inside its own lambdas
        if kind == "FUNCTION" and not finalising and fold(node["function_name"]) in self.aggregates:
            return self._aggregate(made)
        return made

    def _column(self, names: list[str], params: frozenset[str]) -> Node:
        """A partial column of the tiles, or a lambda's parameter; their fields are read by struct_extract, since in
        HAVING DuckDB takes a parameter's `partials.a` for a column."""
        if fold(names[0]) in params:
            found, fields = _reference(names[0]), names[1:]
        else:
            found, fields = _reference(self.alias, MERGED + names[1]), names[2:]
        for name in fields:
            text = {"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": {"kind": "STRING", "text": name}}
            found = _function("struct_extract", found, text)
        return found

    def _aggregate(self, made: Node) -> Node:
        both = [condition for condition in (made.get("filter"), _condition(self.call)) if condition]
        kept = both[0] if both else None
        if len(both) > 1:
            kept = {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "children": both}
        if self.call["class"] == "FUNCTION":
            return {**made, "filter": kept} if kept else made
        window = {key: value for key, value in self.call.items() if key not in ("alias", "arguments", "filter_expr")}
        for key in ("function_name", "qualified_name", "arguments", "distinct"):
            if key in made:
                window[key] = made[key]
        if orders := made["order_bys"].get("orders"):
            window["arg_orders"] = orders
        return {**window, "filter_expr": kept} if kept else window


def _condition(call: Node) -> Node | None:
    found: Node | None = call.get("filter", call.get("filter_expr"))
    return found


def _names(lhs: Node) -> list[str]:
    """A lambda's parameters."""
    if lhs.get("class") == "COLUMN_REF":
        return [fold(lhs["column_names"][0])]
    return [name for argument in lhs.get("arguments", []) for name in _names(argument["expression"])]


def _reference(*names: str) -> Node:
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": list(names)}


def _function(name: str, *arguments: Node) -> Node:
    path = {"path": [name]}
    return {
        **_FUNCTION, "function_name": name, "qualified_name": path, "arguments": [{"expression": a} for a in arguments]
    }  # fmt: skip
