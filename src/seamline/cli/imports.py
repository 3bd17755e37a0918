"""`seamline import`: files of events straight into the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seamline.cli.options import HERE, ProjectOption, examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="import",
        epilog=examples("seamline import 2025.jsonl.gz --contract orders"),
    )(import_)


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines or CSV; plain, .gz or .bz2.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract of these events.")],
    project: ProjectOption = HERE,
) -> None:
    """Take files of events into the archive without Kafka. They are served from the next batch version on."""
