"""What the commands about views share: a view by its name, of the project or of the lake."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seamline.entries import Published
from seamline.history import BatchHistory
from seamline.schemas.catalogue import Catalogue, unknown_view
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.project_views import compile_for

NameArgument = Annotated[str, typer.Argument(help="The view's name.")]


def definition_of(project: Project, catalogue: Catalogue, name: str, state: Published | None) -> Definition:
    """The project's text of a view, else what the lake serves, compiled. Raises VIEW_UNKNOWN."""
    if name in project.views:
        return compile_for(project.views[name], project.contracts, project.views)[0]
    if state is None or state.served is None:
        raise unknown_view(name, list({*project.views, *catalogue.states}))
    return catalogue.definition(state.served)


def derived_from(definition: Definition) -> dict[str, str] | None:
    """The view and definition that a view over a view is derived from."""
    return {"view": definition.base.view, "definition": definition.base.definition} if definition.base else None


def origin(definition: Definition) -> str:
    """What a view is made of: contracts, or the view it is derived from and theirs."""
    contracts = ", ".join(definition.contracts)
    base = definition.base
    return f"the view {base.view} (definition {base.definition}) of {contracts}" if base else contracts


def batch_of(project: Project, definition: str) -> BatchHistory:
    """The batch log of a definition."""
    return BatchHistory(project.lake.batch_log(definition))


def statements_of(definition: Definition) -> dict[str, str]:
    """The statements of a definition, titled: `partial`, or `partial of` each contract where there are several."""
    several = len(definition.partials) > 1
    partials = {f"partial of {name}" if several else "partial": sql for name, sql in definition.partials.items()}
    if definition.base:
        partials = {"fold": definition.base.fold, **partials}
    return {**partials, "merge": definition.merge, "finalise": definition.finalise}


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
