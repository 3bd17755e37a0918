"""Records that are JSON text: the part of a decoding statement that knows how bytes say what a record holds.

Another encoding would be a module that gives the same: the steps (CTEs) from `records` to `_documents`, where what
cannot be read has NULL as `_doc`; why that is; which contract claims a document; and the step `_parsed`, which names
each field's value, with the reasons against its shape (checks.py). The statement around it (decode.py) knows none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamline.kernel import literal
from seamline.schemas.contracts.checks import Place, Reason, paths, shape_reasons, step, structure
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.custom_properties import Discriminator
from seamline.schemas.contracts.types import Field

LARGEST = 16 << 20
"""Bytes of a record that is decoded. Kafka takes 1 MB unless told otherwise; decoding takes 16 times a record's bytes,
so this fits into the kernel's default memory. It is a constant: what a record is must not depend on a setting."""

UNREADABLE = (
    f"CASE WHEN _value IS NULL THEN 'null value' WHEN octet_length(_value) > {LARGEST} THEN 'record too large'"
    " WHEN _text IS NULL THEN 'bad UTF-8'"
    " WHEN _doc IS NULL THEN 'bad JSON' END"
)
"""Why a record has no document, or NULL."""

_STRINGS = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_SUSPECT = r",[ \t\r\n]*[}\]]|(?:^|[:\[, \t\r\n-])(?i:nan|inf)"
_NOT_JSON = r",[ \t\r\n]*[}\]]|(?i:nan|inf)"


def documents() -> list[tuple[str, str]]:
    """`_doc` is the record's text where it is JSON as RFC 8259 has it, else NULL.

    DuckDB's parser takes NaN, Infinity and trailing commas too: a text that may hold one is looked at again without
    its strings.
    """
    positions = (
        'source AS _source, "partition" AS _partition, "offset" AS _offset, "timestamp" AS _timestamp,\n'
        "    key AS _key, value AS _value,\n"
        f"    CASE WHEN octet_length(value) <= {LARGEST} THEN TRY(decode(value)) END AS _text"
    )
    lenient = f"regexp_matches(regexp_replace(_text, {literal(_STRINGS)}, '', 'g'), {literal(_NOT_JSON)})"
    suspect = f"CASE WHEN regexp_matches(_text, {literal(_SUSPECT)}) THEN {lenient} ELSE false END"
    return [
        ("_texts", f"SELECT {positions}\n  FROM records"),
        (
            "_documents",
            f"SELECT *, CASE WHEN json_valid(_text) AND NOT {suspect} THEN _text END AS _doc\n  FROM _texts",
        ),
    ]


def kind(path: Sequence[str]) -> str:
    """What the record says at a discriminator's path: a string, an integer or a boolean as text; else NULL."""
    at = literal(_json_path(path))
    scalar = f"json_type(_doc, {at}) IN ('VARCHAR', 'UBIGINT', 'BIGINT', 'BOOLEAN')"
    return f"CASE WHEN {scalar} THEN json_extract_string(_doc, {at}) END"


def claim(shared: Discriminator, contracts: Sequence[Contract]) -> str:
    """The condition, never NULL, that one of the contracts claims the record."""
    values = ", ".join(literal(c.discriminator.value) for c in contracts if c.discriminator)
    return f"coalesce({kind(shared.path)} IN ({values}), false)"


def unclaimed(shared: Discriminator, otherwise: str) -> str:
    """Why no contract claims a record: it cannot be read, says nothing, or `otherwise`."""
    silent = f"coalesce(json_type(_doc, {literal(_json_path(shared.path))}), 'NULL') = 'NULL'"
    return (
        f"coalesce({UNREADABLE}, CASE WHEN json_type(_doc) <> 'OBJECT' THEN 'not an object' WHEN {silent}"
        f" THEN {literal('no discriminator: ' + '.'.join(shared.path))} ELSE {literal(otherwise)} END)"
    )


def parsed(fields: Sequence[Field], where: str) -> str:
    """The document is read twice: for the kinds of all fields (its own first), and for their values."""
    listed = ", ".join(literal(path) for path in ("$", *paths(tuple(fields))))
    shape = "{" + ",".join(f'"{f.key}":{structure(f)}' for f in fields) + "}"
    return (
        f"SELECT * EXCLUDE (_text), {UNREADABLE} AS _unreadable,\n    json_type(_doc, [{listed}]) AS _kinds,\n"
        f"    TRY(json_transform(_doc, {literal(shape)})) AS _raw\n  FROM _documents"
        + (f"\n  WHERE {where}" if where else "")
    )


def read(field: Field) -> str:
    """A field's value as `_parsed` has it, before it is converted."""
    return f"_raw[{literal(field.key)}]"


def shapeless(fields: Sequence[Field], values: Sequence[str]) -> Iterator[Reason]:
    """Why a document is not what the fields say: itself, then each field, whose converted value is in `values`."""
    kinds = {path: f"_kinds[{number}]" for number, path in enumerate(paths(tuple(fields)), 2)}
    yield "_unreadable"
    yield "_kinds[1] <> 'OBJECT' OR _raw IS NULL", "not an object"
    for field, value in zip(fields, values, strict=True):
        path = step("$", field.key)
        yield from shape_reasons(field, Place(field.name, kinds[path], read(field), value, "_doc", path, kinds))


def _json_path(keys: Sequence[str]) -> str:
    path = "$"
    for key in keys:
        path = step(path, key)
    return path
