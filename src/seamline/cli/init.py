"""`seamline init`: a new project with commented examples, or with what a file of events holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from seamline.console import note, say
from seamline.kernel import kernel
from seamline.operate.contractinfer import infer_contract, rejections
from seamline.operate.template import drafted, make_project
from seamline.serve_cli.options import examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="init", epilog=examples("seamline init shop", "seamline init shop --from orders.jsonl.gz"))(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new project's folder.")],
    events: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Draft a contract from its events, a view and its test, instead of examples."
        ),
    ] = None,
) -> None:
    """Make a new project: seamline.toml, contracts/, views/ and tests/, with commented examples."""
    if events is None:
        for path in make_project(folder):
            say(f"made {path}")
        say(f"next: put your contracts and views in place, then 'seamline up --project {folder}'")
        return
    found = infer_contract([events], kernel(), datetime.now(UTC))
    for path in make_project(folder, drafted(found, events)):
        say(f"made {path}")
    if rejected := rejections(found.survey.rejected):
        note(f"of {found.survey.records:,} records the contract rejects {rejected}")
    if unsure := len(found.draft.doubts):
        note(f"the contract is unsure of {unsure} thing{'' if unsure == 1 else 's'}: its comments say of what")
    say(f"next: read the contract and the view, then 'seamline up --project {folder}', and in another shell")
    say(f"      'seamline import {quote(str(events))} --contract {found.contract.name} --project {folder}'")
