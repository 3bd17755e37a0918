"""`seamline run`: one role in the foreground, as a supervisor or an orchestrator starts it."""

from __future__ import annotations

import logging
import sys
import time
from typing import Annotated, TextIO

import typer

from seamline.cli.options import HERE, ProjectOption, StreamOption, examples
from seamline.machine.process import restore_log
from seamline.operate.roles import RoleName, run_role
from seamline.schemas.project import load_project


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
    log_to_stderr()
    loaded = load_project(project)
    logging.getLogger("seamline").info("%s starts, stream %s, project %s", role, stream, loaded.folder)
    run_role(loaded, role, stream)
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
