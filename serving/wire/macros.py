"""PostgreSQL's functions over its catalogue, as DuckDB's macros: one entry each, by its arguments.

A macro's text is put in the place of its call, so what it reads is named as no client's query names anything:
parameters `_a`, `_b`, `_c`, and relations with columns of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from seamline.kernel import literal
from seamline.serving.wire.shelf import pg_types

_SESSION = "(SELECT _s._value FROM _session AS _s WHERE _s._key = {})"
_READS = "regexp_matches(lower({}), 'select|usage|connect|execute|member')"
_CLASS = (
    "coalesce((SELECT min(_m._oid) FROM _classes AS _m WHERE _m._class = regexp_replace(CAST({0} AS VARCHAR), "
    "'^\"?(public|pg_catalog)\"?\\.|\"', '', 'g')), TRY_CAST(CAST({0} AS VARCHAR) AS UINTEGER))"
)
_CALLED = (  # no subquery: with one the rows of a query that calls it would come in another order
    "CASE CAST({} AS UINTEGER) "
    + " ".join(f"WHEN {row['oid']} THEN {literal(row['called'])}" for row in pg_types())
    + " ELSE CASE WHEN {} IS NOT NULL THEN '???' END END"
)
_MODIFIED = (
    "CASE WHEN {0} = 1700 AND {1} > 0 THEN 'numeric(' || (({1} - 4) >> 16) || ',' || (({1} - 4) & 65535) || ')' "
    "WHEN {0} = 1043 AND {1} > 4 THEN 'character varying(' || ({1} - 4) || ')' ELSE "
    + _CALLED.replace("{}", "{0}")
    + " END"
)
_COMMENT = "(SELECT min(_d._comment) FROM _comments AS _d WHERE _d._oid = CAST({} AS UINTEGER) AND _d._number = {})"
_EFFECTLESS = "('jit', 'search_path', 'extra_float_digits', 'application_name', 'client_min_messages')"

_NOTHING = (
    "pg_get_expr/2 pg_get_expr/3 pg_get_constraintdef/1 pg_get_constraintdef/2 pg_get_indexdef/1 pg_get_indexdef/3 "
    "pg_get_viewdef/1 pg_get_viewdef/2 pg_get_partkeydef/1 pg_get_ruledef/1 pg_get_ruledef/2 pg_get_triggerdef/1 "
    "pg_get_triggerdef/2 pg_get_serial_sequence/2 pg_get_function_identity_arguments/1 pg_get_function_result/1 "
    "pg_get_function_arguments/1 pg_get_functiondef/1 pg_get_statisticsobjdef_columns/1 shobj_description/2 "
    "pg_advisory_unlock_all/0 pg_tablespace_location/1 inet_server_addr/0 inet_server_port/0 inet_client_addr/0 "
    "inet_client_port/0 pg_relation_filepath/1 pg_get_partition_constraintdef/1 txid_current_if_assigned/0"
)
"""Functions over what is not here: NULL."""

MACROS: dict[str, tuple[tuple[str, str], ...]] = {
    "version": (("", "'PostgreSQL 15.0 (Seamline)'"),),
    "current_schema": (("", "'public'"),),
    "current_database": (("", _SESSION.format("'seamline.database'")),),
    "_current_user": (("", _SESSION.format("'session_authorization'")),),
    "current_schemas": (("_a", "CASE WHEN _a THEN ['pg_catalog', 'public'] ELSE ['public'] END"),),
    "current_setting": (
        ("_a", "coalesce((SELECT _s._value FROM _session AS _s WHERE lower(_s._key) = lower(_a)), "
               "error('unrecognized configuration parameter'))"),
        ("_a, _b", "(SELECT _s._value FROM _session AS _s WHERE lower(_s._key) = lower(_a))"),
    ),
    "set_config": (
        ("_a, _b, _c", f"CASE WHEN lower(_a) IN {_EFFECTLESS} THEN _b ELSE error('use SET for this parameter') END"),
    ),
    "format_type": (("_a, _b", _MODIFIED.format("_a", "_b")),),
    "_regclass": (
        ("_a", "coalesce(" + _CLASS.format("_a")
               + ", CASE WHEN _a IS NOT NULL THEN error('relation \"' || CAST(_a AS VARCHAR) || '\" does not "
                      "exist') END)"),
    ),
    "_regclass_name": (
        ("_a", "coalesce((SELECT min(_m._class) FROM _classes AS _m WHERE _m._oid = coalesce("
               + _CLASS.format("_a") + ", 0)), CASE WHEN TRY_CAST(CAST(_a AS VARCHAR) AS UINTEGER) IS NOT NULL THEN "
               "CAST(_a AS VARCHAR) WHEN _a IS NOT NULL THEN "
               "error('relation \"' || CAST(_a AS VARCHAR) || '\" does not exist') END)"),
    ),
    "to_regclass": (("_a", _CLASS.format("_a")),),
    "_regtype": (
        ("_a", "coalesce((SELECT min(_t._oid) FROM _types AS _t WHERE _t._type = regexp_replace(CAST(_a AS VARCHAR), "
               "'^pg_catalog\\.', '') OR _t._called = CAST(_a AS VARCHAR)), TRY_CAST(CAST(_a AS VARCHAR) AS "
                      "UINTEGER))"),
    ),
    "to_regtype": (
        ("_a", "(SELECT min(_t._oid) FROM _types AS _t WHERE _t._type = _a OR _t._called = _a)"),
    ),
    "_regtype_name": (
        ("_a", "coalesce(nullif(" + _CALLED.replace("{}", "TRY_CAST(CAST(_a AS VARCHAR) AS UINTEGER)")
               + ", '???'), CAST(_a AS VARCHAR))"),
    ),
    "_regnamespace": (
        ("_a", "CASE CAST(_a AS VARCHAR) WHEN 'public' THEN 2200 WHEN 'pg_catalog' THEN 11 "
               "WHEN 'information_schema' THEN 13207 ELSE TRY_CAST(CAST(_a AS VARCHAR) AS UINTEGER) END"),
    ),
    "_regnamespace_name": (
        ("_a", "CASE CAST(_a AS VARCHAR) WHEN '2200' THEN 'public' WHEN '11' THEN 'pg_catalog' "
               "WHEN '13207' THEN 'information_schema' ELSE CAST(_a AS VARCHAR) END"),
    ),
    "pg_get_userbyid": (("_a", "CASE WHEN _a = 10 THEN 'seamline' ELSE 'unknown (OID=' || _a || ')' END"),),
    "pg_table_is_visible": (("_a", "(SELECT count(*) > 0 FROM _classes AS _m WHERE _m._oid = _a)"),),
    "pg_type_is_visible": (("_a", "(SELECT count(*) > 0 FROM _types AS _t WHERE _t._oid = _a)"),),
    **{
        f"pg_{what}_is_visible": (("_a", "false"),)
        for what in (
            "function", "opclass", "opfamily", "operator", "collation", "conversion", "statistics_obj", "ts_config",
        )
    },
    "obj_description": (("_a", _COMMENT.format("_a", "0")), ("_a, _b", _COMMENT.format("_a", "0"))),
    "col_description": (("_a, _b", _COMMENT.format("_a", "_b")),),
    **{
        f"has_{what}_privilege": (("_a, _b", _READS.format("_b")), ("_a, _b, _c", _READS.format("_c")))
        for what in (
            "schema", "table", "database", "function", "any_column", "language", "tablespace", "sequence", "type",
        )
    },
    "has_column_privilege": (("_a, _b, _c", _READS.format("_c")), ("_a, _b, _c, _d", _READS.format("_d"))),
    "pg_has_role": (("_a, _b", "true"), ("_a, _b, _c", "true")),
    "pg_encoding_to_char": (("_a", "CASE WHEN _a = 6 THEN 'UTF8' ELSE 'SQL_ASCII' END"),),
    "pg_char_to_encoding": (("_a", "6"),),
    "pg_backend_pid": (("", "CAST(" + _SESSION.format("'seamline.process'") + " AS INTEGER)"),),
    "pg_is_in_recovery": (("", "false"),),
    "pg_is_other_temp_schema": (("_a", "false"),),
    "pg_my_temp_schema": (("", "CAST(0 AS UINTEGER)"),),
    "pg_relation_is_publishable": (("_a", "false"),),
    "pg_index_has_property": (("_a, _b", "false"),),
    **{
        name: (("_a", "CAST(0 AS BIGINT)"),)
        for name in (
            "pg_relation_size", "pg_total_relation_size", "pg_table_size", "pg_indexes_size", "pg_database_size",
        )
    },
    "pg_size_pretty": (("_a", "_a || ' bytes'"),),
    "txid_current": (("", "CAST(1 AS BIGINT)"),),
    "array_lower": (("_a, _b", "CASE WHEN len(_a) > 0 THEN 1 END"),),
    "array_upper": (("_a, _b", "nullif(len(_a), 0)"),),
    "quote_ident": (
        ("_a", "CASE WHEN regexp_full_match(_a, '[a-z_][a-z0-9_$]*') THEN _a ELSE '\"' || replace(_a, '\"', "
               "'\"\"') || '\"' END"),
    ),
    "quote_literal": (("_a", "'''' || replace(CAST(_a AS VARCHAR), '''', '''''') || ''''"),),
    "generate_subscripts": (("_a, _b", "unnest(range(1, len(_a) + 1))"),),
    "_pg_expandarray": (
        ("_a", "unnest(list_transform(range(1, len(_a) + 1), lambda _i: {'x': _a[_i], 'n': CAST(_i AS INTEGER)}))"),
    ),
    "pg_postmaster_start_time": (("", "now()"),),
    "clock_timestamp": (("", "now()"),),
    "statement_timestamp": (("", "now()"),),
}  # fmt: skip

PARAMETERS = ("", "_a", "_a, _b", "_a, _b, _c")


def nothings() -> Iterator[tuple[str, str]]:
    """Functions over what is not here, with their parameters."""
    for one in _NOTHING.split():
        name, _, count = one.partition("/")
        yield name, PARAMETERS[int(count)]


def macros() -> Iterator[str]:
    """Statements that make them."""
    bodies = {name: list(body) for name, body in MACROS.items()}
    for name, parameters in nothings():
        bodies.setdefault(name, []).append((parameters, "CAST(NULL AS VARCHAR)"))
    for name, body in bodies.items():
        yield f"CREATE MACRO {name}" + ", ".join(f"({parameters}) AS ({text})" for parameters, text in body)


NAMES = frozenset([*MACROS, *(name for name, _ in nothings())])
