"""What a file of events holds is read whole or refused by name, before the first record of it goes anywhere."""

from __future__ import annotations

import bz2
import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seamline.errors import Condition, TerminalError, UserError
from seamline.kernel import kernel
from seamline.operate.event_files import EventFile, event_time, shift
from seamline.operate.replay import send_files
from seamline.operate.survey import check_files, judge_files, say_rejected
from seamline.schemas.contracts.contract import Contract, parse_contract

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
version: 1.0.0
schema:
  - name: sales
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: at, logicalType: timestamp}
      - {name: note, logicalType: string}
      - {name: n, logicalType: integer}
customProperties:
  - {property: seamline.eventTime, value: at}
  - {property: seamline.eventId, value: id}
  - {property: seamline.topic, value: sales}
"""
SALES = parse_contract(CONTRACT, "sales.yaml")
AT = "2026-03-01T10:00:00Z"
ROW = {"id": "a", "at": AT}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINES = b"".join(json.dumps({"id": str(n), "at": AT}).encode() + b"\n" for n in range(3000))


def text(*rows: str, header: str = "id,at,note") -> bytes:
    return "".join(f"{row}\n" for row in (header, *rows)).encode()


def read(path: Path, contract: Contract = SALES) -> list[bytes]:
    with EventFile(path) as file:
        return list(file.read(contract).records)


READ: list[tuple[str, str, bytes, list[dict[str, Any]]]] = [
    # what it is about, the file's name, its bytes, the events that plain JSON has of them
    ("semicolons", "e.csv", text(f"a;{AT};x,y", header="id;at;note"), [{**ROW, "note": "x,y"}]),
    ("tabs", "e.csv", text(f"a\t{AT}\tx;y", header="id\tat\tnote"), [{**ROW, "note": "x;y"}]),
    ("one column", "e.csv", text(AT, header="at"), [{"at": AT}]),
    ("a header in another case", "e.csv", text(f"a,{AT},x", header="ID,At,NOTE"), [{**ROW, "note": "x"}]),
    ("spaces around names", "e.csv", text(f"a,{AT},x", header=" id , at , note "), [{**ROW, "note": "x"}]),
    ("a column that is no field", "e.csv", text(f"a,{AT},x", header="id,at,color"), [{**ROW, "color": "x"}]),
    ("a name beyond ASCII", "e.csv", text(f"a,{AT},x", header="id,at,größe"), [{**ROW, "größe": "x"}]),
    ("a nameless last column", "e.csv", text(f"a,{AT},", header="id,at,"), [ROW]),
    ("a quote inside a cell", "e.csv", text(f'a,{AT},5" pipe'), [{**ROW, "note": '5" pipe'}]),
    ("doubled quotes", "e.csv", text(f'a,{AT},"""5"" pipe"'), [{**ROW, "note": '"5" pipe'}]),
    ("a line end in quotes", "e.csv", text(f'a,{AT},"x\r\ny\rz"'), [{**ROW, "note": "x\r\ny\rz"}]),
    ("a NUL in a cell", "e.csv", text(f"a,{AT},x\0y"), [{**ROW, "note": "x\0y"}]),
    ("a long cell", "e.csv", text(f"a,{AT},{'x' * (17 << 20)}"), [{**ROW, "note": "x" * (17 << 20)}]),
    ("a byte order mark", "e.csv", b"\xef\xbb\xbf" + text(f"a,{AT},x"), [{**ROW, "note": "x"}]),
    ("no newline at the end", "e.csv", text(f"a,{AT},x").rstrip(), [{**ROW, "note": "x"}]),
    ("a header alone", "e.csv", text(), []),
    ("an empty file of lines", "e.jsonl", b"", []),
    ("two gzip streams", "e.jsonl.gz", gzip.compress(LINES) + gzip.compress(b'{"id":"z"}\n'), [{"id": "z"}]),
    ("two bzip2 streams", "e.jsonl.bz2", bz2.compress(LINES) + bz2.compress(b'{"id":"z"}\n'), [{"id": "z"}]),
    (
        "a record over two chunks",
        "e.jsonl",
        LINES + json.dumps({"id": "z" * (3 << 20)}).encode(),
        [{"id": "z" * (3 << 20)}],
    ),
]


@pytest.mark.parametrize(("name", "content", "events"), [pytest.param(*one[1:], id=one[0]) for one in READ])
def test_what_can_be_read_is_read_whole(
    tmp_path: Path, name: str, content: bytes, events: list[dict[str, Any]]
) -> None:
    (tmp_path / name).write_bytes(content)
    got = [json.loads(value) for value in read(tmp_path / name)]
    plain = [json.loads(line) for line in LINES.splitlines()] if len(got) > 1 else []
    assert got == plain + events


ANY = -1
REFUSED: list[tuple[str, str, bytes, str, int]] = [
    # what it is about, the file's name, its bytes, a word of what was got, the line that is named
    (
        "a quote left open in the last cell",
        "e.csv",
        text(f"a,{AT},x", f'b,{AT},"y', f"c,{AT},z"),
        "quote that is not closed",
        3,
    ),
    ("a quote left open in a middle cell", "e.csv", text(f'a,"{AT},x', f"b,{AT},y"), "quote that is not closed", 2),
    ("text after a closing quote", "e.csv", text(f"a,{AT},x", f'b,{AT},"5" pipe'), "after a closing quote", 3),
    ("a lone carriage return", "e.csv", text(f"a,{AT},x", f"b,{AT},y\rz"), "carriage return", 3),
    ("carriage returns alone", "e.csv", text(f"a,{AT},x").replace(b"\n", b"\r"), "carriage return", 1),
    ("bars between cells", "e.csv", text(f"a|{AT}|x", header="id|at|note"), "does not name the event time", 1),
    ("no header", "e.csv", b"", "does not name the event time", 1),
    ("a column twice", "e.csv", text(f"a,{AT},x", header="id,at,id"), "'id' and 'id' are the same field", 1),
    ("a column twice in another case", "e.csv", text(f"a,{AT},x", header="id,at,ID"), "'id' and 'ID' are the same", 1),
    ("UTF-16", "e.csv", text(f"a,{AT},x").decode().encode("utf-16"), "UTF-16", 1),
    ("UTF-16 lines", "e.jsonl", LINES.decode().encode("utf-16"), "UTF-16", 1),
    ("a gzip file cut off", "e.jsonl.gz", gzip.compress(LINES)[:-20], "damaged", ANY),
    ("a gzip file and something foreign", "e.jsonl.gz", gzip.compress(LINES) + b"foreign", "damaged", ANY),
    ("a gzip file of no bytes", "e.jsonl.gz", b"", "it is empty", 0),
    ("a bzip2 file cut off", "e.jsonl.bz2", bz2.compress(LINES)[:-20], "damaged", ANY),
    ("a bzip2 file and something foreign", "e.jsonl.bz2", bz2.compress(LINES) + b"foreign", "damaged", ANY),
    ("a second bzip2 stream cut off", "e.jsonl.bz2", bz2.compress(LINES) + bz2.compress(LINES)[:-20], "damaged", ANY),
    ("a second bzip2 stream damaged", "e.jsonl.bz2", bz2.compress(LINES) + b"BZh9" + bytes(100), "damaged", ANY),
    ("a bzip2 file of no bytes", "e.jsonl.bz2", b"", "it is empty", 0),
    ("another packing", "e.jsonl.gz", bz2.compress(LINES), "damaged", ANY),
]


@pytest.mark.parametrize(("name", "content", "got", "line"), [pytest.param(*one[1:], id=one[0]) for one in REFUSED])
def test_what_cannot_be_read_whole_is_refused_by_line_before_anything_goes(
    tmp_path: Path, name: str, content: bytes, got: str, line: int
) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / name
    good.write_bytes(LINES)
    bad.write_bytes(content)
    for look in (check_files, lambda paths, contract: judge_files(paths, contract, [], kernel(), NOW)):
        with pytest.raises(UserError) as refused:
            look([good, bad], SALES)
        assert refused.value.condition == Condition.INPUT_INVALID
        assert got in refused.value.message
        assert refused.value.where.startswith(f"{bad}:")
        assert line in (ANY, int(refused.value.where.rpartition(":")[2]))
        assert refused.value.hint


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        ("e.jsonl", b'{"id":"' + b"x" * 2000 + b'"}', "a line of over"),
        ("e.csv", text(f"a,{AT},{'x' * 2000}"), "a cell of over"),
        ("e.csv", text(f"a,{AT},x", f'b,{AT},"y', *("c,d,e" for _ in range(300))), "a cell of over"),
    ],
)
def test_a_line_or_row_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, got: str
) -> None:
    for module in ("packing", "csvrows", "event_files"):
        monkeypatch.setattr(f"seamline.operate.{module}.LONGEST", 1000)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=got):
        check_files([tmp_path / name], SALES)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "got"), [(folder, "is a folder"), (os.mkfifo, "read twice"), (lambda path: None, "No such file")]
)
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], got: str) -> None:
    make(tmp_path / "e.jsonl")
    with pytest.raises(UserError, match=got):
        EventFile(tmp_path / "e.jsonl")


@pytest.mark.parametrize("name", ["e.jsonl.xz", "e.csv.lz4", "e.orc", "e.tar.gz", "-"])
def test_a_format_that_is_not_read_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match="says no format"):
        EventFile(Path(name))


def test_columns_that_are_no_field_and_fields_that_are_no_column_are_named(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(text(f"{AT},x,1", header="at,color,N"))
    lines: list[str] = []
    check_files([tmp_path / "e.csv"], SALES, lines.append)
    said = "\n".join(lines)
    assert "no field of sales: column 'color'" in said
    assert "no column for id, note" in said
    assert "without the event id id copies of these events count again" in said


def test_what_will_be_rejected_is_said_with_its_reasons_before_it_is_sent(tmp_path: Path) -> None:
    good = {"id": "a", "at": AT}
    wrong = [{**good, "n": "7"}, {**good, "n": "8"}, {"at": AT}, {**good, "at": "2027-03-01T10:00:00Z"}, good]
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"\n".join([*(json.dumps(one).encode() for one in wrong), b"[1,", b"\xff", b'{"a":"\0"}']))
    survey = judge_files([path], SALES, [SALES], kernel(), NOW)
    assert survey.records == 8
    assert survey.rejected == {
        "wrong type: n": 2,
        "missing: id": 1,
        "event time in the future": 1,
        "bad JSON": 2,
        "bad UTF-8": 1,
    }
    said: list[str] = []
    say_rejected(survey, SALES, said.append)
    assert "7 of 8 records will be rejected: 2 × wrong type: n, 2 × bad JSON, 1 × missing: id" in said[0]
    by = timedelta(days=-400)
    assert "event time in the future" not in judge_files([path], SALES, [SALES], kernel(), NOW, by).rejected


def test_the_largest_record_is_known_by_its_place_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.jsonl").write_bytes(LINES + b'{"id": "' + b"x" * 1000 + b'"}\n' + LINES)
    survey = judge_files([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], SALES, [SALES], kernel(), NOW)
    assert survey.longest == (1010, f"{tmp_path / 'b.jsonl'}: record 3001")


def test_records_of_other_contracts_of_the_topic_are_told_apart(tmp_path: Path) -> None:
    kinds = CONTRACT + "  - {property: seamline.discriminator, value: {path: kind, value: sale}}\n"
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps({**ROW, "kind": kind}) for kind in ("sale", "refund", "gift")))
    contract = parse_contract(kinds, "sales.yaml")
    said: list[str] = []
    say_rejected(judge_files([path], contract, [contract], kernel(), NOW), contract, said.append)
    assert said == ["2 of 3 records are not events of sales: kind is not 'sale'"]


def test_a_file_that_is_damaged_after_it_was_looked_at_says_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(gzip.compress(LINES)[:-20])
    sent: list[bytes | None] = []
    with pytest.raises(TerminalError) as refused:
        send_files([path], SALES, lambda key, value: sent.append(value))
    assert refused.value.message.startswith(f"{len(sent)} records were sent, then: ")


SHIFTED = [
    # the record, and the same with its own first event time a day later
    (f'{{"x":{{"at":"{AT}"}},"at":"{AT}"}}', f'{{"x":{{"at":"{AT}"}},"at":"2026-03-02T10:00:00Z"}}'),
    (f'{{"at":"{AT}","l":[{{"at":"{AT}"}}]}}', f'{{"at":"2026-03-02T10:00:00Z","l":[{{"at":"{AT}"}}]}}'),
    (f'{{"at":"{AT}","at":"{AT}"}}', f'{{"at":"2026-03-02T10:00:00Z","at":"{AT}"}}'),
    (f'{{"note":"\\"at\\":\\"{AT}\\"","at":"{AT}"}}', f'{{"note":"\\"at\\":\\"{AT}\\"","at":"2026-03-02T10:00:00Z"}}'),
    (f'{{"\\u0061t" : "{AT}"}}', '{"\\u0061t" : "2026-03-02T10:00:00Z"}'),
    (f'{{"x":{{"at":"{AT}"}}}}', f'{{"x":{{"at":"{AT}"}}}}'),
    (f'{{"x":{{"at":"{AT}"}},"at":5}}', f'{{"x":{{"at":"{AT}"}},"at":5}}'),
]


@pytest.mark.parametrize(("before", "after"), SHIFTED)
def test_only_the_events_own_time_is_moved(before: str, after: str) -> None:
    assert shift(before.encode(), SALES, timedelta(days=1)) == after.encode()
    moved = '"at":"' not in before.split("{", 2)[-1] and before == after
    assert moved or (event_time(before.encode(), SALES) is None) == (before == after)
