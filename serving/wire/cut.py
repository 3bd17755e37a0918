"""What a client sends, cut into statements by DuckDB's own tokens, and what each begins with. Nothing is parsed here.

A statement is rewritten by edits of its text, so that a place in what runs is a place in what the client wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from seamline.kernel import fold
from seamline.serving.wire.failing import WireError
from seamline.sql import Token, tokens

LONGEST = 100_000
"""Characters of one text."""


@dataclass(frozen=True)
class Rewrite:
    """What stands in the place of the characters from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Statement:
    """One statement as it was written, and its tokens without comments; their places are those in its text."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def verb(self) -> str:
        """Its first word, in capitals; `(` where it begins with one."""
        first = self.tokens[0]
        return first.text.upper() if first.kind == "word" else first.text

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its tokens for those who look for words: in capitals where they stand without quotes, else as they are."""
        return tuple(one.text.upper() if one.kind == "word" else one.text for one in self.tokens)

    def has(self, *words: str, at: int = 0) -> bool:
        """Whether these words stand there."""
        return self.words[at : at + len(words)] == words

    def after(self, at: int) -> Statement:
        """What stands from one token on, as a statement."""
        if at >= len(self.tokens):
            return Statement("", ())
        start = self.tokens[at].start
        return Statement(self.text[start:], moved(self.tokens[at:], -start))

    @cached_property
    def parameters(self) -> tuple[tuple[int, Rewrite], ...]:
        """The parameters by number, with the place of each. Raises WireError for a number that is none."""
        found = []
        for sign, number in zip(self.tokens, self.tokens[1:], strict=False):
            if sign.sign == "$" and number.kind == "literal" and number.start == sign.end + 1:
                if not number.text.isdecimal() or not 0 < int(number.text[:6]) <= 65_535 or len(number.text) > 5:
                    raise syntax_error(self, sign)
                found.append((int(number.text), Rewrite(sign.start, number.end + 1, "")))
        return tuple(found)


def moved(found: Sequence[Token], by: int) -> tuple[Token, ...]:
    """The same tokens, at other places."""
    return tuple(Token(one.kind, one.text, one.start + by, one.end + by) for one in found)


def statements(sql: str) -> list[Statement]:
    """The statements of a text, without empty ones. Raises WireError."""
    if len(sql) > LONGEST:
        raise WireError("54000", f"a text of {len(sql):,} characters", detail=f"{LONGEST:,} characters")
    try:
        written = [one for one in tokens(sql) if one.kind != "comment"]
    except (UnicodeEncodeError, ValueError):
        raise WireError("22021", "characters that are no Unicode text") from None
    found, inside = list[Statement](), list[Token]()
    for token in [*written, Token("sign", ";", len(sql), len(sql))]:
        if token.sign != ";":
            inside.append(token)
        elif inside:
            start = inside[0].start
            found.append(Statement(sql[start : inside[-1].end + 1], moved(inside, -start)))
            inside = []
    return found


def edited(text: str, edits: Iterable[Rewrite]) -> tuple[str, Callable[[int], int]]:
    """A text with its edits made, and what tells for an offset in it the one in the text as it was. They do not
    overlap."""
    pieces, at, ordered = list[str](), 0, sorted(edits, key=lambda one: one.start)
    for one in ordered:
        pieces += [text[at : one.start], one.text]
        at = one.end

    def back(offset: int) -> int:
        grown = 0
        for one in ordered:
            begins = one.start + grown
            if offset < begins:
                break
            if offset < begins + len(one.text):
                return one.start
            grown += len(one.text) - (one.end - one.start)
        return offset - grown

    return "".join([*pieces, text[at:]]), back


def syntax_error(statement: Statement, token: Token | None = None) -> WireError:
    """Of a token, or of the statement's end."""
    if token is None:
        return WireError("42601", "syntax error at end of input", position=len(statement.text) + 1)
    shown = statement.text[token.start : token.end + 1]
    return WireError("42601", f'syntax error at or near "{shown}"', position=token.start + 1)


def name_of(token: Token) -> str:
    """A name as PostgreSQL folds it: as it is in quotes, else in lower case."""
    return token.text if token.kind == "name" else fold(token.text)


def closing(found: Sequence[Token], opening: int) -> int:
    """The number of the token that closes a bracket; -1 where none does."""
    depth = 0
    for number in range(opening, len(found)):
        depth += (found[number].sign in ("(", "[")) - (found[number].sign in (")", "]"))
        if depth == 0:
            return number
    return -1


def arguments(found: Sequence[Token], opening: int, closes: int) -> list[tuple[int, int]]:
    """Of a call, the first and last token of each argument."""
    if closes == opening + 1:
        return []
    cuts, depth = [opening], 0
    for number in range(opening + 1, closes):
        depth += (found[number].sign in ("(", "[")) - (found[number].sign in (")", "]"))
        if depth == 0 and found[number].sign == ",":
            cuts.append(number)
    cuts.append(closes)
    return [(first + 1, last - 1) for first, last in pairwise(cuts)]
