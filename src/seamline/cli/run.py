"""`seamline run`: one role in the foreground, as a supervisor or an orchestrator starts it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from seamline.cli.options import HERE, ProjectOption, StreamOption, examples
from seamline.machine.process import restore_log

if TYPE_CHECKING:
    from seamline.schemas.project import Project


class RoleName(StrEnum):
    """What a process can be."""

    ARCHIVE = "archive"
    SPEED = "speed"
    SCHEDULER = "scheduler"
    SERVING = "serving"


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="run", epilog=examples("seamline run speed --project /srv/shop", "seamline run archive --stream clicks")
    )(run)


def run(
    role: Annotated[RoleName, typer.Argument(help="archive and speed work on one stream, the others on all.")],
    project: ProjectOption = HERE,
    stream: StreamOption = "main",
) -> None:
    """Run one role in the foreground until SIGTERM or Ctrl-C. It logs to stderr; an exit code says why it ended."""
    from seamline.schemas.project import load_project

    log_to_stderr()
    loaded = load_project(project)
    logging.getLogger("seamline").info("%s starts, stream %s, project %s", role, stream, loaded.folder)
    ROLES[role](loaded, stream)
    logging.getLogger("seamline").info("%s ended", role)


class Lasting(logging.StreamHandler[TextIO]):
    """A handler whose file may be deleted, or moved away, while it is written to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line; where the log is gone, into a new one."""
        restore_log()
        super().emit(record)


def log_to_stderr() -> None:
    """One line an event, in UTC; chatty libraries only from warnings on."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(handlers=[Lasting(sys.stderr)], level=logging.WARNING, format=form, force=True)
    logging.Formatter.converter = time.gmtime
    logging.getLogger("seamline").setLevel(logging.INFO)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it says each try; what it comes to, we say ourselves


def _archive(project: Project, stream: str) -> None:
    from seamline.streaming.archive import run_archive

    run_archive(project, stream)


def _speed(project: Project, stream: str) -> None:
    from seamline.streaming.speed import run_speed

    run_speed(project, stream)


def _scheduler(project: Project, stream: str) -> None:
    from seamline.machine.signals import stopping
    from seamline.operate.scheduler import run_scheduler

    stop = threading.Event()
    with stopping(stop, hurried=True):
        run_scheduler(project, stop)


def _serving(project: Project, stream: str) -> None:
    from seamline.serving.app import run_serving

    run_serving(project)


ROLES: Mapping[RoleName, Callable[[Project, str], None]] = {
    RoleName.ARCHIVE: _archive,
    RoleName.SPEED: _speed,
    RoleName.SCHEDULER: _scheduler,
    RoleName.SERVING: _serving,
}
