"""`seamline backfill`: a plan says what would be done and is refused where it was overtaken; a run does it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dying import Death, dies_at
from lakes import DAY, VIEW, Bench, order, orders
from lakes import project as bench_project

from seamline.cli.main import execute
from seamline.clock import system_clock
from seamline.commitpoint import hooked
from seamline.errors import Condition, SeamlineError
from seamline.jobs.asked import DateRange
from seamline.operate.backfill_plan import check_plan, estimated, plan_backfill
from seamline.schemas.project import load_project

RANGE = ["--from", "2024-05-02", "--to", "2024-05-03"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = bench_project(tmp_path)
    made.send(*orders(4, step=timedelta(days=1)))
    made.both()
    made.batch.refresh("sales")
    return made


def said(capsys: pytest.CaptureFixture[str], folder: Path, *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert execute(["backfill", *words, "--project", str(folder), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_plan_says_which_dates_why_and_what_they_hold(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.send(order("late", DAY + timedelta(days=3)))
    bench.both()
    found = said(capsys, tmp_path, "plan", "sales", *RANGE)
    units = [(one["unit"], one["parts"], one["rows"], one["why"]) for one in found["units"]]
    assert units == [
        ("2024-05-02", 1, 1, "asked for"), ("2024-05-03", 1, 1, "asked for"), ("2024-05-04", 1, 2, "changed since"),
    ]  # fmt: skip
    assert all(one["bytes"] > 0 for one in found["units"])
    assert (found["asked"], found["version"]) == ("2024-05-02..2024-05-03", bench.served[1])
    assert (
        said(capsys, tmp_path, "plan", "sales", "--from", "2024-05-04")["units"][0]["why"] == "asked for; changed since"
    )
    assert bench.versions().versions.keys() == {bench.served[1]}, "nothing was put"


def test_a_plan_is_shown_to_people(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["backfill", "plan", "sales", *RANGE, "--project", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "2024-05-02" in shown
    assert "2 event dates, 2 rows" in shown
    assert execute(["backfill", "plan", "sales", "--from", "2030-01-01", "--project", str(tmp_path)]) == 0
    assert "nothing to do: neither raw nor the served version holds an event date" in capsys.readouterr().out


def test_an_estimate_goes_by_the_runs_there_were(bench: Bench) -> None:
    log = bench.versions()
    (version,) = log.versions.values()
    (reserved,) = log.reserved.values()
    log.reserved = {1: reserved.model_copy(update={"at": version.at - timedelta(seconds=8)})}
    log.versions = {2: version.model_copy(update={"cpu": 2.0})}
    found = estimated(log, 10)
    assert found is not None
    assert (found.seconds, found.cpu, found.runs) == (20.0, 5.0, 1), "8 seconds and 2 of CPU for 4 records"
    log.reserved = {}
    assert estimated(log, 10) is None


def test_a_saved_plan_is_refused_where_what_it_was_made_for_has_changed(bench: Bench, tmp_path: Path) -> None:
    asked, project = DateRange(DAY.date(), DAY.date()), load_project(tmp_path)
    saved = plan_backfill(project, "sales", asked)
    bench.send(order("other", DAY + timedelta(days=2)))
    bench.both()
    bench.batch.refresh("sales")
    check_plan(saved, plan_backfill(project, "sales", asked))  # a newer version, and the same dates
    bench.send(order("late", DAY))
    bench.both()
    with pytest.raises(SeamlineError, match="2024-05-01 had 1 rows, and has 2 now") as refused:
        check_plan(saved, plan_backfill(project, "sales", asked))
    assert refused.value.condition is Condition.PLAN_MOVED
    other = saved.model_copy(update={"definition": "another"})
    with pytest.raises(SeamlineError, match=r"definition another was served, .* is now"):
        check_plan(other, plan_backfill(project, "sales", asked))


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "sales", "--plan", "x.json"],
        ["run", "--plan", "x.json", "--from", "2024-05-01"],
        ["run", "--plan", "missing.json"],
        ["plan", "sales", "--from", "yesterday"],
        ["plan", "sales", "--from", "2024-05-03", "--to", "2024-05-02"],
        ["plan", "slaes"],
        ["history", "slaes"],
    ],
)
def test_what_is_not_clear_is_refused_and_nothing_is_put(bench: Bench, tmp_path: Path, words: list[str]) -> None:
    before = bench.versions().number
    assert execute(["backfill", *words, "--project", str(tmp_path)]) == 2
    assert bench.versions().number == before


def test_a_damaged_plan_is_refused(tmp_path: Path, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text('{"view": "sales"}')
    assert execute(["backfill", "run", "--plan", str(tmp_path / "x.json"), "--project", str(tmp_path)]) == 2
    assert "is no backfill plan" in capsys.readouterr().err


def test_what_is_under_way_and_what_was_made_is_listed(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.wait(seconds=(system_clock() - bench.clock()).total_seconds())
    with pytest.raises(Death), hooked(dies_at("batch.after-unit")):
        bench.batch.backfill("sales", DateRange())
    (begun,) = said(capsys, tmp_path, "status")
    assert (begun["view"], begun["asked"], begun["state"], begun["done"]) == ("sales", "..", "open", 1)
    assert said(capsys, tmp_path, "history") == []
    made = bench.batch.backfill("sales", DateRange())
    assert said(capsys, tmp_path, "status") == []
    (version,) = said(capsys, tmp_path, "history", "sales")
    assert (version["version"], version["asked"], version["served"], version["clean"]) == (
        made.version,
        "..",
        True,
        True,
    )


def test_a_plan_of_several_views_and_of_a_definition_that_waits(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, tmp_path, "plan", "sales", "sales", *RANGE)
    assert [one["view"] for one in found] == ["sales", "sales"]
    changed = bench.apply(VIEW.replace("count(*) AS orders", "count(*) AS orders, min(amount) AS least"))
    waits = said(capsys, tmp_path, "plan", "sales", "--definition", changed)
    assert waits["units"] == []
    assert "does not list this definition yet" in waits["reason"]
    bench.both()
    bench.wait(days=30)
    bench.send(order("more", DAY))
    bench.both()
    ready = said(capsys, tmp_path, "plan", "sales", "--definition", changed)
    assert {unit["why"] for unit in ready["units"]} == {"new definition"}
    assert len(ready["units"]) == 4
    assert execute(["backfill", "plan", "sales", "--definition", "another", "--project", str(tmp_path)]) == 2


def test_where_no_run_tells_one_unit_is_tried_and_thrown_away(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = bench.apply(VIEW.replace("count(*) AS orders", "count(*) AS orders, min(amount) AS least"))
    bench.send(order("more", DAY))
    bench.both()
    bench.wait(days=30)
    bench.send(order("again", DAY))
    bench.both()
    files = {*(tmp_path / "lake").rglob("*.parquet")}
    estimate = said(capsys, tmp_path, "plan", "sales", "--definition", changed)["estimate"]
    assert estimate["runs"] == 0
    assert estimate["seconds"] > 0
    assert estimate["cpu"] > 0
    assert {*(tmp_path / "lake").rglob("*.parquet")} == files


def test_it_is_paused_and_cancelled_by_word(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Death), hooked(dies_at("batch.after-unit")):
        bench.batch.backfill("sales", DateRange(), by="ann")
    (begun,) = said(capsys, tmp_path, "status")
    assert said(capsys, tmp_path, "pause")["paused"] is not None
    assert said(capsys, tmp_path, "status")[0]["state"] == "paused"
    assert execute(["backfill", "status", "--project", str(tmp_path)]) == 0
    assert re.search(rf"{begun['id']} +sales +\.\. +paused +1 of 4 .* ann", capsys.readouterr().out)
    assert execute(["backfill", "run", "sales", "--project", str(tmp_path)]) == 2
    assert f"'seamline backfill resume {begun['id']}' goes on" in capsys.readouterr().err
    said(capsys, tmp_path, "cancel", begun["id"])
    assert said(capsys, tmp_path, "status") == []
    assert [(one["asked"], one["version"]) for one in said(capsys, tmp_path, "history")] == [("..", None)]
    assert execute(["backfill", "pause", begun["id"], "--project", str(tmp_path)]) == 2
    assert "none is under way" in capsys.readouterr().err


@pytest.mark.spark
def test_a_shadow_is_built_compared_and_promoted_through_spark(bench: Bench, tmp_path: Path) -> None:
    def seamline(*words: str) -> Any:
        command = [sys.executable, "-m", "seamline", "backfill", *words, "--project", str(tmp_path), "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    served = bench.served[1]
    built = seamline("run", "sales", "--shadow", "--cores", "1", "--units-a-minute", "600", "--skip-unit", "2024-05-04")
    assert (built["version"], bench.served[1]) == (None, served)
    assert (built["compared"]["compared"], built["compared"]["drift"]) == (True, [])
    (waiting,) = seamline("status")
    assert (waiting["state"], waiting["skipped"]) == ("built", ["2024-05-04"])
    assert seamline("promote")["version"] == waiting["version"] == bench.served[1]
    assert [*bench.versions().versions[bench.served[1] or 0].skipped] == ["2024-05-04"]
    assert bench.answer() == bench.expected(*orders(4, step=timedelta(days=1)))


@pytest.mark.spark
def test_a_saved_plan_is_run_through_spark(bench: Bench, tmp_path: Path) -> None:
    def seamline(*words: str) -> Any:
        command = [sys.executable, "-m", "seamline", "backfill", *words, "--project", str(tmp_path), "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    lost = bench.versions().versions[bench.served[1] or 0].units["2024-05-02"][0].path
    Path(bench.lake.absolute(lost)).unlink()
    seamline("plan", "sales", *RANGE, "--out", str(tmp_path / "mend.json"))
    outcome = seamline("run", "--plan", str(tmp_path / "mend.json"))
    assert (outcome["version"], outcome["units"]) == (bench.served[1], 2)
    assert bench.answer() == bench.expected(*orders(4, step=timedelta(days=1)))
