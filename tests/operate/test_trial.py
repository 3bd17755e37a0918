"""`seamline try`: an answer from a file of events alone, as a plain loop over its records gives it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from seamline.cli.main import execute
from seamline.demo.truth import differences, true_answer
from seamline.operate.survey import ROWS
from seamline.operate.trial import try_file
from seamline.schemas.contracts.contract import event_schema, load_contracts
from seamline.schemas.views.text import parse_views

GITHUB = ROOT / "examples/github"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = ROOT / "examples/orders/orders.jsonl.gz"


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """Five events, three of them on one day, one copied with other bytes; one record is rubbish."""
    events: list[dict[str, Any]] = [
        {"id": "a", "at": "2026-02-01T10:00:00Z", "shop": "x", "price": 1.1},
        {"id": "b", "at": "2026-02-01T11:00:00Z", "shop": "y", "price": 2.25},
        {"id": "c", "at": "2026-02-02T10:00:00Z", "shop": "x", "price": 3.3},
        {"id": "d", "at": "2026-02-02T10:00:00Z", "shop": "x", "price": None},
        *({"id": f"e{n}", "at": "2026-02-03T10:00:00Z", "shop": "z", "price": 0.1} for n in range(10)),
        {"shop": "x", "at": "2026-02-01T10:00:00+00:00", "id": "a", "price": 1.1},
    ]
    file = tmp_path / "sales.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in events) + "rubbish\n")
    return file


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[Any, str]:
    assert execute(["try", *words, "--format", "json"]) == code
    out, err = capsys.readouterr()
    return json.loads(out or "null"), err


def test_a_views_select_counts_each_event_once_and_sums_exactly(
    sales: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = "SELECT date_trunc('day', \"at\") AS day, count(*) AS n, sum(price) AS paid FROM events GROUP BY ALL"
    rows, err = asked(capsys, str(sales), sql)
    assert [(row["day"][:10], row["n"], Decimal(row["paid"])) for row in rows] == [
        ("2026-02-01", 2, Decimal("3.35")), ("2026-02-02", 2, Decimal("3.30")), ("2026-02-03", 10, Decimal("1.00")),
    ]  # fmt: skip
    assert "14 of 16 records count" in err
    assert "rejected: 1: 1 × bad JSON" in err
    assert "left out as copies, by id and at: 1" in err
    assert "no view" not in err


def test_a_select_without_a_time_bucket_is_answered_as_a_views(sales: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, err = asked(capsys, str(sales), "SELECT shop, count(*) AS sales FROM events WHERE price > 1 GROUP BY ALL;")
    assert rows == [{"shop": "x", "sales": 2}, {"shop": "y", "sales": 1}]
    assert "a view would need a time bucket" in err


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT id, shop FROM events LIMIT 2", [{"id": "a", "shop": "x"}, {"id": "b", "shop": "y"}]),
        ("SELECT shop, count(*) AS n FROM sales GROUP BY shop ORDER BY n DESC LIMIT 1", [{"shop": "z", "n": 10}]),
        ("WITH s AS (SELECT * FROM events) SELECT count(*) AS n FROM s", [{"n": 14}]),
        ("SELECT max(shop) FROM events", [{"max(shop)": "z"}]),
    ],
)
def test_what_is_no_views_select_is_asked_of_the_events(
    sales: Path, capsys: pytest.CaptureFixture[str], sql: str, rows: list[dict[str, Any]]
) -> None:
    found, err = asked(capsys, str(sales), sql)
    assert found == rows
    assert "since it is no view's" in err


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT shp, count(*) AS n FROM events GROUP BY ALL", "[VIEW_INVALID] SQL:1:8: unknown field 'shp'"),
        ("SELECT shop,\n count(* AS n FROM events", "[VIEW_INVALID] SQL:2:"),
        ("SELECT count(*) AS n FROM elsewhere", "unknown contract 'elsewhere'"),
        ("WITH s AS (SELECT 1) SELECT * FROM elsewhere", "elsewhere is not in the file"),
        ("SELECT * FROM read_csv('/etc/passwd')", "[VIEW_INVALID]"),
        ("SELECT id FROM sales; SELECT 1", "[VIEW_INVALID]"),
        ("DROP TABLE sales", "a statement that is no SELECT"),
        ("COPY sales TO '/tmp/x.csv'", "a statement that is no SELECT"),
        ("SELECT CAST(shop AS INTEGER) FROM sales LIMIT 1", "[QUERY_INVALID] 1:8: Conversion Error"),
        ("SELECT max(at) AS newest FROM events", "'at' without quotes, reserved by SQL"),
        ("SELECT 'x", "a quote or comment that does not end"),
        ("", "[QUERY_REFUSED]"),
    ],
)
def test_bad_sql_gets_a_clear_error_and_no_rows(
    sales: Path, capsys: pytest.CaptureFixture[str], sql: str, said: str
) -> None:
    rows, err = asked(capsys, str(sales), sql, code=2)
    assert rows is None
    assert said in err


def test_a_contract_that_is_given_decides(sales: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sold.yaml"
    assert execute(["contracts", "infer", str(sales), "--name", "sold", "--out", str(out)]) == 0
    out.write_text(out.read_text().replace("decimal(18,2)", "decimal(18,1)"))
    capsys.readouterr()
    rows, err = asked(capsys, str(sales), "SELECT count(*) AS n FROM sold", "--contract", str(out))
    assert rows == [{"n": 13}]
    assert "1 × too precise: price" in err
    assert "contract: drafted" not in err


def test_an_empty_file_has_no_events(tmp_path: Path, sales: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, empty = tmp_path / "sales.yaml", tmp_path / "empty.jsonl"
    assert execute(["contracts", "infer", str(sales), "--out", str(out)]) == 0
    empty.write_text("")
    capsys.readouterr()
    rows, _ = asked(capsys, str(empty), "SELECT id FROM events LIMIT 1", "--contract", str(out))
    assert rows == []


def test_of_copies_the_one_that_stands_first_in_the_file_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However far below it the others stand: records are decoded in portions of ROWS."""
    file = tmp_path / "readings.jsonl"
    ids = [*range(ROWS), "a", "b", 5]
    lines = (json.dumps({"id": f"r{id_}", "ts": "2026-02-01", "n": n}) for n, id_ in enumerate(ids))
    file.write_text("\n".join(lines))
    rows, err = asked(capsys, str(file), "SELECT max(n) AS n FROM events WHERE id = 'r5'")
    assert rows == [{"n": 5}]
    assert "copies, by id and ts: 1" in err


def test_the_example_is_answered_as_its_records_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Against the first of each event (id and time) among the records that a plain parser reads."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for line in gzip.decompress(ORDERS.read_bytes()).split(b"\n"):
        try:
            event = json.loads(line, parse_float=Decimal)
            sound = isinstance(event["total"], int | Decimal) and isinstance(event["lines"], list)
            if sound and "1970" < event["placed"] < "2026":
                first.setdefault((event["id"], event["placed"]), event)
        except (ValueError, KeyError):
            continue
    truth: dict[str, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for event in first.values():
        truth[event["shop"]][0] += 1
        truth[event["shop"]][1] += event["net"]
    rows, _ = asked(capsys, str(ORDERS), "SELECT shop, count(*) AS n, sum(net) AS net FROM events GROUP BY ALL")
    assert {row["shop"]: [row["n"], Decimal(row["net"])] for row in rows} == truth


@pytest.mark.parametrize("view", sorted((GITHUB / "views").glob("*.sql")), ids=lambda path: path.stem)
def test_the_examples_views_are_answered_as_duckdb_alone_answers_them(view: Path) -> None:
    (file,) = GITHUB.glob("*T22.jsonl.gz")
    (contract,) = load_contracts(GITHUB / "contracts").values()
    (parsed,) = parse_views(view.read_text(), str(view))
    found = try_file(file, parsed.text, NOW, Path(contract.where))
    assert found.definition is not None
    exact = [one.name for one in found.definition.columns if one.exactness == "exact"]
    keys = [one.name for one in found.definition.keys]
    truth = true_answer(parsed.text, contract.name, event_schema(contract), [file]).select(exact)
    told = differences(found.table.select(exact), truth, keys, {}, {})
    assert told
    assert [one for one in told if not one.holds] == []


def test_rows_can_be_csv_and_a_table(sales: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT shop, count(*) AS n FROM events GROUP BY ALL"
    assert execute(["try", str(sales), sql, "--format", "csv"]) == 0
    assert [*csv.reader(io.StringIO(capsys.readouterr().out))][1:] == [["x", "3"], ["y", "1"], ["z", "10"]]
    assert execute(["try", str(sales), sql]) == 0
    assert "3 rows" in capsys.readouterr().out


def test_neither_spark_nor_kafka_is_loaded(sales: Path) -> None:
    script = (
        "import sys; from seamline.cli.main import execute;"
        f" assert execute(['try', {str(sales)!r}, 'SELECT count(*) AS n FROM events']) == 0;"
        " print(sorted({'pyspark', 'kafka', 'delta', 'deltalake'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
