"""The catalogue, answered: a private DuckDB in memory that holds nothing but the catalogue's own relations.

A query is read as DuckDB reads it, its tree is rewritten where PostgreSQL's words differ (schemas, `::regclass`,
collations), and what it names beyond the relations and functions here is refused by name. It can reach no file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import duckdb
import pyarrow as pa

from seamline.kernel import fold
from seamline.serving.allowed import FUNCTIONS, NODES, TABLE_FUNCTIONS
from seamline.serving.deadline import deadline
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.macros import NAMES, macros
from seamline.serving.wire.shelf import INFORMATION, Listed, relations, rows, tables
from seamline.serving.wire.variables import SETTINGS
from seamline.sql import NOWHERE, TREE, Node, nodes, tokens

SECONDS = 5.0
"""Of one query."""

CONFINED = (
    "SET memory_limit = '256MB'", "SET temp_directory = ''", "SET threads = 1", "SET enable_external_access = false",
    "SET autoload_known_extensions = false", "SET autoinstall_known_extensions = false",
    "SET python_enable_replacements = false", "SET TimeZone = 'UTC'", "SET lock_configuration = true",
)  # fmt: skip

DEFAULTS = {name: one.default for name, one in SETTINGS.items()}
"""What a query is described with: a value's type is the same whatever it is."""

_FUNCTION_COLUMNS = """
typinput typoutput typreceive typsend typmodin typmodout typanalyze typsubscript oprcode oprrest oprjoin
amhandler amproc
"""
FUNCTION_COLUMNS = frozenset(_FUNCTION_COLUMNS.split())
"""Numbers in PostgreSQL that are shown as names; here they are the names."""

_REG = {"regclass", "regtype", "regnamespace"}
_TYPES = {
    "oid": "uinteger", "xid": "uinteger", "name": "varchar", "char": "varchar", "cstring": "varchar",
    "regproc": "varchar", "regprocedure": "varchar", "regoper": "varchar", "regrole": "varchar",
    "pg_node_tree": "varchar", "aclitem": "varchar", "jsonb": "json", "bpchar": "varchar", "information_schema": "",
}  # fmt: skip
_WORDS = {
    "current_user": "_current_user", "session_user": "_current_user", "current_role": "_current_user",
    "user": "_current_user", "current_catalog": "current_database", "current_schema": "current_schema",
}  # fmt: skip
_RENAMED = {
    "json_build_object": "json_object", "jsonb_build_object": "json_object", "json_agg": "json_group_array",
    "jsonb_agg": "json_group_array", "btrim": "trim",
}  # fmt: skip
"""DuckDB's names of what PostgreSQL's are."""
_SHOWN = {"_current_user": "current_user", "count_star": "count", "regexp_matches": "?column?"}
_ONE_ROW = frozenset(["string_to_array", "current_schemas"])
"""Functions of one value that stand after FROM too."""
_SCHEMAS = ("pg_catalog", "information_schema", "public")
_FURTHER = NAMES | {"error", "string_agg", "string_to_array", "regexp_split_to_table", "pg_typeof"}


class Library:
    """One connection with one caller's catalogue, used by one thread at a time."""

    def __init__(self, views: Iterable[Listed]) -> None:
        self._connection = duckdb.connect()
        for statement in (*tables(), *macros()):
            self._connection.execute(statement)
        self._connection.begin()
        for statement in rows(views):
            self._connection.execute(statement)
        self._connection.execute(_settings_rows())
        self._connection.commit()
        for statement in CONFINED:
            self._connection.execute(statement)

    def describe(self, sql: str) -> pa.Schema:
        """The columns of an answer. Raises WireError."""
        text, count = self._written(sql, DEFAULTS)
        found = self._run(f"SELECT * FROM ({text}) LIMIT 0", [None] * count)
        return found.schema

    def answer(self, sql: str, values: Sequence[Any], session: Mapping[str, str]) -> pa.Table:
        """An answer, whole. Raises WireError: 0A000, by name, for what cannot be answered."""
        text, _ = self._written(sql, session)
        self._connection.execute("DELETE FROM _session")
        self._connection.executemany("INSERT INTO _session VALUES (?, ?)", [list(item) for item in session.items()])
        return self._run(text, values)

    def close(self) -> None:
        """Ends it."""
        self._connection.close()

    def _run(self, text: str, values: Sequence[Any]) -> pa.Table:
        try:
            with deadline(self._connection, SECONDS):
                return self._connection.execute(text, list(values)).to_arrow_table()
        except duckdb.InterruptException:
            raise WireError("57014", f"a query of the catalogue over {SECONDS:g} seconds") from None
        except duckdb.Error as error:
            raise _told(error) from error

    def _written(self, sql: str, session: Mapping[str, str]) -> tuple[str, int]:
        """The text that runs, and how many parameters it has."""
        try:
            tree = json.loads(self._connection.execute(TREE, [_folded(sql)]).fetchall()[0][0])
            if tree["error"]:
                place = int(tree["position"]) + 1 if "position" in tree else 0
                raise WireError("42601", str(tree["error_message"]), position=place)
            if len(tree["statements"]) != 1:
                raise WireError("42601", "one statement at a time")
            _named(tree["statements"][0]["node"])
            tree = _Writer(tree, session).written()
            found = self._connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchall()
        except RecursionError:
            raise WireError("54001", "a query nested too deeply") from None
        except duckdb.Error as error:
            raise _told(error) from error
        return str(found[0][0]), len({one["identifier"] for one in nodes(tree) if one.get("class") == "PARAMETER"})


def _settings_rows() -> str:
    said = ", ".join(f"('{name}', '{one.default}', '', '')" for name, one in SETTINGS.items() if "." not in name)
    return f"INSERT INTO pg_settings (name, setting, category, short_desc) VALUES {said}"


def _told(error: duckdb.Error) -> WireError:
    """DuckDB's error as PostgreSQL has it."""
    said = str(error).splitlines()[0]
    for beginning, state in (
        ("Catalog Error: Table", "42P01"), ("Binder Error: Referenced column", "42703"), ("Catalog Error", "42883"),
        ("Binder Error", "42804"), ("Conversion Error", "22P02"), ("Parser Error", "42601"),
        ("Out of Memory", "53200"), ("Out of Range Error", "54000"),
    ):  # fmt: skip
        if said.startswith(beginning):
            return WireError(state, f"the catalogue: {said}")
    own = said.removeprefix("Invalid Input Error: ")
    state = "42P01" if own.startswith("relation ") else "42704" if own.startswith("unrecognized") else "0A000"
    return WireError(state, own)


class _Writer:
    """Rewrites one tree."""

    def __init__(self, tree: Node, session: Mapping[str, str]) -> None:
        self._tree = tree
        self._settings = {name.lower(): value for name, value in session.items()}
        self._names = {fold(one["key"]) for node in nodes(tree) for one in node.get("cte_map", {}).get("map", [])}

    def written(self) -> Node:
        """The tree that runs. Raises WireError for what is not here."""
        found: Node = self._walk(self._tree)
        return found

    def _walk(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._walk(one) for one in node]
        if not isinstance(node, dict):
            return node
        kind = str(node.get("class", node.get("type", "")))
        if kind == "COLLATE":
            return self._walk(node["child"])
        if kind == "CAST":
            return self._cast(node)
        if (
            kind
            and kind not in NODES
            and kind not in ("PARAMETER", "BASE_TABLE")
            and ("class" in node or "query_location" in node)
        ):
            raise WireError("0A000", f"{kind.replace('_', ' ').lower()} in a query of the catalogue")
        made = {key: self._walk(value) for key, value in node.items()}
        return _BY_KIND[kind](self, made) if kind in _BY_KIND else made

    def _table(self, node: Node) -> Node:
        schema, name = fold(node.get("schema_name", "")), fold(node.get("table_name", ""))
        if node.get("catalog_name") and fold(node["catalog_name"]) != "seamline":
            raise WireError("0A000", f"cross-database references are not implemented: {node['catalog_name']}")
        node.pop("catalog_name", None)
        if schema == "information_schema" and f"information_schema.{name}" in relations():
            return {**node, "schema_name": INFORMATION, "qualified_name": {"path": [INFORMATION, name]}}
        node.pop("schema_name", None)
        if (schema in ("", "pg_catalog") and name in relations()) or (not schema and name in self._names):
            return {**node, "qualified_name": {"path": [node["table_name"]]}}
        said = f"{schema}.{name}" if schema else name
        raise WireError(
            "42P01",
            f'relation "{said}" does not exist',
            hint="what of PostgreSQL's catalogue is served stands in docs/postgres.md",
        )

    def _function(self, node: Node) -> Node:
        said, schema = fold(node.get("function_name", "")), fold(node.get("schema", ""))
        name = _RENAMED.get(said, said)
        if node.get("catalog") or schema not in ("", *_SCHEMAS) or (name not in FUNCTIONS and name not in _FURTHER):
            raise WireError(
                "0A000",
                f"function {schema + '.' if schema else ''}{name} of the catalogue",
                hint="what of PostgreSQL's catalogue is served stands in docs/postgres.md",
            )
        node.pop("schema", None)
        if name == "current_setting" and (set_to := self._setting(node)) is not None:
            return set_to
        return {**node, "function_name": name, "qualified_name": {"path": [name]}}

    def _setting(self, node: Node) -> Node | None:
        """A setting that is named in quotes, as its value: so it may stand where DuckDB takes no subquery."""
        named = [one["expression"].get("literal", {}).get("text", "") for one in node.get("arguments", [])]
        value = self._settings.get(str(named[0]).lower()) if len(named) == 1 else None
        if value is None:
            return None
        literal = {"kind": "STRING", "text": value}
        return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": node.get("alias", ""), "literal": literal}

    def _table_function(self, node: Node) -> Node:
        name = fold(node.get("function", {}).get("function_name", ""))
        if name in _ONE_ROW:
            return _one_row(node, name)
        if name not in TABLE_FUNCTIONS:
            raise WireError("0A000", f"function {name} of the catalogue after FROM")
        return node

    def _column(self, node: Node) -> Node:
        names = node["column_names"]
        if len(names) == 1 and fold(names[0]) in _WORDS:
            return {**_call(_WORDS[fold(names[0])], []), "alias": node.get("alias", "")}
        if len(names) > 2 and fold(names[0]) == "information_schema":
            names = [INFORMATION, *names[1:]]
        elif len(names) > 2 and fold(names[0]) in ("pg_catalog", "public"):
            names = names[1:]
        return {**node, "column_names": names}

    def _comparison(self, node: Node) -> Node:
        """A column that names a function, compared with 0: with what it says where there is none."""
        sides = {side: node.get(side, {}) for side in ("left", "right")}
        columns = [one["column_names"][-1] for one in sides.values() if one.get("class") == "COLUMN_REF"]
        for side, one in sides.items():
            is_zero = one.get("class") == "CONSTANT" and one.get("literal", {}).get("text") == "0"
            if is_zero and FUNCTION_COLUMNS.intersection(columns):
                node = {**node, side: {**one, "literal": {"kind": "STRING", "text": "-"}}}
        return node

    def _type(self, node: Node) -> Node:
        name = fold(node.get("type_name", ""))
        node.pop("schema", None)
        known = _TYPES.get(name, node.get("type_name", ""))
        return {**node, "type_name": known, "qualified_name": {"path": [known]}}

    def _cast(self, node: Node) -> Any:
        """A cast to one of the types that stand for a name's number is a call; to text, or shown, it is the name."""
        inner, outer = node.get("child", {}), _type_of(node)
        if outer in ("text", "varchar", "name") and inner.get("class") == "CAST" and _type_of(inner) in _REG:
            made = _call(f"_{_type_of(inner)}_name", [self._walk(inner["child"])])
            return {**made, "alias": node.get("alias", "")}
        if outer in _REG:
            return _call(f"_{outer}", [self._walk(inner)])
        return {key: self._walk(value) for key, value in node.items()}


_BY_KIND: dict[str, Callable[[_Writer, Node], Any]] = {
    "BASE_TABLE": _Writer._table,
    "FUNCTION": _Writer._function,
    "WINDOW": _Writer._function,
    "TABLE_FUNCTION": _Writer._table_function,
    "COLUMN_REF": _Writer._column,
    "COMPARISON": _Writer._comparison,
    "TYPE": _Writer._type,
}


def _one_row(node: Node, name: str) -> Node:
    """A call after FROM that gives one value: a row of it, whose column is named as the row is."""
    alias = node.get("alias") or name
    place = node.get("query_location", NOWHERE)
    select = {
        "type": "SELECT_NODE", "cte_map": {}, "select_list": [{**node["function"], "alias": alias}],
        "from_table": {"type": "EMPTY", "query_location": place}, "aggregate_handling": "STANDARD_HANDLING",
    }  # fmt: skip
    return {"type": "SUBQUERY", "alias": alias, "query_location": place, "subquery": {"node": select}}


def _folded(sql: str) -> str:
    """Names without quotes in lower case, as PostgreSQL takes them; every place stays."""
    found = list(sql)
    for token in tokens(sql):
        if token.kind == "word":
            found[token.start : token.end + 1] = fold(token.text)
    return "".join(found)


def _type_of(cast: Node) -> str:
    return fold(cast.get("type_expr", {}).get("type_name", ""))


def _call(name: str, arguments: Sequence[Node]) -> Node:
    return {
        "class": "FUNCTION", "type": "FUNCTION", "function_name": name, "distinct": False, "is_operator": False,
        "export_state": False, "order_bys": {"type": "ORDER_MODIFIER"}, "qualified_name": {"path": [name]},
        "arguments": [{"expression": one} for one in arguments], "is_legacy_function_call": False,
    }  # fmt: skip


def _named(node: Node) -> None:
    """Columns without a name get the one that PostgreSQL gives; a number that stands for a name is shown by it."""
    while "left" in node and node.get("type") == "SET_OPERATION_NODE":
        node = node["left"]
    for number, item in enumerate(node.get("select_list", [])):
        if item.get("alias") or item.get("class") == "STAR":
            continue
        with suppress(KeyError):
            item["alias"] = _name(item)
        if item.get("class") == "CAST" and _type_of(item) in _REG:
            text = {"class": "TYPE", "type": "TYPE", "type_name": "varchar", "qualified_name": {"path": ["varchar"]}}
            alias = item.pop("alias", "")
            node["select_list"][number] = {**item, "alias": alias, "child": item, "type_expr": text}


def _name(item: Node) -> str:
    kind = item.get("class")
    if kind == "COLUMN_REF":
        return str(item["column_names"][-1])
    if kind in ("FUNCTION", "WINDOW") and not item.get("is_operator"):
        name = fold(item["function_name"])
        return _SHOWN.get(name, name)
    if kind == "CAST":
        inner = _name(item["child"])
        return inner if inner not in ("?column?", "case") else _type_of(item)
    if kind == "CASE":
        return "case"
    if kind == "SUBQUERY" and item.get("subquery_type") == "SCALAR":
        return _name(item["subquery"]["node"]["select_list"][0])
    return "?column?"
