"""The DAG file and the examples for cron and Kubernetes: their commands are commands that there are.

Airflow's pins clash with Spark's, so it is not installed here: `make test-airflow` loads and runs the DAGs.
"""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from commands import parse
from places import ROOT

from seamline.cli.main import app

DAGS = ROOT / "airflow_dags" / "seamline_dags.py"
CRON, KUBERNETES = (ROOT / "deploy" / "schedules" / name for name in ("seamline.crontab", "cronjobs.yaml"))
PROJECT = Path("/srv/shop")


@pytest.fixture(scope="module")
def dags() -> Any:
    """What the file defines, but for what it takes from Airflow and the DAGs themselves."""
    tree = ast.parse(DAGS.read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, ast.For | ast.ClassDef)
        and not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow"))
    ]
    defined: dict[str, Any] = {}
    exec(compile(tree, str(DAGS), "exec"), defined)
    return SimpleNamespace(**defined)


def test_the_file_says_what_it_needs() -> None:
    assert "Needs Airflow 3" in (ast.get_docstring(ast.parse(DAGS.read_text(encoding="utf-8"))) or "")


@pytest.mark.parametrize(
    ("words", "spark", "params"),
    [
        (["batch", "refresh", "sales"], True, {}),
        (["batch", "rebuild"], True, {"view": ""}),
        (["batch", "rebuild"], True, {"view": "sales"}),
        (["backfill", "run"], True, {"view": "sales", "first": "2026-01-01", "last": "2026-01-03"}),
        (["backfill", "run"], True, {"view": "sales", "first": "", "last": "2026-01-03"}),
        (["verify", "sales"], False, {}),
        (["schedule", "run", "retain"], False, {}),
    ],
)
def test_each_task_runs_a_command_that_there_is(
    dags: Any, words: list[str], spark: bool, params: dict[str, str]
) -> None:
    run = dags.command([*words, *dags._of_parameters(params)], PROJECT, spark=spark)
    assert run[0] == ("spark-submit" if spark else dags.PYTHON)
    arguments = run[run.index(dags.SUBMIT) + 1 :]
    assert [value for value in params.values() if value and value not in arguments] == []
    assert ("--from" in arguments, "--to" in arguments) == (bool(params.get("first")), bool(params.get("last")))
    parse(app, arguments)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('[\n {"version": 1}\n]\n', [{"version": 1}]),
        ('refresh sales: 3 units\n[INFO] starts\n{"version": null}\n', {"version": None}),
        ("Error\n", None),
        ("", None),
    ],
)
def test_the_answer_stands_after_whatever_spark_submit_has_said(dags: Any, said: str, found: Any) -> None:
    assert dags.answer(said) == found


def test_views_come_after_what_they_are_derived_from_and_are_asked_for_once_a_change(
    dags: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"view": "by_day", "derived_from": "by_hour", "definition": "d"},
        {"view": "by_hour", "derived_from": "", "definition": "h"},
        {"view": "by_year", "derived_from": "by_day", "definition": "y"},
        {"view": "dropped", "derived_from": "", "definition": None},
    ]
    python, asked = tmp_path / "python", tmp_path / "asked"
    python.write_text(f"#!/bin/sh\necho . >> {asked}\necho '{json.dumps(rows)}'\n")
    python.chmod(0o755)
    project = tmp_path / "shop"
    (project / "views").mkdir(parents=True)
    (project / "seamline.toml").write_text("")
    monkeypatch.setitem(dags.views_of.__globals__, "PYTHON", str(python))
    for _ in range(3):
        assert [*dags.views_of(project).items()] == [("by_hour", ""), ("by_day", "by_hour"), ("by_year", "by_day")]
    assert asked.read_text().count(".") == 1
    (project / "views" / "more.sql").write_text("")
    dags.views_of(project)
    assert asked.read_text().count(".") == 2


def commands_of(line: str) -> list[str]:
    """The arguments of Seamline's command in a line of a shell."""
    words = shlex.split(line.partition(" >> ")[0])
    at = next(n for n, word in enumerate(words) if word == "seamline" or word.endswith("/submit.py"))
    return words[at + 1 :]


def cron_lines() -> list[str]:
    """Its commands, those that are commented out too."""
    lines = (line.lstrip("# ") for line in CRON.read_text().splitlines())
    fields = [line.split(maxsplit=5) for line in lines]
    return [one[5] for one in fields if len(one) == 6 and set("".join(one[:5])) <= set("0123456789*/,-")]


def test_each_line_for_cron_runs_a_command_that_there_is() -> None:
    assert len(cron_lines()) == 5
    for line in cron_lines():
        parse(app, commands_of(line))


def test_each_cron_job_of_kubernetes_runs_a_command_that_there_is_and_never_twice_at_once() -> None:
    jobs = [*yaml.safe_load_all(KUBERNETES.read_text())]
    assert len(jobs) == 3
    for job in jobs:
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        assert len(job["spec"]["schedule"].split()) == 5
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        (container,) = pod["containers"]
        assert container["command"][0] == "seamline"
        parse(app, container["command"][1:])
