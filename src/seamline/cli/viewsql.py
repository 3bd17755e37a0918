"""`seamline views sql`: a batch version as a view in another engine's SQL."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from seamline.cli.viewfind import NameArgument
from seamline.console import note, say, show_json
from seamline.operate.viewsql import spark_view
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    commands.command(name="sql", epilog=examples("seamline views sql orders_by_hour"))(sql)


def sql(
    name: NameArgument,
    dialect: Annotated[Literal["spark"], typer.Option("--dialect", help="Whose SQL it is.")] = "spark",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Print a view over the Parquet files of the served batch version, for engines that have no Seamline at hand.

    Columns that the dialect cannot say as they are served are left out, and named.
    """
    found = spark_view(load_project(project), name)
    text = found.text
    if as_json:
        show_json(
            {
                "view": name,
                "definition": found.definition,
                "dialect": dialect,
                "version": found.version,
                "cut": found.cut.to_json(),
                "left_out": text.left_out,
                "bounds": text.bounds,
                "sql": text.sql,
            }
        )
        return
    say(text.sql)
    for column, why in text.left_out.items():
        note(f"{column} is left out: {why}")
