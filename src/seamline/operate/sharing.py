"""Archive, speed and scheduler in one process over one Spark session: for a machine that is short of memory.

Each is what it is in a process of its own, in a thread here: it claims its logs, goes on from the ledger, and ends
between two batches. What they lose is being apart: one that fails ends them all, and whoever supervises the process
starts all of them again; and Spark's cores are shared among them. Spark comes before the claims here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from seamline.operate.scheduler import run_scheduler
from seamline.operate.spark_units import untold
from seamline.schemas.project import Project
from seamline.signals import stopping
from seamline.streaming.archive.role import run_archive
from seamline.streaming.session import opened
from seamline.streaming.speed.role import run_speed

FAIR = {"spark.scheduler.mode": "FAIR"}
"""A micro-batch takes its share of the cores: in order of arrival it would wait for all units of a refresh."""


def run_together(project: Project) -> None:
    """Runs them for every stream until SIGTERM or SIGINT. Raises what the first of them raised that failed."""
    stop = threading.Event()
    with stopping(stop), opened(_fair(project), "together", None, untold, stop) as spark:
        works: list[Callable[[], None]] = [partial(run_scheduler, project, stop, spark=spark)]
        for stream in project.streams:
            works += [partial(run, project, stream, spark=spark, stop=stop) for run in (run_archive, run_speed)]
        all_of(works, stop)


def all_of(works: Sequence[Callable[[], None]], stop: threading.Event) -> None:
    """Runs works side by side until all have ended; one that ends sets `stop`. Raises what was raised first."""
    raised: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            raised.append(error)
        finally:
            stop.set()

    threads = [threading.Thread(target=run, args=[work], name=f"together-{n}") for n, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def _fair(project: Project) -> Project:
    spark = project.settings.spark
    shared = spark.model_copy(update={"conf": {**FAIR, **spark.conf}})
    return replace(project, settings=project.settings.model_copy(update={"spark": shared}))
