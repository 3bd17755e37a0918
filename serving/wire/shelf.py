"""The catalogue's relations: PostgreSQL 15's, each a real table with its own columns, filled from what is served.

`relations.txt` has their columns (`name:type`, `?` where NULL may stand), `types.txt` pg_type's rows, both as
that release has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from seamline.kernel import literal, quote
from seamline.serving.snapshot import ServedView, Snapshot
from seamline.serving.wire import kinds
from seamline.serving.wire.kinds import WireType

INFORMATION = "_information"
"""The schema that stands for information_schema, whose name DuckDB keeps for itself."""

FIRST_OID = 16_384

SYSTEM = {
    1247: "pg_type", 1249: "pg_attribute", 1255: "pg_proc", 1259: "pg_class", 1260: "pg_authid", 1262: "pg_database",
    1213: "pg_tablespace", 1417: "pg_foreign_server", 2224: "pg_sequence", 2396: "pg_shdescription", 2601: "pg_am",
    2604: "pg_attrdef", 2605: "pg_cast", 2606: "pg_constraint", 2607: "pg_conversion", 2608: "pg_depend",
    2609: "pg_description", 2610: "pg_index", 2611: "pg_inherits", 2612: "pg_language", 2615: "pg_namespace",
    2616: "pg_opclass", 2617: "pg_operator", 2618: "pg_rewrite", 2620: "pg_trigger", 2753: "pg_opfamily",
    3079: "pg_extension", 3256: "pg_policy", 3456: "pg_collation", 3466: "pg_event_trigger", 3501: "pg_enum",
    3541: "pg_range",
}  # fmt: skip
"""Relations of PostgreSQL's own that clients name by their numbers."""

_DUCK = {
    "oid": "UINTEGER", "xid": "UINTEGER", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "bool": "BOOLEAN",
    "float4": "FLOAT", "int2vector": "SMALLINT[]", "_int2": "SMALLINT[]", "oidvector": "UINTEGER[]",
    "_oid": "UINTEGER[]", "_text": "VARCHAR[]", "_name": "VARCHAR[]", "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "interval": "INTERVAL", "bytea": "BLOB", "_aclitem": "VARCHAR[]", "_char": "VARCHAR[]",
}  # fmt: skip
_ZERO = {"UINTEGER": "0", "SMALLINT": "0", "INTEGER": "0", "BIGINT": "0", "BOOLEAN": "false", "FLOAT": "0"}


@dataclass(frozen=True)
class ListedColumn:
    """A column of a view."""

    name: str
    duck: str
    comment: str = ""


@dataclass(frozen=True)
class Listed:
    """A view as the catalogue lists it."""

    name: str
    comment: str
    columns: tuple[ListedColumn, ...]


def listed(snapshot: Snapshot) -> tuple[Listed, ...]:
    """The views that can answer."""
    return tuple(
        Listed(
            name,
            one.definition.comment,
            tuple(ListedColumn(c.name, c.sql_type, c.comment) for c in one.definition.columns),
        )
        for name, one in sorted(snapshot.views.items())
        if isinstance(one, ServedView)
    )


@cache
def relations() -> dict[str, tuple[tuple[str, str, bool], ...]]:
    """Columns (name, DuckDB's type, whether NULL may stand there) by relation; those of information_schema with it
    before their names."""
    found = {}
    for line in files("seamline.serving.wire").joinpath("relations.txt").read_text("utf-8").splitlines():
        name, *columns = line.split(" ")
        parts = [one.rpartition(":") for one in columns]
        found[name] = tuple(
            (column, _DUCK.get(kind.removeprefix("?"), "VARCHAR"), kind.startswith("?")) for column, _, kind in parts
        )
    return found


@cache
def pg_types() -> tuple[dict[str, str], ...]:
    """pg_type's rows, and what format_type() calls each (`called`)."""
    names = [
        "oid", "typname", "typlen", "typbyval", "typtype", "typcategory", "typispreferred", "typdelim", "typrelid",
        "typelem", "typarray", "typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typalign",
        "typstorage", "typbasetype", "typcollation", "typsubscript", "called",
    ]  # fmt: skip
    text = files("seamline.serving.wire").joinpath("types.txt").read_text("utf-8")
    rows = [dict(zip(names, line.split(" "), strict=True)) for line in text.splitlines()]
    return tuple({**row, "called": row["called"].replace("_", " ")} for row in rows)


def tables() -> Iterator[str]:
    """Statements that make every relation, empty."""
    yield f"CREATE SCHEMA {INFORMATION}"
    for name, columns in relations().items():
        yield f"CREATE TABLE {_place(name)} ({', '.join(_column(*one) for one in columns)})"
    yield "CREATE TABLE _session (_key VARCHAR, _value VARCHAR)"
    yield "CREATE TABLE _classes (_oid UINTEGER, _class VARCHAR, _space UINTEGER)"
    yield "CREATE TABLE _types (_oid UINTEGER, _type VARCHAR, _called VARCHAR)"
    yield "CREATE TABLE _comments (_oid UINTEGER, _number INTEGER, _comment VARCHAR)"


def _place(name: str) -> str:
    schema, dot, relation = name.partition(".")
    return f"{INFORMATION}.{quote(relation)}" if dot else quote(schema)


def _column(name: str, kind: str, nullable: bool) -> str:
    default = "" if nullable or kind not in _ZERO else f" DEFAULT {_ZERO[kind]}"
    return f"{quote(name)} {kind}{default}"


def rows(views: Iterable[Listed], database: str = "seamline") -> Iterator[str]:
    """Statements that fill them."""
    yield from _fixed(database)
    for view, oid in _numbered(views):
        yield from _of_view(view, oid, database)


def _numbered(views: Iterable[Listed]) -> Iterator[tuple[Listed, int]]:
    """Each view with a number that follows from its name alone, unless another has the same."""
    taken = set[int]()
    for view in views:
        oid = FIRST_OID + zlib.crc32(view.name.encode()) % (2**31 - 2 * FIRST_OID)
        while oid in taken:
            oid += 1
        taken.add(oid)
        yield view, oid


def _insert(name: str, **values: Any) -> str:
    """One row; what is not said is the column's default."""
    columns = ", ".join(quote(one) for one in values)
    said = ", ".join(value if isinstance(value, Sql) else _literal(value) for value in values.values())
    return f"INSERT INTO {_place(name)} ({columns}) VALUES ({said})"


class Sql(str):
    """An expression, where others are values."""

    __slots__ = ()


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return literal(str(value))


def _fixed(database: str) -> Iterator[str]:
    for oid, name in ((11, "pg_catalog"), (2200, "public"), (13207, "information_schema")):
        yield _insert("pg_namespace", oid=oid, nspname=name, nspowner=10)
        yield _insert("information_schema.schemata", catalog_name=database, schema_name=name, schema_owner="seamline")
    for oid, name in SYSTEM.items():
        yield _insert("pg_class", oid=oid, relname=name, relnamespace=11, relowner=10, relkind="r", relam=2,
                      relpersistence="p", relispopulated=True, relreplident="n", reltuples=-1.0)  # fmt: skip
        yield f"INSERT INTO _classes VALUES ({oid}, '{name}', 11)"
    yield _insert("pg_database", oid=5, datname=database, datdba=10, encoding=6, datlocprovider="c",
                  datallowconn=True, datconnlimit=-1, dattablespace=1663, datcollate="C", datctype="C.UTF-8",
                  datistemplate=False)  # fmt: skip
    yield _insert("information_schema.information_schema_catalog_name", catalog_name=database)
    yield _insert("pg_roles", oid=10, rolname="seamline", rolsuper=False, rolinherit=True, rolcreaterole=False,
                  rolcreatedb=False, rolcanlogin=True, rolreplication=False, rolbypassrls=False, rolconnlimit=-1,
                  rolpassword="********")  # fmt: skip
    yield _insert("pg_user", usename="seamline", usesysid=10, usecreatedb=False, usesuper=False)
    yield _insert("pg_am", oid=2, amname="heap", amhandler="heap_tableam_handler", amtype="t")
    for oid, name in ((1663, "pg_default"), (1664, "pg_global")):
        yield _insert("pg_tablespace", oid=oid, spcname=name, spcowner=10)
    for row in pg_types():
        said = {name: value for name, value in row.items() if name != "called"}
        flags = {name: Sql(str(said[name] == "t").lower()) for name in ("typbyval", "typispreferred")}
        yield _insert("pg_type", **{**said, **flags}, typnamespace=11, typowner=10, typisdefined=True, typtypmod=-1)
        called = row["called"]
        yield f"INSERT INTO _types VALUES ({row['oid']}, {literal(row['typname'])}, {literal(called)})"
    for name in relations():
        _, dot, relation = name.partition(".")
        space = "information_schema" if dot else "pg_catalog"
        yield _insert("information_schema.tables", table_catalog=database, table_schema=space,
                      table_name=relation or name, table_type="VIEW" if dot else "BASE TABLE", is_insertable_into="NO",
                      is_typed="NO")  # fmt: skip


def _of_view(view: Listed, oid: int, database: str) -> Iterator[str]:
    yield _insert("pg_class", oid=oid, relname=view.name, relnamespace=2200, relowner=10, relam=2, relfilenode=oid,
                  relkind="r", relpersistence="p", relispopulated=True, relreplident="d", relnatts=len(view.columns),
                  reltuples=-1.0)  # fmt: skip
    yield f"INSERT INTO _classes VALUES ({oid}, {literal(view.name)}, 2200)"
    yield _insert("pg_tables", schemaname="public", tablename=view.name, tableowner="seamline", hasindexes=False,
                  hasrules=False, hastriggers=False, rowsecurity=False)  # fmt: skip
    yield _insert("information_schema.tables", table_catalog=database, table_schema="public", table_name=view.name,
                  table_type="BASE TABLE", is_insertable_into="NO", is_typed="NO")  # fmt: skip
    for table in ("table_privileges", "role_table_grants"):
        yield _insert(f"information_schema.{table}", grantor="seamline", grantee="seamline", table_catalog=database,
                      table_schema="public", table_name=view.name, privilege_type="SELECT", is_grantable="NO",
                      with_hierarchy="NO")  # fmt: skip
    yield from _comment(oid, 0, view.comment)
    for number, column in enumerate(view.columns, 1):
        yield from _of_column(view, oid, number, column, database)


def _comment(oid: int, number: int, text: str) -> Iterator[str]:
    if text:
        yield _insert("pg_description", objoid=oid, classoid=1259, objsubid=number, description=text)
        yield f"INSERT INTO _comments VALUES ({oid}, {number}, {literal(text)})"


def _of_column(view: Listed, oid: int, number: int, column: ListedColumn, database: str) -> Iterator[str]:
    kind, modifier = _kind(column.duck)
    row = next(one for one in pg_types() if one["oid"] == str(kind.oid))
    is_array = kind.element is not None
    yield _insert("pg_attribute", attrelid=oid, attname=column.name, atttypid=kind.oid, attstattarget=-1,
                  attlen=int(row["typlen"]), attnum=number, attndims=int(is_array), attcacheoff=-1, atttypmod=modifier,
                  attbyval=row["typbyval"] == "t", attalign=row["typalign"], attstorage=row["typstorage"],
                  attislocal=True, attidentity="", attgenerated="", attcompression="",
                  attcollation=int(row["typcollation"]))  # fmt: skip
    yield from _comment(oid, number, column.comment)
    numbers = _precision(kind, modifier)
    yield _insert(
        "information_schema.columns", table_catalog=database, table_schema="public", table_name=view.name,
        column_name=column.name, ordinal_position=number, is_nullable="YES",
        data_type="ARRAY" if is_array else row["called"], **numbers, udt_catalog=database, udt_schema="pg_catalog",
        udt_name=row["typname"], dtd_identifier=str(number), is_self_referencing="NO", is_identity="NO",
        identity_cycle="NO", is_generated="NEVER", is_updatable="NO",
    )  # fmt: skip


def _kind(duck: str) -> tuple[WireType, int]:
    """The type of a view's column, and its modifier."""
    found = kinds.of_parameter(duck) or (kinds.NESTED if "(" in duck else kinds.TEXTUAL)
    if duck.startswith("DECIMAL(") and not duck.endswith("]"):
        width, scale = duck[8:-1].split(",")
        return found, (int(width) << 16 | int(scale)) + 4
    return found, (38 << 16) + 4 if duck == "HUGEINT" else -1


def _precision(kind: WireType, modifier: int) -> dict[str, int]:
    """What information_schema.columns says of a type's numbers."""
    if kind is kinds.NUMERIC and modifier > 0:
        width, scale = (modifier - 4) >> 16, (modifier - 4) & 0xFFFF
        return {"numeric_precision": width, "numeric_precision_radix": 10, "numeric_scale": scale}
    if kind is kinds.NUMERIC:
        return {"numeric_precision_radix": 10}
    bits = {"int2": 16, "int4": 32, "int8": 64, "float4": 24, "float8": 53}.get(kind.name)
    if bits is not None:
        scale_of = {"numeric_scale": 0} if kind.name.startswith("int") else {}
        return {"numeric_precision": bits, "numeric_precision_radix": 2, **scale_of}
    if kind.name in ("timestamp", "timestamptz", "time", "interval"):
        return {"datetime_precision": 6}
    return (
        {"datetime_precision": 0}
        if kind is kinds.DATE
        else {"character_octet_length": 1 << 30}
        if kind is kinds.TEXTUAL
        else {}
    )
