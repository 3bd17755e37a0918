"""`seamline views`: what the project defines, what the lake serves, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import typer

from seamline.cli.lazy import LazyCommand, LazyGroup, load
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, group


class Views(LazyGroup):
    """The group's commands."""

    parts: ClassVar[Mapping[str, LazyCommand]] = {
        "list": LazyCommand("viewlist", "List the views: those of the project, and those that the lake serves."),
        "show": LazyCommand(
            "viewlist",
            "Show one view: its properties, definition, the statements it compiles to, columns and batch versions.",
        ),
        "check": LazyCommand(
            "viewcheck",
            "Check files of views: types, exactness and cost of every column, or everything that is wrong with them.",
        ),
        "test": LazyCommand(
            "viewtest",
            "Run the tests of views in tests/: their events through both layers, cut and ordered in many ways.",
        ),
        "explain": LazyCommand(
            "viewexplain",
            "Explain how a view is kept: its keys, what is stored for each group, what that costs, and the statements.",
        ),
        "diff": LazyCommand(
            "viewdiff",
            "Compare views of the project, or of a file, with what is served: what changed, and what that needs.",
        ),
        "sql": LazyCommand(
            "viewsql",
            "Print a view over the Parquet files of the served batch version, "
            "for engines that have no Seamline at hand.",
        ),
        "apply": LazyCommand(
            "viewapply",
            "Put the project's views into service. "
            "All are compiled first: one that is wrong leaves every one as it was.",
        ),
        "drop": LazyCommand(
            "viewapply",
            "Take a view out of service. "
            "Its text has to be gone from views/: what stands there is put into service again.",
        ),
        "rollback": LazyCommand(
            "viewapply",
            "Serve another batch version of a view, older or held back, in one entry. It wins over runs under way.",
        ),
        "pin": LazyCommand(
            "viewapply",
            "Keep what a view serves: refreshes, rebuilds and backfills publish nothing until it is unpinned.",
        ),
        "unpin": LazyCommand("viewapply", "Let refreshes, rebuilds and backfills of a view publish again."),
        "history": LazyCommand(
            "viewhistory", "Show what a view has served: since when, why, and what became of each version's audit."
        ),
    }


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("views", "The project's views.", "seamline views list", cls=Views)
    commands.callback(invoke_without_command=True)(views)
    app.add_typer(commands)


def views(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """The project's views."""
    if context.invoked_subcommand is None:
        load(context, "list").callback(project=project, as_json=as_json)
