"""`seamline doctor`: one line for each thing that has to be right on this machine, and a hint where it is not."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape

from seamline.console import is_terminal, show_json
from seamline.operate.doctor import Finding, examine
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples

COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="doctor", epilog=examples("seamline doctor --project shop"))(doctor)


def doctor(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Check the machine and the project. Ends with 2 where something is at fault."""
    checks = []
    for check in examine(project):
        checks.append(check)
        if not as_json:
            _show(check)
    if as_json:
        show_json([asdict(check) for check in checks])
    if any(check.health == "fault" for check in checks):
        raise typer.Exit(2)


def _show(check: Finding) -> None:
    hint = f"  -> {check.hint}" if check.hint else ""
    if not is_terminal():
        print(f"{check.health:<8} {check.name:<8} {check.found}{hint}", flush=True)
        return
    colour = COLOURS[check.health]
    Console(highlight=False).print(
        f"[{colour}]{check.health:<8}[/] [bold]{check.name:<8}[/] {escape(check.found)}[dim]{escape(hint)}[/]"
    )
