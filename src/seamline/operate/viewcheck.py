"""Files of views against the project's contracts, without a lake and without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seamline.config import FILE, load_settings
from seamline.errors import Condition, SeamlineError, UserError
from seamline.schemas.contracts.contract import Contract, load_contracts
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import check_views


@dataclass(frozen=True)
class ViewCheck:
    """What is right and wrong with a project's views."""

    right: tuple[tuple[ParsedView, Definition], ...]
    """Those that are, with what they compile to."""

    wrong: int
    """How many are."""

    errors: tuple[UserError, ...]
    """Everything that is."""


def check_project(folder: Path, files: Sequence[Path] = ()) -> ViewCheck:
    """Checks files of views or folders of them, those of the project in `folder` where none is named, and its settings.

    Each statement is read by itself, so one that is wrong hides no other. Raises INPUT_INVALID where there is no such
    file, and CONTRACT_INVALID.
    """
    wrong_settings = _wrong_settings(folder)
    views, errors = check_views(_listed(files or [folder / "views"]))
    known = {view.name: view for view in [*check_views(sorted((folder / "views").glob("*.sql")))[0], *views]}
    unread = len(errors)
    right, failed = _compiled(views, load_contracts(folder / "contracts"), known)
    # the error of a base stands for what is derived from it too
    errors = sorted({str(error): error for error in [*errors, *failed]}.values(), key=_place)
    wrong = unread + len(views) - len(right)
    return ViewCheck(tuple(right), wrong, (*wrong_settings, *errors))


def _wrong_settings(folder: Path) -> list[UserError]:
    """What is wrong with the project's settings, where it has any: a view that is right is no use beside them."""
    if not (folder / FILE).exists():
        return []
    try:
        load_settings(folder)
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
                Condition.INPUT_INVALID, f"there is no {path}", detail="files of views, or folders of them",
                hint="correct the path, or name the project's folder with --project",
            )  # fmt: skip
        for file in sorted(path.glob("*.sql")) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _place(error: SeamlineError) -> tuple[str, int, int]:
    file, line, column = error.where.rsplit(":", 2)
    return file, int(line), int(column)
