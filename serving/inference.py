"""Which types a text's parameters have, as DuckDB finds them when it binds the text without values.

DuckDB tells it through its C interface alone, which the Python package has in its library: a connection of that
interface stands beside the others, as confined as they are, and runs nothing of a user's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_uint8, c_uint64, c_void_p
from functools import cache
from importlib.util import find_spec
from typing import Any

from seamline.errors import Condition, TerminalError
from seamline.kernel import Limits, quote, settings
from seamline.serving.functions import statements
from seamline.serving.instances import FEW_THREADS

UNKNOWN = "UNKNOWN"
"""Of a parameter that takes its type from its value."""

_NAMES = [
    "UNKNOWN",
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "TIMESTAMP",
    "DATE",
    "TIME",
    "INTERVAL",
    "HUGEINT",
    "VARCHAR",
    "BLOB",
    "DECIMAL",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "UNKNOWN",
    "LIST",
    "UNKNOWN",
    "UNKNOWN",
    "UUID",
    "UNKNOWN",
    "BIT",
    "TIME_TZ",
    "TIMESTAMP_TZ",
    "UHUGEINT",
]
"""By the number that duckdb.h gives each type."""

_WRITTEN = {"TIMESTAMP_TZ": "TIMESTAMP WITH TIME ZONE", "TIME_TZ": "TIME WITH TIME ZONE"}
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "duckdb_create_config": (c_int, POINTER(c_void_p)),
    "duckdb_set_config": (c_int, c_void_p, c_char_p, c_char_p),
    "duckdb_destroy_config": (None, POINTER(c_void_p)),
    "duckdb_open_ext": (c_int, c_char_p, POINTER(c_void_p), c_void_p, c_void_p),
    "duckdb_connect": (c_int, c_void_p, POINTER(c_void_p)),
    "duckdb_query": (c_int, c_void_p, c_char_p, c_void_p),
    "duckdb_disconnect": (None, POINTER(c_void_p)),
    "duckdb_close": (None, POINTER(c_void_p)),
    "duckdb_prepare": (c_int, c_void_p, c_char_p, POINTER(c_void_p)),
    "duckdb_destroy_prepare": (None, POINTER(c_void_p)),
    "duckdb_nparams": (c_uint64, c_void_p),
    "duckdb_parameter_name": (c_void_p, c_void_p, c_uint64),
    "duckdb_free": (None, c_void_p),
    "duckdb_param_logical_type": (c_void_p, c_void_p, c_uint64),
    "duckdb_get_type_id": (c_int, c_void_p),
    "duckdb_decimal_width": (c_uint8, c_void_p),
    "duckdb_decimal_scale": (c_uint8, c_void_p),
    "duckdb_list_type_child_type": (c_void_p, c_void_p),
    "duckdb_destroy_logical_type": (None, POINTER(c_void_p)),
}


class Inference:
    """One connection of the C interface, used by one thread at a time."""

    def __init__(self, limits: Limits, further: Sequence[str] = ()) -> None:
        self._database, self._connection = c_void_p(), c_void_p()
        config = c_void_p()
        _call("duckdb_create_config")(byref(config))
        for name, value in FEW_THREADS.items():
            _call("duckdb_set_config")(config, name.encode(), value.encode())
        failed = _call("duckdb_open_ext")(None, byref(self._database), config, None)
        _call("duckdb_destroy_config")(byref(config))
        if failed:
            raise MemoryError("DuckDB's C interface cannot open a database: no memory for it, or for its threads")
        _call("duckdb_connect")(self._database, byref(self._connection))
        for statement in (*settings(limits, further), *statements()):
            self._do(statement)

    def parameters(self, sql: str, tables: Mapping[str, str]) -> dict[str, str]:
        """DuckDB's type names by the folded names of the parameters of a text that binds over these empty tables
        (their columns in SQL, by name). UNKNOWN where the value decides."""
        try:
            for name, columns in tables.items():
                self._do(f"CREATE OR REPLACE TEMP TABLE {quote(name)} ({columns})")
            return self._prepared(sql)
        finally:
            for name in tables:
                self._do(f"DROP TABLE IF EXISTS {quote(name)}")

    def close(self) -> None:
        """Ends it."""
        _call("duckdb_disconnect")(byref(self._connection))
        _call("duckdb_close")(byref(self._database))

    def _do(self, statement: str) -> None:
        if _call("duckdb_query")(self._connection, statement.encode(), None):
            raise _failed(statement)

    def _prepared(self, sql: str) -> dict[str, str]:
        prepared = c_void_p()
        try:
            if _call("duckdb_prepare")(self._connection, sql.encode(), byref(prepared)):
                return {}  # what binds with values need not bind without: their types are the values'
            count = _call("duckdb_nparams")(prepared)
            return {
                _name(prepared, n): _kind(_call("duckdb_param_logical_type")(prepared, n)) for n in range(1, count + 1)
            }
        finally:
            _call("duckdb_destroy_prepare")(byref(prepared))


@cache
def _call(name: str) -> Callable[..., Any]:
    result, *arguments = _SIGNATURES[name]
    return ctypes.CFUNCTYPE(result, *arguments)((name, _library()))


@cache
def _library() -> ctypes.CDLL:
    found = find_spec("_duckdb")
    if found is None or found.origin is None:
        raise _failed("its library is not where Python finds it")
    return ctypes.CDLL(found.origin)


def _name(prepared: c_void_p, number: int) -> str:
    at = _call("duckdb_parameter_name")(prepared, number)
    name = ctypes.string_at(at).decode()
    _call("duckdb_free")(at)
    return name.lower()


def _kind(handle: int | None) -> str:
    """A logical type's name; the handle is given back."""
    kind = c_void_p(handle)
    number = _call("duckdb_get_type_id")(kind)
    name = _NAMES[number] if 0 <= number < len(_NAMES) else UNKNOWN
    if name == "DECIMAL":
        name = f"DECIMAL({_call('duckdb_decimal_width')(kind)},{_call('duckdb_decimal_scale')(kind)})"
    elif name == "LIST":
        inner = _kind(_call("duckdb_list_type_child_type")(kind))
        name = UNKNOWN if inner == UNKNOWN else f"{inner}[]"
    _call("duckdb_destroy_logical_type")(byref(kind))
    return _WRITTEN.get(name, name)


def _failed(what: str) -> TerminalError:
    return TerminalError(Condition.KERNEL_FAILED, f"DuckDB's C interface: {what}")
