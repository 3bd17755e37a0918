"""Files of events: every format gives the same records, bad lines stay as they are, keys come from the contract."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stream_parts import event, make_project

from seamline.cli.main import execute
from seamline.errors import Condition, UserError
from seamline.operate.event_files import EventFile, event_time, newest, read_event, shift
from seamline.operate.replay import producer, send_files
from seamline.schemas.contracts.contract import Contract, parse_contract

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
version: 1.0.0
status: active
schema:
  - name: sales
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: at, logicalType: timestamp, required: true}
      - {name: shop, logicalType: string, physicalName: shop-name}
      - {name: amount, logicalType: number, physicalType: "decimal(38,20)"}
      - {name: items, logicalType: integer}
      - {name: paid, logicalType: boolean}
      - {name: tags, logicalType: array, items: {logicalType: string}}
    customProperties:
      - {property: seamline.topic, value: TOPIC}
      - {property: seamline.eventTime, value: at}
      - {property: seamline.eventId, value: id}
      - {property: seamline.key, value: shop}
"""
SALES: list[dict[str, Any]] = [
    {"id": "a", "at": "2015-02-22T21:00:00Z", "shop-name": "Åbo", "items": 2, "paid": True, "tags": ["x", "y"]},
    {"id": "b", "at": "2015-02-22T21:30:00.5Z", "shop-name": 'O"Hara, Ltd', "items": -1, "paid": False},
    {"id": "c", "at": "2015-02-22T20:00:00+02:00", "shop-name": "two\nlines"},
]
CSV = (
    "id,at,shop-name,items,paid,tags\r\n"
    'a,2015-02-22T21:00:00Z,Åbo,2,True,"[""x"",""y""]"\r\n'
    'b,2015-02-22T21:30:00.5Z,"O""Hara, Ltd",-1,false,\r\n'
    "\r\n"
    'c,2015-02-22T20:00:00+02:00,"two\nlines",,,\r\n'
).encode()
LINES = "\n".join(json.dumps(sale, ensure_ascii=False) for sale in SALES).encode() + b"\n\n"
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sales() -> Contract:
    return parse_contract(CONTRACT, "sales.yaml")


def values(path: Path, contract: Contract) -> list[bytes]:
    with EventFile(path) as file:
        return list(file.read(contract).records)


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize(("kind", "content"), [(".jsonl", LINES), (".ndjson", LINES), (".csv", CSV)])
def test_every_format_gives_the_same_events(
    tmp_path: Path, sales: Contract, kind: str, content: bytes, packed: str
) -> None:
    path = tmp_path / f"sales.2015{kind}{packed}"
    path.write_bytes(PACK[packed](content))
    assert [json.loads(value) for value in values(path, sales)] == SALES


def test_json_lines_are_passed_on_byte_for_byte(tmp_path: Path, sales: Contract) -> None:
    lines = [b'{"id" : "a",  "amount": 1.10}', b"\xff\xfe not text", b"[1, 2", b'{"n": 1e400}', b'{"a":1,"a":2}']
    path = tmp_path / "sales.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    assert values(path, sales) == lines


def test_a_csv_number_keeps_every_digit(tmp_path: Path, sales: Contract) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("id,at,amount\na,2015-02-22T21:00:00Z,12345678901234567.12345678901234567890\n")
    assert b'"amount":12345678901234567.12345678901234567890' in values(path, sales)[0]


def test_a_csv_cell_of_the_wrong_type_stays_text_for_the_contract_to_refuse(tmp_path: Path, sales: Contract) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("id,at,items,paid,tags\na,2015-02-22T21:00:00Z,007,yes,[\n")
    event = json.loads(values(path, sales)[0])
    assert (event["items"], event["paid"], event["tags"]) == ("007", "yes", "[")


def test_a_csv_row_that_does_not_fit_the_header_is_passed_on_as_it_stands(tmp_path: Path, sales: Contract) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(b'id,at\na,2015-02-22T21:00:00Z\nb\n"c\nd",x,y\ne,\xff\n')
    records = values(path, sales)
    assert records[1:] == [b"b", b'"c\nd",x,y', b'{"id":"e","at":"\xff"}']
    assert [read_event(record, sales)[0].readable for record in records] == [True, False, False, False]


def test_a_csv_without_the_event_time_is_refused_with_its_header(tmp_path: Path, sales: Contract) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("id,when\na,b\n")
    with pytest.raises(UserError) as refused:
        values(path, sales)
    assert refused.value.where == f"{path}:1"
    assert "id, when" in refused.value.message
    assert "shop-name" in refused.value.detail


@pytest.mark.parametrize("name", ["sales", "sales.xml", "sales.gz", "sales.jsonl.xz"])
def test_a_file_whose_name_says_no_format_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LINES)
    with pytest.raises(UserError) as refused:
        EventFile(tmp_path / name)
    assert refused.value.condition == Condition.INPUT_INVALID
    assert ".jsonl" in refused.value.detail


@pytest.mark.parametrize("packed", [".gz", ".bz2"])
def test_a_damaged_file_gives_what_stands_above_the_damage_and_names_the_line(
    tmp_path: Path, sales: Contract, packed: str
) -> None:
    path = tmp_path / f"sales.jsonl{packed}"
    path.write_bytes(PACK[packed](LINES * 2000)[:-20])
    seen: list[bytes] = []
    with pytest.raises(UserError) as refused, EventFile(path) as file:
        seen.extend(file.read(sales).records)
    assert refused.value.where.startswith(f"{path}:")
    assert all(json.loads(value) for value in seen)


def test_the_key_is_the_contracts_key_field(sales: Contract) -> None:
    assert read_event(json.dumps(SALES[0]).encode(), sales)[0].key == "Åbo".encode()
    assert read_event(b'{"id":"x"}', sales)[0].key is None
    assert read_event(b"{", sales)[0].key is None


def test_shifting_moves_the_event_time_and_nothing_else(sales: Contract) -> None:
    value = b'{"at" : "2015-02-22T20:00:00+02:00", "amount": 1.00000000000000000001, "id": "2015-02-22T20:00:00+02:00"}'
    moved = shift(value, sales, timedelta(days=1, seconds=0.5))
    assert moved == value.replace(b'"at" : "2015-02-22T20:00:00+02:00"', b'"at" : "2015-02-23T18:00:00.500000Z"')


@pytest.mark.parametrize("value", [b"not json", b'{"id": "a"}', b'{"at": 7}', b'{"at": "9999-12-31T23:00:00Z"}'])
def test_what_has_no_event_time_to_move_stays_as_it_is(sales: Contract, value: bytes) -> None:
    assert shift(value, sales, timedelta(days=1)) == value


def test_the_newest_time_is_one_that_the_contract_accepts(sales: Contract) -> None:
    far = b'{"at": "9999-01-01T00:00:00Z"}'
    old = b'{"at": "1903-01-01T00:00:00Z"}'
    lines = [*LINES.splitlines(), far, old, b"broken"]
    assert newest(lines, sales, NOW) == datetime(2015, 2, 22, 21, 30, 0, 500000, tzinfo=UTC)
    assert newest([far, old], sales, NOW) is None


def test_a_rate_spreads_the_records_over_time(tmp_path: Path, sales: Contract) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_bytes(LINES.rstrip() + b"\nbroken\n")
    started = datetime.now(UTC)
    sent = send_files([path, path], sales, lambda key, value: None, rate=40)
    assert sent == 8
    assert datetime.now(UTC) - started >= timedelta(seconds=7 / 40)


def test_replayed_records_reach_the_topic_in_order_with_their_keys(
    tmp_path: Path, broker: Any, fresh_topic: Callable[..., str]
) -> None:
    from kafka import KafkaConsumer, TopicPartition

    topic = fresh_topic(partitions=1)
    contract = parse_contract(CONTRACT.replace("TOPIC", topic), "sales.yaml")
    path = tmp_path / "sales.jsonl"
    path.write_bytes(LINES.rstrip() + b"\nbroken\n")
    with producer(broker.bootstrap, {}, topic) as send:
        sent = send_files([path], contract, send, by=timedelta(days=1))
    assert sent == 4
    reader = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    reader.assign([TopicPartition(topic, 0)])
    records: list[Any] = []
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while len(records) < 4 and datetime.now(UTC) < deadline:
        for batch in reader.poll(timeout_ms=500).values():
            records += batch
    reader.close()
    assert [record.value for record in records][-1] == b"broken"
    assert [record.key for record in records] == ["Åbo".encode(), b'O"Hara, Ltd', b"two\nlines", None]
    times = [event_time(record.value, contract) for record in records]
    assert times[0] == datetime(2015, 2, 23, 21, tzinfo=UTC)


def test_the_command_says_what_will_be_rejected_and_sends_nothing_of_a_damaged_file(
    tmp_path: Path, broker: Any, fresh_topic: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    from kafka import KafkaConsumer, TopicPartition

    topic = fresh_topic(partitions=1)
    project = make_project(tmp_path / "p", broker.bootstrap, topic)
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl.gz"
    good.write_bytes(event(1) + b"\n[1,\n" + event(2) + b"\n")
    bad.write_bytes(gzip.compress(event(3) + b"\n")[:-4])
    wanted = ["--contract", "clicks", "--project", str(project.folder)]
    assert execute(["replay", str(good), str(bad), *wanted]) == 2
    assert "damaged" in capsys.readouterr().err
    assert execute(["replay", str(good), *wanted]) == 0
    said = capsys.readouterr()
    assert f"3 records sent to {topic}" in said.out
    assert "1 of 3 records will be rejected: 1 × bad JSON" in said.err
    reader = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    assert reader.end_offsets([TopicPartition(topic, 0)]) == {TopicPartition(topic, 0): 3}
    reader.close()
