"""A mended contract takes effect on what was rejected at once: counted, by whoever writes the log, and told by view."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from lakes import CONTRACT, DAY, Bench, contract, order, orders
from lakes import project as bench_project
from stream_parts import records, tasks

from seamline.claims import claim
from seamline.cli.main import execute
from seamline.clock import system_clock
from seamline.errors import Condition, TransientError
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory
from seamline.operate.retry import retry
from seamline.operate.viewapply import put_into_service
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import load_project
from seamline.streaming.archive import retrying
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import make_shelves
from seamline.streaming.archive.retries import answer

STRICT = ", logicalTypeOptions: {maximum: 5}"
VALUES = [*orders(8), order("p", amount="x"), b"{"]
"""Of these, two are beyond 5; two more no contract accepts."""


def write(folder: Path, extra: str) -> None:
    (folder / "contracts" / "orders.yaml").write_text(CONTRACT.replace(" EXTRA", extra))


def filed(bench: Bench, judging: Contract) -> None:
    """What an archive that runs by one contract does, and then stops."""
    with claim(bench.lake, bench.lake.archive_log("main"), "archive", system_clock) as writer:
        archive = Archive(bench.lake, "main", writer, make_shelves([judging], [], "main"))
        archive.run_batch(tasks(records(VALUES, source=bench.source)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A view's lake where all was read by the strict contract, in both layers."""
    made = bench_project(tmp_path, extra=STRICT)
    made.send(*VALUES)
    made.speed()
    filed(made, made.contract)
    return made


def said(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    capsys.readouterr()
    assert execute(["quarantine", *words, "--project", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_a_mended_contract_accepts_is_filed_at_once_and_counted_once(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ArchiveHistory(bench.lake.archive_log("main"))
    assert before.counts["orders"].rejected == 4
    write(tmp_path, "")
    done = said(capsys, tmp_path, "retry", "--contract", "orders")
    assert (done["filed"]["accepted"], done["filed"]["by_role"]) == (2, False)
    assert {one["reason"]: one["records"] for one in done["left"]} == {"bad JSON": 1, "wrong type: amount": 1}
    after = ArchiveHistory(bench.lake.archive_log("main"))
    counts = after.counts["orders"]
    assert (counts.read, counts.counted, counts.rejected) == (len(VALUES), 8, 2)
    assert after.touched[-1].dates == {bench.lake.raw_path("orders", bench.contract.layout): (DAY.date(),)}
    again = said(capsys, tmp_path, "retry", "--contract", "orders")
    assert (again["filed"]["accepted"], again["left"]) == (0, done["left"])
    assert ArchiveHistory(bench.lake.archive_log("main")).counts == after.counts


def test_each_view_says_when_it_has_them_until_it_has(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "")
    bench.contract = contract()

    def told() -> tuple[bool, str]:
        (view,) = said(capsys, tmp_path, "retry", "--contract", "orders")["views"]
        return view["exact"], view["when"]

    exact, when = told()
    assert not exact
    assert "'seamline views apply'" in when
    put_into_service(load_project(tmp_path))
    exact, when = told()
    assert not exact
    assert "first batch version" in when
    bench.speed()
    bench.wait(hours=3)
    bench.send(order("later", amount=1))
    bench.speed()
    with claim(bench.lake, bench.lake.archive_log("main"), "archive", system_clock) as writer:
        archive = Archive(bench.lake, "main", writer, make_shelves([bench.contract], [], "main"))
        archive.run_batch(tasks(bench.records(archive.frontier, bench.end)))
    bench.batch.refresh("sales")
    exact, when = told()
    assert exact
    assert "exact now" in when
    good = [*VALUES[:8], order("later", amount=1)]
    assert bench.answer() == bench.expected(*good)


def test_the_running_archive_is_asked_and_answers_once_it_files_by_that_contract(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, "")
    project = load_project(tmp_path)
    done: list[Any] = []
    with claim(bench.lake, bench.lake.archive_log("main"), "archive", system_clock) as writer:
        archive = Archive(bench.lake, "main", writer, make_shelves([bench.contract], [], "main"))
        asking = threading.Thread(target=lambda: done.append(retry(project, "orders")))
        asking.start()
        while asking.is_alive():
            answer(bench.lake, "main", archive.shelves)  # by the strict contract: not yet
            if bench.lake.listed("retries/main/"):
                archive.use(make_shelves([contract()], [], "main"))
                answer(bench.lake, "main", archive.shelves)
                asking.join(0.05)
    assert (done[0].filed.accepted, done[0].filed.by_role) == (2, True)
    assert not list(bench.lake.listed("retries/main/"))


def test_an_archive_that_reads_other_contracts_is_not_waited_for_without_end(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "LOOK_SECONDS", 0.01)
    write(tmp_path, "")
    project = load_project(tmp_path)
    with (
        claim(bench.lake, bench.lake.archive_log("main"), "archive", system_clock),
        pytest.raises(TransientError) as refused,
    ):
        retrying.file_again(project, project.contract("orders"), wait_seconds=0.05)
    assert refused.value.condition == Condition.STORE_UNAVAILABLE
    assert not list(bench.lake.listed("retries/main/")), "it is asked no more"


def test_where_nothing_was_ever_archived_there_is_nothing_to_retry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = bench_project(tmp_path)
    assert said(capsys, tmp_path, "retry", "--contract", "orders")["filed"]["accepted"] == 0
    assert ArchiveHistory(made.lake.archive_log("main")).frontier == Frontier()
    assert execute(["quarantine", "retry", "--contract", "ordres", "--project", str(tmp_path)]) == 2
