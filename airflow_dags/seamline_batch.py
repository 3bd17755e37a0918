"""The batch layer as an Airflow DAG: one task a view, each `seamline batch refresh VIEW` through spark-submit.

Needs Airflow 3 in an environment of its own (its pins clash with Spark's), and on the worker: a Seamline project, and
`spark-submit` with the package as a zip (`make zip`). Set in the environment of Airflow's
scheduler and workers:

    SEAMLINE_PROJECT        the project's folder                                (/srv/seamline/project)
    SEAMLINE_VIEWS          views by name, separated by commas, `daily:hourly` where daily is derived from hourly:
                            its task then comes after that of hourly; empty: all in one task, in their order
    SEAMLINE_MASTER         a Spark master                                      (local[*])
    SEAMLINE_ZIP            the package for --py-files                          (/srv/seamline/seamline.zip)
    SEAMLINE_SUBMIT         the application, deploy/submit.py                   (/srv/seamline/submit.py)
    SEAMLINE_PYTHON         Python on driver and executors, with Seamline's dependencies   (python3)
    SEAMLINE_SCHEDULE       a cron line                                         (every ten minutes)

A task may be killed and retried at any time: the next try goes on with the same reservation and the units left.
"""

from __future__ import annotations

import os
import shlex
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = os.environ.get("SEAMLINE_PROJECT", "/srv/seamline/project")
MASTER = os.environ.get("SEAMLINE_MASTER", "local[*]")
ZIP = os.environ.get("SEAMLINE_ZIP", "/srv/seamline/seamline.zip")
SUBMIT = os.environ.get("SEAMLINE_SUBMIT", "/srv/seamline/submit.py")
PYTHON = os.environ.get("SEAMLINE_PYTHON", "python3")
SCHEDULE = os.environ.get("SEAMLINE_SCHEDULE", "*/10 * * * *")


def views(text: str) -> dict[str, str]:
    """View to the one it is derived from, or ''. Raises ValueError where that one is not named, too: nothing would say
    that it has to come first."""
    named = dict(word.strip().partition(":")[::2] for word in text.split(",") if word.strip())
    missing = sorted({base for base in named.values() if base and base not in named})
    if missing:
        raise ValueError(f"SEAMLINE_VIEWS is '{text}', which derives from {', '.join(missing)}: name it there, too")
    return named


VIEWS = views(os.environ.get("SEAMLINE_VIEWS", ""))


def command(view: str = "") -> str:
    """The shell command of one refresh."""
    words = ["spark-submit", "--master", MASTER, "--py-files", ZIP, SUBMIT, "batch", "refresh"]
    words += [*([view] if view else []), "--project", PROJECT, "--json"]
    return shlex.join(words)


with DAG(
    dag_id="seamline_batch_refresh",
    description="Batch versions of Seamline's views",
    schedule=SCHEDULE,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["seamline"],
) as dag:
    tasks = {
        name: BashOperator(
            task_id=f"refresh_{name or 'all'}",
            bash_command=command(name),
            env={"PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON},
            append_env=True,
        )
        for name in VIEWS or [""]
    }
    for name, base in VIEWS.items():
        if base:
            tasks[base] >> tasks[name]
