"""Rejected records are listed with what is wrong with them, each once, until a mended contract accepts them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lakes import CONTRACT, Bench, contract, order, orders
from lakes import project as bench_project
from stream_parts import open_archive, records, tasks

from seamline.cli.main import execute
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.operate import standing
from seamline.operate.standing import contract_of
from seamline.schemas.contracts.contract import parse_contract

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


def test_records_are_found_by_field_and_time(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = bench.clock()
    bench.wait(hours=3)
    bench.send(order("late", amount=7), order("later", amount="x"))
    bench.archive()
    of_amount = said(capsys, tmp_path, "list", "--field", "amount")
    assert [(one["reason"], one["field"], one["records"]) for one in of_amount] == [
        ("rule max: amount", "amount", 2), ("wrong type: amount", "amount", 1),
    ]  # fmt: skip
    since = (began + timedelta(hours=1)).isoformat()
    assert reasons(said(capsys, tmp_path, "list", "--from", since)) == {"rule max: amount": 1, "wrong type: amount": 1}
    assert reasons(said(capsys, tmp_path, "list", "--to", since)) == EXPECTED
    assert [one["offset"] for one in said(capsys, tmp_path, "show", "--field", "amount", "--from", since)] == [8, 9]
    assert len(said(capsys, tmp_path, "trend", "--field", "amount", "--reason", "rule")) == 2
    assert said(capsys, tmp_path, "list", "--field", "amoun") == []
    assert execute(["quarantine", "list", "--from", "yesterday", "--project", str(tmp_path)]) == 2


def test_counts_are_those_of_law_3_before_and_after_a_contract_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = bench_project(tmp_path)
    strict, values = contract(STRICT), [*orders(8), order("p", amount="x"), b"{", b"\xff"]
    with_source = records(values, source="orders@1")
    for judging, expected in ((strict, {"rule max: amount": 2, "bad JSON": 1, "bad UTF-8": 1, "wrong type: amount": 1}),
                              (contract(), {"bad JSON": 1, "bad UTF-8": 1, "wrong type: amount": 1})):  # fmt: skip
        archive = open_archive(made.lake, [judging])
        archive.run_batch(tasks(with_source)) if judging is strict else None
        judge(made, tmp_path, STRICT if judging is strict else "")
        found = said(capsys, tmp_path, "list")
        counts = ArchiveHistory(made.lake.archive_log("main")).counts["orders"]
        assert reasons(found) == expected
        assert sum(expected.values()) == counts.rejected
        assert counts.read == counts.counted + counts.rejected == len(values)
        assert execute(["quarantine", "list", "--project", str(tmp_path)]) == 0
        assert "counted as rejected" not in capsys.readouterr().err


SECRET = CONTRACT.replace(" EXTRA", STRICT).replace(
    "{name: shop, logicalType: string}",
    "{name: shop, logicalType: string, classification: Sensitive}\n"
    "      - {name: buyer, logicalType: object, properties: [{name: city, logicalType: string, classification: public},"
    " {name: mail, logicalType: string, classification: restricted}]}\n"
    "      - {name: cards, logicalType: array, items: {logicalType: string, classification: confidential}}",
)
HIDDEN = ("s3cret", "m@il", "4111", "unknown one", "misplaced")
WHOLE = json.dumps({
    "id": "o1", "placed": "2024-05-01T12:00:00Z", "shop": "s3cret", "amount": 9,
    "buyer": {"city": "Oslo", "mail": "m@il"}, "cards": ["4111"], "e_mail": "unknown one", "weight": {"x": "misplaced"},
})  # fmt: skip


def test_what_a_contract_hides_is_masked_wherever_a_record_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = bench_project(tmp_path)
    (tmp_path / "contracts" / "orders.yaml").write_text(SECRET)
    made.contract = parse_contract(SECRET, "orders.yaml")
    broken = WHOLE[:-1].encode()
    twice = b'{"shop": "s3cret", "shop": "s3cret", "amount": "wrong"}'
    made.send(WHOLE.encode(), broken, b"\xff s3cret", b'["s3cret"]', twice, b'{"amount": 12345678901234567890.10}')
    made.archive()
    shown = {one["offset"]: one["value"] for one in said(capsys, tmp_path, "show")}
    seen = json.loads(shown[0])
    assert (seen["id"], seen["amount"], seen["buyer"]) == ("o1", 9, {"city": "Oslo", "mail": "***"})
    assert (seen["shop"], seen["cards"], seen["e_mail"], seen["weight"]) == ("***", ["***"], "***", "***")
    assert [shown[n] for n in (1, 2, 3)] == [f"*** ({len(v)} bytes)" for v in (broken, b"\xff s3cret", b'["s3cret"]')]
    assert shown[4] == '{"shop": "***", "shop": "***", "amount": "wrong"}'
    assert shown[5] == '{"amount": 12345678901234567890.10}', "what hides nothing stays, digit for digit"
    out, plain = tmp_path / "masked.jsonl", tmp_path / "plain.jsonl"
    assert execute(["quarantine", "export", "--out", str(out), "--project", str(tmp_path)]) == 0
    assert execute(["quarantine", "show", "--project", str(tmp_path)]) == 0
    written = out.read_text() + "".join(capsys.readouterr())
    assert not [secret for secret in HIDDEN if secret in written]
    assert execute(["quarantine", "export", "--unmasked", "--out", str(plain), "--project", str(tmp_path)]) == 0
    lines = [json.loads(line) for line in plain.read_text().splitlines()]
    assert {one["offset"]: one.get("value") for one in lines}[0] == WHOLE
    assert not any("masked" in one for one in lines)


def test_classification_decides_nothing_about_a_record(tmp_path: Path) -> None:
    plain = parse_contract(SECRET.replace(", classification: Sensitive", ""), "orders.yaml")
    secret = parse_contract(SECRET, "orders.yaml")
    assert (secret.decoding, secret.layout, secret.identity) == (plain.decoding, plain.layout, plain.identity)
    assert secret == replace(plain, text=secret.text)
    assert secret.hidden == {("shop",), ("buyer", "mail"), ("cards", "[]")}


def test_of_a_contract_that_is_gone_nothing_is_shown(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can say what of it is secret."""
    (tmp_path / "views" / "sales.sql").unlink()
    other = CONTRACT.replace(" EXTRA", "").replace("orders", "parcels")
    (tmp_path / "contracts" / "orders.yaml").write_text(other)
    assert {one["value"] for one in said(capsys, tmp_path, "show", "orders")} == {
        f"*** ({len(value)} bytes)" for value in BAD
    }
    assert "{" in {one["value"] for one in said(capsys, tmp_path, "show", "orders", "--unmasked")}


def test_large_records_are_fetched_a_few_at_a_time_and_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "ROWS", 3)
    monkeypatch.setattr(standing, "BYTES", 100)
    made = bench_project(tmp_path)
    made.send(*(b"[" * (7 * n) for n in range(20)), None)
    made.archive()
    out = tmp_path / "bad.jsonl"
    assert execute(["quarantine", "export", "--out", str(out), "--project", str(tmp_path)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {one["offset"]: one["value"] for one in lines} == {n: "[" * (7 * n) for n in range(20)} | {20: None}
    assert [one["offset"] for one in lines] == list(range(21))


@pytest.mark.parametrize(
    ("path", "name"),
    [("raw/orders-1e16", "orders"), ("raw/my-orders-1e16", "my-orders"), ("raw/_unclaimed-my-stream", "_unclaimed")],
)
def test_a_raw_tables_path_says_whose_it_is(path: str, name: str) -> None:
    assert contract_of(path) == name
