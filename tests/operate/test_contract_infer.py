"""A draft of a contract takes the records that it was made from, and says what it is unsure of."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.cli.main import execute
from seamline.errors import Condition, UserError
from seamline.kernel import kernel
from seamline.operate.contractinfer import Inferred, infer_contract
from seamline.operate.firstview import first_view
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.contracts.drafted import draft_text
from seamline.schemas.contracts.infer import draft
from seamline.schemas.contracts.observed import MOST_KEYS, ObservedEvents, read_document
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import parse_views

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AT = "2026-02-01T00:00:00Z"


def inferred(folder: Path, records: Sequence[object], **options: Any) -> Inferred:
    """A draft of events, each a JSON object or the text of one."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
    file = folder / "events.jsonl"
    file.write_text("".join(line + "\n" for line in lines))
    return infer_contract([file], kernel(), NOW, **options)


def of(folder: Path, *values: str) -> tuple[str, bool, list[str]]:
    """The type of a field `x` that has these values, as JSON text; whether it is required; its doubts."""
    found = inferred(folder, [f'{{"at": "{AT}", "x": {value}}}' for value in values])
    field = next((one for one in found.contract.fields if one.name == "x"), None)
    doubts = [one.why for one in found.draft.doubts if one.field.startswith("x")]
    if not found.draft.doubts or not any("rejected" in why for why in doubts):
        assert not found.survey.rejected
    return (field.sql_type if field else "", bool(field and field.required), doubts)


@pytest.mark.parametrize(
    ("values", "kind", "required"),
    [
        (("1", "-5"), "BIGINT", True),
        (("1", "null"), "BIGINT", False),
        (("9223372036854775807", "-9223372036854775808"), "BIGINT", True),
        (("9223372036854775808", "1"), "DECIMAL(38,0)", True),
        (("1" * 39, "1"), "DOUBLE", True),
        (("1", "1.5"), "DOUBLE", True),
        (("1.0",), "DOUBLE", True),
        (("1e3",), "DOUBLE", True),
        (("true", "false"), "BOOLEAN", True),
        (('"a"', '"7"'), "VARCHAR", True),
        (('"2015-02-22"',), "DATE", True),
        (('"2015-02-30"',), "VARCHAR", True),
        (('"2015-02-22T10:00:00+01:00"', '"2015-02-22"'), "TIMESTAMP WITH TIME ZONE", True),
        (('"20150222T210000Z"', '"2015-02-22 21:00:00,5"'), "TIMESTAMP WITH TIME ZONE", True),
        (('"2015-02-22T10:00:00Z"', '"soon"'), "VARCHAR", True),
        (('{"a": 1}', '{"a": 2, "b": "x"}'), 'STRUCT("a" BIGINT, "b" VARCHAR)', True),
        (('[1, null]', "[]"), "BIGINT[]", True),
        (('[{"a": [1.5]}]',), 'STRUCT("a" DOUBLE[])[]', True),
        (("1", '"a"'), "", False),
        (("null", "null"), "", False),
        (("{}",), "", False),
        (("[]",), "", False),
        (('[1, "a"]',), "", False),
        (("1", "1e400"), "", False),
    ],
)  # fmt: skip
def test_a_field_has_the_one_type_that_takes_all_of_its_values(
    tmp_path: Path, values: tuple[str, ...], kind: str, required: bool
) -> None:
    found, is_required, doubts = of(tmp_path, *values)
    assert (found, is_required) == (kind, required)
    assert doubts if not kind else True


def test_one_in_a_hundred_of_another_type_is_rejected_and_said(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": AT, "x": "N/A" if n == 7 else n} for n in range(100)])
    assert found.contract.field("x").type == "integer"
    assert dict(found.survey.rejected) == {"wrong type: x": 1}
    assert "99 × integer, 1 × string" in found.text
    assert "# Of these it rejects 1: 1 × wrong type: x" in found.text


def test_nested_fields_say_what_is_required_of_their_object(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": AT, "o": {"a": 1, "b": 2}}, {"at": AT, "o": {"a": 3}}, {"at": AT}])
    o = found.contract.field("o")
    assert (o.required, [(one.name, one.required) for one in o.fields]) == (False, [("a", True), ("b", False)])


@pytest.mark.parametrize(
    ("events", "chosen", "epoch"),
    [
        ([{"updated_at": AT, "created_at": AT}], "created_at", ""),
        ([{"seen": AT, "ts": AT}, {"seen": AT}], "seen", ""),
        ([{"ts": 1_770_000_000}], "ts", "epoch_seconds"),
        ([{"ts": 1_770_000_000.25}], "ts", "epoch_seconds"),
        ([{"createdAt": 1_770_000_000_123}], "createdAt", "epoch_millis"),
        ([{"time": 1_770_000_000_123_456}], "time", "epoch_micros"),
        ([{"time": 1_770_000_000_123_456_789}], "time", "epoch_nanos"),
        ([{"day": "2026-02-01"}], "day", ""),
        ([{"at": AT}, {"at": AT}, {"at": "yesterday"}], "at", ""),
    ],
)
def test_the_event_time_is_filled_always_and_named_like_one(
    tmp_path: Path, events: list[dict[str, Any]], chosen: str, epoch: str
) -> None:
    found = inferred(tmp_path, events).contract
    assert (found.event_time, found.field(chosen).epoch) == (chosen, epoch)
    assert found.field(chosen).required


def test_without_a_time_there_is_no_contract(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        inferred(tmp_path, [{"a": 1, "count": 1_770_000_000}])
    assert error.value.condition == Condition.INPUT_INVALID
    assert "a (integer), count (integer)" in error.value.detail


@pytest.mark.parametrize(
    ("events", "event_id", "key"),
    [
        ([{"order_id": str(n), "user_id": n % 3, "n": n} for n in range(20)], "order_id", "user_id"),
        ([{"id": n} for n in range(20)], "id", "id"),
        ([{"id": n} for n in [*range(20), 7]], "id", "id"),
        ([{"id": n, "n": n % 2} for n in [*range(40), 7]], "id", "id"),
        ([{"userId": n % 3, "amount": n} for n in range(20)], None, "userId"),
        ([{"uuid": f"u{n}"} for n in range(20)] + [{}], None, None),
    ],
)
def test_the_event_id_names_each_event_and_the_key_what_it_is_about(
    tmp_path: Path, events: list[dict[str, Any]], event_id: str | None, key: str | None
) -> None:
    found = inferred(tmp_path, [{"at": AT, **one} for one in events]).contract
    assert (found.event_id, found.key) == (event_id, key)


def test_copies_byte_for_byte_do_not_count_against_an_event_id(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": AT, "id": n // 2} for n in range(20)])
    assert found.contract.event_id == "id"
    assert [one.why for one in found.draft.doubts] == ["records that are, byte for byte, copies of others: 10"]


def test_keys_that_are_no_names_are_kept_as_keys_and_the_rest_is_left_out(tmp_path: Path) -> None:
    keys = {"user-id": 1, "@type": "a", "1st": 2, "no": 3, "É t": 4, "user id": 5, "AT": 6, 'a"b': 7, "": 8, "_x": 9}
    found = inferred(tmp_path, [{"at": AT, **keys}] * 2)
    assert {one.key: one.name for one in found.contract.fields} == {
        "at": "at", "user-id": "user_id", "@type": "type", "1st": "f_1st", "no": "no", "É t": "t",
        "user id": "user_id_2", "_x": "x",
    }  # fmt: skip
    assert {one.field for one in found.draft.doubts if one.left_out} == {"AT", '"a\\"b"', '""'}


def test_a_map_is_looked_at_up_to_a_bound(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": AT, "m": {f"k{n}": n for n in range(MOST_KEYS + 1)}}])
    assert len(found.contract.field("m").fields) == MOST_KEYS
    assert [one.why for one in found.draft.doubts if one.field == "m"] == [
        f"has over {MOST_KEYS} keys: the others were not looked at"
    ]


def test_events_before_1970_are_believed(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": "0001-01-01T00:00:00Z"}, {"at": "1969-07-20T20:17:40Z"}])
    assert found.contract.earliest == datetime(1, 1, 1, tzinfo=UTC)
    assert not found.survey.rejected


def test_a_csv_file_has_the_types_of_its_cells(tmp_path: Path) -> None:
    file = tmp_path / "web-visits-2026-02.csv.gz"
    rows = [
        "at;n;price;flag;mixed;o;zip;none",
        f"{AT};1;1,50;TRUE;1;" + '"{""a"": 1}";01234;',
        f"{AT};;2,5;false;x;" + '"{""a"": 2}";99999;',
    ]
    file.write_bytes(gzip.compress("\n".join(rows).encode()))
    found = infer_contract([file], kernel(), NOW)
    assert found.contract.name == found.contract.topic == "web_visits"
    assert {one.name: (one.sql_type, one.required) for one in found.contract.fields} == {
        "at": ("TIMESTAMP WITH TIME ZONE", True), "n": ("BIGINT", False), "price": ("VARCHAR", True),
        "flag": ("BOOLEAN", True), "mixed": ("VARCHAR", True), "o": ('STRUCT("a" BIGINT)', True),
        "zip": ("VARCHAR", True),
    }  # fmt: skip
    assert found.survey.records == 2
    assert not found.survey.rejected


def test_a_csv_column_without_a_name_is_left_out_and_none_stands_twice(tmp_path: Path) -> None:
    file = tmp_path / "visits.csv"
    file.write_text(f"ts,n,,\n{AT},1,,\n{AT},2,x,y\n")
    found = infer_contract([file], kernel(), NOW)
    assert [one.name for one in found.contract.fields] == ["ts", "n"]
    assert not found.survey.rejected
    file.write_text(f"ts,n,n\n{AT},1,2\n")
    with pytest.raises(UserError, match="two columns are named 'n'"):
        infer_contract([file], kernel(), NOW)


def test_only_the_first_records_are_looked_at(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": AT, "x": n if n < 5 else "late"} for n in range(10)], most=5)
    assert (found.survey.records, found.contract.field("x").type) == (5, "integer")


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False) | st.datetimes(max_value=datetime(2025, 1, 1)).map(str)
    | st.dates().map(str)
)  # fmt: skip
KEYS = st.text(max_size=5) | st.sampled_from(["id", "ts", "price", "created_at", "a.b", "$", "no"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=5), min_size=1, max_size=12))
def test_a_draft_accepts_what_it_was_made_from(documents: list[dict[str, Any]]) -> None:
    """Fewer than a hundred records: no type is preferred over another, so none may be rejected."""
    records = [json.dumps({**one, "event_time": AT}, ensure_ascii=False).encode() for one in documents]
    sample = ObservedEvents()
    for record in records:
        sample.add(record, read_document(record))
    found = draft(sample, "made", "made")
    contract = parse_contract(draft_text(found), "made")
    assert (contract.fields, contract.event_time) == (parse_contract(contract.text, "").fields, found.event_time)
    assert reasons(contract, records) == []


@given(
    st.lists(st.text(st.sampled_from('01eE.-+ tfralsue{}[]"a:,;\n'), max_size=8), min_size=1, max_size=12),
)
def test_a_draft_accepts_the_csv_that_it_was_made_from(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("at", "x"), *((AT, cell) for cell in cells)])
    file = tmp_path_factory.mktemp("csv") / "made.csv"
    file.write_text(text.getvalue(), newline="")
    assert not infer_contract([file], kernel(), NOW).survey.rejected


def reasons(contract: Contract, records: list[bytes]) -> list[str]:
    rows = len(records)
    table = pa.table(
        {
            "source": pa.array(["file"] * rows),
            "partition": pa.array([0] * rows, pa.int32()),
            "offset": pa.array(range(rows), pa.int64()),
            "timestamp": pa.array([NOW] * rows, pa.timestamp("us", "UTC")),
            "key": pa.nulls(rows, pa.binary()),
            "value": pa.array(records, pa.binary()),
        }
    )
    found = kernel().run(decode_statement(contract), {"records": table})["_reject"].to_pylist()
    return [one for one in found if one is not None]


# --- the project of a file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("sales", {"id": "a", "at": AT, "price": 1.5, "tax": 0.5, "userId": 7}),
        ("Sales__2", {"hour": AT, "events": 1, "order": 1, "sum_of_total": 2, "total": 2.5}),
        ("orders", {"ts": AT}),
    ],
)
def test_a_first_view_is_one_that_compiles(tmp_path: Path, name: str, event: dict[str, Any]) -> None:
    contract = inferred(tmp_path, [event, event | {"id": "b"}], name=name).contract
    view, text = first_view(contract)
    (parsed,) = parse_views(text, "first.sql")
    found = compile_for(parsed, {contract.name: contract})[0]
    assert (found.view, len(found.buckets)) == (view, 1)
    sums = [one for one in contract.fields if one.type == "decimal"]
    assert [one.aggregate for one in found.columns].count("sum") == len(sums)


def test_init_makes_the_project_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, project = tmp_path / "web-visits.csv", tmp_path / "web"
    file.write_text(f"id,at,user_id,price\n1,{AT},u,1.5\n2,{AT},u,2.5\n3,never,v,1\n")
    assert execute(["init", str(project), "--from", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "seamline import" in out
    assert "of 3 records the contract rejects 1: 1 × wrong type: at" in err
    assert [str(path.relative_to(project)) for path in sorted(project.glob("[!.]*/*.*"))] == [
        "contracts/web_visits.yaml", "tests/web_visits_by_hour.yaml", "views/web_visits_by_hour.sql"
    ]  # fmt: skip
    assert execute(["views", "check", "--project", str(project), "--json"]) == 0
    (view,) = json.loads(capsys.readouterr().out)["views"]
    assert [one["column"] for one in view["columns"]] == [
        "hour", "events", "sum_of_price", "distinct_user_id"
    ]  # fmt: skip
    assert execute(["init", str(project), "--from", str(file)]) == 2
    assert "holds a project already" in capsys.readouterr().err


# --- the command -----------------------------------------------------------------------------------------


def test_the_command_writes_a_draft_that_the_project_reads_and_overwrites_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "sales.jsonl", tmp_path / "sales.yaml"
    file.write_text(f'{{"id": "a", "at": "{AT}", "n": 1}}\nrubbish\n')
    words = ["contracts", "infer", str(file), "--name", "sold", "--topic", "shop.sales", "--out", str(out)]
    assert execute([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["contract"], told["topic"], told["event_time"], told["event_id"]) == ("sold", "shop.sales", "at", "id")
    assert (told["records"], told["rejected"]) == (2, {"bad JSON": 1})
    assert told["unsure"] == [{"field": "", "why": "records that hold no JSON object: 1", "left_out": False}]
    assert parse_contract(out.read_text(), "").topic == "shop.sales"
    before = out.read_text()
    assert execute(words) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert out.read_text() == before


def test_the_command_prints_the_draft_and_says_what_it_rejects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sales.jsonl"
    file.write_text(f'{{"id": "a", "at": "{AT}", "n": 1}}\nrubbish\n')
    assert execute(["contracts", "infer", str(file)]) == 0
    out, err = capsys.readouterr()
    assert parse_contract(out, "").name == "sales"
    assert err == "of 2 records it rejects 1: 1 × bad JSON\n"


@pytest.mark.parametrize("words", [("--name", "my sales"), ("--topic", "my sales")])
def test_a_name_that_cannot_be_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    file = tmp_path / "sales.jsonl"
    file.write_text(f'{{"at": "{AT}"}}\n')
    assert execute(["contracts", "infer", str(file), *words]) == 2
    assert "my sales" in capsys.readouterr().err
