"""Rejected records are listed with what is wrong with them, each once, until a mended contract accepts them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lakes import CONTRACT, Bench, contract, order, orders
from lakes import project as bench_project

from seamline.cli.main import execute
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.operate.quarantine import contract_of

STRICT = ", logicalTypeOptions: {maximum: 5}"

BAD = (b"{", b"\xff", order("o1", amount=9), b"[1]", b"{")
"""Two of them are the same bytes, at positions of their own."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = bench_project(tmp_path)
    judge(made, tmp_path, STRICT)
    made.send(*orders(3), *BAD)
    made.archive()
    return made


def judge(bench: Bench, folder: Path, extra: str) -> None:
    """From now on, records are judged by the contract with this beside its amount."""
    bench.contract = contract(extra)
    (folder / "contracts" / "orders.yaml").write_text(CONTRACT.replace(" EXTRA", extra))


def file_again(bench: Bench, first: int, end: int) -> None:
    """Records of some offsets stand in raw once more, as the contract judges them now."""
    history, of = ArchiveHistory(bench.lake.archive_log("main")), Partition(bench.source, 0)
    rows = bench.records(Frontier({of: first} if first else {}), Frontier({of: end}))
    bench._append(rows, history, history.frontier, ())


def said(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    capsys.readouterr()
    assert execute(["quarantine", *words, "--project", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def reasons(found: list[dict[str, Any]]) -> dict[str, int]:
    return {one["reason"]: one["records"] for one in found}


EXPECTED = {"bad JSON": 2, "bad UTF-8": 1, "rule max: amount": 1, "not an object": 1}


def test_rejected_records_are_counted_by_reason_the_most_first(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, tmp_path, "list")
    assert reasons(found) == EXPECTED
    assert (found[0]["contract"], found[0]["reason"]) == ("orders", "bad JSON")
    assert found[0]["first"] == found[0]["last"] == bench.clock().isoformat()
    assert said(capsys, tmp_path, "list", "orders") == found


def test_a_record_that_was_filed_twice_is_one(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file_again(bench, 0, 8)
    assert reasons(said(capsys, tmp_path, "list")) == EXPECTED


def test_records_are_shown_with_their_positions_and_bytes(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, tmp_path, "show", "orders", "--reason", "bad")
    assert [(one["offset"], one["value"]) for one in found] == [(3, "{"), (4, "\\xff"), (7, "{")]
    assert len(said(capsys, tmp_path, "show", "--limit", "2")) == 2
    assert said(capsys, tmp_path, "show", "--reason", "no such") == []
    assert execute(["quarantine", "show", "--project", str(tmp_path)]) == 0
    assert "rule max: amount" in capsys.readouterr().out


def test_an_export_holds_every_byte_and_overwrites_nothing(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "bad.jsonl"
    assert execute(["quarantine", "export", "--out", str(out), "--project", str(tmp_path)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    values = {
        one["offset"]: one["value"].encode() if "value" in one else base64.b64decode(one["value_base64"])
        for one in lines
    }
    assert values == {3 + n: value for n, value in enumerate(BAD)}
    before = out.read_bytes()
    assert execute(["quarantine", "export", "--out", str(out), "--project", str(tmp_path)]) == 2
    assert out.read_bytes() == before


def test_the_trend_goes_by_the_hour(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench.wait(hours=2)
    bench.send(b"{")
    bench.archive()
    found = said(capsys, tmp_path, "trend", "orders")
    hour = bench.clock() - timedelta(hours=2)
    assert [(one["hour"], one["records"]) for one in found if one["reason"] == "bad JSON"] == [
        (hour.isoformat(), 2), (bench.clock().isoformat(), 1),
    ]  # fmt: skip


def test_what_a_mended_contract_has_accepted_is_in_quarantine_no_more(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(bench, tmp_path, "")
    assert reasons(said(capsys, tmp_path, "list")) == EXPECTED, "the archive has not looked yet"
    file_again(bench, 5, 6)
    left = {reason: n for reason, n in EXPECTED.items() if reason != "rule max: amount"}
    assert reasons(said(capsys, tmp_path, "list")) == left
    assert len(said(capsys, tmp_path, "show")) == 4


def test_where_nothing_is_rejected_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = bench_project(tmp_path)
    for _ in range(2):
        for word in ("list", "trend", "show"):
            assert execute(["quarantine", word, "--project", str(tmp_path)]) == 0
            assert "rejected" in capsys.readouterr().out
        made.send(*orders(2))
        made.both()
    assert execute(["quarantine", "list", "ordres", "--project", str(tmp_path)]) == 2
    assert "did you mean orders" in capsys.readouterr().err.lower().replace("'", "")


@pytest.mark.parametrize(
    ("path", "name"),
    [("raw/orders-1e16", "orders"), ("raw/my-orders-1e16", "my-orders"), ("raw/_unclaimed-my-stream", "_unclaimed")],
)
def test_a_raw_tables_path_says_whose_it_is(path: str, name: str) -> None:
    assert contract_of(path) == name
