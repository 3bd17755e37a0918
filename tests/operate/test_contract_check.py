"""A contract's file says what it would change before the project has it, and an applied view when it is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lakes import CONTRACT, Bench, contract, order, orders
from lakes import project as bench_project
from stream_parts import records, tasks

from seamline.claims import claim
from seamline.cli.main import execute
from seamline.clock import system_clock
from seamline.schemas.contracts.decode import decode_statement
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import make_shelves

STRICT, STRICTER = ", logicalTypeOptions: {maximum: 5}", ", logicalTypeOptions: {maximum: 2}"
VALUES = [*orders(8), order("p", amount="x"), b"{"]


def archived(bench: Bench) -> None:
    """What an archive does by the bench's contract: what it rejected before is judged again, and what came is filed."""
    with claim(bench.lake, bench.lake.archive_log("main"), "archive", system_clock) as writer:
        archive = Archive(bench.lake, "main", writer, make_shelves([bench.contract], [], "main"))
        archive.run_batch(tasks(bench.records(archive.frontier, bench.end)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """All was read by the strict contract; then it was mended, and two records stand twice in raw."""
    made = bench_project(tmp_path, extra=STRICT)
    made.send(*VALUES)
    made.speed()
    archived(made)
    return made


def change(bench: Bench, folder: Path, extra: str) -> None:
    bench.contract = contract(extra)
    (folder / "contracts" / "orders.yaml").write_text(CONTRACT.replace(" EXTRA", extra))


def checked(capsys: pytest.CaptureFixture[str], folder: Path, text: str) -> Any:
    file = folder / "new.yaml"
    file.write_text(text)
    capsys.readouterr()
    assert execute(["contracts", "check", str(file), "--project", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def verdicts(bench: Bench, extra: str) -> dict[int, str]:
    """By offset, what a contract says of each record, asked of the records themselves."""
    found = bench.lake.kernel().run(decode_statement(contract(extra)), {"records": records(VALUES)})
    return dict(zip(found["_offset"].to_pylist(), (why or "" for why in found["_reject"].to_pylist()), strict=True))


@pytest.mark.parametrize("mended", [False, True], ids=["as it was filed", "after records were filed again"])
@pytest.mark.parametrize("extra", ["", STRICT, STRICTER])
def test_every_archived_record_that_would_be_judged_otherwise_counts_once(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: str, mended: bool
) -> None:
    now = "" if mended else STRICT
    if mended:
        change(bench, tmp_path, "")
        archived(bench)
    was, would = verdicts(bench, now), verdicts(bench, extra)
    found = checked(capsys, tmp_path, CONTRACT.replace(" EXTRA", extra))
    assert found["would_reject"] == sum(1 for n, why in was.items() if not why and would[n])
    assert found["would_accept"] == sum(1 for n, why in was.items() if why and not would[n])
    assert {(one["was"], one["now"], one["records"]) for one in found["records"]} == {
        (was[n], would[n], sum(1 for m in was if (was[m], would[m]) == (was[n], would[n])))
        for n in was
        if (not was[n]) != (not would[n])
    }
    for one in found["records"]:
        offset = int(one["first"].rpartition(":")[2])
        assert offset == min(m for m in was if (was[m], would[m]) == (one["was"], one["now"]))
    assert [one["view"] for one in found["views"]] == ["sales"]
    assert (tmp_path / "contracts" / "orders.yaml").read_text() == CONTRACT.replace(" EXTRA", now), "nothing is changed"


def test_a_contract_that_is_new_judges_nothing_that_is_archived(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked(capsys, tmp_path, CONTRACT.replace(" EXTRA", "").replace("orders", "parcels"))
    assert (found["new"], found["views"], found["records"]) == (True, [], [])


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (CONTRACT.replace(" EXTRA", "").replace("logicalType: number", "logicalType: numbr"), "numbr"),
        (CONTRACT.replace(" EXTRA", "").replace("name: orders", "name: others"), "shared"),
    ],
)
def test_a_file_that_is_not_valid_beside_the_others_is_refused(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, got: str
) -> None:
    (tmp_path / "new.yaml").write_text(text)
    assert execute(["contracts", "check", str(tmp_path / "new.yaml"), "--project", str(tmp_path)]) == 2
    assert got in capsys.readouterr().err


def test_applying_says_when_the_new_definition_is_served_and_why_it_waits(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(bench, tmp_path, "")

    def applied(words: str) -> Any:
        capsys.readouterr()
        assert execute(["views", "apply", "--project", str(tmp_path)]) == 0
        assert words in capsys.readouterr().out
        assert execute(["views", "apply", "--project", str(tmp_path), "--json"]) == 0
        (one,) = json.loads(capsys.readouterr().out)
        return one["served"], one["waits"]

    served, waits = applied("is to be served, and waits: ")
    assert not served
    assert waits
    bench.send(order("sooner", amount=1))
    bench.speed()  # the first epoch that lists it
    archived(bench)
    assert execute(["views", "pin", "sales", "--project", str(tmp_path)]) == 0
    assert applied("waits: sales is pinned") == (False, "sales is pinned ('seamline views unpin sales')")
    assert execute(["views", "unpin", "sales", "--project", str(tmp_path)]) == 0
    assert applied("with its first batch version: 'seamline batch refresh'") == (False, "")
    bench.batch.refresh("sales")
    assert applied("unchanged") == (True, "")
