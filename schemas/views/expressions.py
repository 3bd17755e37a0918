"""A scalar expression: written in one way for all spellings of it, and refused where a word in it is not allowed."""

from __future__ import annotations

from seamline.errors import UserError
from seamline.schemas.views.language import (
    ALLOWED,
    CHANGING,
    CHANGING_WORDS,
    SYNTAX,
    TYPES,
    UNITS,
    close,
    engine_functions,
)
from seamline.schemas.views.source import Source, WrittenField, is_call, is_word, word
from seamline.sql import Token

_OPERATORS = frozenset("+-*/%<>=!~^@&|#?:")
_TIGHT_BEFORE = {",", ")", "]", ".", "::", "}"}
_TIGHT_AFTER = {"(", "[", ".", "::", "{"}


def render(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> str:
    """The tokens as one line: keywords in lower case, comments gone, spaces made regular, fields put in.

    Nothing else is rewritten: DuckDB runs what the user wrote.
    """
    out: list[str] = []
    last: Token | None = None
    skip = -1
    for at, token in enumerate(tokens):
        if token.start <= skip:
            last = token
            continue
        field = fields.get(token.start)
        text = field.sql if field else word(token) or source.slice(token)
        if field:
            skip = field.end
        if out and not _tight(source, out[-1], text, last, token, at > 0 and is_call(tokens, at - 1)):
            out.append(" ")
        out.append(text)
        last = token
    return "".join(out)


def _tight(source: Source, before: str, after: str, last: Token | None, token: Token, called: bool) -> bool:
    if after == "(" and (called or before in TYPES):
        return True
    if after == "[" and before not in {"(", ","} and before.lower() not in SYNTAX:
        return True
    if after in _TIGHT_BEFORE or before in _TIGHT_AFTER:
        return True
    adjacent = last is not None and last.end + 1 == token.start
    return adjacent and before[-1] in _OPERATORS and after[0] in _OPERATORS


def check_words(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> None:
    """Refuses every word of a scalar expression that is not listed. Raises VIEW_INVALID at the word."""
    skip = -1
    for at, token in enumerate(tokens):
        if token.start <= skip:
            continue
        if token.start in fields:
            skip = fields[token.start].end
        elif is_call(tokens, at):
            if token.text.lower() not in ALLOWED:
                raise _refuse_function(source, token)
        elif is_word(token) and not _known_word(tokens, at):
            raise _refuse_word(source, token)
        elif token.sign in ("$", "?", "#", "@"):
            raise source.refuse(token.start, f"{source.slice(token)!r}: no parameters", "fields and literals")


def _refuse_word(source: Source, token: Token) -> UserError:
    if word(token).startswith(CHANGING_WORDS):
        return _refuse_function(source, token)
    message = f"{source.slice(token)!r} is not allowed in an expression"
    detail = "fields, literals, listed functions, casts, CASE, comparisons"
    return source.refuse(token.start, message, detail, "docs/views.md lists what an expression may contain")


def _known_word(tokens: list[Token], at: int) -> bool:
    name = word(tokens[at])
    after_dot = at > 0 and tokens[at - 1].sign == "."
    argument = at + 1 < len(tokens) and tokens[at + 1].sign == ":="
    return after_dot or argument or name in SYNTAX or name in UNITS or name in TYPES


def _refuse_function(source: Source, token: Token) -> UserError:
    """Why a function cannot be used, and what can."""
    name = token.text.lower()
    detail = "the scalar functions listed in docs/views.md"
    if name in ("unnest", "unlist"):
        message = f"{name}() where each event has to have one value"
        return source.refuse(
            token.start, message, "one key such as unnest(tags) AS tag", "filter by the key in the query"
        )
    if name in CHANGING or name.startswith(CHANGING_WORDS):
        message = f"{name}() does not give the same value each time, so a recomputed view would differ"
        return source.refuse(token.start, message, detail, "use a field of the event, such as its event time")
    message = f"function {name}() is not in the list" if name in engine_functions() else f"unknown function {name}()"
    return source.refuse(token.start, message, detail, close(name, ALLOWED) or "compute it in the query over the view")
