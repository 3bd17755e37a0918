"""Fields that are called like words of SQL: a contract may have `limit` or `end`, and a view has to quote them.

Where a view is refused, and would not be for the same reason with such words in quotes, they are what is wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.views.language import keywords
from seamline.schemas.views.source import CLOSE, OPEN, Source, word
from seamline.sql import Token

_RESERVED = {"reserved", "type_function"}
_VALUES = {"true", "false", "null"}
_BEFORE = {"select", "where", "and", "or", "not", "when", "then", "else", "by", "having", "between", "case"}
_AFTER = {
    *("from", "where", "group", "having", "as", "and", "or", "is", "in", "not", "like", "ilike", "between", "then"),
    *("when", "else", "end", "at", "filter", "order", "desc", "asc"),
}
_MOST = 10
"""Words that are looked at: each costs one reading of the view."""


@functools.cache
def reserved() -> frozenset[str]:
    """DuckDB's words that cannot stand for a column everywhere."""
    return frozenset(name for name, kinds in keywords().items() if kinds & _RESERVED) - _VALUES


def written(name: str) -> str:
    """A field's name as a view has to write it."""
    return quote(name) if name.lower() in reserved() else name


def explained(
    source: Source, error: UserError, read: Callable[[Source], object], fields: Collection[str] | None = None
) -> UserError:
    """The `error` that `read` raised over `source`; or, where unquoted names are behind it, one that says so.

    fields: the names that may be meant, or None where they are not known: then reading has to succeed with quotes.
    """
    try:
        found = _candidates(source.tokens(), fields)
    except UserError:
        return error
    if not found or len(found) > _MOST:
        return error
    best = _refusal(source, found, read)
    if best == error.message or (fields is None and best is not None):
        return error
    behind = [token for token in found if _refusal(source, [t for t in found if t is not token], read) != best]
    behind = behind or found[:1]
    names = list(dict.fromkeys(source.slice(token) for token in behind))
    message = f"{' and '.join(map(repr, names))} without quotes, reserved by SQL"
    hint = "write " + " and ".join(f'"{name}"' for name in names)
    return source.refuse(behind[0].start, message, "a field of such a name in double quotes", hint)


def _refusal(source: Source, quoted: Sequence[Token], read: Callable[[Source], object]) -> str | None:
    """Why the text is refused with these words in quotes; None where it is not."""
    text = source.text
    for token in sorted(quoted, key=lambda token: -token.start):
        text = f'{text[: token.start]}"{source.slice(token)}"{text[token.end + 1 :]}'
    try:
        read(replace(source, text=text))
    except UserError as error:
        return error.message
    return None


def _candidates(tokens: Sequence[Token], fields: Collection[str] | None) -> list[Token]:
    """Reserved words that stand where a value has to."""
    known = {name.lower() for name in fields} if fields is not None else reserved()
    names = known & reserved()
    return [
        token
        for before, token, after in zip(tokens, tokens[1:], [*tokens[2:], None], strict=False)
        if word(token) in names and _opens(before) and _ends(after)
        if (word(before), word(token)) != ("by", "all") and not (after and _begins_case(token, after))
    ]


def _begins_case(token: Token, after: Token) -> bool:
    return (word(token), word(after)) == ("case", "when")


def _opens(before: Token) -> bool:
    return word(before) in _BEFORE or (not _is_name(before) and before.sign not in CLOSE)


def _ends(after: Token | None) -> bool:
    return after is None or word(after) in _AFTER or (not _is_name(after) and after.sign not in OPEN)


def _is_name(token: Token) -> bool:
    """A name, a keyword or a literal: what no value can stand beside."""
    return token.kind != "sign"
