"""Views: files of `CREATE MATERIALIZED VIEW name … AS SELECT …`, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlglot import Token, TokenType

from seamline.errors import Condition, UserError
from seamline.schemas.clauses import read_clauses
from seamline.schemas.headers import FORM, read_header
from seamline.schemas.language import Source


@dataclass(frozen=True)
class ViewText:
    """One view statement as written. `text` is all of it; `line` and `column` say where it begins in `where`.

    `contract_at`: the character of `text` where the contract is named.
    """

    name: str
    contract: str
    text: str
    where: str
    line: int = 1
    column: int = 1
    properties: dict[str, str] = field(default_factory=dict, hash=False)
    contract_at: int = 0

    @property
    def source(self) -> Source:
        return Source(self.text, self.where, self.line, self.column)


def parse_views(text: str, where: str) -> tuple[ViewText, ...]:
    """Every view of a file, in order. `where` names the file in messages. Raises UserError VIEW_INVALID."""
    whole = Source(text, where)
    views = []
    for group in _statements(whole.tokens()):
        start, end = group[0].start, group[-1].end + 1
        place = whole.place(start)
        line, column = (int(part) for part in place.rsplit(":", 2)[1:])
        views.append(_read(Source(text[start:end], where, line, column)))
    if not views:
        raise whole.refuse(0, "no view in this file", FORM, "write one, or remove the file")
    _refuse_twice(views)
    return tuple(views)


def load_views(folder: str | Path) -> dict[str, ViewText]:
    """Every view of a folder's .sql files, by name. Raises UserError VIEW_INVALID, for names used twice too."""
    views: list[ViewText] = []
    for path in sorted(Path(folder).glob("*.sql")):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                Condition.VIEW_INVALID, "not UTF-8", allowed="UTF-8 text", mend="save it as UTF-8", where=f"{path}:1:1"
            ) from error
        views.extend(parse_views(text, str(path)))
    _refuse_twice(views)
    return {view.name: view for view in views}


# --- reading ---------------------------------------------------------------------------------------------


def _statements(tokens: list[Token]) -> list[list[Token]]:
    groups: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            groups.append([])
        else:
            groups[-1].append(token)
    return [group for group in groups if group]


def _read(source: Source) -> ViewText:
    head = read_header(source, source.tokens())
    table = read_clauses(source, head.select).table
    place = (source.file, source.line, source.column)
    return ViewText(head.name, table.text, source.text, *place, head.properties, table.start)


def _refuse_twice(views: list[ViewText]) -> None:
    first: dict[str, ViewText] = {}
    for view in views:
        if view.name in first:
            other = first[view.name].source.place(0)
            got = f"view {view.name!r} is defined twice, first at {other}"
            raise view.source.refuse(0, got, "each name once", "rename or remove one of them")
        first[view.name] = view
