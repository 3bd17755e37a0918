"""Files that other tools made, members of zip files and standard input hold the same events; damaged ones send none."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import order, orders
from lakes import project as bench_project

from seamline.cli.main import execute
from seamline.errors import Condition, UserError
from seamline.history.archive import ArchiveHistory
from seamline.kernel import kernel
from seamline.operate import event_files, event_sources, packing
from seamline.operate.event_files import EventFile
from seamline.operate.event_sources import sources
from seamline.operate.survey import check_files, judge_files
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
      - {name: counted, logicalType: timestamp, physicalType: epoch_millis}
      - {name: amount, logicalType: number, physicalType: "decimal(38,20)"}
      - {name: n, logicalType: integer}
      - {name: share, logicalType: number}
      - {name: paid, logicalType: boolean}
      - {name: tags, logicalType: array, items: {logicalType: string}}
      - {name: place, logicalType: object, properties: [{name: city, logicalType: string}]}
customProperties:
  - {property: seamline.eventTime, value: at}
  - {property: seamline.eventId, value: id}
  - {property: seamline.topic, value: sales}
"""
SALES = parse_contract(CONTRACT, "sales.yaml")
AT = "2026-03-01T10:00:00Z"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = [{"id": str(n), "at": AT, "n": n} for n in range(3000)]
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)


def read(files: Sequence[Path], contract: Contract = SALES, **named: Any) -> list[Any]:
    with sources(files, **named) as found:
        values: list[bytes] = []
        for one in found:
            with EventFile(one) as file:
                values += file.read(contract).records
    return [json.loads(value) for value in values]


def run(*words: object, given: bytes = b"") -> bytes:
    return subprocess.run([str(word) for word in words], input=given, capture_output=True, check=True).stdout


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES)
    return path


BZIP2 = "import bz2,sys;sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))"
PACKING = {".gz": ("gzip", "-c"), ".zst": ("zstd", "-q", "-c"), ".bz2": (sys.executable, "-c", BZIP2)}


@pytest.mark.parametrize("packed", PACKING)
def test_every_member_of_a_packed_file_is_read(tmp_path: Path, packed: str) -> None:
    """Two halves packed one by one and put together are one file, as those tools say."""
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    path = tmp_path / f"a.jsonl{packed}"
    path.write_bytes(run(*PACKING[packed], given=LINES[:half]) + run(*PACKING[packed], given=LINES[half:]))
    assert read([path]) == EVENTS


@pytest.mark.parametrize("packed", PACKING)
@pytest.mark.parametrize("harm", ["cut off", "followed", "changed", "empty"])
def test_a_packed_file_that_is_damaged_is_refused_before_anything_goes(tmp_path: Path, packed: str, harm: str) -> None:
    whole = run(*PACKING[packed], given=LINES)
    middle = len(whole) // 2
    content = {
        "cut off": whole[:-7],
        "followed": whole + b"something else",
        "changed": whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :],
        "empty": b"",
    }[harm]
    path = tmp_path / f"a.jsonl{packed}"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        check_files([path], SALES)
    assert refused.value.condition == Condition.INPUT_INVALID
    assert "damaged" in refused.value.message


def test_a_zip_file_is_its_members_in_order(tmp_path: Path, plain: Path) -> None:
    (tmp_path / "b.csv").write_text(f"id,at\nb,{AT}\n")
    (tmp_path / "c.jsonl.gz").write_bytes(run("gzip", "-c", given=b'{"id": "c"}\n'))
    run("zip", "-q", "-j", tmp_path / "all.zip", plain, tmp_path / "b.csv", tmp_path / "c.jsonl.gz")
    assert read([tmp_path / "all.zip"]) == [*EVENTS, {"id": "b", "at": AT}, {"id": "c"}]
    with sources([tmp_path / "all.zip"]) as found:
        assert [str(one) for one in found] == [
            f"{tmp_path}/all.zip/{name}" for name in ("a.jsonl", "b.csv", "c.jsonl.gz")
        ]


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_what_macos_adds_to_a_zip_file_is_passed_over_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    path = zip_of(tmp_path / "a.zip", {"a.jsonl": LINES, "__MACOSX/._a.jsonl": b"\x00\x05\x16\x07"})
    assert read([path], say=said.append) == EVENTS
    assert "1 members below __MACOSX" in said[0]


def locked(path: Path) -> Path:
    """Python writes no such file: the bit that says so, set by hand, in the list and before the member."""
    content = bytearray(zip_of(path, {"a.jsonl": LINES}).read_bytes())
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(sign) + at] |= 1
    path.write_bytes(content)
    return path


def harmed(path: Path) -> Path:
    content = bytearray(zip_of(path, {"a.jsonl": LINES}).read_bytes())
    content[200] ^= 0x55
    path.write_bytes(content)
    return path


def cut_off(path: Path) -> Path:
    path.write_bytes(zip_of(path, {"a.jsonl": LINES}).read_bytes()[:-40])
    return path


def nothing(path: Path) -> Path:
    path.write_bytes(b"")
    return path


NOT_READ: list[tuple[str, Callable[[Path], Path], str]] = [
    ("a password", locked, "locked by a password"),
    ("a member that is damaged", harmed, "damaged"),
    ("a zip file cut off", cut_off, "damaged"),
    ("no bytes", nothing, "damaged"),
    ("no member", lambda path: zip_of(path, {}), "holds no file"),
    ("a member without a format", lambda path: zip_of(path, {"a.jsonl": LINES, "README": b"x"}), "says no format"),
    ("a zip file in a zip file", lambda path: zip_of(path, {"b.zip": b"PK"}), "is a zip file"),
    ("Parquet in a zip file", lambda path: zip_of(path, {"b.parquet": b"PAR1"}), "Parquet"),
]


@pytest.mark.parametrize(("make", "got"), [pytest.param(*one[1:], id=one[0]) for one in NOT_READ])
def test_a_zip_file_that_cannot_be_read_whole_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], got: str
) -> None:
    with pytest.raises(UserError) as refused, sources([make(tmp_path / "a.zip")]) as found:
        check_files(found, SALES)
    assert refused.value.condition == Condition.INPUT_INVALID
    assert got in refused.value.message
    assert refused.value.hint
    assert refused.value.where.startswith(f"{tmp_path}/a.zip")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.zip"])
def test_a_file_that_would_unpack_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Bounds are lower here: a file that swells a hundredfold stands for one that swells a thousandfold."""
    for module in (packing, event_files, event_sources):
        monkeypatch.setattr(module, "FREE", 1 << 20)
        monkeypatch.setattr(module, "SWELLING", 20)
    bomb = b'{"id": "a"}\n' * 500_000
    path = tmp_path / name
    if name == "a.zip":
        zip_of(path, {"a.jsonl": bomb})
    else:
        path.write_bytes(run(*PACKING[path.suffix], given=bomb))
    with pytest.raises(UserError, match="over 20 times") as refused, sources([path]) as found:
        check_files(found, SALES)
    assert refused.value.condition == Condition.INPUT_INVALID


ROW = {
    "id": "a", "at": datetime(2026, 3, 1, 10, 0, 0, 123456, tzinfo=UTC), "counted": datetime(2026, 3, 1, tzinfo=UTC),
    "amount": Decimal("123456789012345678.12345678901234567890"), "n": 9007199254740993, "share": 0.1, "paid": True,
    "tags": ["x", None, 'y"'], "place": {"city": "Åbo"},
}  # fmt: skip
AS_JSON = (
    '{"id":"a","at":"2026-03-01T10:00:00.123456Z","counted":1772323200000,'
    '"amount":123456789012345678.12345678901234567890,"n":9007199254740993,"share":0.1,"paid":true,'
    '"tags":["x",null,"y\\""],"place":{"city":"Åbo"}}'
)


def by_pyarrow(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ROW, {"id": "b", "at": ROW["at"]}], schema=pa.schema([
        ("id", pa.string()), ("at", pa.timestamp("us", "Europe/Helsinki")), ("counted", pa.timestamp("ms", "UTC")),
        ("amount", pa.decimal128(38, 20)), ("n", pa.int64()), ("share", pa.float64()), ("paid", pa.bool_()),
        ("tags", pa.list_(pa.string())), ("place", pa.struct([("city", pa.string())])),
    ])), path)  # fmt: skip


def by_duckdb(path: Path) -> None:
    duckdb.sql(
        "COPY (SELECT 'a' AS id, TIMESTAMPTZ '2026-03-01 10:00:00.123456+00' AS at,"
        " TIMESTAMPTZ '2026-03-01 00:00:00+00' AS counted,"
        " 123456789012345678.12345678901234567890::DECIMAL(38,20) AS amount, 9007199254740993 AS n,"
        " 0.1::DOUBLE AS share, true AS paid, ['x', NULL, 'y\"'] AS tags, {'city': 'Åbo'} AS place"
        " UNION ALL BY NAME SELECT 'b' AS id, TIMESTAMPTZ '2026-03-01 10:00:00.123456+00' AS at)"
        f" TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
    )


@pytest.mark.parametrize("make", [by_pyarrow, by_duckdb])
def test_parquet_gives_every_digit_as_json_has_it(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "a.parquet"
    make(path)
    with EventFile(path) as file:
        values = list(file.read(SALES).records)
    assert [value.decode() for value in values] == [AS_JSON, '{"id":"b","at":"2026-03-01T10:00:00.123456Z"}']
    survey = judge_files([path], SALES, [SALES], kernel(), NOW)
    assert (survey.records, survey.rejected.total()) == (2, 0)


def test_what_json_cannot_write_is_rejected_by_name_and_not_made_another_value(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    at = [datetime(2026, 3, 1, tzinfo=UTC)] * 3
    pq.write_table(pa.table({"id": ["a", "b", "c"], "at": at, "share": [float("nan"), float("inf"), 1.5]}), path)
    survey = judge_files([path], SALES, [SALES], kernel(), NOW)
    assert dict(survey.rejected) == {"wrong type: share": 2}
    assert [(one.records, one.first) for one in survey.rejections] == [(2, f"{path}: record 1")]


@pytest.mark.parametrize(
    ("column", "got"), [(pa.array([timedelta(1)]), "duration"), (pa.array([[timedelta(1)]]), "duration")]
)
def test_a_type_that_json_has_no_word_for_is_refused_with_its_column(
    tmp_path: Path, column: pa.Array, got: str
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"at": pa.array([NOW]), "took": column}), path)
    with pytest.raises(UserError, match=got) as refused:
        check_files([path], SALES)
    assert refused.value.where == f"{path}: column took"


def test_parquet_without_the_event_time_is_refused_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["a"], "when": [NOW]}), path)
    with pytest.raises(UserError, match="id, when"):
        check_files([path], SALES)


@pytest.mark.parametrize("harm", ["cut off", "changed", "empty", "foreign"])
def test_a_damaged_parquet_file_is_refused_before_anything_goes(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"id": [str(n) for n in range(5000)], "at": [NOW] * 5000})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    whole = path.read_bytes()
    path.write_bytes({
        "cut off": whole[:-100], "changed": whole[:900] + bytes([whole[900] ^ 0x55]) + whole[901:], "empty": b"",
        "foreign": LINES,
    }[harm])  # fmt: skip
    with pytest.raises(UserError, match="damaged") as refused:
        check_files([path], SALES)
    assert refused.value.condition == Condition.INPUT_INVALID


def test_standard_input_tells_how_it_is_packed(tmp_path: Path) -> None:
    parquet = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(EVENTS), parquet)
    zipped = zip_of(tmp_path / "a.zip", {"a.jsonl": LINES})
    packed = [run(*words, given=LINES) for words in PACKING.values()]
    for content in (LINES, *packed, parquet.read_bytes(), zipped.read_bytes()):
        assert read([Path("-")], stdin=io.BytesIO(content)) == EVENTS
    csv = f"id,at\nb,{AT}\n".encode()
    assert read([Path("-")], kind="csv", stdin=io.BytesIO(csv)) == [{"id": "b", "at": AT}]
    assert read([Path("-")], kind="csv.gz", stdin=io.BytesIO(run("gzip", "-c", given=csv))) == [{"id": "b", "at": AT}]
    assert read([Path("-")], stdin=io.BytesIO(b"")) == []


@pytest.mark.parametrize(
    ("files", "kind", "got"),
    [(["-", "-"], "", "twice"), (["a.jsonl"], "csv", "without '-'"), (["-"], "xml", "no format")],
)
def test_standard_input_that_cannot_be_meant_is_refused(plain: Path, files: list[str], kind: str, got: str) -> None:
    named = [Path(name) if name == "-" else plain for name in files]
    with pytest.raises(UserError, match=got), sources(named, kind, io.BytesIO(LINES)):
        pass


def test_an_import_says_what_was_rejected_and_where_it_stands_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = bench_project(tmp_path)
    bad = [b"{", order("x", amount="many"), b"["]
    content = b"\n".join([*orders(2), *bad])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    zipped = zip_of(tmp_path / "months.zip", {"may.jsonl": b"\n".join(orders(3, "m")), "june.jsonl": content})
    wanted = ["--contract", "orders", "--project", str(tmp_path)]
    assert execute(["import", str(zipped), *wanted]) == 0
    said = capsys.readouterr().out
    assert "3 of them are rejected" in said
    assert f"2  bad JSON            {zipped}/june.jsonl: record 3" in said
    assert f"1  wrong type: amount  {zipped}/june.jsonl: record 4" in said
    history = ArchiveHistory(bench.lake.archive_log("main"))
    assert (history.counts["orders"].read, history.counts["orders"].rejected) == (8, 3)
    assert execute(["import", "-", *wanted, "--json"]) == 0, "the same content, however it came"
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["file"], found["already"], found["reasons"]) == ("standard input", True, [])


def test_of_several_files_nothing_is_imported_where_one_is_damaged(
    tmp_path: Path, plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = bench_project(tmp_path)
    bad = tmp_path / "bad.jsonl.zst"
    bad.write_bytes(run(*PACKING[".zst"], given=LINES)[:-7])
    assert execute(["import", str(plain), str(bad), "--contract", "orders", "--project", str(tmp_path)]) == 2
    assert "damaged" in capsys.readouterr().err
    assert not ArchiveHistory(bench.lake.archive_log("main")).imports
