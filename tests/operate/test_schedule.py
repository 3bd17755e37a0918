"""`seamline schedule`: what became of each job when it ran last, and one of them by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lakes import Bench, orders
from lakes import project as bench_project

from seamline.cli.main import execute
from seamline.clock import ManualClock, system_clock
from seamline.operate.schedule import FILE, JOBS, Ran, job_states, once, recorded
from seamline.operate.scheduler import Duties
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.project import Project, load_project

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A view whose version holds all there is: a refresh has nothing to do."""
    made = bench_project(tmp_path)
    made.send(*orders(4))
    made.both()
    made.batch.refresh("sales")
    return made


@pytest.fixture
def project(bench: Bench, tmp_path: Path) -> Project:
    return load_project(tmp_path)


def said(capsys: pytest.CaptureFixture[str], folder: Path, *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert execute(["schedule", *words, "--project", str(folder), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def last(project: Project, name: str) -> Ran:
    (state,) = (one for one in job_states(project) if one.job == name)
    assert state.last is not None
    return state.last


def test_every_job_is_listed_before_it_has_run(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [(one["job"], one["every_seconds"], one["last"]) for one in said(capsys, tmp_path, "list")] == [
        ("refresh", 600.0, None),
        ("retain", 86_400.0, None),
        ("measure", 21_600.0, None),
    ]
    assert execute(["schedule", "list", "--project", str(tmp_path)]) == 0
    assert "not run here yet" in capsys.readouterr().out


def test_there_is_something_to_do_for_each_job(project: Project) -> None:
    assert Duties(project, SparkUnits(project)).by_job.keys() == JOBS.keys()


@pytest.mark.parametrize("name", JOBS)
def test_one_that_is_run_by_hand_is_kept(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    began = system_clock()
    ran = said(capsys, tmp_path, "run", name)
    assert (ran["job"], ran["failed"], ran["failures"], ran["next"]) == (name, [], 0, None)
    assert began <= last(project, name).at <= system_clock()
    assert execute(["schedule", "list", "--project", str(tmp_path)]) == 0
    assert "done" in capsys.readouterr().out


def test_what_fails_is_told_and_counted_until_it_runs_well(
    bench: Bench, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path(bench.lake.absolute(bench.versions().log.path(bench.served[1] or 0)))
    kept = log.read_bytes()
    log.write_bytes(kept.replace(b'"format":2', b'"format":99'))  # a newer release's
    for times in (1, 2):
        ran = said(capsys, tmp_path, "run", "refresh", code=1)
        assert ran["failures"] == times
        assert "LEDGER_FORMAT" in ran["failed"][0]
    assert execute(["schedule", "list", "--project", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "failed 2 times in a row" in shown
    assert "refresh of sales: [LEDGER_FORMAT]" in shown
    log.write_bytes(kept)
    assert said(capsys, tmp_path, "run", "refresh")["failures"] == 0


def test_a_job_knows_when_it_comes_round_again_and_keeps_the_others(project: Project) -> None:
    clock = ManualClock(NOON)

    def duty() -> list[str]:
        clock.advance(timedelta(seconds=3))
        return ["view a: no"]

    recorded(project, "retain", list, once, clock)
    recorded(project, "refresh", duty, lambda: NOON + timedelta(minutes=10), clock)
    assert last(project, "refresh") == Ran(
        at=NOON, seconds=3.0, failed=("view a: no",), failures=1, next=NOON + timedelta(minutes=10)
    )
    assert last(project, "retain").failures == 0


def test_what_a_duty_raises_is_kept_and_raised(project: Project) -> None:
    def duty() -> list[str]:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        recorded(project, "retain", duty, once, system_clock)
    assert last(project, "retain").failed == ("ZeroDivisionError: by zero",)


def test_a_file_that_another_release_has_written_is_no_reason_to_fail(project: Project) -> None:
    project.state.mkdir(exist_ok=True)
    (project.state / FILE).write_text('{"ran": {"refresh": {"when": 3}}}')
    assert [one.last for one in job_states(project)] == [None, None, None]
    recorded(project, "retain", list, once, system_clock)
    assert last(project, "retain").failures == 0


def test_no_other_job_is_run(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schedule", "run", "refrehs", "--project", str(tmp_path)]) == 2
    assert "refresh, retain, measure" in capsys.readouterr().err
    assert not (project.state / FILE).exists()
