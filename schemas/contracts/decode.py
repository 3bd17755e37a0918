"""A contract compiled to one kernel statement: record bytes and Kafka metadata to typed columns and a reject reason.

Both layers run this statement, so they cannot disagree on what an event is. It reads a table

    records(source VARCHAR, "partition" INTEGER, "offset" BIGINT, "timestamp" TIMESTAMPTZ, key BLOB, value BLOB)

and decides on that alone: never on the present time. It cannot raise on data (law 7).
The session's time zone must be UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from seamline.errors import Condition, UserError
from seamline.kernel import literal, quote
from seamline.schemas.contracts.checks import (
    Place,
    Reason,
    convert,
    first_of,
    paths,
    rule_reasons,
    shape_reasons,
    step,
    structure,
)
from seamline.schemas.contracts.contract import Contract, check_topics
from seamline.schemas.contracts.custom_properties import Discriminator
from seamline.schemas.contracts.types import Field, instant_literal

METADATA: dict[str, str] = {
    "_source": "VARCHAR",
    "_partition": "INTEGER",
    "_offset": "BIGINT",
    "_timestamp": "TIMESTAMP WITH TIME ZONE",
    "_key": "BLOB",
    "_value": "BLOB",
    "_contract_version": "VARCHAR",
    "_reject": "VARCHAR",
    "_event_date": "DATE",
    "_id_hi": "UBIGINT",
    "_id_lo": "UBIGINT",
}
"""The columns before the event's own, and their DuckDB types."""

NO_TIMESTAMP_BELOW = 1_000_000
"""A Kafka timestamp within the first second of 1970, or before it, is none: 0 and -1 milliseconds say so."""

NO_CONTRACT = "no contract claims this record"
LARGEST = 16 << 20
"""Bytes of a record that is decoded. Kafka takes 1 MB unless told otherwise; decoding takes 16 times a record's bytes,
so this fits into the kernel's default memory. It is a constant: what a record is must not depend on a setting."""

_UNREADABLE = (
    f"CASE WHEN _value IS NULL THEN 'null value' WHEN octet_length(_value) > {LARGEST} THEN 'record too large'"
    " WHEN _text IS NULL THEN 'bad UTF-8'"
    " WHEN _doc IS NULL THEN 'bad JSON' END"
)
_STRINGS = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_SUSPECT = r",[ \t\r\n]*[}\]]|(?:^|[:\[, \t\r\n-])(?i:nan|inf)"
_NOT_JSON = r",[ \t\r\n]*[}\]]|(?i:nan|inf)"


def decode_statement(contract: Contract, siblings: Sequence[Contract] = ()) -> str:
    """The SELECT over `records` that gives METADATA and then the event's columns, one row for each record claimed.

    A rejected record has a reason in `_reject`, NULL in every column of the event, and the date of its Kafka timestamp.
    `siblings` are the other contracts of the topic. Raises UserError CONTRACT_INVALID where they cannot be told apart.
    """
    check_topics([contract, *(c for c in siblings if c.topic == contract.topic and c.name != contract.name)])
    claim = _claim(contract.discriminator, [contract]) if contract.discriminator else ""
    event = _value(contract, contract.event_time)
    ctes = [
        *_documents(),
        ("_parsed", _parsed(contract, claim)),
        ("_typed", _typed(contract)),
        ("_judged", f"SELECT *, {_reject(contract)} AS _reject\n  FROM _typed"),
    ]
    columns = [
        *_positions(),
        f"{literal(contract.decoding)} AS _contract_version",
        "_reject",
        f"CASE WHEN _reject IS NULL THEN {_date(event)} ELSE {_record_date()} END AS _event_date",
        *_id_columns("_id"),
        *(f"CASE WHEN _reject IS NULL THEN _f{n} END AS {quote(f.name)}" for n, f in enumerate(contract.fields)),
    ]
    ctes.append(("_identified", f"SELECT *, {_identity(contract)} AS _id\n  FROM _judged"))
    return _statement(ctes, columns, "_identified")


def unclaimed_statement(contracts: Sequence[Contract]) -> str:
    """The SELECT over `records` of one topic that gives METADATA for each record that none of its contracts claims.

    No rows where the topic's one contract claims all. Raises UserError CONTRACT_INVALID as `check_topics` does, and
    where `contracts` is empty or of several topics.
    """
    if len({contract.topic for contract in contracts}) != 1:
        message = f"contracts of {len({c.topic for c in contracts})} topics"
        raise UserError(Condition.CONTRACT_INVALID, message, detail="the contracts of one topic")
    check_topics(contracts)
    shared = contracts[0].discriminator
    reject, where = "NULL::VARCHAR", "WHERE false"
    if shared:
        path = literal(_discriminator_path(shared))
        where = f"WHERE NOT {_claim(shared, contracts)}"
        unreadable = f"coalesce(json_type(_doc, {path}), 'NULL') = 'NULL'"
        reject = (
            f"coalesce({_UNREADABLE}, CASE WHEN json_type(_doc) <> 'OBJECT' THEN 'not an object' WHEN {unreadable}"
            f" THEN {literal('no discriminator: ' + '.'.join(shared.path))} ELSE {literal(NO_CONTRACT)} END)"
        )
    columns = [
        *_positions(),
        f"{literal(claims_version(contracts))} AS _contract_version",
        f"{reject} AS _reject",
        f"{_record_date()} AS _event_date",
        *_id_columns("NULL::UHUGEINT"),
    ]
    return _statement(_documents(), columns, "_documents", where)


def claims_version(contracts: Sequence[Contract]) -> str:
    """A hash of which records the contracts of a topic claim together: the version of those that none claims."""
    claims = sorted(f"{c.discriminator.path}={c.discriminator.value}" if c.discriminator else "*" for c in contracts)
    return hashlib.sha256("\n".join(claims).encode()).hexdigest()[:16]


def _documents() -> list[tuple[str, str]]:
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


def _claim(shared: Discriminator, contracts: Sequence[Contract]) -> str:
    """The condition, never NULL, that one of the contracts claims the record."""
    path = literal(_discriminator_path(shared))
    values = ", ".join(literal(c.discriminator.value) for c in contracts if c.discriminator)
    scalar = f"json_type(_doc, {path}) IN ('VARCHAR', 'UBIGINT', 'BIGINT', 'BOOLEAN')"
    return f"coalesce({scalar} AND json_extract_string(_doc, {path}) IN ({values}), false)"


def _discriminator_path(shared: Discriminator) -> str:
    path = "$"
    for key in shared.path:
        path = step(path, key)
    return path


def _parsed(contract: Contract, claim: str) -> str:
    """The document is read twice: for the kinds of all fields (its own first), and for their values."""
    listed = ", ".join(literal(path) for path in ("$", *paths(contract.fields)))
    shape = "{" + ",".join(f'"{f.key}":{structure(f)}' for f in contract.fields) + "}"
    return (
        f"SELECT * EXCLUDE (_text), {_UNREADABLE} AS _unreadable,\n    json_type(_doc, [{listed}]) AS _kinds,\n"
        f"    TRY(json_transform(_doc, {literal(shape)})) AS _raw\n  FROM _documents"
        + (f"\n  WHERE {claim}" if claim else "")
    )


def _typed(contract: Contract) -> str:
    columns = (f"{convert(field, _raw(field))} AS _f{number}" for number, field in enumerate(contract.fields))
    return "SELECT *,\n    " + ",\n    ".join(columns) + "\n  FROM _parsed"


def _reject(contract: Contract) -> str:
    """The first reason, in documented order: the document, each field's shape, the event time's bounds, the rules."""
    kinds = {path: f"_kinds[{number}]" for number, path in enumerate(paths(contract.fields), 2)}
    reasons: list[Reason] = ["_unreadable", ("_kinds[1] <> 'OBJECT' OR _raw IS NULL", "not an object")]
    for number, field in enumerate(contract.fields):
        path = step("$", field.key)
        place = Place(field.name, kinds[path], _raw(field), f"_f{number}", "_doc", path, kinds)
        reasons += shape_reasons(field, place)
    event = _value(contract, contract.event_time)
    ahead = contract.ahead // timedelta(microseconds=1)
    reasons.append((f"{event} < {instant_literal(contract.earliest)}", "event time too early"))
    timed = f"epoch_us(_timestamp) >= {NO_TIMESTAMP_BELOW}"
    reasons.append((f"epoch_us({event}) - {ahead} > epoch_us(_timestamp) AND {timed}", "event time in the future"))
    for number, field in enumerate(contract.fields):
        reasons += rule_reasons(field, f"_f{number}", field.name)
    return first_of(reasons)


def _identity(contract: Contract) -> str:
    """128 bits of (contract, event time, event id): what makes two records the same event. NULL: never a duplicate."""
    if contract.event_id is None:
        return "NULL::UHUGEINT"
    event, id_ = _value(contract, contract.event_time), _value(contract, contract.event_id)
    text = f"{literal(contract.name + ':')} || epoch_us({event})::VARCHAR || ':' || {id_}::VARCHAR"
    return f"CASE WHEN _reject IS NULL THEN md5_number({text}) END"


def _id_columns(identity: str) -> list[str]:
    return [
        f"({identity} >> 64)::UBIGINT AS _id_hi",
        f"({identity} & 18446744073709551615::UHUGEINT)::UBIGINT AS _id_lo",
    ]


def _positions() -> list[str]:
    return ["_source, _partition, _offset, _timestamp, _key, _value"]


def _record_date() -> str:
    """The Kafka timestamp's date; a timestamp that is missing or beyond reason is filed under 1970."""
    inside = "_timestamp >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND _timestamp < TIMESTAMPTZ '9999-12-31 00:00:00+00'"
    return f"CASE WHEN {inside} THEN {_date('_timestamp')} ELSE DATE '1970-01-01' END"


def _date(instant: str) -> str:
    """The date in UTC; through epoch_us, five times as fast as AT TIME ZONE."""
    return f"make_timestamp(epoch_us({instant}))::DATE"


def _raw(field: Field) -> str:
    return f"_raw[{literal(field.key)}]"


def _value(contract: Contract, name: str) -> str:
    return f"_f{[field.name for field in contract.fields].index(name)}"


def _statement(ctes: list[tuple[str, str]], columns: list[str], source: str, where: str = "") -> str:
    head = ",\n".join(f"{name} AS (\n  {body}\n)" for name, body in ctes)
    return f"WITH {head}\nSELECT " + ",\n  ".join(columns) + f"\nFROM {source}" + (f"\n{where}" if where else "")
