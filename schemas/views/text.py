"""Files of views, `CREATE MATERIALIZED VIEW name … AS SELECT …;`, each statement of them taken apart by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from seamline.errors import Condition, UserError
from seamline.schemas.views.headers import FORM
from seamline.schemas.views.parsed import ParsedView, parse
from seamline.schemas.views.reserved_words import explained
from seamline.schemas.views.source import Source
from seamline.sql import Token


def parse_views(text: str, where: str) -> tuple[ParsedView, ...]:
    """Every view of a file, in order. `where` names the file in messages. Raises UserError VIEW_INVALID."""
    return _sound(_read_text(text, where))


def load_views(folder: str | Path) -> dict[str, ParsedView]:
    """Every view of a folder's .sql files, by name. Raises UserError VIEW_INVALID, for names used twice too."""
    return {view.name: view for view in _sound(_read_files(sorted(Path(folder).glob("*.sql"))))}


def check_views(files: Iterable[Path]) -> tuple[list[ParsedView], list[UserError]]:
    """Every view of these files that can be read, each name once, and everything that is wrong with the others."""
    read = list(_read_files(files))
    views = [one for one in read if isinstance(one, ParsedView)]
    first = {view.name: view for view in reversed(views)}
    errors = [*(one for one in read if isinstance(one, UserError)), *_twice(views)]
    return [view for view in views if first[view.name] is view], errors


# --- reading ---------------------------------------------------------------------------------------------


def _sound(read: Iterable[ParsedView | UserError]) -> tuple[ParsedView, ...]:
    """Views none of which is wrong; raises the first error."""
    views = []
    for one in read:
        if isinstance(one, UserError):
            raise one
        views.append(one)
    for error in _twice(views):
        raise error
    return tuple(views)


def _read_files(files: Iterable[Path]) -> Iterator[ParsedView | UserError]:
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            where = f"{path}:1:1"
            yield UserError(
                Condition.VIEW_INVALID, "not UTF-8", detail="UTF-8 text", hint="save it as UTF-8", where=where
            )
            continue
        yield from _read_text(text, str(path))


def _read_text(text: str, where: str) -> Iterator[ParsedView | UserError]:
    """Every statement of a file, in order: the view, or what is wrong with it."""
    whole = Source(text, where)
    try:
        groups = _statements(whole.tokens())
    except UserError as error:
        yield error
        return
    for group in groups:
        start, end = group[0].start, group[-1].end + 1
        line, column = (int(part) for part in whole.place(start).rsplit(":", 2)[1:])
        try:
            source = Source(text[start:end], where, line, column)
            yield parse(source)
        except UserError as error:
            yield explained(source, error, parse)
    if not groups:
        yield whole.refuse(0, "no view in this file", FORM, "write one, or remove the file")


def _statements(tokens: list[Token]) -> list[list[Token]]:
    groups: list[list[Token]] = [[]]
    for token in tokens:
        if token.sign == ";":
            groups.append([])
        else:
            groups[-1].append(token)
    return [group for group in groups if group]


def _twice(views: Iterable[ParsedView]) -> Iterator[UserError]:
    """A refusal of every view whose name another has already."""
    first: dict[str, ParsedView] = {}
    for view in views:
        if view.name in first:
            other = first[view.name].source.place(0)
            message = f"view {view.name!r} is defined twice, first at {other}"
            yield view.source.refuse(0, message, "each name once", "rename or remove one of them")
        first.setdefault(view.name, view)
