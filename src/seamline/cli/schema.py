"""`seamline schema`: JSON Schemas for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from seamline.config import load_settings
from seamline.console import say, show_json
from seamline.operate.editorschemas import SCHEMAS, refresh_schemas
from seamline.serve_cli.options import HERE, ProjectOption, examples


class SchemaOf(StrEnum):
    """What there are schemas of; the keys of SCHEMAS."""

    SETTINGS = "settings"
    CONTRACT = "contract"
    PROPERTIES = "properties"


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="schema", epilog=examples("seamline schema contract", "seamline schema --project shop"))(schema)


def schema(
    of: Annotated[
        SchemaOf | None,
        typer.Argument(help="Print this one: of seamline.toml, of contracts, or of views' TBLPROPERTIES."),
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Print a JSON Schema for editors, or refresh those that stand in the project's .schemas folder.

    A new project's seamline.toml and contracts name them in their first line.
    """
    if of is not None:
        show_json(SCHEMAS[of]())
        return
    load_settings(project.absolute())  # a project's folder, or CONFIG_INVALID
    written = refresh_schemas(project)
    for path in written:
        say(f"wrote {path}")
    if not written:
        say("all are as they should be")
