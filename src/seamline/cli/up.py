"""`seamline up`: a whole project on this machine, until it is told to stop."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from seamline.cli.watch import watch
from seamline.console import note
from seamline.operate.stack import stack_page, start_stack
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, ProjectOption, examples
from seamline.signals import stopping


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="up", epilog=examples("seamline up --project shop", "seamline up --small"))(up)


def up(
    project: ProjectOption = HERE,
    small: Annotated[
        bool,
        typer.Option("--small", help="For little memory: archive, speed and scheduler share one Spark."),
    ] = False,
) -> None:
    """Run a whole project here: broker (unless one is configured), archive, speed, scheduler and serving.

    Ctrl-C stops everything cleanly; started again, it goes on where it was.
    """
    loaded = load_project(project)
    stop = threading.Event()
    with stopping(stop, hurried=True):
        stack = start_stack(loaded, say=note, shared=small)
        try:
            with stack_page(stack):
                watch(stack, stop)
        finally:
            note("stopping…")
            stack.stop()
            note("stopped; 'seamline up' goes on from here")
