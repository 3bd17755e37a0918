"""`seamline views check`: view files against the project's contracts, without a lake and without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.cli.viewfind import columns_of, derived_from, origin
from seamline.console import say, show_error, show_json, show_table
from seamline.errors import SeamlineError, UserError
from seamline.operate.viewcheck import ViewCheck, check_project
from seamline.schemas.views.cost import cost
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.parsed import ParsedView
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE", help="Files of views, or folders of them.", show_default="the project's views/"),
]


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    shown = examples("seamline views check", "seamline views check drafts/by_country.sql")
    commands.command(name="check", epilog=shown)(check)


def check(files: FilesArgument = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Check files of views: types, exactness and cost of every column, or everything that is wrong with them.

    Each statement is read by itself, so one that is wrong hides no other. Nothing is applied, and no lake is needed.
    """
    found = check_project(project, files or [])
    if as_json:
        show_json({"views": [_told(*one) for one in found.right], "errors": [_error(error) for error in found.errors]})
    else:
        _show(found)
    if found.errors:
        raise typer.Exit(UserError.exit_code)


def _show(found: ViewCheck) -> None:
    for view, definition in found.right:
        say(f"{view.source.place(0)}: {view.name} of {origin(definition)}, definition {definition.hash}")
        if definition.comment:
            say(f"  {definition.comment}")
        say(f"  keys: {', '.join(key.name for key in definition.keys) or '(none: one row)'}")
        say(f"  cost: {cost(definition).words}")
        columns = columns_of(definition)
        show_table(tuple(columns[0]), [tuple(column.values()) for column in columns])
        say()
    for error in found.errors:
        show_error(error)
    others = f", {found.wrong} wrong" if found.wrong else ""
    say(f"{len(found.right)} {'view' if len(found.right) == 1 else 'views'} right{others}")


def _told(view: ParsedView, definition: Definition) -> dict[str, Any]:
    spent = cost(definition)
    return {
        "view": definition.view,
        "where": view.source.place(0),
        "contracts": list(definition.contracts),
        "derived_from": derived_from(definition),
        "definition": definition.hash,
        "comment": definition.comment,
        "properties": definition.properties,
        "keys": [key.name for key in definition.keys],
        "columns": columns_of(definition),
        "cost": {"class": spent.kind, "fixed_bytes": spent.fixed, "words": spent.words},
    }


def _error(error: SeamlineError) -> dict[str, str]:
    said = {"condition": error.condition.value, "where": error.where, "message": error.message}
    return said | {"detail": error.detail, "hint": error.hint}
