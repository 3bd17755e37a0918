"""`seamline init`: a new project with commented examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seamline.console import say
from seamline.operate.template import make_project
from seamline.serve_cli.options import examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="init", epilog=examples("seamline init shop"))(init)


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new project's folder.")]) -> None:
    """Make a new project: seamline.toml, contracts/ and views/, with commented examples."""
    for path in make_project(folder):
        say(f"made {path}")
    say(f"next: put your contracts and views in place, then 'seamline up --project {folder}'")
