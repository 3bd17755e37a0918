"""Views: `CREATE MATERIALIZED VIEW name TBLPROPERTIES (…) AS SELECT …`, read and checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot import Token, TokenType

from seamline.errors import Condition, UserError
from seamline.schemas.clauses import read_clauses
from seamline.schemas.language import Source, close, is_word, word

_FORM = "CREATE MATERIALIZED VIEW name [TBLPROPERTIES ('key' = 'value', …)] AS SELECT …"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DURATION = re.compile(r"[1-9]\d{0,5} (minute|hour|day)s?")


@dataclass(frozen=True)
class Property:
    """A key of TBLPROPERTIES: what it means, and which values it takes."""

    about: str
    allowed: str
    accepts: Callable[[str], bool]


PROPERTIES: dict[str, Property] = {
    "owner": Property("who answers for the view", "any text", lambda _: True),
    "description": Property("what the view is for", "any text", lambda _: True),
    "speed.retention": Property(
        "how long epochs are kept at least, after a batch version covers them",
        "a number of minutes, hours or days, such as '7 days'",
        lambda text: _DURATION.fullmatch(text) is not None,
    ),
}
"""Every property there is; others are refused."""


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
        raise whole.refuse(0, "no view in this file", _FORM, "write one, or remove the file")
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
    name, properties, tokens = header(source, source.tokens())
    table = read_clauses(source, tokens).table
    return ViewText(name, table.text, source.text, source.file, source.line, source.column, properties, table.start)


def header(source: Source, tokens: list[Token]) -> tuple[str, dict[str, str], list[Token]]:
    """The name, the properties and the SELECT's tokens. Raises VIEW_INVALID."""
    start = [word(token) for token in tokens[:3]]
    if start != ["create", "materialized", "view"] or len(tokens) < 6 or not is_word(tokens[3]):
        raise source.refuse(0, f"a statement that begins {' '.join(filter(None, start))!r}", _FORM, f"write {_FORM}")
    name = tokens[3].text if word(tokens[3]) == "" else word(tokens[3])
    if not _NAME.fullmatch(name):
        allowed = "lower-case letters, digits and single underscores, a letter first"
        raise source.refuse(tokens[3].start, f"view name {name!r}", allowed, "rename the view")
    rest = tokens[4:]
    properties: dict[str, str] = {}
    if word(rest[0]) == "tblproperties":
        properties, rest = _properties(source, rest)
    if [word(token) for token in rest[:2]] != ["as", "select"]:
        at = rest[0].start if rest else tokens[-1].start
        raise source.refuse(at, "no AS SELECT after the name", _FORM, f"write {_FORM}")
    return name, properties, rest[1:]


def _properties(source: Source, tokens: list[Token]) -> tuple[dict[str, str], list[Token]]:
    found: dict[str, str] = {}
    at = 1
    while at < len(tokens) and tokens[at].token_type in (TokenType.L_PAREN, TokenType.COMMA):
        kinds = [token.token_type for token in tokens[at + 1 : at + 4]]
        if kinds != [TokenType.STRING, TokenType.EQ, TokenType.STRING]:
            break
        key, value = tokens[at + 1], tokens[at + 3]
        _check_property(source, key, value, found)
        found[key.text] = value.text
        at += 4
    if not found or at >= len(tokens) or tokens[at].token_type != TokenType.R_PAREN:
        place = tokens[min(at, len(tokens) - 1)].start
        allowed = "TBLPROPERTIES ('key' = 'value', …)"
        raise source.refuse(place, "TBLPROPERTIES cannot be read", allowed, "quote keys and values with '")
    return found, tokens[at + 1 :]


def _check_property(source: Source, key: Token, value: Token, found: dict[str, str]) -> None:
    known = PROPERTIES.get(key.text)
    if known is None:
        mend = close(key.text, PROPERTIES) or "remove it"
        raise source.refuse(key.start, f"unknown property {key.text!r}", ", ".join(PROPERTIES), mend)
    if key.text in found:
        raise source.refuse(key.start, f"property {key.text!r} twice", "each once", "remove one of them")
    if not known.accepts(value.text):
        raise source.refuse(value.start, f"{key.text} = {value.text!r}", known.allowed, "write such a value")


def _refuse_twice(views: list[ViewText]) -> None:
    first: dict[str, ViewText] = {}
    for view in views:
        if view.name in first:
            other = first[view.name].source.place(0)
            got = f"view {view.name!r} is defined twice, first at {other}"
            raise view.source.refuse(0, got, "each name once", "rename or remove one of them")
        first[view.name] = view
