"""SQLAlchemy's dialect `seamline://`, over `seamline.dbapi`: it reads, and reflects the views as tables.

Imported by SQLAlchemy alone, which the extra `sqlalchemy` brings. URLs: `seamline://:TOKEN@host:port`, with `?tls=true`
and `&authority=FILE` for HTTPS, and `seamline:///folder` for a project beside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from sqlalchemy import exc, pool
from sqlalchemy.engine import URL
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    LargeBinary,
    NullType,
    Numeric,
    SmallInteger,
    String,
    Time,
    TypeEngine,
    Uuid,
)

from seamline import dbapi
from seamline.connection import AskedView

SIMPLE: Mapping[str, Callable[[], TypeEngine[Any]]] = {
    "BOOLEAN": Boolean,
    "TINYINT": SmallInteger,
    "UTINYINT": SmallInteger,
    "SMALLINT": SmallInteger,
    "USMALLINT": Integer,
    "INTEGER": Integer,
    "UINTEGER": BigInteger,
    "BIGINT": BigInteger,
    "UBIGINT": lambda: Numeric(20, 0),
    "HUGEINT": lambda: Numeric(39, 0),
    "UHUGEINT": lambda: Numeric(39, 0),
    "FLOAT": Float,
    "DOUBLE": Double,
    "VARCHAR": String,
    "JSON": JSON,
    "BLOB": LargeBinary,
    "UUID": Uuid,
    "DATE": Date,
    "TIME": Time,
    "TIMESTAMP": DateTime,
    "TIMESTAMP WITH TIME ZONE": lambda: DateTime(timezone=True),
}
"""SQLAlchemy's type for DuckDB's name of one. Others have none (`NullType`): their values come as they are."""

DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


class SeamlineDialect(DefaultDialect):
    """Statements are SQLAlchemy's own standard SQL, which DuckDB takes. One that would write is refused."""

    name = "seamline"
    driver = "dbapi"
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_uuid = True
    supports_comments = True
    supports_schemas = False
    supports_views = False
    postfetch_lastrowid = False
    div_is_floordiv = False

    def __init__(self, **given: Any) -> None:
        # by number: a value that a SELECT has in its list and in GROUP BY is one parameter, so that the two are one
        super().__init__(**{"paramstyle": "numeric_dollar", **given})

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The module of PEP 249."""
        return dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """Beside a lake all threads share one reader of it."""
        return pool.QueuePool if url.host else pool.StaticPool

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """What `seamline.dbapi.connect` is given. Raises ArgumentError for what it has no use for."""
        more = dict(url.query)
        tls, authority = more.pop("tls", "false"), more.pop("authority", None)
        if tls not in ("true", "false") or more or url.username or (url.host and url.database):
            raise exc.ArgumentError("seamline://:TOKEN@host:port?tls=true&authority=FILE, or seamline:///folder")
        if not url.host:
            return [url.database or "."], {}
        role = URL.create("https" if tls == "true" else "http", host=url.host, port=url.port)
        given = {"token": url.password and str(url.password), "authority": authority}
        return [role.render_as_string()], given

    # reflection: the views, as tables

    def get_table_names(self, connection: Any, schema: str | None = None, **more: Any) -> list[str]:
        """The views that may be asked."""
        return [view.name for view in _views(connection)] if schema is None else []

    def get_view_names(self, connection: Any, schema: str | None = None, **more: Any) -> list[str]:
        """None: the views are its tables."""
        return []

    def get_schema_names(self, connection: Any, **more: Any) -> list[str]:
        """None: a view has no name but its own."""
        return []

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **more: Any) -> bool:
        """Whether a view may be asked."""
        return table_name in self.get_table_names(connection, schema)

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **more: Any) -> list[Any]:
        """A view's columns; `info` says how exact each is. Raises NoSuchTableError."""
        return [
            {
                "name": column.name, "type": sqltype(column.type), "nullable": True, "default": None,
                "comment": column.comment or None, "info": {"exactness": column.exactness, "bound": column.bound},
            }
            for column in _view(connection, table_name, schema).columns
        ]  # fmt: skip

    def get_table_comment(self, connection: Any, table_name: str, schema: str | None = None, **more: Any) -> Any:
        """What a view says of itself. Raises NoSuchTableError."""
        return {"text": _view(connection, table_name, schema).comment or None}

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **more: Any) -> Any:
        """None is declared."""
        return {"name": None, "constrained_columns": []}

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **more: Any) -> list[Any]:
        """None is declared."""
        return []

    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **more: Any) -> list[Any]:
        """None is declared."""
        return []

    def get_unique_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **more: Any
    ) -> list[Any]:
        """None is declared."""
        return []

    def get_check_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **more: Any
    ) -> list[Any]:
        """None is declared."""
        return []


def sqltype(name: str) -> TypeEngine[Any]:
    """SQLAlchemy's type for DuckDB's name of one."""
    if name.endswith("[]"):
        inner = sqltype(name.removesuffix("[]"))
        return NullType() if isinstance(inner, NullType | ARRAY) else ARRAY(inner)
    if found := DECIMAL.fullmatch(name):
        return Numeric(int(found[1]), int(found[2]))
    return SIMPLE.get(name, NullType)()


def _views(connection: Any) -> tuple[AskedView, ...]:
    found: tuple[AskedView, ...] = connection.connection.dbapi_connection.views()
    return found


def _view(connection: Any, name: str, schema: str | None) -> AskedView:
    for view in _views(connection):
        if view.name == name and schema is None:
            return view
    raise exc.NoSuchTableError(f"{schema}.{name}" if schema else name)
