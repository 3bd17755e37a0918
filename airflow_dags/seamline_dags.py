"""Airflow DAGs of Seamline projects, made from the projects themselves: views in the order in which they are derived.

Needs Airflow 3 in an environment of its own (its pins clash with Spark's). Copy this file into Airflow's DAG folder; on
its machines it needs the projects, and Seamline: a Python with its dependencies, and the package as a zip (`make zip`).
Set in the environment of Airflow's scheduler and workers:

    SEAMLINE_PROJECTS       folders of projects, separated by colons            (/srv/seamline/project)
    SEAMLINE_PYTHON         Python with Seamline's dependencies, on driver and executors   (python3)
    SEAMLINE_ZIP            the package for --py-files                          (/srv/seamline/seamline.zip)
    SEAMLINE_SUBMIT         the application, deploy/submit.py                   (/srv/seamline/submit.py)
    SEAMLINE_SPARK_SUBMIT   spark-submit with its options, as --master yarn     (spark-submit --master local[*])
    SEAMLINE_REFRESH        a cron line for refreshes                           (every ten minutes)
    SEAMLINE_NIGHTLY        a cron line for verification and retention          (at 03:00)

Each project `shop` gets

    seamline_shop_refresh     a task for each view, after that of the view it is derived from
    seamline_shop_rebuild     one view, or all of them, from the archive alone; by hand
    seamline_shop_backfill    event dates of one view; by hand, with view and dates as parameters
    seamline_shop_verify      each view held against its own SELECT over raw events, nightly
    seamline_shop_retention   what no served or restorable version needs is removed, nightly

A task that publishes a version updates the asset `seamline://shop/VIEW` and says the version with it, so that other
DAGs can wait for it; one with nothing to do is skipped and updates none. Any may be killed and tried again: the next
try goes on with the units left. What another try would not mend (exit codes 2 and 3) fails at once. The speed layer
compacts and the archive puts raw files together by themselves, each in the one process that writes it: no DAG does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PYTHON = os.environ.get("SEAMLINE_PYTHON", "python3")
ZIP = os.environ.get("SEAMLINE_ZIP", "/srv/seamline/seamline.zip")
SUBMIT = os.environ.get("SEAMLINE_SUBMIT", "/srv/seamline/submit.py")
SPARK_SUBMIT = os.environ.get("SEAMLINE_SPARK_SUBMIT", "spark-submit --master local[*]")
REFRESH = os.environ.get("SEAMLINE_REFRESH", "*/10 * * * *")
NIGHTLY = os.environ.get("SEAMLINE_NIGHTLY", "0 3 * * *")

DATE = r"^(\d{4}-\d{2}-\d{2})?$"
"""What a date parameter may be; '': none."""

FOR_GOOD = (2, 3)
"""Exit codes that another try would not mend: what was asked is wrong, or an operator has to decide."""


# --- what a project holds


def views_of(project: Path) -> dict[str, str]:
    """View to the one it is derived from, or ''; bases first. Asked of Seamline once for each state of the project's
    files, as Airflow reads this file every few seconds. Raises CalledProcessError where the project is at fault."""
    kept = Path(tempfile.gettempdir()) / f"seamline-dags-{os.getuid()}" / f"{_state_of(project)}.json"
    if not kept.is_file():
        command = [PYTHON, "-m", "seamline", "views", "list", "--project", str(project), "--json"]
        said = subprocess.run(command, env=_environment(), check=True, capture_output=True, text=True).stdout
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_text(said)
        fresh.replace(kept)
    named = {one["view"]: one["derived_from"] for one in json.loads(kept.read_text()) if one["definition"]}
    return dict(sorted(named.items(), key=lambda one: _depth(named, one[0])))


def _state_of(project: Path) -> str:
    """A name for what the project's files are now."""
    files = [
        project / "seamline.toml",
        *sorted((project / "contracts").rglob("*")),
        *sorted((project / "views").rglob("*")),
    ]
    told = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file()]
    return hashlib.sha256(json.dumps([str(project), PYTHON, told]).encode()).hexdigest()[:16]


def _depth(named: dict[str, str], view: str) -> int:
    return 1 + _depth(named, named[view]) if named.get(view) else 0


# --- one command of Seamline


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (ZIP, os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, "PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON}


def command(words: list[str], project: Path, *, spark: bool) -> list[str]:
    """The words of a command of Seamline about a project: through spark-submit, or in Python alone."""
    begins = [*shlex.split(SPARK_SUBMIT), "--py-files", ZIP, SUBMIT] if spark else [PYTHON, SUBMIT]
    return [*begins, *words, "--project", str(project), "--json"]


def answer(said: str) -> Any:
    """The JSON document at the end of what a command printed: under spark-submit its progress stands before it."""
    begins = [match.start() for match in re.finditer(r"^[\[{]", said, re.MULTILINE)]
    for at in begins:
        with suppress(ValueError):
            return json.loads(said[at:])
    return None


class Seamline(BaseOperator):
    """Runs one command of Seamline, with no shell in between. Its outlet, if any: the asset of the view that it makes a
    version of, or an alias for those of the views that it turns out to make versions of."""

    def __init__(
        self, *, words: list[str], project: Path, spark: bool = True, asked: bool = False, **given: Any
    ) -> None:
        super().__init__(**given)
        self.words, self.project, self.spark, self.asked = words, project, spark, asked
        self._child: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> Any:
        """What the command answers. Skips the task where a view had nothing new."""
        words = [*self.words, *(_of_parameters(context["params"]) if self.asked else ())]
        run = command(words, self.project, spark=self.spark)
        self.log.info("%s", shlex.join(run))
        self._child = subprocess.Popen(
            run, env=_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        said, _ = self._child.communicate()
        if self._child.returncode:
            failed = AirflowFailException if self._child.returncode in FOR_GOOD else AirflowException
            raise failed(f"{shlex.join(words)} ended with {self._child.returncode}: {said[-2000:]}")
        found = answer(said)
        outcomes = [one for one in (found if isinstance(found, list) else [found]) if one]
        if self.outlets:
            self._tell(context["outlet_events"], outcomes)
        return found

    def _tell(self, events: Any, outcomes: list[Any]) -> None:
        """Each version that was published, to who waits for the view. Raises AirflowSkipException where none was."""
        published = [one for one in outcomes if one["version"] is not None]
        if not published:
            raise AirflowSkipException("; ".join(one["result"] for one in outcomes))
        for one in published:
            extra = {key: one[key] for key in ("version", "definition", "cut")}
            (outlet,) = self.outlets
            if isinstance(outlet, AssetAlias):
                events[outlet].add(asset_of(self.project, one["view"]), extra=extra)
            else:
                events[outlet].extra = extra

    def on_kill(self) -> None:
        """Ends the command, Spark's JVM too."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)


def _of_parameters(params: Any) -> list[str]:
    dates = [
        word
        for name, option in (("first", "--from"), ("last", "--to"))
        if params.get(name)
        for word in (option, params[name])
    ]
    return [*dates, *([params["view"]] if params.get("view") else [])]


# --- the DAGs of a project


def name_of(project: Path) -> str:
    """As ids of DAGs and names of assets have it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", project.name)


def asset_of(project: Path, view: str) -> Asset:
    """What a new version of a view updates."""
    return Asset(name=f"seamline://{name_of(project)}/{view}", uri=f"seamline://{name_of(project)}/{view}")


def dags_of(project: Path) -> dict[str, DAG]:
    """Every DAG of a project, by its id."""
    views, name = views_of(project), name_of(project)
    of_any = AssetAlias(f"seamline_{name}")
    one = Param(type="string", enum=[*views], description="The view.")
    some = Param("", type="string", enum=["", *views], description="The view; none: all.")
    dates = {
        "first": Param("", type="string", pattern=DATE, description="The first event date, as 2026-01-31."),
        "last": Param("", type="string", pattern=DATE, description="The last event date."),
    }

    def task(kind: str, words: list[str], **given: Any) -> Seamline:
        return Seamline(task_id=kind, words=words, project=project, **given)

    with _dag(f"seamline_{name}_refresh", "New batch versions of Seamline's views", REFRESH) as refresh:
        tasks = {
            view: task(
                f"refresh_{view}",
                ["batch", "refresh", view],
                outlets=[asset_of(project, view)],
                trigger_rule="none_failed",
            )
            for view in views
        }
        for view, base in views.items():
            if base:
                tasks[base] >> tasks[view]
    with _dag(f"seamline_{name}_rebuild", "Views made again from the archive alone", None, {"view": some}) as rebuild:
        task("rebuild", ["batch", "rebuild"], asked=True, outlets=[of_any])
    with _dag(
        f"seamline_{name}_backfill", "Event dates of one view made again", None, {"view": one, **dates}
    ) as backfill:
        task("backfill", ["backfill", "run"], asked=True, outlets=[of_any])
    with _dag(f"seamline_{name}_verify", "Views held against their own SELECT over raw events", NIGHTLY) as verify:
        for view in views:
            task(f"verify_{view}", ["verify", view], spark=False)
    with _dag(f"seamline_{name}_retention", "What no version needs is removed", NIGHTLY) as retention:
        task("retain", ["schedule", "run", "retain"], spark=False)
    return {dag.dag_id: dag for dag in (refresh, rebuild, backfill, verify, retention)}


def _dag(dag_id: str, about: str, schedule: str | None, params: dict[str, Param] | None = None) -> DAG:
    return DAG(
        dag_id=dag_id,
        description=about,
        schedule=schedule,
        start_date=datetime(2024, 1, 1),
        catchup=False,
        max_active_runs=1,
        params=params or {},
        default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
        tags=["seamline"],
    )


for _folder in filter(None, os.environ.get("SEAMLINE_PROJECTS", "/srv/seamline/project").split(":")):
    globals().update(dags_of(Path(_folder)))
