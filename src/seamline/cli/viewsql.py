"""`seamline views sql`: a batch version as a view in another engine's SQL."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from seamline.cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.cli.viewfind import NameArgument, batch_of
from seamline.console import note, say, show_json
from seamline.errors import Condition, TransientError
from seamline.history import SpeedHistory
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import load_project
from seamline.schemas.views.sparksql import spark_text
from seamline.serving.chains import served_definition, version_base


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
    loaded = load_project(project)
    catalogue = Catalogue(loaded.lake)
    state = catalogue.history(name).state
    definition, stream = served_definition(catalogue, state) if state else (None, "")
    if state is None or definition is None or state.version is None:
        mend = f"run 'seamline batch refresh {name}': it makes one"
        raise TransientError(Condition.VIEW_NOT_READY, f"view {name} has no batch version yet", mend=mend)
    batch = batch_of(loaded, definition.hash)
    cut = version_base(definition, batch, state.version, SpeedHistory(loaded.lake.speed_log(stream))).cut
    files = [file.path for of_unit in batch.files(state.version).values() for file in of_unit]
    if not files:
        got = f"batch version {state.version} of view {name} has no rows, so no file says its types"
        raise TransientError(Condition.VIEW_NOT_READY, got, mend=f"run 'seamline batch refresh {name}' once it has")
    said = f"{name}, definition {definition.hash}, batch version {state.version}: every record below {cut}, none above"
    text = spark_text(definition, [loaded.lake.absolute(file) for file in files], said)
    if as_json:
        show_json(
            {
                "view": name,
                "definition": definition.hash,
                "dialect": dialect,
                "version": state.version,
                "cut": cut.to_json(),
                "left_out": text.left_out,
                "bounds": text.bounds,
                "sql": text.sql,
            }
        )
        return
    say(text.sql)
    for column, why in text.left_out.items():
        note(f"{column} is left out: {why}")
