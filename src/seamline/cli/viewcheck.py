"""`seamline views check`: view files against the project's contracts, without a lake and without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.cli.viewfind import columns_of, derived_from, origin
from seamline.config import FILE, load_settings
from seamline.console import say, show_error, show_json, show_table
from seamline.errors import Condition, SeamlineError, UserError
from seamline.schemas.contracts.contract import Contract, load_contracts
from seamline.schemas.views.cost import cost
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import check_views

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
    wrong_settings = _wrong_settings(project)
    views, errors = check_views(_listed(files or [project / "views"]))
    known = {view.name: view for view in [*check_views(sorted((project / "views").glob("*.sql")))[0], *views]}
    unread = len(errors)
    right, failed = _compiled(views, load_contracts(project / "contracts"), known)
    # the error of a base stands for what is derived from it too
    errors = sorted({str(error): error for error in [*errors, *failed]}.values(), key=_place)
    wrong = unread + len(views) - len(right)
    errors = [*wrong_settings, *errors]
    if as_json:
        show_json({"views": [_told(*one) for one in right], "errors": [_error(error) for error in errors]})
    else:
        _show(right, errors, wrong)
    if errors:
        raise typer.Exit(UserError.exit_code)


def _wrong_settings(project: Path) -> list[UserError]:
    """What is wrong with the project's settings, where it has any: a view that is right is no use beside them."""
    if not (project / FILE).exists():
        return []
    try:
        load_settings(project)
    except UserError as error:
        return [error]
    return []


def _compiled(
    views: Iterable[ParsedView], contracts: Mapping[str, Contract], known: Mapping[str, ParsedView]
) -> tuple[list[tuple[ParsedView, Definition]], list[UserError]]:
    """The views that are right, and what is wrong with the others."""
    right: list[tuple[ParsedView, Definition]] = []
    errors: list[UserError] = []
    for view in views:
        try:
            right.append((view, compile_for(view, contracts, known)[0]))
        except UserError as error:
            errors.append(error)
    return right, errors


def _listed(paths: Iterable[Path]) -> list[Path]:
    """Every file that is named, or stands in a folder that is named, once. Raises INPUT_INVALID."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(
                Condition.INPUT_INVALID, f"there is no {path}", allowed="files of views, or folders of them",
                mend="correct the path, or name the project's folder with --project",
            )  # fmt: skip
        for file in sorted(path.glob("*.sql")) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _show(right: list[tuple[ParsedView, Definition]], errors: list[UserError], wrong: int) -> None:
    for view, definition in right:
        say(f"{view.source.place(0)}: {view.name} of {origin(definition)}, definition {definition.hash}")
        if definition.comment:
            say(f"  {definition.comment}")
        say(f"  keys: {', '.join(key.name for key in definition.keys) or '(none: one row)'}")
        say(f"  cost: {cost(definition).words}")
        columns = columns_of(definition)
        show_table(tuple(columns[0]), [tuple(column.values()) for column in columns])
        say()
    for error in errors:
        show_error(error)
    others = f", {wrong} wrong" if wrong else ""
    say(f"{len(right)} {'view' if len(right) == 1 else 'views'} right{others}")


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


def _place(error: SeamlineError) -> tuple[str, int, int]:
    file, line, column = error.where.rsplit(":", 2)
    return file, int(line), int(column)


def _error(error: SeamlineError) -> dict[str, str]:
    said = {"condition": error.condition.value, "where": error.where, "got": error.got}
    return said | {"allowed": error.allowed, "mend": error.mend}
