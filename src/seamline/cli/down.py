"""`seamline down`: stops what runs a project on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from seamline.console import say
from seamline.operate.background import stop_in_background
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, ProjectOption, examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="down", epilog=examples("seamline down --project shop"))(down)


def down(
    project: ProjectOption = HERE,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, help="Kill it where it has not ended by then; nothing is lost.")
    ] = 90.0,
) -> None:
    """Stop the project that runs on this machine, in the background or in a terminal, and wait until all is gone."""
    done = stop_in_background(load_project(project), seconds)
    say("stopped; 'seamline up' goes on from here" if done else "nothing runs this project here")
