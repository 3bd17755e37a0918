"""Contracts: what a file may say; a broken one is refused with file, line, column, what is allowed and the hint."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from seamline.errors import Condition, UserError
from seamline.kernel import Limits, kernel
from seamline.schemas.contracts.contract import (
    Contract,
    check_topics,
    event_schema,
    load_contracts,
    parse_contract,
)
from seamline.schemas.contracts.custom_properties import KNOWN, Discriminator
from seamline.schemas.contracts.rules import OPTIONS, PREDICATES
from seamline.schemas.contracts.types import instant_literal, parse_duration, parse_instant
from seamline.schemas.views.event_columns import POSITION, empty_events

DOCS = ROOT / "docs" / "contracts.md"
EXAMPLES = ROOT / "examples" / "github" / "contracts"

TEXT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
description:
  purpose: What was bought
schema:
  - name: orders
    properties:
      - name: id
        logicalType: string
      - name: at
        logicalType: timestamp
      - name: total
        logicalType: number
        physicalType: decimal(10,2)
        logicalTypeOptions:
          minimum: 0
      - name: lines
        logicalType: array
        items:
          logicalType: object
          properties:
            - name: sku
              logicalType: string
            - name: count
              logicalType: integer
customProperties:
  - property: seamline.eventTime
    value: at
"""
MORE = """\
  - property: seamline.topic
    value: shop.orders
  - property: seamline.stream
    value: shop
  - property: seamline.eventId
    value: id
  - property: seamline.key
    value: id
  - property: seamline.dedupHorizon
    value: 2 hours
  - property: seamline.earliest
    value: 2020-01-01
  - property: seamline.ahead
    value: 5 minutes
  - property: seamline.discriminator
    value: {path: payload.kind, value: order}
  - property: seamline.owner
    value: shop team
"""


def parse(text: str) -> Contract:
    return parse_contract(text, "orders.yaml")


def refused(text: str) -> UserError:
    with pytest.raises(UserError) as error:
        parse(text)
    assert error.value.condition is Condition.CONTRACT_INVALID
    return error.value


def test_defaults_are_those_documented() -> None:
    contract = parse(TEXT)
    assert (contract.name, contract.version, contract.topic, contract.stream) == ("orders", "1.0.0", "orders", "main")
    assert (contract.event_time, contract.event_id, contract.key) == ("at", None, None)
    assert contract.discriminator is None
    assert contract.horizon == timedelta(hours=1)
    assert contract.earliest == datetime(1970, 1, 1, tzinfo=UTC)
    assert contract.ahead == timedelta(days=1)
    assert contract.owner == ""
    assert contract.text == TEXT


def test_every_custom_property_is_read() -> None:
    contract = parse(TEXT + MORE)
    assert (contract.topic, contract.stream, contract.owner) == ("shop.orders", "shop", "shop team")
    assert (contract.event_id, contract.key) == ("id", "id")
    assert (contract.horizon, contract.ahead) == (timedelta(hours=2), timedelta(minutes=5))
    assert contract.earliest == datetime(2020, 1, 1, tzinfo=UTC)
    assert contract.discriminator == Discriminator(("payload", "kind"), "order")


def test_columns_have_the_documented_types() -> None:
    contract = parse(TEXT)
    assert event_schema(contract) == {
        "id": "VARCHAR",
        "at": "TIMESTAMP WITH TIME ZONE",
        "total": "DECIMAL(10,2)",
        "lines": 'STRUCT("sku" VARCHAR, "count" BIGINT)[]',
    }
    empty = kernel(Limits()).run(empty_events(event_schema(contract)))
    assert (empty.num_rows, empty.column_names) == (0, ["id", "at", "total", "lines", *POSITION])


def test_the_event_time_is_required_whatever_the_file_says() -> None:
    assert parse(TEXT).field("at").required
    assert not parse(TEXT).field("id").required


def test_required_may_be_said_as_a_quality_rule() -> None:
    said = TEXT.replace(
        "      - name: at\n",
        "        quality: [{metric: nullValues, mustBe: 0}, {type: text, description: x}]\n      - name: at\n",
    )
    assert parse(said).field("id").required


def test_topic_and_owner_may_come_from_odcs_itself() -> None:
    text = TEXT.replace("  - name: orders\n", "  - name: orders\n    physicalName: shop-orders\n")
    assert parse(text).topic == "shop-orders"
    assert parse(text + "team:\n  name: data\n").owner == "data"
    team = "team:\n  members: [{username: bo, role: dev}, {username: al, role: Owner}]\n"
    assert parse(text + team).owner == "al"


def error_of(text: str) -> UserError | None:
    try:
        parse(text)
    except UserError as error:
        return error
    return None


DECIDES = [
    ("name: total", "name: sum", "a field's name"),
    ("logicalType: integer", "logicalType: number", "a nested type"),
    ("minimum: 0", "minimum: 1", "a rule"),
    ("      - name: total\n", "      - name: total\n        required: true\n", "required"),
    ("      - name: total\n", "      - name: total\n        physicalName: Total\n", "a JSON key"),
    ("decimal(10,2)", "decimal(10,3)", "a scale"),
    ("- name: orders", "- name: sales", "the contract's name (identities hold it)"),
    ("value: id\n  - property: seamline.key", "value: total_id\n  - property: seamline.key", ""),
    ("value: 2020-01-01", "value: 2020-01-02", "the earliest event time"),
    ("value: 5 minutes", "value: 6 minutes", "how far ahead"),
    ("value: order}", "value: sale}", "the discriminator"),
]
DECIDES_NOT = [
    ("purpose: What was bought", "purpose: What was sold", "description"),
    ("version: 1.0.0", "version: 1.0.1", "version"),
    ("value: shop team", "value: data team", "owner"),
    ("value: shop.orders", "value: shop.sales", "topic"),
    ("value: 2 hours", "value: 3 hours", "dedup horizon"),
    ("status: active", "status: draft  # not yet", "status and comments"),
]


@pytest.mark.parametrize(("old", "new", "what"), [d for d in DECIDES if d[2]], ids=lambda v: None)
def test_what_decides_decoding_changes_its_hash(old: str, new: str, what: str) -> None:
    text = TEXT + MORE
    assert old in text
    assert parse(text.replace(old, new, 1)).decoding != parse(text).decoding, what


@pytest.mark.parametrize(("old", "new", "what"), DECIDES_NOT, ids=lambda v: None)
def test_prose_does_not_change_the_decoding_hash(old: str, new: str, what: str) -> None:
    text = TEXT + MORE
    assert old in text
    assert parse(text.replace(old, new, 1)).decoding == parse(text).decoding, what


def test_only_event_time_event_id_and_discriminator_change_the_layout() -> None:
    contract = parse(TEXT + MORE)
    assert replace(contract, event_id=None).layout != contract.layout
    assert replace(contract, event_time="other").layout != contract.layout
    assert replace(contract, discriminator=None).layout != contract.layout
    assert replace(contract, fields=contract.fields[:2], ahead=timedelta(0)).layout == contract.layout


def test_hashes_are_the_same_in_every_process() -> None:
    """They name tables and definitions on disk: a change of these values rebuilds every user's views."""
    github = load_contracts(EXAMPLES)["github_events"]
    assert (github.decoding, github.layout) == ("a09e548872dd7107", "387f026ede2128d8")


PROPERTY = "      - name: total\n        logicalType: number\n        physicalType: decimal(10,2)\n"
BROKEN = [
    # old, new, line:column, what was got, the hint or what is allowed
    ("id: orders\n", "", "1:1", "'id' is missing", "add 'id'"),
    ("version: 1.0.0\n", "", "1:1", "'version' is missing", "add 'version'"),
    ("version: 1.0.0", "version: 1.0", "4:1", "version: Input should be a valid string", "quote"),
    ("v3.1.0", "v2.2.0", "1:1", "apiVersion is 'v2.2.0'", "v3.1.0"),
    ("DataContract", "Contract", "2:1", "kind is 'Contract'", "DataContract"),
    ("status: active", "statsu: active", "5:1", "unknown key 'statsu'", "write 'status'"),
    ("  purpose:", "  purposes:", "7:3", "unknown key 'purposes'", "write 'purpose'"),
    (
        "        logicalType: number",
        "        logicaltype: number",
        "16:9",
        "unknown key 'logicaltype'",
        "'logicalType'",
    ),
    ("              logicalType: integer", "              lt: integer", "28:15", "unknown key 'lt'", "remove"),
    ("kind: DataContract\n", "kind: DataContract\nkind: DataContract\n", "3:1", "stands twice, first in line 2", "one"),
    ("    value: at", "    value: at\n    value: id", "32:5", "'value' stands twice", "remove one"),
    ("logicalType: timestamp", "logicalType: timestmp", "14:9", "logicalType is 'timestmp'", "write timestamp"),
    (
        "logicalType: string\n      - name: at",
        "logicalType: map\n      - name: at",
        "12:9",
        "is 'map'",
        "string, timestamp",
    ),
    ("        logicalType: string\n", "", "11:9", "without 'logicalType'", "array, boolean"),
    ("decimal(10,2)", "decimal(10,12)", "17:9", "physicalType 'decimal(10,12)'", "s <= p"),
    ("decimal(10,2)", "decimal(39)", "17:9", "physicalType 'decimal(39)'", "p <= 38"),
    ("decimal(10,2)", "money", "17:9", "physicalType 'money'", "decimal(p,s) with"),
    ("minimum: 0", "minimum: x", "19:11", "rule min of 'total' is 'x'", "a number"),
    ("minimum: 0", "minimum: 0.001", "19:11", "is 0.001", "fits decimal(10,2) exactly"),
    ("minimum: 0", "minimun: 0", "19:11", "unknown key 'minimun'", "write 'minimum'"),
    ("minimum: 0", "pattern: x", "19:11", "rule pattern on 'total'", "for decimal: above, below, enum, max, min"),
    ("minimum: 0", "multipleOf: 2", "19:11", "unknown key 'multipleOf'", "minimum"),
    ("name: total", "name: _total", "15:9", "field name '_total'", "physicalName"),
    ("name: total", "name: to-tal", "15:9", "field name 'to-tal'", "letters, digits and _"),
    ("name: total", "name: ID", "15:9", "field 'ID' stands twice", "rename"),
    ("name: total", "physicalName: x", "15:9", "a property without 'name'", "add 'name:'"),
    ("name: total\n", 'name: total\n        physicalName: "a\\"b"\n', "16:9", "the JSON key", "rename the key"),
    (
        "name: total\n",
        "name: total\n        required: maybe\n",
        "16:9",
        "required: Input should be a valid boo",
        "quote",
    ),
    ("        items:\n", "        itmes:\n", "22:9", "unknown key 'itmes'", "write 'items'"),
    ("logicalType: array", "logicalType: object", "20:9", "an object without fields", "add 'properties:'"),
    ("logicalType: array", "logicalType: string", "22:9", "'items' in a field of type string", "logicalType: array"),
    ("- name: orders\n", "- name: or ders\n", "9:5", "the contract's name", "called in SQL"),
    (
        "  - name: orders\n",
        "  - name: orders\n    logicalType: array\n",
        "10:5",
        "logicalType of the event",
        "write object",
    ),
    ("customProperties:", "  - name: second\ncustomProperties:", "29:5", "2 objects in 'schema'", "split"),
    ("    value: at", "    value: total", "31:5", "seamline.eventTime is 'total'", "type timestamp: at"),
    ("    value: at\n", "", "30:5", "seamline.eventTime has no value", "add 'value:'"),
    ("seamline.eventTime", "seamline.eventtime", "30:5", "unknown key 'seamline.eventtime'", "seamline.eventTime"),
    (
        "  - property: seamline.eventTime\n    value: at\n",
        "",
        "1:1",
        "no event time",
        "naming a timestamp field: at",
    ),
    ("value: 2 hours", "value: 2", "41:5", "seamline.dedupHorizon is 2", "'90 minutes'"),
    ("value: 2 hours", "value: 0 hours", "41:5", "is '0 hours'", "above zero"),
    ("value: 5 minutes", "value: soon", "45:5", "seamline.ahead is 'soon'", "a duration"),
    ("value: 2020-01-01", "value: 2020-13-01", "1:1", "month must be in 1..12", "quote"),
    ("value: 2020-01-01", "value: 'then'", "43:5", "seamline.earliest is 'then'", "a date or timestamp"),
    ("value: shop.orders", "value: shop orders", "33:5", "seamline.topic is 'shop orders'", "letters, digits"),
    ("value: shop\n", "value: Shop\n", "35:5", "seamline.stream is 'Shop'", "small letters"),
    ("{path: payload.kind, value: order}", "order", "47:5", "seamline.discriminator is 'order'", "path"),
    ("{path: payload.kind, value: order}", "{path: a..b, value: 1}", "47:5", "seamline.discriminator is", "path"),
    ("seamline.key", "seamline.eventId", "38:5", "seamline.eventId stands twice", "remove one"),
    (
        "    value: id\n  - property: seamline.key",
        "    value: at\n  - property: seamline.key",
        "37:5",
        "is 'at'",
        "string or integer: id",
    ),
    ("id: orders", "id: [orders", "4:8", "not YAML", "correct the syntax"),
    ("id: orders", "id: *x", "3:5", "not YAML: found undefined alias", "correct the syntax"),
    ("id: orders", "1: orders", "3:1", "a key that is not text", "quotes"),
]


@pytest.mark.parametrize(("old", "new", "where", "got", "hint"), BROKEN, ids=[f"{b[2]} {b[3][:30]}" for b in BROKEN])
def test_a_broken_file_names_line_column_detail_and_hint(old: str, new: str, where: str, got: str, hint: str) -> None:
    text = TEXT + MORE
    assert old in text
    error = refused(text.replace(old, new, 1))
    assert (error.where, got in error.message, hint in error.detail + " " + error.hint) == (
        f"orders.yaml:{where}",
        True,
        True,
    ), str(error)
    assert error.detail
    assert error.hint


QUALITY = [
    ("{metric: rowCount, mustBeGreaterThan: 1}", "metric rowCount"),
    ("{metric: duplicateValues, mustBe: 0}", "metric duplicateValues"),
    ("{metric: invalidValues, arguments: {validValues: [1]}, mustBeLessThan: 5}", "metric invalidValues"),
    ("{metric: invalidValues, arguments: {validValues: [1]}, mustBe: 1}", "metric invalidValues"),
    ("{metric: invalidValues, arguments: {other: [1]}, mustBe: 0}", "metric invalidValues"),
    ("{metric: invalidValues, mustBe: 0}", "metric invalidValues"),
    ("{type: sql, query: SELECT 1, mustBe: 0}", "type sql"),
    ("{type: custom, engine: soda, implementation: x}", "type custom"),
]


@pytest.mark.parametrize(("rule", "got"), QUALITY)
def test_a_quality_rule_that_one_record_cannot_decide_is_refused(rule: str, got: str) -> None:
    error = refused(TEXT.replace(PROPERTY, f"{PROPERTY}        quality:\n          - {rule}\n"))
    assert (error.where, got in error.message, "validValues" in error.detail) == ("orders.yaml:19:13", True, True)


RULES = [
    ("string", "pattern: '(?=x)'", "RE2 syntax (invalid perl operator: (?="),
    ("string", "pattern: '('", "missing )"),
    ("string", "minLength: -1", "a whole number"),
    ("integer", "minimum: 1.5", "a 64-bit integer"),
    ("integer", "maximum: 9223372036854775808", "a 64-bit integer"),
    ("number", "maximum: .inf", "a finite number"),
    ("date", "minimum: 2015-02-22T00:00:00Z", "a date such as"),
    ("timestamp", "minimum: yesterday", "a timestamp such as"),
    ("timestamp", "defaultTimezone: Europe/Berlin", "Etc/UTC"),
    ("boolean", "minimum: 1", "no rules"),
]


@pytest.mark.parametrize(("kind", "option", "detail"), RULES)
def test_a_bound_must_be_of_the_fields_type(kind: str, option: str, detail: str) -> None:
    field = f"      - {{name: f, logicalType: {kind}, logicalTypeOptions: {{{option}}}}}\n"
    error = refused(TEXT.replace("    properties:\n      - name: id", f"    properties:\n{field}      - name: id", 1))
    assert error.where.startswith("orders.yaml:11:")
    assert detail in error.detail


def test_an_enum_needs_values_of_the_fields_type() -> None:
    for values in ("[]", "[{value: 1}]", "[{value: yes}]", "[{label: a}]"):
        text = TEXT.replace("      - name: at\n", f"        enum: {values}\n      - name: at\n")
        assert refused(text).where == "orders.yaml:13:9", values


def test_aliases_and_other_documents_are_refused() -> None:
    assert "alias" in refused("a: &a [x]\nb: *a\n").message
    assert "expected a single document" in refused(TEXT + "---\n" + TEXT).message
    for text in ("", "[]", "text", "\0", "a: &a [*a]", "[" * 5000, "? [a]\n: b"):
        assert refused(text).where.startswith("orders.yaml:")


@given(st.integers(0, len(TEXT + MORE)), st.integers(0, 8), st.text(":-[]{}&*#'\"\n a1.", max_size=4))
def test_any_damage_to_a_file_gives_a_contract_or_this_one_error(start: int, cut: int, put: str) -> None:
    text = TEXT + MORE
    error = error_of(text[:start] + put + text[start + cut :])
    assert error is None or error.condition is Condition.CONTRACT_INVALID
    assert error is None or error.where.startswith("orders.yaml:")


def test_a_folder_is_loaded_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TEXT)
    (tmp_path / "b.yml").write_text(TEXT.replace("- name: orders", "- name: returns"))
    (tmp_path / "notes.txt").write_text("no contract")
    assert list(load_contracts(tmp_path)) == ["orders", "returns"]
    assert list(load_contracts(EXAMPLES)) == ["github_events"]


def test_a_folder_with_a_broken_file_is_refused_whole(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TEXT)
    (tmp_path / "b.yaml").write_text(TEXT)
    with pytest.raises(UserError, match=r"is already in .*a\.yaml"):
        load_contracts(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"b\.yaml:1:1: cannot be read"):
        load_contracts(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        load_contracts(tmp_path / "none")


def test_the_example_in_the_documentation_is_a_contract_and_all_properties_are_documented() -> None:
    text = DOCS.read_text()
    for example in re.findall(r"```yaml\n(apiVersion.*?)```", text, re.DOTALL):
        contract = parse(example)
        assert contract.event_id
        kernel(Limits()).describe(empty_events(event_schema(contract)))
    for name in KNOWN:
        assert f"`seamline.{name}`" in text
    for option in (*OPTIONS, *(f"rule {kind}" for kind in PREDICATES)):
        assert f"`{option}" in text, option


def shared(name: str, discriminator: str = "", stream: str = "main") -> Contract:
    text = TEXT.replace("- name: orders", f"- name: {name}")
    text += f"  - {{property: seamline.topic, value: t}}\n  - {{property: seamline.stream, value: {stream}}}\n"
    if discriminator:
        text += f"  - {{property: seamline.discriminator, value: {{{discriminator}}}}}\n"
    return parse_contract(text, f"{name}.yaml")


def test_contracts_of_one_topic_are_told_apart() -> None:
    check_topics([shared("a", "path: k, value: a"), shared("b", "path: k, value: true"), parse(TEXT)])
    check_topics({"a": shared("a")})


@pytest.mark.parametrize(
    ("second", "where", "got"),
    [
        (shared("b"), "b.yaml:1:1", "b has no discriminator"),
        (shared("b", "path: k.l, value: b"), "b.yaml:1:1", "different paths"),
        (shared("b", "path: k, value: a"), "b.yaml:1:1", "'a' is claimed by a too"),
        (shared("b", "path: k, value: b", "other"), "b.yaml:1:1", "streams 'main' and 'other'"),
    ],
)
def test_contracts_that_cannot_be_told_apart_are_refused(second: Contract, where: str, got: str) -> None:
    with pytest.raises(UserError) as error:
        check_topics([second, shared("a", "path: k, value: a")])
    assert (error.value.condition, error.value.where) == (Condition.CONTRACT_INVALID, where)
    assert got in error.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 second", timedelta(seconds=1)),
        ("90 Minutes", timedelta(minutes=90)),
        ("7days", timedelta(days=7)),
        ("2 weeks", timedelta(days=14)),
        ("0 hours", timedelta(0)),
        ("1 month", None),
        ("1.5 hours", None),
        ("-1 hour", None),
        ("999999999 weeks", None),
        (3600, None),
        (None, None),
    ],
)
def test_durations_are_a_number_and_a_unit(text: object, expected: timedelta | None) -> None:
    assert parse_duration(text) == expected


def test_instants_are_utc_unless_they_say_otherwise() -> None:
    assert parse_instant("2015-02-22T21:00:00+01:00") == datetime(2015, 2, 22, 20, tzinfo=UTC)
    assert parse_instant("2015-02-22") == parse_instant("2015-02-22 00:00") == datetime(2015, 2, 22, tzinfo=UTC)
    assert instant_literal(datetime(1, 1, 1, tzinfo=UTC)) == "TIMESTAMPTZ '0001-01-01 00:00:00.000000+00'"
    for text in ("2015-02-30", "0001-01-01T00:00:00+01:00", "now", "infinity", 5, None):
        assert parse_instant(text) is None
