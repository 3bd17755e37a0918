"""What stands before a view's AS SELECT: its name, comments and properties. None but the name is part of its identity.

`CREATE MATERIALIZED VIEW name [(column [COMMENT 'text'], …)] [COMMENT 'text'] [TBLPROPERTIES ('key' = 'value', …)]`
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from seamline.errors import UserError
from seamline.schemas.views.language import close
from seamline.schemas.views.properties import PROPERTIES
from seamline.schemas.views.source import Source, is_word, word
from seamline.sql import Token

FORM = (
    "CREATE MATERIALIZED VIEW name [(column COMMENT 'text', …)] [COMMENT 'text']"
    " [TBLPROPERTIES ('key' = 'value', …)] AS SELECT …"
)
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LIST = "(column COMMENT 'text', …)"


@dataclass(frozen=True)
class Header:
    """A view's name, its comments and properties, and the tokens of its SELECT."""

    name: str
    select: list[Token]
    comment: str = ""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Column as written to its comment ('' where it has none)."""

    properties: dict[str, str] = field(default_factory=dict)

    places: Mapping[str, int] = field(default_factory=dict)
    """The character where a property's value (by key) or a listed column (by name) stands."""

    @property
    def said(self) -> tuple[object, ...]:
        """What the header tells people and the layers, beside the name: equal for any spelling of the same."""
        comments = {name.lower(): comment for name, comment in self.columns.items() if comment}
        return self.comment, comments, self.properties


@lru_cache(maxsize=1024)
def header_of(text: str) -> Header:
    """The header of a recorded statement; an empty one where this release cannot read it."""
    source = Source(text, "")
    try:
        return read_header(source, source.tokens())
    except UserError:
        return Header("", [])


def read_header(source: Source, tokens: list[Token]) -> Header:
    """The header of one statement. Raises VIEW_INVALID."""
    start = [word(token) for token in tokens[:3]]
    if start != ["create", "materialized", "view"] or len(tokens) < 6 or not is_word(tokens[3]):
        raise source.refuse(0, f"a statement that begins {' '.join(filter(None, start))!r}", FORM, f"write {FORM}")
    name = tokens[3].text if word(tokens[3]) == "" else word(tokens[3])
    if not _NAME.fullmatch(name):
        detail = "lower-case letters, digits and single underscores, a letter first"
        raise source.refuse(tokens[3].start, f"view name {name!r}", detail, "rename the view")
    return _Reader(source, tokens, 4).header(name)


@dataclass
class _Reader:
    """Reads a header's tokens from `at` on."""

    source: Source
    tokens: list[Token]
    at: int

    def header(self, name: str) -> Header:
        columns, properties, places = dict[str, str](), dict[str, str](), dict[str, int]()
        comment: str | None = None
        if self.sign() == "(":
            self.columns(columns, places)
        while (clause := self.word()) in ("comment", "tblproperties"):
            at = self.start()
            if (clause == "comment" and comment is not None) or (clause == "tblproperties" and properties):
                raise self.source.refuse(at, f"{clause.upper()} twice", FORM, "remove one of them")
            self.at += 1
            if clause == "comment":
                comment = self.text("COMMENT 'text'")
            else:
                self.properties(properties, places)
        if [word(token) for token in self.tokens[self.at : self.at + 2]] != ["as", "select"]:
            raise self.source.refuse(self.start(), "no AS SELECT after the name", FORM, f"write {FORM}")
        return Header(name, self.tokens[self.at + 1 :], comment or "", columns, properties, places)

    def columns(self, found: dict[str, str], places: dict[str, int]) -> None:
        while self.sign() in ("(", ","):
            self.at += 1
            at = self.start()
            if self.at >= len(self.tokens) or not is_word(self.tokens[self.at]):
                break
            token = self.tokens[self.at]
            name = word(token) or token.text
            if name.lower() in {one.lower() for one in found}:
                raise self.source.refuse(at, f"column {name!r} twice", "each once", "remove one of them")
            self.at += 1
            found[name], places[name] = "", at
            if self.word() == "comment":
                self.at += 1
                found[name] = self.text(_LIST)
        if not found or self.sign() != ")":
            hint = "name columns of the SELECT; their types come from it"
            raise self.source.refuse(self.start(), "the list of columns cannot be read", _LIST, hint)
        self.at += 1

    def properties(self, found: dict[str, str], places: dict[str, int]) -> None:
        while self.sign() in ("(", ","):
            following = self.tokens[self.at + 1 : self.at + 4]
            if [token.sign or token.kind for token in following] != ["string", "=", "string"]:
                break
            key, value = following[0], following[2]
            self.check(key, value, found)
            found[key.text], places[key.text] = value.text, value.start
            self.at += 4
        if not found or self.sign() != ")":
            detail = "TBLPROPERTIES ('key' = 'value', …)"
            raise self.source.refuse(self.start(), "TBLPROPERTIES cannot be read", detail, "quote keys and values by '")
        self.at += 1

    def check(self, key: Token, value: Token, found: Mapping[str, str]) -> None:
        known = PROPERTIES.get(key.text)
        if known is None:
            hint = close(key.text, PROPERTIES) or "remove it"
            raise self.source.refuse(key.start, f"unknown property {key.text!r}", ", ".join(PROPERTIES), hint)
        if key.text in found:
            raise self.source.refuse(key.start, f"property {key.text!r} twice", "each once", "remove one of them")
        if not known.accepts(value.text):
            raise self.source.refuse(value.start, f"{key.text} = {value.text!r}", known.detail, known.hint)

    def text(self, detail: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at].kind != "string":
            raise self.source.refuse(self.start(), "COMMENT without a text", detail, "write the text between ' and '")
        self.at += 1
        return self.tokens[self.at - 1].text

    def sign(self) -> str:
        return self.tokens[self.at].sign if self.at < len(self.tokens) else ""

    def word(self) -> str:
        return word(self.tokens[self.at]) if self.at < len(self.tokens) else ""

    def start(self) -> int:
        return self.tokens[min(self.at, len(self.tokens) - 1)].start
