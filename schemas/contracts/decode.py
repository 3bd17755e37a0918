"""A contract compiled to one kernel statement: record bytes and Kafka metadata to typed columns and a reject reason.

Both layers run this statement, so they cannot disagree on what an event is. It reads a table

    records(source VARCHAR, "partition" INTEGER, "offset" BIGINT, "timestamp" TIMESTAMPTZ, key BLOB, value BLOB)

and decides on that alone: never on the present time. It cannot raise on data (law 7).
The session's time zone must be UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

from seamline.errors import Condition, UserError
from seamline.kernel import literal, quote
from seamline.schemas.contracts.checks import convert, first_of, rule_reasons
from seamline.schemas.contracts.contract import Contract, check_topics
from seamline.schemas.contracts.json_records import claim, documents, kind, parsed, read, shapeless, unclaimed
from seamline.schemas.contracts.types import instant_literal

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

BEYOND_RETENTION = "event date beyond raw retention"
"""Why a record is rejected whose event lies so many days before it that raw need not hold its date any more."""

DATE_GONE = "raw of its event date is gone"
"""Why the archive rejects a record that its contract accepts: the event's date was let go before the record came."""

NO_CONTRACT = "no contract claims this record"


def decode_statement(contract: Contract, siblings: Sequence[Contract] = ()) -> str:
    """The SELECT over `records` that gives METADATA and then the event's columns, one row for each record claimed.

    A rejected record has a reason in `_reject`, NULL in every column of the event, and the date of its Kafka timestamp.
    `siblings` are the other contracts of the topic. Raises UserError CONTRACT_INVALID where they cannot be told apart.
    """
    check_topics([contract, *(c for c in siblings if c.topic == contract.topic and c.name != contract.name)])
    claimed = claim(contract.discriminator, [contract]) if contract.discriminator else ""
    event = _value(contract, contract.event_time)
    ctes = [
        *documents(),
        ("_parsed", parsed(contract.fields, claimed)),
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
        where = f"WHERE NOT {claim(shared, contracts)}"
        reject = unclaimed(shared, NO_CONTRACT)
    columns = [
        *_positions(),
        f"{literal(claims_version(contracts))} AS _contract_version",
        f"{reject} AS _reject",
        f"{_record_date()} AS _event_date",
        *_id_columns("NULL::UHUGEINT"),
    ]
    return _statement(documents(), columns, "_documents", where)


def kinds_statement(path: Sequence[str]) -> str:
    """The SELECT over `records`, whose `offset` numbers them, that gives each kind that they say at a discriminator's
    path, NULL where a record says none, and the numbers of its records: (_kind VARCHAR, _records BIGINT[]).

    A contract claims a record by its kind, in this statement as in `decode_statement` and `unclaimed_statement`.
    """
    columns = [f"{kind(path)} AS _kind", "list(_offset) AS _records"]
    return _statement(documents(), columns, "_documents", "GROUP BY _kind")


def filed_from(rows: str, fields: Sequence[str], begins: date) -> str:
    """A SELECT over decoded rows, as they are filed in raw that begins at a date: what lies before it is rejected, and
    stands under that date, with whatever else was rejected long ago."""
    gone, first = f"_event_date < DATE '{begins.isoformat()}'", f"DATE '{begins.isoformat()}'"
    instead = [
        f"CASE WHEN {gone} THEN coalesce(_reject, {literal(DATE_GONE)}) ELSE _reject END AS _reject",
        f"greatest(_event_date, {first}) AS _event_date",
        *(f"CASE WHEN NOT {gone} THEN {quote(name)} END AS {quote(name)}" for name in fields),
    ]
    return f"SELECT * REPLACE ({', '.join(instead)}) FROM ({rows})"


def claims_version(contracts: Sequence[Contract]) -> str:
    """A hash of which records the contracts of a topic claim together: the version of those that none claims."""
    claims = sorted(f"{c.discriminator.path}={c.discriminator.value}" if c.discriminator else "*" for c in contracts)
    return hashlib.sha256("\n".join(claims).encode()).hexdigest()[:16]


def _typed(contract: Contract) -> str:
    columns = (f"{convert(field, read(field))} AS _f{number}" for number, field in enumerate(contract.fields))
    return "SELECT *,\n    " + ",\n    ".join(columns) + "\n  FROM _parsed"


def _reject(contract: Contract) -> str:
    """The first reason, in documented order: the document, each field's shape, the event time's bounds, the rules."""
    reasons = [*shapeless(contract.fields, [f"_f{number}" for number in range(len(contract.fields))])]
    event = _value(contract, contract.event_time)
    ahead = contract.ahead // timedelta(microseconds=1)
    reasons.append((f"{event} < {instant_literal(contract.earliest)}", "event time too early"))
    timed = f"epoch_us(_timestamp) >= {NO_TIMESTAMP_BELOW}"
    reasons.append((f"epoch_us({event}) - {ahead} > epoch_us(_timestamp) AND {timed}", "event time in the future"))
    if contract.raw_retention is not None:
        back = f"{_date(event)} < {_date('_timestamp')} - {contract.raw_retention.days} AND {timed}"
        reasons.append((back, BEYOND_RETENTION))
    for number, field in enumerate(contract.fields):
        reasons += rule_reasons(field, f"_f{number}", field.name)
    return first_of(reasons)


def _identity(contract: Contract) -> str:
    """128 bits of (contract, event time, event id): what makes two records the same event. NULL: never a duplicate."""
    if contract.event_id is None:
        return "NULL::UHUGEINT"
    return _hashed(contract, _value(contract, contract.event_time), _value(contract, contract.event_id))


def filed_identity(contract: Contract) -> str:
    """`_id_hi` and `_id_lo` of a raw row as this contract has filed it, as columns of a SELECT."""
    if contract.event_id is None:
        return ", ".join(_id_columns("NULL::UHUGEINT"))
    return ", ".join(_id_columns(_hashed(contract, quote(contract.event_time), quote(contract.event_id))))


def _hashed(contract: Contract, event: str, id_: str) -> str:
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


def _value(contract: Contract, name: str) -> str:
    return f"_f{[field.name for field in contract.fields].index(name)}"


def _statement(ctes: list[tuple[str, str]], columns: list[str], source: str, where: str = "") -> str:
    head = ",\n".join(f"{name} AS (\n  {body}\n)" for name, body in ctes)
    return f"WITH {head}\nSELECT " + ",\n  ".join(columns) + f"\nFROM {source}" + (f"\n{where}" if where else "")
