"""A view's SELECT in Spark's own SQL, over its events: another engine's word on what the kernel computes. Pure.

A view over a view is said over the events, too: its keys are the base's expressions in place of the base's keys, its
MEASURE(column) the base's aggregate, so that nothing is merged. What Spark does not say alike (sparkwords.py) leaves a
column out by name; a view whose keys, WHERE or HAVING need it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seamline.errors import Condition, UserError
from seamline.kernel import fold
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.sparkwords import SCALARS, Unsaid, given, quoted, said
from seamline.schemas.views.text import parse_views
from seamline.schemas.views.unions import TABLE
from seamline.sql import Node, nodes, tree

SaidNames = Mapping[str, str | Unsaid]
"""Names, folded, and what stands for each; or why nothing does."""


@dataclass(frozen=True)
class SparkSelect:
    """The SELECT over the table that is called as the contract is; of several contracts, over UNION."""

    sql: str

    left_out: Mapping[str, str]
    """Columns that are NULL in it, by why."""

    branches: Mapping[str, str]
    """By contract, the rows that it gives to UNION, all of the same columns in the same order; none of one contract."""


UNION = TABLE


def spark_select(definition: Definition, fields: Mapping[str, Sequence[str]]) -> SparkSelect:
    """`fields`: by contract, those that stand in its table. Raises QUERY_REFUSED where the view has keys, WHERE or
    HAVING that Spark does not say alike."""
    try:
        view = _view(definition, fields)
        keys, lines, left_out = list[str](), list[str](), dict[str, str]()
        for column in definition.columns:
            text = view.columns[fold(column.name)]
            if not column.aggregate:
                keys.append(_sure(text))
            elif isinstance(text, Unsaid):
                left_out[column.name] = f"Spark does not say {text} as the kernel does"
                text = "NULL"
            lines.append(f"{text} AS {quoted(column.name)}")
        having = f"\nHAVING {_having(view)}" if "having" in view.select else ""
    except Unsaid as why:
        raise _refused(definition, f"Spark does not say {why} as the kernel does") from why
    sql = "SELECT " + ",\n  ".join(lines) + f"\nFROM {quoted(view.table)}"
    sql += f"\nWHERE {' AND '.join(view.where)}" if view.where else ""
    sql += f"\nGROUP BY {', '.join(keys)}" if keys else ""
    return SparkSelect(sql + having, left_out, view.branches)


def _refused(definition: Definition, why: str) -> UserError:
    return UserError(
        Condition.QUERY_REFUSED,
        f"view {definition.view} by Spark: {why}",
        detail="keys and conditions of fields, comparisons, arithmetic, CASE, time buckets in UTC and "
        + ", ".join(sorted(SCALARS)),
        hint="verify it with --engine duckdb",
    )


@dataclass(frozen=True)
class _SaidView:
    """What is said of a view."""

    select: Node

    names: SaidNames
    """What it is over: the contract's fields, the union's columns, or the base's keys."""

    columns: SaidNames
    where: tuple[str, ...]
    table: str
    branches: Mapping[str, str]


def _view(definition: Definition, fields: Mapping[str, Sequence[str]]) -> _SaidView:
    """Raises Unsaid where its WHERE, or one below it, cannot be said."""
    (parsed,) = parse_views(definition.text, definition.view)
    select = tree(parsed.text[parsed.select[0].start : parsed.select[-1].end + 1])["statements"][0]["node"]
    _without_alias(select, select["from_table"])
    names: SaidNames = {}
    measures: SaidNames = {}
    table, where, branches = TABLE, tuple[str, ...](), dict[str, str]()
    if definition.base is not None:
        below = _view(definition.base.of, fields)
        keys = {fold(key.name) for key in definition.base.of.keys}
        names = {name: text for name, text in below.columns.items() if name in keys}
        measures = {name: text for name, text in below.columns.items() if name not in keys}
        table, where, branches = below.table, below.where, dict(below.branches)
    elif "subquery" in select["from_table"]:
        names, branches = _union(select, definition.contracts, fields)
    else:
        (table,) = definition.contracts
        names = {fold(name): quoted(name) for name in fields[table]}
    _measure(select, measures)
    for part in (*select["select_list"], select.get("where_clause")):
        _name(part, names)
    if "where_clause" in select:
        where += (said(select["where_clause"]),)
    columns = {
        fold(column.name): _attempt(node)
        for column, node in zip(definition.columns, select["select_list"], strict=True)
    }
    return _SaidView(select, names, columns, where, table, branches)


def _having(view: _SaidView) -> str:
    """A name is what the view is over, else the view's own column."""
    having = view.select["having"]
    _name(having, {**view.columns, **view.names})
    return said(having)


def _attempt(node: Node) -> str | Unsaid:
    try:
        return said(node)
    except Unsaid as why:
        return why


def _sure(text: str | Unsaid) -> str:
    if isinstance(text, Unsaid):
        raise text
    return text


# --- names


def _columns(part: Node | None) -> Iterator[Node]:
    yield from (node for node in nodes(part or {}) if node.get("class") == "COLUMN_REF")


def _without_alias(part: Node, source: Node) -> None:
    """Takes the table's name away from before its columns."""
    called = fold(source.get("alias") or source.get("table_name", ""))
    for node in _columns(part):
        if len(node["column_names"]) > 1 and fold(node["column_names"][0]) == called:
            del node["column_names"][0]


def _name(part: Node | None, names: SaidNames) -> None:
    """Puts what stands for a name in its place."""
    for node in _columns(part):
        if len(node["column_names"]) == 1 and fold(node["column_names"][0]) in names:
            _put(node, names[fold(node["column_names"][0])])


def _measure(part: Node, measures: SaidNames) -> None:
    """The same of MEASURE(name)."""
    for node in nodes(part):
        if node.get("class") == "FUNCTION" and str(node["function_name"]).lower() == "measure":
            ((one,),) = (argument["expression"]["column_names"] for argument in node["arguments"])
            _put(node, measures[fold(one)])


def _put(node: Node, text: str | Unsaid) -> None:
    node.clear()
    node.update(given(text))


# --- several contracts


def _union(
    select: Node, contracts: Sequence[str], fields: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str | Unsaid], dict[str, str]]:
    """The union's columns that the view reads, and each branch's rows of them. A column is NULL where a branch has
    none of its name."""
    union = select["from_table"].pop("subquery")["node"]
    read = dict.fromkeys(fold(node["column_names"][0]) for node in _columns(select))
    by_name = {fold(contract): contract for contract in contracts}
    gives = {by_name[fold(one["from_table"]["table_name"])]: one for one in _leaves(union)}
    for one in gives.values():
        _without_alias(one, one["from_table"])
    columns = {contract: _given_by(one, fields[contract]) for contract, one in gives.items()}
    known: dict[str, str | Unsaid] = {}
    for name in read:
        texts = [of[name] for of in columns.values() if name in of]
        if texts:  # what no branch gives is the view's own column, in HAVING
            known[name] = next((text for text in texts if isinstance(text, Unsaid)), quoted(name))
    branches = {}
    for contract, one in gives.items():
        lines = [
            f"{columns[contract].get(name, 'NULL')} AS {text}" for name, text in known.items() if text == quoted(name)
        ]
        where = f"\nWHERE {said(one['where_clause'])}" if "where_clause" in one else ""
        branches[contract] = f"SELECT {', '.join(lines) or '1 AS `_`'}\nFROM {quoted(contract)}{where}"
    return known, branches


def _leaves(union: Node) -> Iterator[Node]:
    if union["type"] == "SELECT_NODE":
        yield union
    for child in union.get("children", ()):
        yield from _leaves(child)


def _given_by(branch: Node, fields: Sequence[str]) -> dict[str, str | Unsaid]:
    """By name, folded, what a branch gives."""
    found: dict[str, str | Unsaid] = {}
    for item in branch["select_list"]:
        if item["class"] == "STAR":
            found |= {fold(name): quoted(name) for name in fields}
        else:
            found[fold(item.get("alias") or item["column_names"][-1])] = _attempt(item)
    return found
