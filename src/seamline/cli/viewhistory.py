"""`seamline views history`: what a view has served."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated

import typer

from seamline.cli.viewfind import NameArgument
from seamline.console import show_json, show_table
from seamline.operate.viewhistory import PastState, past_states
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    shown = examples("seamline views history orders_by_hour", "seamline views history orders_by_hour --last 5")
    commands.command(name="history", epilog=shown)(history)


def history(
    name: NameArgument,
    last: Annotated[int, typer.Option("--last", min=1, help="At most so many.")] = 20,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what a view has served: since when, why, and what became of each version's audit.

    The newest first. What retention has removed of old versions is shown without its numbers.
    """
    found = past_states(load_project(project), name, last)
    if as_json:
        show_json([asdict(one) for one in found])
    else:
        columns = tuple(field.name for field in fields(PastState))
        show_table(columns, [tuple(asdict(one).values()) for one in found])
