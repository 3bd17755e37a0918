"""What a view's expressions may say: the functions and words that are allowed, and those of DuckDB.

Denied unless listed: every word of an expression must be a field, a listed function, a type or a word of syntax.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable

from seamline.kernel import kernel


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FUNCTIONS: dict[str, tuple[str, ...]] = {
    "time": _names(
        """time_bucket date_trunc datetrunc date_part datepart extract era millennium century decade year isoyear
        quarter month week day hour minute second millisecond microsecond dayofweek isodow weekday dayofyear
        weekofyear yearweek julian epoch epoch_ms epoch_us epoch_ns date_diff datediff date_sub datesub date_add
        strftime strptime try_strptime dayname monthname make_date make_time make_timestamp last_day to_timestamp
        to_years to_quarters to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds"""
    ),
    "text": _names(
        """lower upper lcase ucase trim ltrim rtrim length len strlen char_length character_length octet_length
        bit_length length_grapheme left right left_grapheme right_grapheme substring substr substring_grapheme
        overlay replace reverse concat concat_ws split_part string_split str_split split string_to_array
        string_split_regex str_split_regex regexp_split_to_array starts_with ends_with prefix suffix contains strpos
        instr position ascii unicode ord chr translate regexp_matches regexp_full_match regexp_extract
        regexp_extract_all regexp_replace regexp_escape url_encode url_decode strip_accents nfc_normalize
        parse_filename parse_dirname parse_dirpath parse_path"""
    ),
    "hashes and encodings": _names(
        "md5 sha1 sha256 hex unhex to_hex from_hex bin unbin to_base64 base64 from_base64 encode decode"
    ),
    "likeness": _names("hamming mismatches jaccard jaro_similarity jaro_winkler_similarity"),
    "number": _names(
        """abs ceil ceiling floor round round_even trunc even sign signbit sqrt cbrt exp ln log log2 log10 power pow
        mod fmod divide fdiv greatest least isnan isinf isfinite bit_count xor gcd lcm greatest_common_divisor
        least_common_multiple factorial gamma lgamma pi degrees radians sin cos tan cot asin acos atan atan2 sinh cosh
        tanh asinh acosh atanh width_bucket"""
    ),
    "condition": _names("coalesce nullif if ifnull"),
    "conversion": _names("cast try_cast typeof"),
    "JSON": _names(
        """json_extract json_extract_string json_extract_path json_extract_path_text json_value json_type
        json_array_length json_valid json_exists json_contains json_keys json_structure json_object json_array
        json_quote json_merge_patch to_json from_json json_transform"""
    ),
    "lists": _names(
        """list_value list_pack list_extract list_element array_extract list_slice array_slice list_contains list_has
        array_contains array_has list_has_any list_has_all array_has_any array_has_all list_position list_indexof
        array_position array_length list_concat list_cat array_concat list_append list_prepend array_append
        array_prepend list_intersect list_distinct array_distinct list_unique array_unique list_sort array_sort
        list_reverse_sort list_reverse array_reverse list_zip list_where list_select list_first list_last
        list_any_value list_count list_sum list_product list_avg list_median list_min list_max list_bool_and
        list_bool_or list_var_pop list_stddev_pop array_to_string flatten"""
    ),
    "structs and maps": _names(
        """row struct_pack struct_extract struct_insert struct_concat struct_keys struct_values map map_from_entries
        map_extract map_extract_value element_at map_contains map_contains_value map_keys map_values map_entries
        map_concat cardinality"""
    ),
}
"""Every scalar function a view may call. All are deterministic, and none makes values far larger than its arguments,
as repeat does: running out of memory is the one failure that try semantics cannot turn into NULL. Nor does any take
time that grows with the product of two texts' lengths, as levenshtein does: one record would hold the stream up."""

ALLOWED = frozenset(name for names in FUNCTIONS.values() for name in names)

CHANGING = frozenset(
    _names(
        """age ago currval gen_random_uuid get_current_time get_current_timestamp getvariable nextval now random
        session_user setseed setval today transaction_timestamp txid_current user uuid uuidv4 uuidv7"""
    )
)
"""Functions that read the clock, the session or chance (`age(x)` reckons from today), for a refusal that says so. A
list of our own: what DuckDB calls stable changes with its releases, and is about one query, not about rebuilds."""
CHANGING_WORDS = ("current_", "localtime")
"""How the others of the kind begin, with parentheses or without."""

REMADE = {
    **dict.fromkeys(_names("fmod hex to_hex bin bit_count"), "2.0.1"),
    **dict.fromkeys(_names("list_zip list_select"), "guarded"),
}
"""Functions whose value for some arguments a release of DuckDB changed although it left the states' layout as it was,
and that release; or that the kernel guards, which before took what is missing from another row. A view that calls one
is another definition from there on: what was stored before is rebuilt."""

IDENTITY = "duckdb-2.0 4"
"""Begins what every definition's hash is made of. It stays: which kernel and which layout stored a definition's
partials is recorded beside them, so that a new one asks for a rebuild of the views that it concerns, and changes no
definition."""

SYNTAX = frozenset(
    _names(
        """and or not is null true false in between like ilike escape case when then else end as interval distinct
        from at time zone similar to glob"""
    )
)
UNITS = frozenset(
    name + plural
    for name in _names("microsecond millisecond second minute hour day week month quarter year decade century")
    for plural in ("", "s")
) | {"epoch", "dow", "isodow", "doy", "isoyear"}
TYPES = frozenset(
    _names(
        """boolean bool tinyint smallint integer int int1 int2 int4 int8 bigint hugeint utinyint usmallint uinteger
        ubigint float real float4 double float8 precision decimal numeric varchar char text string blob bytea date
        time timestamp timestamptz datetime timestamp_s timestamp_ms timestamp_ns with without zone interval json
        uuid"""
    )
)


def close(name: str, known: Iterable[str]) -> str:
    """' did you mean …' for a misspelt name, or ''."""
    found = difflib.get_close_matches(name.lower(), sorted(known), n=2)
    return f"did you mean {' or '.join(repr(n) for n in found)}? " if found else ""


@functools.cache
def engine_functions() -> dict[str, str]:
    """DuckDB's own functions: name to scalar, aggregate or macro."""
    rows = kernel().run(
        "SELECT function_name AS name, max(function_type) AS kind FROM duckdb_functions()"
        " WHERE function_type IN ('scalar', 'aggregate', 'macro') GROUP BY ALL"
    )
    return {row["name"]: row["kind"] for row in rows.to_pylist()}


@functools.cache
def keywords() -> dict[str, frozenset[str]]:
    """DuckDB's own words, reserved or not: each with its categories."""
    rows = kernel().run(
        "SELECT keyword_name AS name, list(keyword_category) AS kinds FROM duckdb_keywords() GROUP BY ALL"
    )
    return {row["name"]: frozenset(row["kinds"]) for row in rows.to_pylist()}


def engine_of(normalised: str) -> str:
    """What a view's identity begins with: IDENTITY and, where it calls what a later release changed, that release."""
    called = set(re.findall(r"(\w+)\(", normalised))
    return " ".join([IDENTITY, *sorted({release for name, release in REMADE.items() if name in called})])
