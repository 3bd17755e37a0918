"""`seamline views list` and `show`: what the project defines, and what the lake serves of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from seamline.cli.viewfind import NameArgument, columns_of
from seamline.console import say, show_json, show_table
from seamline.operate.views import statements_of, view_states, whole_view
from seamline.schemas.project import load_project
from seamline.schemas.views.cost import cost
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the commands."""
    shown = examples("seamline views list --tag money", "seamline views list --json")
    commands.command(name="list", epilog=shown)(list_views)
    commands.command(name="show", epilog=examples("seamline views show orders_by_hour"))(show)


def list_views(
    project: ProjectOption = HERE,
    tag: Annotated[str | None, typer.Option("--tag", help="Only views that have this word among their tags.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the views: those of the project, and those that the lake serves."""
    rows = [asdict(state) for state in view_states(load_project(project), tag)]
    if as_json:
        show_json(rows)
    else:
        columns = ["view", "contracts", "derived_from", "state", "definition", "served", "version"]
        if not any(row["derived_from"] for row in rows):
            columns.remove("derived_from")
        show_table(columns, [[_words(row[column]) for column in columns] for row in rows])


def show(name: NameArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show one view: its properties, definition, the statements it compiles to, columns and batch versions."""
    view = whole_view(load_project(project), name)
    definition, line = view.definition, asdict(view.state)
    versions = [asdict(version) for version in view.versions]
    statements = statements_of(definition)
    if as_json:
        said: dict[str, Any] = {
            "comment": definition.comment,
            "properties": definition.properties,
            "cost": cost(definition).words,
            "columns": [asdict(column) for column in definition.columns],
            "text": definition.text,
        }
        show_json({**line, **said, "statements": statements, "versions": versions})
        return
    about = {"comment": definition.comment, **definition.properties, "cost": cost(definition).words}
    lines = [*line.items(), *((key, value) for key, value in about.items() if value)]
    lines = [(key, value) for key, value in lines if key != "derived_from" or value]
    show_table(("", name), [(key, _words(value)) for key, value in lines if key != "view"])
    for title, text in (("definition", definition.text), *statements.items()):
        say(f"\n-- {title}\n{text}")
    say()
    columns = columns_of(definition)
    show_table(tuple(columns[0]), [tuple(column.values()) for column in columns])
    say()
    if versions:
        show_table(tuple(versions[0]), [tuple(version.values()) for version in versions], title="versions")
    else:
        say("no batch version yet")


def _words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value
