"""A view's SELECT in Spark's own SQL, over its events: another engine's word on what the kernel computes. Pure.

Said is what both engines mean alike, by the tables below; a column that is more than that is left out by name, and a
view whose keys, WHERE or HAVING are is refused. Times are in UTC, as both sessions have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seamline.errors import Condition, UserError
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import parse_views
from seamline.sql import Node, nodes, tree

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


@dataclass(frozen=True)
class SparkSelect:
    """The SELECT over the table that is called as the contract is."""

    sql: str

    left_out: Mapping[str, str]
    """Columns that are NULL in it, by why."""


class _Unsaid(Exception):  # noqa: N818 - it leaves no function of this module
    """Spark does not say it alike."""


def spark_select(definition: Definition) -> SparkSelect:
    """Raises QUERY_REFUSED where the view is over several contracts or over a view, or has keys, WHERE or HAVING that
    are no part of the tables."""
    if definition.base is not None or len(definition.contracts) > 1:
        raise _refused(definition, "views over several contracts, and over views, are not said in Spark SQL")
    (contract,) = definition.contracts
    (parsed,) = parse_views(definition.text, definition.view)
    text = parsed.text[parsed.select[0].start : parsed.select[-1].end + 1]
    select = tree(text)["statements"][0]["node"]
    called = select["from_table"].get("alias", contract).lower()
    for node in nodes(select):
        if (
            node.get("class") == "COLUMN_REF"
            and len(node["column_names"]) > 1
            and node["column_names"][0].lower() == called
        ):
            del node["column_names"][0]
    items = {column.name: node for column, node in zip(definition.columns, select["select_list"], strict=True)}
    left_out, lines, keys = dict[str, str](), list[str](), list[str]()
    try:
        for column in definition.columns:
            if not column.aggregate:
                keys.append(_said(items[column.name]))
                lines.append(f"{keys[-1]} AS {_name(column.name)}")
                continue
            try:
                lines.append(f"{_said(items[column.name])} AS {_name(column.name)}")
            except _Unsaid as why:
                left_out[column.name] = f"Spark does not say {why} as the kernel does"
                lines.append(f"NULL AS {_name(column.name)}")
        where = f"\nWHERE {_said(select['where_clause'])}" if "where_clause" in select else ""
        having = f"\nHAVING {_said(select['having'])}" if "having" in select else ""
    except _Unsaid as why:
        raise _refused(definition, f"Spark does not say {why} as the kernel does") from why
    sql = "SELECT " + ",\n  ".join(lines) + f"\nFROM {_name(contract)}{where}"
    return SparkSelect(sql + (f"\nGROUP BY {', '.join(keys)}" if keys else "") + having, left_out)


def _refused(definition: Definition, why: str) -> UserError:
    return UserError(
        Condition.QUERY_REFUSED,
        f"view {definition.view} by Spark: {why}",
        detail="keys and conditions of fields, comparisons, arithmetic, CASE, time buckets in UTC and "
        + ", ".join(sorted(SCALARS)),
        hint="verify it with --engine duckdb",
    )


def _said(node: Node) -> str:
    kind, type_ = node["class"], node["type"]
    said: dict[str, Callable[[Node], str]] = {
        "COLUMN_REF": _column, "CONSTANT": _constant, "FUNCTION": _function, "CAST": _cast, "CASE": _case,
        "COMPARISON": _comparison, "CONJUNCTION": _conjunction, "OPERATOR": _operator, "BETWEEN": _between,
    }  # fmt: skip
    if kind not in said:
        raise _Unsaid(type_.lower())
    return said[kind](node)


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _column(node: Node) -> str:
    names = node["column_names"]
    if len(names) != 1:
        raise _Unsaid(".".join(names))
    return _name(names[0])


def _constant(node: Node) -> str:
    literal = node["literal"]
    if literal["kind"] == "STRING":
        return "'" + str(literal["text"]).replace("\\", "\\\\").replace("'", "\\'") + "'"
    if literal["kind"] in ("INTEGER", "NUMERIC", "BOOLEAN", "NULL"):
        return str(literal.get("text", "NULL")) if literal["kind"] != "NULL" else "NULL"
    raise _Unsaid(f"a literal {literal.get('text', '')}")


def _arguments(node: Node) -> list[Node]:
    return [one["expression"] for one in node.get("arguments", [])]


def _function(node: Node) -> str:
    name, arguments = str(node["function_name"]).lower(), _arguments(node)
    if node.get("order_bys", {}).get("orders"):
        raise _Unsaid(f"{name} with ORDER BY")
    if name in ("count_star", *AGGREGATES):
        return _aggregate(name, node, arguments)
    if name in ("date_trunc", "datetrunc"):
        return _truncated(name, arguments)
    if name == "time_bucket":
        return _bucket(arguments)
    return _scalar(name, arguments)


def _scalar(name: str, arguments: list[Node]) -> str:
    if name == "/":
        return "CAST({} AS DOUBLE) / nullif(CAST({} AS DOUBLE), 0D)".format(*map(_said, arguments))
    if name in OPERATORS and len(arguments) == 2:
        return f"({_said(arguments[0])} {OPERATORS[name]} {_said(arguments[1])})"
    if name in SCALARS:
        return f"{name}({', '.join(map(_said, arguments))})"
    raise _Unsaid(f"{name}()")


def _aggregate(name: str, node: Node, arguments: list[Node]) -> str:
    if name == "count_star":
        return "count(*)" + _filter(node)
    distinct = "DISTINCT " if node.get("distinct") else ""
    if distinct and "CAST" in AGGREGATES[name]:
        raise _Unsaid(f"{name}(DISTINCT)")
    return AGGREGATES[name].format(distinct + ", ".join(map(_said, arguments))) + _filter(node)


def _truncated(name: str, arguments: list[Node]) -> str:
    unit = _text(arguments[0]).lower()
    if unit not in TRUNCATED:
        raise _Unsaid(f"{name}({unit!r})")
    return f"date_trunc('{unit}', {_said(arguments[1])})"


def _filter(node: Node) -> str:
    return f" FILTER (WHERE {_said(node['filter'])})" if "filter" in node else ""


def _text(node: Node) -> str:
    while node["class"] == "CAST":
        node = node["child"]
    if node["class"] != "CONSTANT" or node["literal"]["kind"] != "STRING":
        raise _Unsaid("what is no literal")
    return str(node["literal"]["text"])


def _bucket(arguments: list[Node]) -> str:
    found = re.fullmatch(r"(\d+) *([a-z]+?)s?", _text(arguments[0]).lower())
    if found is None or (len(arguments) > 2 and _text(arguments[2]) != "UTC"):
        raise _Unsaid("such a time bucket")
    count, unit, at = int(found[1]), found[2], _said(arguments[1])
    if unit in MICROS:
        width = count * MICROS[unit]
        since = f"(unix_micros({at}) - {MONDAY})"
        return f"timestamp_micros({since} - pmod({since}, {width}) + {MONDAY})"
    if count == 1 and unit in TRUNCATED:
        return f"date_trunc('{unit}', {at})"
    raise _Unsaid(f"a bucket of {count} {unit}s")


def _cast(node: Node) -> str:
    kind = node["type_expr"]
    text = kind["type_name"].upper()
    if text == "DECIMAL" and (sizes := [one["literal"]["text"] for one in kind.get("children", [])]):
        text = f"DECIMAL({','.join(sizes)})"
    if not CASTS.fullmatch(text):
        raise _Unsaid(f"a cast to {text}")
    return f"CAST({_said(node['child'])} AS {text})"


def _case(node: Node) -> str:
    checks = " ".join(f"WHEN {_said(one['when_expr'])} THEN {_said(one['then_expr'])}" for one in node["case_checks"])
    return f"CASE {checks} ELSE {_said(node['else_expr'])} END"


def _comparison(node: Node) -> str:
    left, right = _said(node["left"]), _said(node["right"])
    if node["type"] in COMPARED:
        return f"({left} {COMPARED[node['type']]} {right})"
    if node["type"] == "COMPARE_DISTINCT_FROM":
        return f"(NOT {left} <=> {right})"
    if node["type"] == "COMPARE_NOT_DISTINCT_FROM":
        return f"({left} <=> {right})"
    raise _Unsaid(node["type"].lower())


def _conjunction(node: Node) -> str:
    word = " AND " if node["type"] == "CONJUNCTION_AND" else " OR "
    return "(" + word.join(map(_said, node["children"])) + ")"


def _between(node: Node) -> str:
    return f"({_said(node['input'])} BETWEEN {_said(node['lower'])} AND {_said(node['upper'])})"


def _operator(node: Node) -> str:
    children = list(map(_said, node["children"]))
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
    raise _Unsaid(node["type"].lower())
