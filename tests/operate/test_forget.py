"""`seamline forget`: what it finds, what it refuses, and what comes of it where no role runs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lakes import DAY, Bench, order
from lakes import project as bench_project

from seamline.cli.main import execute
from seamline.errors import Condition, SeamlineError, UserError
from seamline.history.forget import ForgetHistory
from seamline.jobs.work import local_runner
from seamline.operate.forget import look_for, parse_where, pursue, request, requests
from seamline.schemas.project import load_project
from seamline.serving.serving import Serving


def filled(folder: Path) -> Bench:
    """Orders of two shops on two days, and one that does not parse, in both layers and in a version."""
    bench = bench_project(folder)
    for day in (0, 1):
        bench.send(*(order(f"{day}{n}", DAY + timedelta(days=day), shop=("anna", "b")[n % 2]) for n in range(4)))
    bench.send(b'{"shop": "anna", "id": 1')
    bench.both()
    bench.batch.refresh("sales")
    return bench


def said(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> Any:
    assert execute(["forget", *arguments, "--project", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_says_how_many_there_are_and_when_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = filled(tmp_path)
    found = said(capsys, tmp_path, "--contract", "orders", "--where", "shop IN ('anna', 'nobody')", "--dry-run")
    assert (found["records"], found["counted"], found["rejected"]) == (5, 4, 1)
    assert found["days"] == {"2024-05-01": 2, "2024-05-02": 2}
    (tmp_path / "ids.txt").write_text("00\n13\n")
    by_id = said(capsys, tmp_path, "--contract", "orders", "--ids", str(tmp_path / "ids.txt"), "--dry-run")
    assert by_id["days"] == {"2024-05-01": 1, "2024-05-02": 1}
    assert ForgetHistory(bench.lake.forget_log("main")).requests == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop = 'a'", ("shop", ["a"])),
        (" shop='it''s' ", ("shop", ["it's"])),
        ("amount IN (1, -2, 3.5)", ("amount", ["1", "-2", "3.5"])),
        ("x in ('a,b', 'c')", ("x", ["a,b", "c"])),
    ],
)
def test_a_condition_names_a_field_and_its_values(text: str, found: tuple[str, list[str]]) -> None:
    assert parse_where(text) == found


@pytest.mark.parametrize(
    "text", ["shop", "shop = ", "shop <> 'a'", "shop = 'a' OR true", "shop = NULL", "1 = 1", "f(x) = 1"]
)
def test_any_other_condition_is_refused(text: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_where(text)
    assert raised.value.condition is Condition.INPUT_INVALID


@pytest.mark.parametrize("argument", ["--where=colour = 'a'", "--where=amount = 'many'", "--ids=missing.txt", "--json"])
def test_what_the_contract_does_not_know_is_refused(tmp_path: Path, argument: str) -> None:
    bench_project(tmp_path)
    assert (
        execute(["forget", "--contract", "orders", *filter(None, [argument]), "--yes", "--project", str(tmp_path)]) == 2
    )


def test_where_no_role_runs_the_command_does_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = filled(tmp_path)
    here = load_project(tmp_path)
    looked = look_for(here, "orders", "shop", ["anna"])
    number = request(here, looked, withhold=True)
    with pytest.raises(SeamlineError) as raised:
        Serving(bench.lake, here.settings).query("SELECT * FROM sales")
    assert raised.value.condition is Condition.ERASURE_PENDING
    assert pursue(here, "main", units=local_runner(bench.lake)) == ""
    answer = Serving(bench.lake, here.settings).query("SELECT shop, sum(orders) AS n FROM sales GROUP BY ALL")
    assert answer.table.to_pylist() == [{"shop": "b", "n": 4}]
    assert answer.provenance["sales"].to_json()["erased"] == {"records": 5, "requests": [number], "pending": []}
    (one,) = requests(here)
    assert (one.number, one.state, one.records, one.counted, one.rejected) == (number, "not served", 5, 4, 1)
    (receipt,) = said(capsys, tmp_path, "status")
    assert "anna" not in json.dumps(receipt)
    assert receipt["raw"]
    assert receipt["versions"]
    assert execute(["forget", "list", "--project", str(tmp_path)]) == 0
    assert pursue(here, "main", units=local_runner(bench.lake)) == "", "it can be repeated"


def test_before_the_archive_has_read_all_there_is_nothing_can_be_found(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    bench.send(order("later", DAY, shop="anna"))
    bench.speed()
    with pytest.raises(SeamlineError) as raised:
        look_for(load_project(tmp_path), "orders", "shop", ["anna"])
    assert raised.value.condition is Condition.STORE_UNAVAILABLE
