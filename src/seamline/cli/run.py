"""`seamline run`: one role in the foreground, as a supervisor or an orchestrator starts it."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from seamline.logs import start_logging
from seamline.operate.roles import RoleName, run_role
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, ProjectOption, StreamOption, examples


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
    start_logging(role=role, stream=stream)
    loaded = load_project(project)
    start_logging(loaded.settings, role=role, stream=stream)
    logging.getLogger("seamline").info("%s starts, stream %s, project %s", role, stream, loaded.folder)
    run_role(loaded, role, stream)
    logging.getLogger("seamline").info("%s ended", role)
