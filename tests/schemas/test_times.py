"""Times as producers write them: every spelling and count gives the one instant that plain Python has of it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import Condition, UserError
from seamline.kernel import kernel
from seamline.operate.event_files import event_time, shift
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.contracts.types import parse_instant
from seamline.streaming.tasks import RECORDS

HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nschema:\n  - name: e\n    properties:\n"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"epoch_seconds": 1, "epoch_millis": 10**3, "epoch_micros": 10**6, "epoch_nanos": 10**9}


def contract(*fields: str, at: str = "") -> Contract:
    lines = "".join(f"      - {field}\n" for field in (f"{{name: at, logicalType: timestamp{at}}}", *fields))
    own = "  - {property: seamline.eventTime, value: at}\n  - {property: seamline.earliest, value: 0001-01-01}\n"
    ahead = "  - {property: seamline.ahead, value: 36500 days}\n"
    return parse_contract(f"{HEAD}{lines}customProperties:\n{own}{ahead}", "e.yaml")


def decode(of: Contract, *values: str) -> list[dict[str, Any]]:
    """`_reject`, and each timestamp as microseconds since 1970."""
    rows = [{"source": "t@1", "partition": 0, "offset": n, "timestamp": datetime(9999, 1, 1, tzinfo=UTC), "key": None,
             "value": value.encode()} for n, value in enumerate(values)]  # fmt: skip
    times = ", ".join(f'epoch_us("{f.name}") AS "{f.name}"' for f in of.fields if f.type == "timestamp")
    statement = f"SELECT _reject, {times} FROM ({decode_statement(of)}) ORDER BY _offset"
    return kernel().run(statement, {"records": pa.Table.from_pylist(rows, schema=RECORDS)}).to_pylist()


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


A_DAY = datetime(2026, 3, 1, tzinfo=UTC)
TEN = datetime(2026, 3, 1, 10, 5, tzinfo=UTC)
SPELT: list[tuple[str, datetime | str]] = [
    # the text, and its instant or why it is rejected
    ("2026-03-01T10:05:00Z", TEN),
    ("2026-03-01", A_DAY),
    ("20260301T100500Z", TEN),
    ("20260301T1005Z", TEN),
    ("20260301T100500", TEN),
    ("20260301t100500.25+0100", TEN + timedelta(hours=-1, milliseconds=250)),
    ("20260301T100500,123456789-08", TEN + timedelta(hours=8, microseconds=123456)),
    ("2026-03-01T10:05:00,5Z", TEN + timedelta(milliseconds=500)),
    ("2026-03-01t10:05:00z", TEN),
    ("2026-03-01 10:05:00z", TEN),
    ("2026-03-01 10:05:00 UTC", TEN),
    ("2026-03-01T10:05 UTC", TEN),
    ("20260301T100500 UTC", TEN),
    ("2026-03-01T24:00:00Z", A_DAY + timedelta(days=1)),
    ("2026-03-01T24:00", A_DAY + timedelta(days=1)),
    ("2026-03-01T24:00:00.000+02:00", A_DAY + timedelta(hours=22)),
    ("20260301T240000Z", A_DAY + timedelta(days=1)),
    ("2026-12-31T24:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
    ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
    ("99991231T235959,999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ("2016-12-31T23:59:60Z", "leap second: at"),
    ("2017-01-01T00:59:60.5+01:00", "leap second: at"),
    ("20161231T235960Z", "leap second: at"),
    ("2026-03-01T24:00:01Z", "wrong type: at"),
    ("2026-03-01T24:01Z", "wrong type: at"),
    ("9999-12-31T24:00:00Z", "wrong type: at"),
    ("2026-02-29", "wrong type: at"),
    ("2026-02-29T10:05Z", "wrong type: at"),
    ("2026-02-29T10:05:60Z", "leap second: at"),
    ("20260229T100500Z", "wrong type: at"),
    ("20260301", "wrong type: at"),
    ("20260301T10:05:00Z", "wrong type: at"),
    ("2026-03-01T100500Z", "wrong type: at"),
    ("2026-03-01T10:05:00 utc", "wrong type: at"),
    ("2026-03-01T10:05:00UTC", "wrong type: at"),
    ("2026-03-01T10:05:00 Z", "wrong type: at"),
    ("2026-03-01T10:05:00 CET", "wrong type: at"),
    ("2026-03-01T10:05:60Z ", "wrong type: at"),
    ("2026-03-01Z", "wrong type: at"),
    ("2026-060T10:05:00Z", "wrong type: at"),
    ("2026-W09-7T10:05:00Z", "wrong type: at"),
    ("1772359500", "wrong type: at"),
]


def test_every_spelling_gives_the_instant_of_plain_python_or_is_rejected_by_name() -> None:
    rows = decode(contract(), *(json.dumps({"at": text}) for text, _ in SPELT))
    got = [
        (text, row["_reject"] or EPOCH + timedelta(microseconds=row["at"]))
        for (text, _), row in zip(SPELT, rows, strict=True)
    ]
    assert got == SPELT


def test_a_replay_reads_the_same_times_as_the_contract() -> None:
    for text, expected in SPELT:
        assert parse_instant(text) == (None if isinstance(expected, str) else expected), text


def test_spellings_hold_in_nested_fields_too() -> None:
    nested = contract(
        "{name: o, logicalType: object, properties: [{name: l, logicalType: array, items: {logicalType: timestamp}}]}"
    )
    rows = decode(nested, *(json.dumps({"at": "2026-03-01", "o": {"l": ["2026-03-01", text]}}) for text, _ in SPELT))
    expected = [one.replace("at", "o.l[]") if isinstance(one, str) else None for _, one in SPELT]
    assert [row["_reject"] for row in rows] == expected


COUNTED: list[tuple[str, str, Fraction | str]] = [
    # the physicalType, the JSON, and the count as plain Python's fraction or why it is rejected
    ("epoch_seconds", "1772359500", Fraction(1772359500)),
    ("epoch_seconds", "0", Fraction(0)),
    ("epoch_seconds", "-1", Fraction(-1)),
    ("epoch_seconds", "1772359500.123456", Fraction("1772359500.123456")),
    ("epoch_seconds", "1772359500.9999999999999999999", Fraction("1772359500.9999999999999999999")),
    ("epoch_seconds", "-0.0000001", Fraction("-0.0000001")),
    ("epoch_seconds", "1.7723595e9", Fraction(1772359500)),
    ("epoch_seconds", '"1772359500"', Fraction(1772359500)),
    ("epoch_seconds", '"-62135596800"', Fraction(-62135596800)),
    ("epoch_seconds", '"1772359500.25"', Fraction("1772359500.25")),
    ("epoch_seconds", "253402300799.999999", Fraction("253402300799.999999")),
    ("epoch_millis", "1772359500123", Fraction(1772359500123)),
    ("epoch_millis", "1772359500123.4567", Fraction("1772359500123.4567")),
    ("epoch_millis", "-1", Fraction(-1)),
    ("epoch_millis", '"253402300799999"', Fraction(253402300799999)),
    ("epoch_micros", "1772359500123456", Fraction(1772359500123456)),
    ("epoch_micros", "-0.5", Fraction("-0.5")),
    ("epoch_micros", "-62135596800000000", Fraction(-62135596800000000)),
    ("epoch_nanos", "1772359500123456789", Fraction(1772359500123456789)),
    ("epoch_nanos", "-1", Fraction(-1)),
    ("epoch_nanos", "253402300799999999999", Fraction(253402300799999999999)),
    ("epoch_nanos", '"-62135596800000000000"', Fraction(-62135596800000000000)),
    ("epoch_seconds", "253402300800", "out of range: at"),
    ("epoch_seconds", "-62135596801", "out of range: at"),
    ("epoch_seconds", "1772359500123", "out of range: at"),
    ("epoch_seconds", "1e40", "out of range: at"),
    ("epoch_seconds", "1e400", "out of range: at"),
    ("epoch_nanos", "1e300", "out of range: at"),
    ("epoch_seconds", '"1e3"', "wrong type: at"),
    ("epoch_seconds", '" 5"', "wrong type: at"),
    ("epoch_seconds", '"1_000"', "wrong type: at"),
    ("epoch_seconds", '"+5"', "wrong type: at"),
    ("epoch_seconds", '"0x10"', "wrong type: at"),
    ("epoch_seconds", '""', "wrong type: at"),
    ("epoch_seconds", '"2026-03-01"', "wrong type: at"),
    ("epoch_seconds", "true", "wrong type: at"),
    ("epoch_seconds", "[5]", "wrong type: at"),
    ("epoch_seconds", "{}", "wrong type: at"),
    ("epoch_seconds", "null", "missing: at"),
]


@pytest.mark.parametrize("unit", UNITS)
def test_every_count_gives_the_instant_of_plain_python_cut_to_microseconds(unit: str) -> None:
    cases = [(text, count) for of, text, count in COUNTED if of == unit]
    rows = decode(contract(at=f", physicalType: {unit}"), *(f'{{"at":{text}}}' for text, _ in cases))
    got = [(text, row["_reject"] or row["at"]) for (text, _), row in zip(cases, rows, strict=True)]
    assert got == [
        (text, count if isinstance(count, str) else floor(count * 10**6 / UNITS[unit])) for text, count in cases
    ]


@given(st.sampled_from(list(UNITS)), st.decimals(-62135596800, 253402300799, places=6, allow_nan=False))
def test_any_count_is_exact_as_a_number_and_as_digits(unit: str, seconds: Decimal) -> None:
    count = seconds.scaleb(len(str(UNITS[unit])) - 1)
    of = contract("{name: too, logicalType: timestamp, physicalType: " + unit + "}", at=f", physicalType: {unit}")
    (row,) = decode(of, f'{{"at":{count:f},"too":"{count:f}"}}')
    assert row["_reject"] is None
    assert row["at"] == row["too"] == floor(Fraction(seconds) * 10**6)


@pytest.mark.parametrize("unit", UNITS)
def test_no_number_and_no_digits_can_stop_the_decoding_of_counts(unit: str) -> None:
    """What it accepts is what plain Python makes of it; what it does not is rejected, in arrays too."""
    chance = random.Random(unit)
    numbers = []
    for _ in range(500):
        digits, after = (chance.randrange(10 ** chance.randrange(1, 45)) for _ in "ab")
        numbers.append(
            chance.choice(("", "-"))
            + chance.choice((f"{digits}", f"{digits}.{after}", f"{digits}e{after % 800 - 400}"))
        )
    texts = [text for number in numbers for text in (number, f'"{number}"')]
    of = contract(
        "{name: l, logicalType: array, items: {logicalType: timestamp, physicalType: " + unit + "}}",
        at=f", physicalType: {unit}",
    )
    for text, row in zip(texts, decode(of, *(f'{{"at":{text},"l":[{text}]}}' for text in texts)), strict=True):
        assert row["_reject"] in (None, "out of range: at", "wrong type: at"), text
        if row["_reject"] is None and "e" not in text:
            exact = Fraction(text.strip('"')) * 10**6 / UNITS[unit]
            assert abs(row["at"] - floor(exact)) <= (floor(exact) != floor(exact + Fraction(1, 10**9))), text


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        ("epoch_seconds", '{"at": 1772359500, "o": {"at": 1772359500}}', '{"at": 1772445900, "o": {"at": 1772359500}}'),
        ("epoch_seconds", '{"at":1772359500.25}', '{"at":1772445900.25}'),
        ("epoch_millis", '{"at":"1772359500123"}', '{"at":"1772445900123"}'),
        ("epoch_nanos", '{"at":1772359500123456789}', '{"at":1772445900123456789}'),
        ("epoch_seconds", '{"at":"soon"}', '{"at":"soon"}'),
        ("epoch_seconds", '{"at":1e400}', '{"at":1e400}'),
    ],
)
def test_a_replay_moves_a_count_in_its_own_unit_and_kind(unit: str, before: str, after: str) -> None:
    of = contract(at=f", physicalType: {unit}")
    assert shift(before.encode(), of, timedelta(days=1)).decode() == after
    moved = event_time(after.encode(), of)
    if before != after:
        assert moved == (event_time(before.encode(), of) or EPOCH) + timedelta(days=1)


REFUSED = [
    ("timestamp", "bigint", "epoch_seconds, epoch_millis, epoch_micros, epoch_nanos, timestamp"),
    ("timestamp", "timestamp(3)", "epoch_seconds"),
    ("integer", "int32", "bigint"),
    ("integer", "decimal(10,0)", "bigint"),
    ("string", "varchar(20)", "varchar"),
    ("string", "uuid", "varchar"),
    ("boolean", "int", "boolean"),
    ("date", "timestamp", "date"),
    ("number", "decimal(39,2)", "decimal(p,s)"),
    ("number", "money", "decimal(p,s)"),
]


@pytest.mark.parametrize(("logical", "physical", "detail"), REFUSED)
def test_a_physical_type_that_would_change_nothing_is_refused(logical: str, physical: str, detail: str) -> None:
    with pytest.raises(UserError) as refused:
        contract(f"{{name: f, logicalType: {logical}, physicalType: '{physical}'}}")
    assert refused.value.condition is Condition.CONTRACT_INVALID
    assert physical in refused.value.message
    assert detail in refused.value.detail
    assert refused.value.where.startswith("e.yaml:9:")


def test_a_physical_type_that_says_the_same_is_no_part_of_the_decoding() -> None:
    plain = contract("{name: f, logicalType: integer}")
    assert contract("{name: f, logicalType: integer, physicalType: BIGINT}").decoding == plain.decoding
    assert contract(at=", physicalType: epoch_millis").decoding != contract().decoding


def test_rules_and_bounds_of_a_count_are_instants() -> None:
    limit = "logicalTypeOptions: {minimum: '2026-03-01T00:00:00+01:00'}"
    of = contract(f"{{name: f, logicalType: timestamp, physicalType: epoch_seconds, {limit}}}")
    first = int(datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1))).timestamp())
    rows = decode(of, *(f'{{"at":"2026-03-01","f":{first + n}}}' for n in (-1, 0)))
    assert [row["_reject"] for row in rows] == ["rule min: f", None]
