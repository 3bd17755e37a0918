"""What a process of a project can be, each until it is told to stop. A role imports what it needs and no other does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

from seamline.observe.page import metrics_page
from seamline.schemas.project import Project
from seamline.signals import stopping

# Imports stand inside these functions: a machine runs five such processes, and none has memory for the others' parts.


class RoleName(StrEnum):
    """What a process can be."""

    ARCHIVE = "archive"
    SPEED = "speed"
    SCHEDULER = "scheduler"
    SERVING = "serving"

    TOGETHER = "together"
    """Archive, speed and scheduler of all streams, over one Spark."""


def process_name(role: str, stream: str) -> str:
    """What a role's process is called: in its log's name, in `status` and on its page."""
    return role if stream == "main" else f"{role}-{stream}"


def run_role(project: Project, role: RoleName, stream: str) -> None:
    """Runs a role in this process until SIGTERM or Ctrl-C. Archive and speed work on one stream, the others on all.

    Raises INPUT_INVALID where the port of its metrics is taken, and what the role raises.
    """
    with metrics_page(project.settings.metrics, project.state, process_name(role, stream)):
        _RUN[role](project, stream)


def _archive(project: Project, stream: str) -> None:
    from seamline.streaming.archive.role import run_archive

    run_archive(project, stream)


def _speed(project: Project, stream: str) -> None:
    from seamline.streaming.speed.role import run_speed

    run_speed(project, stream)


def _scheduler(project: Project, stream: str) -> None:
    from seamline.operate.scheduler import run_scheduler

    stop = threading.Event()
    with stopping(stop, hurried=True):
        run_scheduler(project, stop)


def _serving(project: Project, stream: str) -> None:
    from seamline.serving.role import run_serving

    run_serving(project)


def _together(project: Project, stream: str) -> None:
    from seamline.operate.sharing import run_together

    run_together(project)


_RUN: Mapping[RoleName, Callable[[Project, str], None]] = {
    RoleName.ARCHIVE: _archive,
    RoleName.SPEED: _speed,
    RoleName.SCHEDULER: _scheduler,
    RoleName.SERVING: _serving,
    RoleName.TOGETHER: _together,
}
