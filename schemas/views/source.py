"""A statement's text and its tokens: where each of them stands, and what kind of word it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import Token, TokenType, tokenize
from sqlglot.errors import SqlglotError

from seamline.errors import Condition, UserError
from seamline.schemas.views.language import SYNTAX, TYPES, all_in

_QUOTED = {TokenType.IDENTIFIER}
_LITERALS = {kind for kind in TokenType if kind.name.endswith("STRING")} | {TokenType.NUMBER}
OPEN = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
CLOSE = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})


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
        try:
            return list(tokenize(self.text, dialect="duckdb"))
        except (SqlglotError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise self.refuse(0, reason, hint="close every quote and comment") from error

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
    if token.token_type in _QUOTED:
        return True
    return token.token_type not in _LITERALS and (token.text[:1].isalpha() or token.text[:1] == "_")


def word(token: Token) -> str:
    """The token in lower case where it is an unquoted word or a keyword, else ''."""
    return " ".join(token.text.lower().split()) if is_word(token) and token.token_type not in _QUOTED else ""


def is_call(tokens: list[Token], at: int) -> bool:
    """Whether a name is called here: it is followed by '(' and is no word of syntax or type."""
    if not is_word(tokens[at]) or at + 1 == len(tokens) or tokens[at + 1].token_type != TokenType.L_PAREN:
        return False
    cast = at > 0 and (tokens[at - 1].token_type == TokenType.DCOLON or word(tokens[at - 1]) == "as")
    return not (cast and word(tokens[at]) in TYPES) and not all_in(word(tokens[at]), SYNTAX)
