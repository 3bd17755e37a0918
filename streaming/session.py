"""Where a streaming role's Spark session comes from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from seamline.errors import SeamlineError
from seamline.schemas.project import Project
from seamline.sides.executors import await_executors
from seamline.sides.spark import DYING, is_lost, lost, session


@contextmanager
def opened(
    project: Project, name: str, spark: Any, tell: Callable[[str], None], stop: threading.Event
) -> Iterator[Any]:
    """`spark` if it is given (and left open), else a session of this process, stopped at the end.

    A cluster's executors are waited for, and `tell` is told so, until `stop`. Raises TransientError PROCESS_FAILED
    where its JVM dies meanwhile, whatever that broke first, and TerminalError EXECUTORS_UNFIT.
    """
    if spark is not None:
        yield spark
        return
    settings = project.settings.spark
    log = project.state / "logs" / f"spark-{name}.log"
    opened_here = session(f"seamline-{name}", settings.master, settings.given, log=log)
    try:
        await_executors(opened_here, tell, stop)
        yield opened_here
    except SeamlineError:
        raise
    except Exception as error:
        if is_lost(DYING):
            raise lost(log) from error
        raise
    finally:
        if not is_lost():
            opened_here.stop()
