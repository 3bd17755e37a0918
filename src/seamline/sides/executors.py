"""Whether a cluster's executors can do Seamline's work: asked once, as soon as a session is open.

Without the question, executors that lack the package fail the first batch after minutes, with a text that reads like
an accident; and an application that gets no executor waits for ever without a word.
"""

from __future__ import annotations

import logging
import platform
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError
from seamline.kernel import KERNEL_VERSION
from seamline.sides.spark import local_cores

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds until an executor that has not come is said to be waited for."""

LACKS = re.compile(r"No module named '([\w.]+)'")
OTHER_PYTHON = "PYTHON_VERSION_MISMATCH"
NO_PYTHON = re.compile(r'Cannot run program "([^"]+)"')

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Fit:
    """What must be alike in the driver and in executors: minor version of Python, and the kernel."""

    python: str
    kernel: str


def own() -> Fit:
    """What this process has."""
    return Fit(".".join(platform.python_version_tuple()[:2]), KERNEL_VERSION)


def await_executors(spark: Any, tell: Tell, stop: threading.Event | None = None) -> None:
    """Returns once a task has run on an executor with what this process has; when `stop` is set; or at once on one
    machine, where they are this process's own.

    `tell` is told what is waited for, and '' when it has come. Raises TerminalError EXECUTORS_UNFIT.
    """
    if local_cores(spark.sparkContext.master) is not None:
        return
    stop, done = stop or threading.Event(), threading.Event()
    found: list[Fit | Exception] = []
    asking = threading.Thread(target=_ask, args=(spark, found, done), name="executors", daemon=True)
    asking.start()
    waited = f"executors of Spark at {spark.sparkContext.master}: none has come"
    if not done.wait(PATIENCE):
        log.warning("waits for %s", waited)
        tell(waited)
        while not done.wait(0.25):
            if stop.is_set():
                return
        tell("")
    check(found[0])


def check(found: Fit | Exception) -> None:
    """Raises TerminalError EXECUTORS_UNFIT where an executor is not like the driver, TransientError where none ran."""
    if isinstance(found, Exception):
        raise failed(str(found)) from found
    here = own()
    for what, there, mine in (("Python", found.python, here.python), ("kernel", found.kernel, here.kernel)):
        if there != mine:
            raise _unfit(f"executors have {what} {there}", f"{what} {mine}, which the driver has")


def failed(text: str) -> SeamlineError:
    """What to raise for what Spark said of the task that asked."""
    if lacking := LACKS.search(text):
        return _unfit(f"executors lack the Python package {lacking[1]}", "what the driver has installed")
    if OTHER_PYTHON in text:
        return _unfit("executors have another Python than the driver", f"Python {own().python}")
    if missing := NO_PYTHON.search(text):
        return _unfit(f"executors cannot run {missing[1]}", "a Python on every worker")
    first = next(iter(text.strip().splitlines()), "no reason given")
    return TransientError(
        Condition.PROCESS_FAILED,
        f"a task that only asks for versions failed: {first[:300]}",
        hint="see the executors' logs",
    )


def _unfit(message: str, detail: str) -> TerminalError:
    hint = (
        "install Seamline on every worker, and name its Python in spark.conf as 'spark.pyspark.python' "
        "(or send it: docs/configuration.md)"
    )
    return TerminalError(Condition.EXECUTORS_UNFIT, message, detail=detail, hint=hint)


def _ask(spark: Any, found: list[Fit | Exception], done: threading.Event) -> None:
    try:
        found += spark.sparkContext.parallelize([0], 1).mapPartitions(_answer).collect()
    except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
        found.append(error)
    finally:
        done.set()


def _answer(_: Iterable[int]) -> list[Fit]:
    return [own()]
