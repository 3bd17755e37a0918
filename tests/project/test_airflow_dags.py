"""The DAG files: Python that parses everywhere, whose tasks are commands that the command line has.

Airflow's pins clash with Spark's, so it is not installed here, and loading the DAGs is not tested.
"""

from __future__ import annotations

import ast
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import parse
from places import ROOT

from seamline.cli.main import app, execute

DAGS = sorted((ROOT / "airflow_dags").glob("*.py"))


def without_airflow(path: Path) -> dict[str, Any]:
    """What the file defines, but for its imports of Airflow and the DAG itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, ast.With)
        and not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow"))
    ]
    defined: dict[str, Any] = {}
    exec(compile(tree, str(path), "exec"), defined)
    return defined


@pytest.fixture
def batch_dag() -> dict[str, Any]:
    (path,) = (path for path in DAGS if path.stem == "seamline_batch")
    return without_airflow(path)


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_a_dag_file_parses_and_says_what_it_needs(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert "Needs Airflow" in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("view", ["", "repo_activity"])
def test_the_batch_dag_runs_a_command_that_there_is(
    batch_dag: dict[str, Any], view: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(batch_dag["command"](view))
    assert words[0] == "spark-submit"
    arguments = words[words.index(batch_dag["SUBMIT"]) + 1 :]
    assert (view in arguments) == bool(view)
    assert execute([*arguments, "--help"]) == 0
    assert "Usage: seamline batch refresh" in capsys.readouterr().out


def test_the_batch_dag_knows_which_view_comes_first_or_says_what_is_missing(batch_dag: dict[str, Any]) -> None:
    views = batch_dag["views"]
    assert views("") == {}
    assert views("hourly, daily:hourly,weekly:daily") == {"hourly": "", "daily": "hourly", "weekly": "daily"}
    with pytest.raises(ValueError, match="derives from hourly: name it there, too"):
        views("daily:hourly")


@pytest.mark.parametrize(
    ("first", "last", "dates"),
    [
        ("", "", []),
        ("2026-01-01", "", ["--from", "2026-01-01"]),
        ("2026-01-01", "2026-01-03", ["--from", "2026-01-01", "--to", "2026-01-03"]),
    ],
)
def test_the_backfill_dag_gives_its_parameters_as_words_whatever_they_hold(
    tmp_path: Path, first: str, last: str, dates: list[str]
) -> None:
    """A real shell, and a stand-in for spark-submit that says what it was given."""
    (path,) = (path for path in DAGS if path.stem == "seamline_backfill")
    dag, said = without_airflow(path), tmp_path / "spark-submit"
    said.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    said.chmod(0o755)
    asked = {"SEAMLINE_VIEW": "sales; echo $HOME", "SEAMLINE_FIRST": first, "SEAMLINE_LAST": last}
    assert dag["ASKED"].keys() == asked.keys()
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", **asked}
    done = subprocess.run(["sh", "-c", dag["command"]()], env=env, check=True, capture_output=True, text=True)
    words = done.stdout.splitlines()
    arguments = words[words.index(dag["SUBMIT"]) + 1 :]
    assert arguments == ["backfill", "run", "--project", dag["PROJECT"], "--json", *dates, "--", "sales; echo $HOME"]
    parse(app, arguments)
