"""The DAG files: Python that parses everywhere, and loads where Airflow is installed."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

DAGS = sorted((Path(__file__).parents[1] / "airflow_dags").glob("*.py"))


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_a_dag_file_parses_and_says_what_it_needs(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert "Needs Airflow" in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_a_dag_loads_where_airflow_is_installed(path: Path) -> None:
    pytest.importorskip("airflow")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.dag.task_dict
