"""Decoding: which bytes are which event, why a record is rejected, and that no bytes can stop the stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from seamline.errors import Condition, UserError
from seamline.kernel import Limits, kernel
from seamline.schemas.contracts.contract import Contract, event_schema, parse_contract
from seamline.schemas.contracts.decode import (
    METADATA,
    NO_CONTRACT,
    claims_version,
    decode_statement,
    unclaimed_statement,
)
from seamline.schemas.views.event_columns import POSITION, empty_events

EXAMPLES = ROOT / "examples" / "github"
KAFKA = datetime(2015, 2, 22, 21, 30, tzinfo=UTC)
"""The Kafka timestamp of every test record, unless it says otherwise."""

HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\n"
TIME = "{name: at, logicalType: timestamp}"


def contract(*properties: str, name: str = "e", **custom: str) -> Contract:
    """A contract of these properties (flow YAML) and the event time `at`; custom properties as keywords."""
    listed = "".join(f"      - {p}\n" for p in (TIME, *properties))
    values = {"eventTime": "at", "topic": "t", **custom}
    lines = "".join(f"  - {{property: seamline.{k}, value: {v}}}\n" for k, v in values.items())
    return parse_contract(
        f"{HEAD}schema:\n  - name: {name}\n    properties:\n{listed}customProperties:\n{lines}", "test.yaml"
    )


def records(values: list[bytes | None], stamps: list[datetime | int | None] | None = None) -> pa.Table:
    """Records at offsets 0, 1, ... of one partition."""
    count = len(values)
    return pa.table(
        {
            "source": pa.array(["topic-id"] * count, pa.string()),
            "partition": pa.array([3] * count, pa.int32()),
            "offset": pa.array(range(count), pa.int64()),
            "timestamp": pa.array(stamps or [KAFKA] * count, pa.timestamp("us", "UTC")),
            "key": pa.array([b"k"] * count, pa.binary()),
            "value": pa.array(values, pa.binary()),
        }
    )


def run(statement: str, table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a decode statement, by offset."""
    result = kernel(Limits()).run(statement, {"records": table})
    return plain(result.sort_by("_offset"), "_timestamp")


def plain(table: pa.Table, stamp: str) -> list[dict[str, Any]]:
    """Python rows, with the Kafka timestamp in microseconds: some are beyond what Python's datetime can hold."""
    return table.set_column(table.schema.get_field_index(stamp), stamp, table[stamp].cast(pa.int64())).to_pylist()


def decode(of: Contract, *values: bytes | str | None) -> list[dict[str, Any]]:
    raw = [v.encode() if isinstance(v, str) else v for v in values]
    return run(decode_statement(of), records(raw))


def event(fields: str = "", at: str = "2015-02-22T21:00:00Z") -> str:
    return f'{{"at":"{at}"{"," if fields else ""}{fields}}}'


EVERY = contract(
    "{name: s, logicalType: string}",
    "{name: i, logicalType: integer}",
    "{name: n, logicalType: number}",
    "{name: d, logicalType: number, physicalType: 'decimal(10,2)'}",
    "{name: b, logicalType: boolean}",
    "{name: day, logicalType: date}",
    "{name: ts, logicalType: timestamp}",
    "{name: o, logicalType: object, properties: [{name: x, logicalType: integer, required: true},"
    " {name: when, logicalType: date}, {name: p, logicalType: object, properties: [{name: y, logicalType: string}]}]}",
    "{name: l, logicalType: array, items: {logicalType: integer}}",
    "{name: m, logicalType: array, items: {logicalType: object, properties: ["
    "{name: x, logicalType: number, physicalType: 'decimal(30,2)', required: true},"
    " {name: t, logicalType: array, items: {logicalType: timestamp, required: true}}]}}",
)

ACCEPTED: list[tuple[str, str, object]] = [
    ("s", '"text"', "text"),
    ("s", '"\\u00e9\\n\\u0000"', "é\n\0"),
    ("s", '"NaN, Infinity,}"', "NaN, Infinity,}"),
    ("s", '"a\\"nan,]"', 'a"nan,]'),
    ("s", '""', ""),
    ("s", "null", None),
    ("i", "7", 7),
    ("i", "-0", 0),
    ("i", "9223372036854775807", 2**63 - 1),
    ("i", "-9223372036854775808", -(2**63)),
    ("n", "7", 7.0),
    ("n", "1.5e3", 1500.0),
    ("n", "18446744073709551616", 2.0**64),
    ("n", "1e-400", 0.0),
    ("d", "12345678.91", Decimal("12345678.91")),
    ("d", "-0.10", Decimal("-0.10")),
    ("d", "1.2500", Decimal("1.25")),
    ("d", "1e3", Decimal("1000.00")),
    ("b", "true", True),
    ("b", "false", False),
    ("day", '"2024-02-29"', date(2024, 2, 29)),
    ("ts", '"2015-02-22T21:00:00.123456Z"', datetime(2015, 2, 22, 21, 0, 0, 123456, UTC)),
    ("ts", '"2015-02-22T21:00:00.9999999Z"', datetime(2015, 2, 22, 21, 0, 0, 999999, UTC)),
    ("ts", '"2015-02-22 21:00"', datetime(2015, 2, 22, 21, 0, tzinfo=UTC)),
    ("ts", '"2015-02-22T21:00:00+05:30"', datetime(2015, 2, 22, 15, 30, tzinfo=UTC)),
    ("ts", '"2015-02-22T21:00:00-0800"', datetime(2015, 2, 23, 5, 0, tzinfo=UTC)),
    ("ts", '"2015-02-22T21:00:00+23:59"', datetime(2015, 2, 21, 21, 1, tzinfo=UTC)),
    ("ts", '"0001-01-01T00:00:00Z"', datetime(1, 1, 1, tzinfo=UTC)),
    ("ts", '"9999-12-31T23:59:59Z"', datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("o", '{"x":1}', {"x": 1, "when": None, "p": None}),
    ("o", '{"x":1,"when":"2015-01-01","p":{"y":"z"},"q":[]}', {"x": 1, "when": date(2015, 1, 1), "p": {"y": "z"}}),
    ("o", "null", None),
    ("l", "[]", []),
    ("l", "[1,null,3]", [1, None, 3]),
    ("m", "[null]", [None]),
    ("m", '[{"x":12345678901234567890.12}]', [{"x": Decimal("12345678901234567890.12"), "t": None}]),
    (
        "m",
        '[{"x":1,"t":[]},{"x":2,"t":["2015-01-01T00:00:00Z"]}]',
        [{"x": Decimal(1), "t": []}, {"x": Decimal(2), "t": [datetime(2015, 1, 1, tzinfo=UTC)]}],
    ),
]

REJECTED: list[tuple[str, str, str]] = [
    ("s", "7", "wrong type: s"),
    ("s", '{"a":1}', "wrong type: s"),
    ("s", '["a"]', "wrong type: s"),
    ("i", "1.5", "wrong type: i"),
    ("i", "5.0", "wrong type: i"),
    ("i", "1e3", "wrong type: i"),
    ("i", '"7"', "wrong type: i"),
    ("i", "true", "wrong type: i"),
    ("i", "9223372036854775808", "out of range: i"),
    ("i", "18446744073709551616", "out of range: i"),
    ("i", "-9223372036854775809", "out of range: i"),
    ("n", '"1.5"', "wrong type: n"),
    ("n", "true", "wrong type: n"),
    ("n", "1e400", "out of range: n"),
    ("n", "-1e400", "out of range: n"),
    ("d", '"1.5"', "wrong type: d"),
    ("d", "true", "wrong type: d"),
    ("d", "123456789", "out of range: d"),
    ("d", "1e400", "out of range: d"),
    ("d", "1.005", "too precise: d"),
    ("d", "99999999.999", "too precise: d"),
    ("b", "1", "wrong type: b"),
    ("b", '"true"', "wrong type: b"),
    ("day", '"2015-02-30"', "wrong type: day"),
    ("day", '"0000-01-01"', "wrong type: day"),
    ("day", '"infinity"', "wrong type: day"),
    ("day", '"epoch"', "wrong type: day"),
    ("day", '"2015-02-22T00:00:00Z"', "wrong type: day"),
    ("day", "20150222", "wrong type: day"),
    ("ts", '"2015-02-30T00:00:00Z"', "wrong type: ts"),
    ("ts", '"2015-02-22T23:59:60Z"', "leap second: ts"),
    ("ts", '"2015-02-22T21:00:00+24:00"', "wrong type: ts"),
    ("ts", '"9999-12-31T23:59:59-23:59"', "wrong type: ts"),
    ("ts", '"0001-01-01T00:00:00+00:01"', "wrong type: ts"),
    ("ts", "1424639000", "wrong type: ts"),
    ("o", "[]", "wrong type: o"),
    ("o", '"x"', "wrong type: o"),
    ("o", "{}", "missing: o.x"),
    ("o", '{"x":null}', "missing: o.x"),
    ("o", '{"x":"1"}', "wrong type: o.x"),
    ("o", '{"x":1,"when":"1e3"}', "wrong type: o.when"),
    ("o", '{"x":1,"p":{"y":1}}', "wrong type: o.p.y"),
    ("l", "{}", "wrong type: l"),
    ("l", "[1,1.5]", "wrong type: l[]"),
    ("l", "[9223372036854775808]", "out of range: l[]"),
    ("m", "[1]", "wrong type: m[]"),
    ("m", '[{"x":1},{}]', "missing: m[].x"),
    ("m", '[{"x":1.234}]', "too precise: m[].x"),
    ("m", '[{"x":1,"t":[null]}]', "missing: m[].t[]"),
    ("m", '[{"x":1,"t":["2015-01-01T00:00:00Z","never"]}]', "wrong type: m[].t[]"),
]


def test_every_type_gives_its_value() -> None:
    rows = decode(EVERY, *(event(f'"{name}":{text}') for name, text, _ in ACCEPTED))
    got = [(name, text, row[name], row["_reject"]) for (name, text, _), row in zip(ACCEPTED, rows, strict=True)]
    assert got == [(name, text, value, None) for name, text, value in ACCEPTED]


def test_every_wrong_value_gives_its_reason_and_no_columns() -> None:
    rows = decode(EVERY, *(event(f'"{name}":{text}') for name, text, _ in REJECTED))
    got = [(name, text, row["_reject"]) for (name, text, _), row in zip(REJECTED, rows, strict=True)]
    assert got == REJECTED
    assert all(row[name] is None for row in rows for name in event_schema(EVERY))


DOCUMENTS: list[tuple[bytes | None, str | None]] = [
    (None, "null value"),
    (b"\xff\xfe", "bad UTF-8"),
    (b'{"at":"2015-02-22T21:00:00Z","s":"\xc3"}', "bad UTF-8"),
    (b'{"s":"\xed\xa0\x80"}', "bad UTF-8"),
    (b"", "bad JSON"),
    (b"{", "bad JSON"),
    (b'{"a":1}x', "bad JSON"),
    (b"{'a':1}", "bad JSON"),
    (b'\xef\xbb\xbf{"a":1}', "bad JSON"),
    (b'{"s":"\\ud800"}', "bad JSON"),
    (b'{"a":01}', "bad JSON"),
    (event('"n":NaN').encode(), "bad JSON"),
    (event('"extra":nan').encode(), "bad JSON"),
    (event('"n":-Infinity').encode(), "bad JSON"),
    (event('"extra":[1,-inf]').encode(), "bad JSON"),
    (event('"l":[1,]').encode(), "bad JSON"),
    (event('"i":1, \n').encode(), "bad JSON"),
    (b"NaN", "bad JSON"),
    (b"1e400", "not an object"),
    (b"null", "not an object"),
    (b"[]", "not an object"),
    (b'"text"', "not an object"),
    (b"{}", "missing: at"),
    (b'{"AT":"2015-02-22T21:00:00Z"}', "missing: at"),
    (b'{"at":null,"i":"x"}', "missing: at"),
    (event('"extra":1e400').encode(), None),
    (event('"extra":"NaN,}"').encode(), None),
    (b" \t\r\n" + event().encode() + b"\n", None),
]


def test_every_unreadable_document_gives_its_reason() -> None:
    rows = decode(EVERY, *(value for value, _ in DOCUMENTS))
    assert [(value, row["_reject"]) for (value, _), row in zip(DOCUMENTS, rows, strict=True)] == DOCUMENTS


def test_of_equal_keys_the_first_wins_in_kind_and_value() -> None:
    rows = decode(EVERY, event('"i":1,"i":"x"'), event('"i":"x","i":1'), event('"l":[1],"l":["x"]'))
    assert [(row["_reject"], row["i"], row["l"]) for row in rows] == [
        (None, 1, None),
        ("wrong type: i", None, None),
        (None, None, [1]),
    ]


RULES: list[tuple[str, str, str, str]] = [
    # property's type and rules, a value that keeps them, one that breaks them, the rule's name
    ("logicalType: integer, logicalTypeOptions: {minimum: 0}", "0", "-1", "min"),
    (
        "logicalType: integer, logicalTypeOptions: {maximum: 9223372036854775807, exclusiveMinimum: 3}",
        "4",
        "3",
        "above",
    ),
    ("logicalType: integer, logicalTypeOptions: {minimum: -9223372036854775808, maximum: 5}", "5", "6", "max"),
    ("logicalType: number, logicalTypeOptions: {exclusiveMaximum: 0.5}", "0.49", "0.5", "below"),
    ("logicalType: number, logicalTypeOptions: {minimum: 1}", "1", "0.99", "min"),
    ("logicalType: number, physicalType: 'decimal(4,2)', logicalTypeOptions: {maximum: '9.95'}", "9.95", "9.96", "max"),
    ("logicalType: date, logicalTypeOptions: {minimum: 2015-01-01}", '"2015-01-01"', '"2014-12-31"', "min"),
    (
        "logicalType: timestamp, logicalTypeOptions: {maximum: '2015-01-01T00:00:00+01:00', defaultTimezone: Etc/UTC}",
        '"2014-12-31T23:00:00Z"',
        '"2014-12-31T23:00:01Z"',
        "max",
    ),
    ("logicalType: string, logicalTypeOptions: {pattern: '^a+$'}", '"aa"', '"ab"', "pattern"),
    ('logicalType: string, logicalTypeOptions: {pattern: "it\'s"}', '"it\'s"', '"its"', "pattern"),
    ("logicalType: string, logicalTypeOptions: {minLength: 2}", '"éé"', '"é"', "min length"),
    ("logicalType: string, logicalTypeOptions: {maxLength: 1}", '"é"', '"éé"', "max length"),
    ('logicalType: string, enum: [{value: a}, {value: "b\'"}]', '"b\'"', '"c"', "enum"),
    (
        "logicalType: integer, quality: [{metric: invalidValues, arguments: {validValues: [1, 2]}, mustBe: 0}]",
        "2",
        "3",
        "enum",
    ),
    (
        "logicalType: string, quality: [{type: library, metric: invalidValues, arguments: {pattern: x}, mustBe: 0}]",
        '"axb"',
        '"ab"',
        "pattern",
    ),
]


@pytest.mark.parametrize(("stated", "good", "bad", "rule"), RULES, ids=[f"{r[3]}-{r[0][:40]}" for r in RULES])
def test_a_rule_rejects_what_breaks_it_and_passes_null(stated: str, good: str, bad: str, rule: str) -> None:
    rows = decode(
        contract(f"{{name: f, {stated}}}"), event(f'"f":{good}'), event(f'"f":{bad}'), event(), event('"f":null')
    )
    assert [row["_reject"] for row in rows] == [None, f"rule {rule}: f", None, None]


def test_digits_beyond_38_are_rounded_and_show_no_more() -> None:
    """A decimal is read with 38 digits: one declared with all of them leaves none to see that its scale is exceeded."""
    rows = decode(contract("{name: d, logicalType: number, physicalType: 'decimal(38,2)'}"), event('"d":1.235'))
    assert (rows[0]["_reject"], rows[0]["d"]) == (None, Decimal("1.24"))


def test_rules_hold_inside_objects_and_arrays() -> None:
    nested = contract(
        "{name: o, logicalType: object, properties: "
        "[{name: x, logicalType: integer, logicalTypeOptions: {minimum: 1}}]}",
        "{name: l, logicalType: array, items: {logicalType: object, properties: "
        "[{name: y, logicalType: string, logicalTypeOptions: {maxLength: 1}}]}}",
        "{name: k, logicalType: array, items: {logicalType: array, items: {logicalType: integer,"
        " logicalTypeOptions: {maximum: 9}}}}",
    )
    rows = decode(
        nested,
        event('"o":{"x":0}'),
        event('"o":{"x":1},"l":[{"y":"a"},{"y":"ab"}]'),
        event('"k":[[1],[2,10]]'),
        event('"o":null,"l":[null,{}],"k":[null,[null]]'),
    )
    assert [row["_reject"] for row in rows] == ["rule min: o.x", "rule max length: l[].y", "rule max: k[][]", None]


def test_the_first_reason_in_documented_order_is_given() -> None:
    """The document, then fields in the contract's order, then the event time's bounds, then rules."""
    ordered = contract(
        "{name: a, logicalType: integer, logicalTypeOptions: {minimum: 0}}",
        "{name: b, logicalType: integer, required: true}",
    )
    rows = decode(
        ordered,
        event('"a":"x"', at="9999-01-01T00:00:00Z"),
        event('"a":-1', at="9999-01-01T00:00:00Z"),
        event('"a":-1,"b":1', at="9999-01-01T00:00:00Z"),
        event('"a":-1,"b":1', at="1969-12-31T23:59:59Z"),
        event('"a":-1,"b":1'),
        event('"a":1,"b":1'),
    )
    assert [row["_reject"] for row in rows] == [
        "wrong type: a",
        "missing: b",
        "event time in the future",
        "event time too early",
        "rule min: a",
        None,
    ]


def test_an_event_time_is_judged_by_its_own_records_kafka_timestamp() -> None:
    bounded = contract(earliest="2015-01-01", ahead="1 hour")
    day = timedelta(days=1)
    stamps: list[datetime | int | None] = [KAFKA, KAFKA - day, KAFKA + 300 * day, None, 2**63 - 1, -(2**62), KAFKA]
    at = [*["2015-02-22T21:00:00Z"] * 6, "2015-02-22T22:30:00Z"]
    rows = run(decode_statement(bounded), records([event(at=a).encode() for a in at], stamps))
    future = "event time in the future"
    assert [row["_reject"] for row in rows] == [None, future, None, None, None, None, None], (
        "a timestamp below 1970 is none"
    )
    edge = run(
        decode_statement(bounded),
        records([event(at=a).encode() for a in ("2015-02-22T22:30:00.000001Z", "2014-12-31T23:59:59.999999Z")]),
    )
    assert [row["_reject"] for row in edge] == [future, "event time too early"]


def test_events_are_filed_by_event_date_in_utc_and_rejected_records_by_kafka_date() -> None:
    stamps: list[datetime | int | None] = [KAFKA, KAFKA, None, 2**63 - 1, -1]
    values: list[bytes | None] = [event(at="2015-02-22T23:30:00-02:00").encode(), None, None, b"x", b"x"]
    rows = run(decode_statement(EVERY), records(values, stamps))
    epoch = date(1970, 1, 1)
    assert [row["_event_date"] for row in rows] == [date(2015, 2, 23), date(2015, 2, 22), epoch, epoch, epoch]


def test_metadata_and_bytes_are_kept_whatever_the_record() -> None:
    table = records([b"\xff", event().encode()])
    rows = run(decode_statement(EVERY), table)
    for row, source in zip(rows, plain(table, "timestamp"), strict=True):
        assert {k: row[f"_{k}"] for k in source} == source
        assert row["_contract_version"] == EVERY.decoding
    columns = kernel(Limits()).describe(empty_events(event_schema(EVERY)))
    assert kernel(Limits()).describe(decode_statement(EVERY), {"records": table}) == METADATA | columns
    assert list(columns) == [*event_schema(EVERY), *POSITION]


def test_identity_is_contract_event_id_and_event_time() -> None:
    ids = "{name: id, logicalType: string}"
    one, other = contract(ids, eventId="id"), contract(ids, name="f", eventId="id")
    values = [event('"id":"1"'), event('"id":"1","x":2'), event('"id":"2"'), event('"id":"1"', "2015-02-22T21:00:01Z")]
    first = [(row["_id_hi"], row["_id_lo"]) for row in decode(one, *values)]
    assert first[0] == first[1]
    assert len(set(first)) == 3
    assert not set(first) & {(row["_id_hi"], row["_id_lo"]) for row in decode(other, *values)}


def test_without_an_event_id_or_when_rejected_there_is_no_identity() -> None:
    ids = contract("{name: id, logicalType: integer}", eventId="id")
    rows = [*decode(ids, event(), event('"id":null'), event('"id":"x"'), None), *decode(EVERY, event())]
    assert [row["_reject"] for row in rows] == [None, None, "wrong type: id", "null value", None]
    assert all(row["_id_hi"] is None and row["_id_lo"] is None for row in rows)


def test_json_keys_may_be_named_otherwise_than_columns() -> None:
    renamed = contract(
        "{name: user_id, physicalName: user-id, logicalType: string, required: true}",
        "{name: o, logicalType: object, properties: [{name: x, physicalName: '@x.y', logicalType: integer}]}",
        "{name: value, logicalType: integer}",
        "{name: select, logicalType: integer}",
    )
    rows = decode(renamed, event('"user-id":"u","o":{"@x.y":1},"value":2,"select":3'), event('"user_id":"u"'))
    assert {k: rows[0][k] for k in ("user_id", "o", "value", "select")} == {
        "user_id": "u",
        "o": {"x": 1},
        "value": 2,
        "select": 3,
    }
    assert rows[1]["_reject"] == "missing: user_id"


def push_and_watch() -> tuple[Contract, Contract]:
    return (
        contract("{name: n, logicalType: integer}", name="push", discriminator="{path: payload.kind, value: push}"),
        contract(name="watch", discriminator="{path: payload.kind, value: 2}"),
    )


def test_records_of_one_topic_go_to_one_contract_or_to_none() -> None:
    push, watch = push_and_watch()
    values = [
        event('"payload":{"kind":"push"},"n":"x"'),
        event('"payload":{"kind":2}'),
        event('"payload":{"kind":"2"}'),
        event('"payload":{"kind":2.0}'),
        event('"payload":{"kind":["push"]}'),
        event('"payload":{"kind":null}'),
        event('"payload":"push"'),
        event(),
        "[]",
        '{"payload":{"kind":"push"},}',
        b"\xff",
        None,
    ]
    raw = records([v.encode() if isinstance(v, str) else v for v in values])
    pushes, watches = run(decode_statement(push, [watch]), raw), run(decode_statement(watch, [push]), raw)
    rest = run(unclaimed_statement([push, watch]), raw)
    assert [(r["_offset"], r["_reject"]) for r in pushes] == [(0, "wrong type: n")]
    assert [(r["_offset"], r["_reject"]) for r in watches] == [(1, None), (2, None)]
    missing = "no discriminator: payload.kind"
    assert [(r["_offset"], r["_reject"]) for r in rest] == list(
        zip(
            range(3, 12),
            [
                NO_CONTRACT,
                NO_CONTRACT,
                missing,
                missing,
                missing,
                "not an object",
                "bad JSON",
                "bad UTF-8",
                "null value",
            ],
            strict=True,
        )
    )
    assert list(rest[0]) == list(METADATA)


def test_a_contract_without_discriminator_claims_everything() -> None:
    values: list[bytes | None] = [None, b"\xff", b"[]", b"{}"]
    assert len(run(decode_statement(EVERY), records(values))) == 4
    assert run(unclaimed_statement([EVERY]), records(values)) == []
    assert kernel(Limits()).describe(unclaimed_statement([EVERY]), {"records": records(values)}) == METADATA


def test_contracts_that_cannot_be_told_apart_are_refused() -> None:
    push, watch = push_and_watch()
    for group in ([EVERY, push], [EVERY, contract(name="other")], []):
        with pytest.raises(UserError) as error:
            unclaimed_statement(group)
        assert error.value.condition is Condition.CONTRACT_INVALID
    with pytest.raises(UserError):
        decode_statement(push, [watch, EVERY])


def test_a_new_claim_is_another_version_of_the_unclaimed() -> None:
    push, watch = push_and_watch()
    assert claims_version([push]) != claims_version([push, watch]) == claims_version([watch, push])


def test_huge_and_deep_records_do_not_stop_it() -> None:
    deep = "[" * 2000 + "]" * 2000
    deeper = '{"o":' * 200_000 + "1" + "}" * 200_000
    long = "x" * 5_000_000
    rows = decode(
        EVERY,
        event(f'"extra":{deep}'),
        event(f'"l":{deep}'),
        event(f'"o":{deeper}'),
        event(f'"s":"{long}"'),
        event('"s":"' + 'nan,}\\"' * 500_000 + '"'),
        event('"l":[' + ",".join(["1"] * 200_000) + "]"),
        event('"d":' + "1" * 100_000),
    )
    assert [row["_reject"] for row in rows] == [
        None,
        "wrong type: l[]",
        "missing: o.x",
        None,
        None,
        None,
        "out of range: d",
    ]
    assert len(rows[3]["s"]) == 5_000_000
    assert len(rows[5]["l"]) == 200_000


def check_law(values: list[bytes | None]) -> list[dict[str, Any]]:
    """Law 7: nothing raises, and each record is one row, with columns or with a reason."""
    push, watch = push_and_watch()
    table = records(values)
    rows = run(decode_statement(EVERY), table)
    assert [row["_offset"] for row in rows] == list(range(len(values)))
    assert [row["_value"] for row in rows] == values
    assert all((row["at"] is None) == (row["_reject"] is not None) for row in rows)
    split = [*run(decode_statement(push), table), *run(decode_statement(watch), table)]
    split += run(unclaimed_statement([push, watch]), table)
    assert sorted(row["_offset"] for row in split) == list(range(len(values)))
    return rows


VALID = [
    event('"i":12,"n":-1.5e3,"d":10.25,"b":true,"day":"2015-01-01"'),
    event('"s":"é\\u0000\\"","o":{"x":1,"when":"2015-01-01","p":{"y":"z"}},"payload":{"kind":"push"}'),
    event('"l":[1,null,3],"m":[{"x":1.25,"t":["2015-01-01T00:00:00+05:30"]}],"payload":{"kind":2}'),
]
SPLICES = [b"null", b"1e400", b"NaN", b",", b"]", b"}", b'"', b"\\", b"\xff", b"-", b"9" * 40, b"[", b'{"x":', b"e"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Valid JSON with a few bytes cut out and others put in."""
    value = draw(st.sampled_from(VALID)).encode()
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(value)))
        stop = draw(st.integers(start, min(start + 6, len(value))))
        value = value[:start] + draw(st.sampled_from(SPLICES) | st.binary(max_size=3)) + value[stop:]
    return value


@given(st.lists(st.none() | st.binary(max_size=60), max_size=20))
def test_no_bytes_raise(values: list[bytes | None]) -> None:
    check_law(values)


@given(st.lists(mutated(), min_size=1, max_size=30))
def test_no_broken_json_raises_and_json_is_what_rfc_8259_says(values: list[bytes]) -> None:
    for value, row in zip(values, check_law(list(values)), strict=True):
        unreadable = row["_reject"] in ("bad UTF-8", "bad JSON")
        assert unreadable == (not is_json(value)), (value, row["_reject"])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["2015-01-01", "2015-01-01T00:00:00Z", "infinity", "1e3", "9999-12-31T23:59:59-12:00"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "when", "p", "y", "t"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from([*event_schema(EVERY)]), JSON, max_size=6), min_size=1, max_size=20))
def test_any_json_value_in_any_field_is_taken_or_rejected(documents: list[dict[str, Any]]) -> None:
    whole = [{"at": "2015-02-22T21:00:00Z", **document} for document in documents]
    rows = check_law([json.dumps(document).encode() for document in whole])
    for document, row in zip(whole, rows, strict=True):
        if row["_reject"] is None:
            for name in ("s", "i", "b", "l"):
                assert row[name] == document.get(name), name
            assert all(not isinstance(document.get(name), bool) for name in ("i", "n", "d"))


def is_json(value: bytes) -> bool:
    """RFC 8259 as Python reads it, without its extensions; text that cannot be written as UTF-8 is none."""
    try:
        text = value.decode()
        document = json.loads(text, parse_constant=_refuse)
        if text.startswith("\ufeff"):
            return False
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(name)


GOLDENS = {
    "github_events": lambda: decode_statement(
        parse_contract((EXAMPLES / "contracts" / "github_events.yaml").read_text(), "github_events.yaml")
    ),
    "every_type": lambda: decode_statement(EVERY),
    "discriminated": lambda: decode_statement(push_and_watch()[0]),
    "unclaimed": lambda: unclaimed_statement(push_and_watch()),
    "all_claimed": lambda: unclaimed_statement([EVERY]),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_statement_is_the_golden_one(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"decode/{name}.sql", GOLDENS[name]())
