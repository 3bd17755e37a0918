"""A statement's text and its tokens: where each of them stands, and what kind of word it is."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.errors import Condition, UserError
from seamline.schemas.views.language import SYNTAX, TYPES
from seamline.sql import Token, tokens, tree

OPEN, CLOSE = frozenset("([{"), frozenset(")]}")


@dataclass(frozen=True)
class Source:
    """One statement's text and where it stands, so that an offset becomes `file:line:column`."""

    text: str
    file: str
    line: int = 1
    column: int = 1

    def place(self, offset: int) -> str:
        """`file:line:column` of a character, counted from 1."""
        before = self.text[:offset]
        lines = before.count("\n")
        column = offset - before.rfind("\n") if lines else self.column + offset
        return f"{self.file}:{self.line + lines}:{column}"

    def refuse(self, offset: int, message: str, detail: str = "", hint: str = "") -> UserError:
        """VIEW_INVALID at that character."""
        return UserError(Condition.VIEW_INVALID, message, detail=detail, hint=hint, where=self.place(offset))

    def tokens(self) -> list[Token]:
        """The statement's tokens. Raises VIEW_INVALID where a string or comment does not end."""
        found = tokens(self.text)
        if found and found[-1].kind not in ("word", "sign"):
            last = tree(f"SELECT {self.slice(found[-1])}")  # DuckDB's parser tells, and its tokenizer does not
            if last.get("position") == len("SELECT "):
                message, hint = "a quote or comment that does not end", "close every quote and comment"
                raise self.refuse(found[-1].start, message, hint=hint)
        return [token for token in found if token.kind != "comment"]

    def slice(self, token: Token) -> str:
        """What the user wrote."""
        return self.text[token.start : token.end + 1]


@dataclass(frozen=True)
class WrittenField:
    """A field as the user wrote it."""

    start: int
    """Its first character."""

    end: int
    """The first after it."""

    sql: str
    """Stands for it."""

    plain: bool


def is_word(token: Token) -> bool:
    """A name or keyword: not a string, number or operator."""
    return token.kind in ("word", "name")


def word(token: Token) -> str:
    """The token in lower case where it is an unquoted word or a keyword, else ''."""
    return token.text.lower() if token.kind == "word" else ""


def is_call(tokens: list[Token], at: int) -> bool:
    """Whether a name is called here: it is followed by '(' and is no word of syntax or type."""
    if not is_word(tokens[at]) or at + 1 == len(tokens) or tokens[at + 1].sign != "(":
        return False
    cast = at > 0 and (tokens[at - 1].sign == "::" or word(tokens[at - 1]) == "as")
    return not (cast and word(tokens[at]) in TYPES) and word(tokens[at]) not in SYNTAX
