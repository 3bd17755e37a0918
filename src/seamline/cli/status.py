"""`seamline status`."""

from __future__ import annotations

import typer

from seamline.cli.options import HERE, JsonOption, ProjectOption, examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="status", epilog=examples("seamline status --json"))(status)


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """How far each stream and each view is, and how the roles are."""
