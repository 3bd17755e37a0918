"""An expression of a view in Spark's own SQL, from DuckDB's tree of it. Pure.

Said is what both engines mean alike, by the tables below; anything else raises `Unsaid`. Times are in UTC, as both
sessions have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from seamline.sql import Node

AGGREGATES = {
    **{name: f"{name}({{}})" for name in ("count", "sum", "min", "max", "bool_and", "bool_or", "count_if")},
    **dict.fromkeys(("avg", "mean"), "avg(CAST({} AS DOUBLE))"),
}
"""What both engines have, and answer alike whatever the order of rows."""

SCALARS = ("abs", "coalesce", "nullif", "greatest", "least", "length", "year", "month", "day", "hour", "minute")
"""Functions of one name and meaning; of texts in capitals or small letters each engine has its own Unicode."""

OPERATORS = {"+": "+", "-": "-", "*": "*", "%": "%"}

COMPARED = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}

CASTS = re.compile(r"DOUBLE|DATE|DECIMAL\(\d+, ?\d+\)")
"""Types that both engines cast to alike."""

TRUNCATED = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
MICROS = {"second": 10**6, "minute": 60 * 10**6, "hour": 3600 * 10**6, "day": 86400 * 10**6, "week": 7 * 86400 * 10**6}
MONDAY = 946_857_600 * 10**6
"""Microseconds from 1970 to 3 January 2000, where buckets of a fixed length begin."""


class Unsaid(Exception):  # noqa: N818 - it leaves no function of this room
    """Spark does not say it alike."""


def said(node: Node) -> str:
    """The expression. A node of class SAID is what stands in its `text`. Raises Unsaid."""
    kind, type_ = node["class"], node["type"]
    words: dict[str, Callable[[Node], str]] = {
        "COLUMN_REF": _column, "CONSTANT": _constant, "FUNCTION": _function, "CAST": _cast, "CASE": _case,
        "COMPARISON": _comparison, "CONJUNCTION": _conjunction, "OPERATOR": _operator, "BETWEEN": _between,
        "SAID": _given,
    }  # fmt: skip
    if kind not in words:
        raise Unsaid(type_.lower())
    return words[kind](node)


def given(text: str | Unsaid) -> Node:
    """A node for what is said already, or cannot be."""
    return {"class": "SAID", "type": "SAID", "text": text}


def _given(node: Node) -> str:
    text = node["text"]
    if isinstance(text, Unsaid):
        raise text
    return str(text)


def quoted(name: str) -> str:
    """An identifier."""
    return "`" + name.replace("`", "``") + "`"


def _column(node: Node) -> str:
    names = node["column_names"]
    if len(names) != 1:
        raise Unsaid(".".join(names))
    return quoted(names[0])


def _constant(node: Node) -> str:
    literal = node["literal"]
    if literal["kind"] == "STRING":
        return "'" + str(literal["text"]).replace("\\", "\\\\").replace("'", "\\'") + "'"
    if literal["kind"] in ("INTEGER", "NUMERIC", "BOOLEAN", "NULL"):
        return str(literal.get("text", "NULL")) if literal["kind"] != "NULL" else "NULL"
    raise Unsaid(f"a literal {literal.get('text', '')}")


def _arguments(node: Node) -> list[Node]:
    return [one["expression"] for one in node.get("arguments", [])]


def _function(node: Node) -> str:
    name, arguments = str(node["function_name"]).lower(), _arguments(node)
    if node.get("order_bys", {}).get("orders"):
        raise Unsaid(f"{name} with ORDER BY")
    if name in ("count_star", *AGGREGATES):
        return _aggregate(name, node, arguments)
    if name in ("date_trunc", "datetrunc"):
        return _truncated(name, arguments)
    if name == "time_bucket":
        return _bucket(arguments)
    return _scalar(name, arguments)


def _scalar(name: str, arguments: list[Node]) -> str:
    if name == "/":
        return "(CAST({} AS DOUBLE) / nullif(CAST({} AS DOUBLE), 0D))".format(*map(said, arguments))
    if name in OPERATORS and len(arguments) == 2:
        return f"({said(arguments[0])} {OPERATORS[name]} {said(arguments[1])})"
    if name == "-" and len(arguments) == 1:
        return f"(- {said(arguments[0])})"
    if name in SCALARS:
        return f"{name}({', '.join(map(said, arguments))})"
    raise Unsaid(f"{name}()")


def _aggregate(name: str, node: Node, arguments: list[Node]) -> str:
    if name == "count_star":
        return "count(*)" + _filter(node)
    distinct = "DISTINCT " if node.get("distinct") else ""
    if distinct and "CAST" in AGGREGATES[name]:
        raise Unsaid(f"{name}(DISTINCT)")
    return AGGREGATES[name].format(distinct + ", ".join(map(said, arguments))) + _filter(node)


def _truncated(name: str, arguments: list[Node]) -> str:
    unit = _text(arguments[0]).lower()
    if unit not in TRUNCATED:
        raise Unsaid(f"{name}({unit!r})")
    return f"date_trunc('{unit}', {said(arguments[1])})"


def _filter(node: Node) -> str:
    return f" FILTER (WHERE {said(node['filter'])})" if "filter" in node else ""


def _text(node: Node) -> str:
    while node["class"] == "CAST":
        node = node["child"]
    if node["class"] != "CONSTANT" or node["literal"]["kind"] != "STRING":
        raise Unsaid("what is no literal")
    return str(node["literal"]["text"])


def _bucket(arguments: list[Node]) -> str:
    found = re.fullmatch(r"(\d+) *([a-z]+?)s?", _text(arguments[0]).lower())
    if found is None or (len(arguments) > 2 and _text(arguments[2]) != "UTC"):
        raise Unsaid("such a time bucket")
    count, unit, at = int(found[1]), found[2], said(arguments[1])
    if unit in MICROS:
        width = count * MICROS[unit]
        since = f"(unix_micros({at}) - {MONDAY})"
        return f"timestamp_micros({since} - pmod({since}, {width}) + {MONDAY})"
    if count == 1 and unit in TRUNCATED:
        return f"date_trunc('{unit}', {at})"
    raise Unsaid(f"a bucket of {count} {unit}s")


def _cast(node: Node) -> str:
    kind = node["type_expr"]
    text = kind["type_name"].upper()
    if text == "DECIMAL" and (sizes := [one["literal"]["text"] for one in kind.get("children", [])]):
        text = f"DECIMAL({','.join(sizes)})"
    if not CASTS.fullmatch(text):
        raise Unsaid(f"a cast to {text}")
    return f"CAST({said(node['child'])} AS {text})"


def _case(node: Node) -> str:
    checks = " ".join(f"WHEN {said(one['when_expr'])} THEN {said(one['then_expr'])}" for one in node["case_checks"])
    return f"CASE {checks} ELSE {said(node['else_expr'])} END"


def _comparison(node: Node) -> str:
    left, right = said(node["left"]), said(node["right"])
    if node["type"] in COMPARED:
        return f"({left} {COMPARED[node['type']]} {right})"
    if node["type"] == "COMPARE_DISTINCT_FROM":
        return f"(NOT {left} <=> {right})"
    if node["type"] == "COMPARE_NOT_DISTINCT_FROM":
        return f"({left} <=> {right})"
    raise Unsaid(node["type"].lower())


def _conjunction(node: Node) -> str:
    word = " AND " if node["type"] == "CONJUNCTION_AND" else " OR "
    return "(" + word.join(map(said, node["children"])) + ")"


def _between(node: Node) -> str:
    return f"({said(node['input'])} BETWEEN {said(node['lower'])} AND {said(node['upper'])})"


def _operator(node: Node) -> str:
    children = list(map(said, node["children"]))
    match node["type"]:
        case "OPERATOR_NOT":
            return f"(NOT {children[0]})"
        case "OPERATOR_IS_NULL":
            return f"({children[0]} IS NULL)"
        case "OPERATOR_IS_NOT_NULL":
            return f"({children[0]} IS NOT NULL)"
        case "COMPARE_IN":
            return f"({children[0]} IN ({', '.join(children[1:])}))"
        case "COMPARE_NOT_IN":
            return f"({children[0]} NOT IN ({', '.join(children[1:])}))"
        case "OPERATOR_COALESCE":
            return f"coalesce({', '.join(children)})"
    raise Unsaid(node["type"].lower())
