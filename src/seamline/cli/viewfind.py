"""What the commands about views share: the name of one, and what is shown of any."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seamline.schemas.views.definition import Definition

NameArgument = Annotated[str, typer.Argument(help="The view's name.")]


def derived_from(definition: Definition) -> dict[str, str] | None:
    """The view and definition that a view over a view is derived from."""
    return {"view": definition.base.view, "definition": definition.base.definition} if definition.base else None


def origin(definition: Definition) -> str:
    """What a view is made of: contracts, or the view it is derived from and theirs."""
    contracts = ", ".join(definition.contracts)
    base = definition.base
    return f"the view {base.view} (definition {base.definition}) of {contracts}" if base else contracts


def columns_of(definition: Definition) -> list[dict[str, Any]]:
    """A view's columns in a few words each; without `comment` where no column has one."""
    rows: list[dict[str, Any]] = [
        {
            "column": column.name,
            "type": column.sql_type,
            "aggregate": column.aggregate or "(key)",
            "exactness": column.exactness,
            "bound": column.bound,
            "comment": column.comment,
        }
        for column in definition.columns
    ]
    if not any(row["comment"] for row in rows):
        for row in rows:
            del row["comment"]
    return rows
