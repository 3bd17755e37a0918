"""The DAGs of a project, as Airflow loads and runs them, with a real spark-submit over a small lake.

Run by `make test-airflow`, which says where Seamline's Python, its zip and its spark-submit are.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
SPARK_SUBMIT = ROOT / ".venv" / "bin" / "spark-submit"
LOCAL = "--master local[2] --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 --driver-memory 1g"


def java_home() -> str:
    told = "from seamline.machine.java import find_java; print(find_java().home)"
    return subprocess.run([PYTHON, "-c", told], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects") / "shop"
    folder.mkdir()
    lake(folder, "made")
    return folder


def lake(folder: Path, what: str) -> Any:
    """What small_lake.py does."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    program = Path(__file__).with_name("small_lake.py")
    done = subprocess.run([PYTHON, program, folder, what], env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def dags(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every DAG of the file, in a fresh Airflow."""
    home = tmp_path_factory.mktemp("airflow")
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow_dags"),
        "SEAMLINE_PROJECTS": str(shop),
        "SEAMLINE_PYTHON": str(PYTHON),
        "SEAMLINE_ZIP": str(ROOT / "build" / "seamline.zip"),
        "SEAMLINE_SUBMIT": str(ROOT / "deploy" / "submit.py"),
        "SEAMLINE_SPARK_SUBMIT": f"{SPARK_SUBMIT} {LOCAL}",
        "SPARK_HOME": "",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": java_home(),
    }
    del os.environ["SPARK_HOME"]
    subprocess.run([Path(sys.executable).with_name("airflow"), "db", "migrate"], check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location("seamline_dags", ROOT / "airflow_dags" / "seamline_dags.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["seamline_dags"] = module
    from airflow.sdk import DAG

    return {one.dag_id: one for one in vars(module).values() if isinstance(one, DAG)}


def ran(dag: Any, **conf: str) -> dict[str, str]:
    """Runs a DAG here; the state of each of its tasks."""
    run = dag.test(run_conf=conf or None)
    return {one.task_id: str(one.state) for one in run.get_task_instances()}


def events() -> list[tuple[str, int]]:
    """The assets that were updated, and to which version, in order."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(AssetModel.uri, AssetEvent.extra)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            .order_by(AssetEvent.id)
        ).all()
    return [(uri, extra["version"]) for uri, extra in found]


def test_a_project_gets_its_dags_and_views_come_after_what_they_are_derived_from(dags: dict[str, Any]) -> None:
    assert {*dags} == {f"seamline_shop_{kind}" for kind in ("refresh", "rebuild", "backfill", "verify", "retention")}
    refresh = dags["seamline_shop_refresh"]
    assert refresh.get_task("refresh_shops").upstream_task_ids == {"refresh_sales"}
    assert [one.uri for one in refresh.get_task("refresh_sales").outlets] == ["seamline://shop/sales"]
    assert {*dags["seamline_shop_verify"].task_ids} == {"verify_sales", "verify_shops"}


def test_a_refresh_that_is_killed_goes_on_and_whoever_waits_for_a_version_is_told(
    dags: dict[str, Any], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = dags["seamline_shop_refresh"]
    with monkeypatch.context() as killed:
        killed.setenv("SEAMLINE_STOP_AT", "batch.after-files")
        assert ran(refresh)["refresh_sales"] in {"failed", "up_for_retry"}
    assert events() == []
    assert ran(refresh) == {"refresh_sales": "success", "refresh_shops": "success"}
    said = lake(shop, "answer")
    assert said["answer"] == said["expected"]
    assert said["runs"] == 1, "the second try went on with the reservation of the first"
    assert [uri for uri, _ in events()] == ["seamline://shop/sales", "seamline://shop/shops"]
    assert events()[0][1] == said["served"]


def test_a_view_with_nothing_new_is_skipped_and_tells_nobody(dags: dict[str, Any]) -> None:
    before = events()
    assert ran(dags["seamline_shop_refresh"]) == {"refresh_sales": "skipped", "refresh_shops": "skipped"}
    assert events() == before


def test_a_backfill_takes_its_view_and_dates_from_whoever_triggers_it(dags: dict[str, Any], shop: Path) -> None:
    states = ran(dags["seamline_shop_backfill"], view="sales", first="2024-05-02", last="2024-05-03")
    assert states == {"backfill": "success"}
    said = lake(shop, "answer")
    assert said["versions"][str(said["served"])] == ["2024-05-02..2024-05-03", ["2024-05-02", "2024-05-03"]]
    assert said["answer"] == said["expected"]
    assert events()[-1] == ("seamline://shop/sales", said["served"])


def test_what_no_try_would_mend_fails_at_once(dags: dict[str, Any]) -> None:
    states = ran(dags["seamline_shop_backfill"], view="sales", first="2024-05-03", last="2024-05-02")
    assert states == {"backfill": "failed"}


def test_the_nightly_dags_run(dags: dict[str, Any]) -> None:
    assert ran(dags["seamline_shop_verify"]) == {"verify_sales": "success", "verify_shops": "success"}
    assert ran(dags["seamline_shop_retention"]) == {"retain": "success"}
