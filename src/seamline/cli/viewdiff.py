"""`seamline views diff`: the project's text of a view against what is served, and what the change needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from seamline.console import say, show_json, show_table
from seamline.operate.viewdiff import ViewDifference, differences
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples

WhatArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME|FILE", help="A view's name, or a file of views.", show_default="every view"),
]


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    shown = examples("seamline views diff orders_by_hour", "seamline views diff drafts/by_country.sql")
    commands.command(name="diff", epilog=shown)(diff)


def diff(what: WhatArgument = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Compare views of the project, or of a file, with what is served: what changed, and what that needs.

    Properties and comments need no rebuild; a changed expression, condition or contract does.
    """
    found = differences(load_project(project), what)
    if as_json:
        show_json([_told(one) for one in found])
        return
    for one in found:
        say(f"{one.view}: served {one.old or '(not)'}, here {one.new or '(not)'}")
        if one.difference.changes:
            show_table(("change", "of", "was", "is"), [tuple(asdict(c).values()) for c in one.difference.changes])
        say(f"needs: {one.words}\n")


def _told(found: ViewDifference) -> dict[str, Any]:
    return {
        "view": found.view,
        "served": found.old,
        "definition": found.new,
        "needs": found.difference.needs,
        "words": found.words,
        "changes": [asdict(change) for change in found.difference.changes],
        "raw": {"dates": found.raw[0], "bytes": found.raw[1]} if found.raw else None,
        "begins": {name: day.isoformat() for name, day in sorted(found.begins.items())},
    }
