"""`seamline up`: a whole project on this machine, until it is told to stop."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from seamline.cli.watch import watch
from seamline.console import note, say
from seamline.operate.background import LOG, running, start_in_background
from seamline.operate.stack import addresses, stack_page, start_stack
from seamline.schemas.project import Project, load_project
from seamline.serve_cli.options import HERE, ProjectOption, examples
from seamline.signals import stopping


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="up", epilog=examples("seamline up --project shop", "seamline up --small", "seamline up --detach")
    )(up)


def up(
    project: ProjectOption = HERE,
    small: Annotated[
        bool,
        typer.Option("--small", help="For little memory: archive, speed and scheduler share one Spark."),
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run it in the background, and return when it is ready.")
    ] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="How long --detach waits for that.")] = 300.0,
) -> None:
    """Run a whole project here: broker (unless one is configured), archive, speed, scheduler and serving.

    Ctrl-C (or `seamline down`) stops everything cleanly; started again, it goes on where it was.
    """
    loaded = load_project(project)
    if detach:
        _detach(loaded, seconds, small)
        return
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


def _detach(project: Project, seconds: float, small: bool) -> None:
    found = running(project)
    if found is not None:
        say(f"runs already, as process {found.pid}; 'seamline status' tells how it is, 'seamline down' stops it")
        return
    note(f"starting in the background; its log is {project.state / 'logs' / LOG}")
    started = start_in_background(project, seconds, shared=small, say=note)
    say(f"runs as process {started.pid} at {addresses(project)}; 'seamline down' stops it")
