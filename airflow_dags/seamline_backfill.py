"""A backfill as an Airflow DAG: event dates of one view recomputed, through spark-submit, with the dates as parameters.

Needs Airflow 3 in an environment of its own (its pins clash with Spark's), and on the worker what
`seamline_batch.py` says; the same variables are set. It runs when somebody triggers it:

    airflow dags trigger seamline_backfill --conf '{"view": "sales", "first": "2026-01-01", "last": "2026-01-03"}'

Without dates it takes every one from the first, or up to the last, that there is. A task may be killed and retried at
any time: the next try goes on with the units left. Refreshes go on meanwhile.
"""

from __future__ import annotations

import os
import shlex
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

PROJECT = os.environ.get("SEAMLINE_PROJECT", "/srv/seamline/project")
MASTER = os.environ.get("SEAMLINE_MASTER", "local[*]")
ZIP = os.environ.get("SEAMLINE_ZIP", "/srv/seamline/seamline.zip")
SUBMIT = os.environ.get("SEAMLINE_SUBMIT", "/srv/seamline/submit.py")
PYTHON = os.environ.get("SEAMLINE_PYTHON", "python3")

DATE = r"^(\d{4}-\d{2}-\d{2})?$"
"""What a date parameter may be; '': none."""

ASKED = {
    "SEAMLINE_VIEW": "{{ params.view }}",
    "SEAMLINE_FIRST": "{{ params.first }}",
    "SEAMLINE_LAST": "{{ params.last }}",
}
"""Parameters go into the environment, never into the text of the command."""


def command() -> str:
    """The shell command of one backfill, of what stands in the environment."""
    words = ["spark-submit", "--master", MASTER, "--py-files", ZIP, SUBMIT]
    words += ["backfill", "run", "--project", PROJECT, "--json"]
    dates = '${SEAMLINE_FIRST:+--from "$SEAMLINE_FIRST"} ${SEAMLINE_LAST:+--to "$SEAMLINE_LAST"}'
    return f'{shlex.join(words)} {dates} -- "$SEAMLINE_VIEW"'


with DAG(
    dag_id="seamline_backfill",
    description="Event dates of one of Seamline's views, recomputed",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "view": Param(type="string", minLength=1, description="The view."),
        "first": Param("", type="string", pattern=DATE, description="The first event date, as 2026-01-31."),
        "last": Param("", type="string", pattern=DATE, description="The last event date."),
    },
    tags=["seamline"],
) as dag:
    BashOperator(
        task_id="backfill",
        bash_command=command(),
        env={"PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON, **ASKED},
        append_env=True,
    )
