"""`seamline views explain`: what a view stores, what that costs, and the statements that make and finish it."""

from __future__ import annotations

from typing import Any

import typer

from seamline.cli.viewfind import NameArgument, derived_from, origin
from seamline.console import say, show_json, show_table
from seamline.operate.viewexplain import VersionSize, explain_view
from seamline.operate.views import statements_of
from seamline.schemas.project import load_project
from seamline.schemas.views.cost import Cost
from seamline.schemas.views.definition import Definition
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    commands.command(name="explain", epilog=examples("seamline views explain orders_by_hour"))(explain)


def explain(name: NameArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Explain how a view is kept: its keys, what is stored for each group, what that costs, and the statements.

    Bytes are reckoned from the types, as in memory; where the lake has a batch version, its files are measured too.
    """
    explained = explain_view(load_project(project), name)
    definition, spent, measured = explained.definition, explained.cost, explained.measured
    if as_json:
        show_json(_told(definition, spent, measured))
        return
    say(f"{name} of {origin(definition)}, definition {definition.hash}\n")
    keys = ", ".join(f"{key.name} ({key.sql_type})" for key in definition.keys)
    say(f"A group is one of each of: {keys}" if keys else "The view has no keys: all events are one group.")
    say("A batch file (of one event date) has at most one partial row for a group, an epoch may have a few:\n")
    show_table(
        ("stored column", "type", "kind", "bytes", "makes"),
        [(c.name, c.sql_type, c.kind, str(c.size), ", ".join(c.makes)) for c in spent.columns],
    )
    say(f"\ncost: {spent.words}")
    say(f"measured: {measured.words}" if measured else "measured: nothing yet, there is no batch version")
    for title, statement in statements_of(definition).items():
        say(f"\n-- {title}: {_ABOUT[title.split()[0]]}\n{statement}")


_ABOUT = {
    "partial": "events to partial rows, in both layers",
    "fold": "partial rows of the view it is derived from to its own, in both layers",
    "merge": "partial rows of any split to one for each group",
    "finalise": "merged rows to the view's columns, when it is asked",
}


def _told(definition: Definition, spent: Cost, measured: VersionSize | None) -> dict[str, Any]:
    stored = [
        {
            "column": column.name,
            "type": column.sql_type,
            "kind": column.kind,
            "bytes": str(column.size),
            "at_most": column.size.limit,
            "makes": list(column.makes),
        }
        for column in spent.columns
    ]
    held = measured and {
        "version": measured.version, "rows": measured.rows, "files": measured.files, "bytes": measured.bytes
    }  # fmt: skip
    return {
        "view": definition.view,
        "contracts": list(definition.contracts),
        "derived_from": derived_from(definition),
        "definition": definition.hash,
        "keys": [key.name for key in definition.keys],
        "stored": stored,
        "cost": {"class": spent.kind, "fixed_bytes": spent.fixed, "words": spent.words},
        "measured": held,
        "statements": statements_of(definition),
    }
