"""What a view's expressions may say: the functions and words that are allowed, and how refusals are worded.

Denied unless listed: every word of an expression must be a field, a listed function, a type or a word of syntax.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlglot import Token, TokenType, tokenize
from sqlglot.errors import SqlglotError

from seamline.errors import Condition, UserError
from seamline.kernel import kernel


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FUNCTIONS: dict[str, tuple[str, ...]] = {
    "time": _names(
        """time_bucket date_trunc datetrunc date_part datepart extract year quarter month week day hour minute second
        dayofweek isodow dayofyear weekofyear yearweek epoch epoch_ms epoch_us date_diff datediff date_sub datesub
        strftime strptime dayname monthname make_date last_day to_timestamp"""
    ),
    "text": _names(
        """lower upper lcase ucase trim ltrim rtrim length len strlen left right substring substr replace reverse
        concat concat_ws split_part string_split str_split starts_with prefix suffix contains strpos
        instr ascii unicode chr translate md5 sha256 regexp_matches regexp_full_match regexp_extract
        regexp_replace url_encode url_decode strip_accents"""
    ),
    "number": _names(
        """abs ceil ceiling floor round trunc sign sqrt cbrt exp ln log log2 log10 power pow mod greatest least
        isnan isinf isfinite bit_count gcd lcm width_bucket"""
    ),
    "condition": _names("coalesce nullif if ifnull"),
    "conversion": _names("cast try_cast typeof"),
    "JSON": _names(
        """json_extract json_extract_string json_extract_path json_extract_path_text json_type json_array_length
        json_valid json_exists json_keys"""
    ),
    "lists and structs": _names(
        """struct_extract list_value list_extract list_contains list_has list_position array_length list_sort
        list_distinct list_sum list_min list_max array_to_string flatten"""
    ),
}
"""Every scalar function a view may call. All are deterministic, and none makes values far larger than its arguments,
as repeat does: running out of memory is the one failure that try semantics cannot turn into NULL."""

ALLOWED = frozenset(name for names in FUNCTIONS.values() for name in names)

SYNTAX = frozenset(
    _names(
        """and or not is null true false in between like ilike escape case when then else end as interval distinct
        from at time zone similar to glob"""
    )
)
UNITS = frozenset(
    name + plural
    for name in _names("microsecond millisecond second minute hour day week month quarter year decade century")
    for plural in ("", "s")
) | {"epoch", "dow", "isodow", "doy", "isoyear"}
TYPES = frozenset(
    _names(
        """boolean bool tinyint smallint integer int int1 int2 int4 int8 bigint hugeint utinyint usmallint uinteger
        ubigint float real float4 double float8 precision decimal numeric varchar char text string blob bytea date
        time timestamp timestamptz datetime timestamp_s timestamp_ms timestamp_ns with without zone interval json
        uuid"""
    )
)

_QUOTED = {TokenType.IDENTIFIER}
_LITERALS = {kind for kind in TokenType if kind.name.endswith("STRING")} | {TokenType.NUMBER}
OPEN = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
CLOSE = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_OPERATORS = frozenset("+-*/%<>=!~^@&|#?:")
_TIGHT_BEFORE = {",", ")", "]", ".", "::", "}"}
_TIGHT_AFTER = {"(", "[", ".", "::", "{"}


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

    def refuse(self, offset: int, got: str, allowed: str = "", mend: str = "") -> UserError:
        """VIEW_INVALID at that character."""
        return UserError(Condition.VIEW_INVALID, got, allowed=allowed, mend=mend, where=self.place(offset))

    def tokens(self) -> list[Token]:
        """The statement's tokens. Raises VIEW_INVALID where a string or comment does not end."""
        try:
            return list(tokenize(self.text, dialect="duckdb"))
        except (SqlglotError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise self.refuse(0, reason, mend="close every quote and comment") from error

    def slice(self, token: Token) -> str:
        """What the user wrote."""
        return self.text[token.start : token.end + 1]


@dataclass(frozen=True)
class Field:
    """A field as the user wrote it: the characters from `start` to `end`, and the SQL that stands for it."""

    start: int
    end: int
    sql: str
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
    return not (cast and word(tokens[at]) in TYPES) and not _all_in(word(tokens[at]), SYNTAX)


def close(name: str, known: Iterable[str]) -> str:
    """' did you mean …' for a misspelt name, or ''."""
    found = difflib.get_close_matches(name.lower(), sorted(known), n=2)
    return f"did you mean {' or '.join(repr(n) for n in found)}? " if found else ""


@functools.cache
def engine_functions() -> dict[str, tuple[str, bool]]:
    """DuckDB's own functions: name to (scalar, aggregate or other, volatile)."""
    rows = kernel().run(
        "SELECT function_name AS name, max(function_type) AS kind, bool_or(stability IS DISTINCT FROM 'CONSISTENT')"
        " AS volatile FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro') GROUP BY ALL"
    )
    return {row["name"]: (row["kind"], bool(row["volatile"])) for row in rows.to_pylist()}


def render(source: Source, tokens: list[Token], fields: dict[int, Field]) -> str:
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


def check_words(source: Source, tokens: list[Token], fields: dict[int, Field]) -> None:
    """Refuses every word of a scalar expression that is not listed. Raises VIEW_INVALID at the word."""
    skip = -1
    for at, token in enumerate(tokens):
        if token.start <= skip:
            continue
        if token.start in fields:
            skip = fields[token.start].end
        elif is_call(tokens, at):
            if token.text.lower() not in ALLOWED:
                raise refuse_function(source, token)
            if token.text.lower() == "time_bucket":
                _check_bucket(source, tokens[at:])
        elif is_word(token) and not _known_word(tokens, at):
            raise _refuse_word(source, token)
        elif token.token_type in (TokenType.PARAMETER, TokenType.PLACEHOLDER, TokenType.HASH):
            raise source.refuse(token.start, f"{source.slice(token)!r}: no parameters", "fields and literals")


def _refuse_word(source: Source, token: Token) -> UserError:
    if word(token).startswith(("current_", "localtime")):
        return refuse_function(source, token)
    got = f"{source.slice(token)!r} is not allowed in an expression"
    allowed = "fields, literals, listed functions, casts, CASE, comparisons"
    return source.refuse(token.start, got, allowed, "docs/views.md lists what an expression may contain")


_BUCKET = "time_bucket(INTERVAL 'n minute|hour|day', timestamp), from 1 minute to 1 day"
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def _check_bucket(source: Source, tokens: list[Token]) -> None:
    """`tokens` begin at time_bucket. The width must be written out, and the origin is DuckDB's own."""
    depth, commas, end = 0, 0, len(tokens)
    for at, token in enumerate(tokens):
        depth += (token.token_type in OPEN) - (token.token_type in CLOSE)
        commas += depth == 1 and token.token_type == TokenType.COMMA
        if at and depth == 0:
            end = at
            break
    width = tokens[2 : next((at for at in range(end) if tokens[at].token_type == TokenType.COMMA), end)]
    text = " ".join(token.text.lower() for token in width)
    match = re.fullmatch(r"interval (\d{1,6}) *(second|minute|hour|day)s?", text)
    if commas != 1 or not match or not 60 <= int(match[1]) * _SECONDS[match[2]] <= 86400:
        got = f"time bucket {source.text[tokens[0].start : tokens[min(end, len(tokens) - 1)].end + 1]!r}"
        raise source.refuse(tokens[0].start, got, _BUCKET, "coarser buckets can be made in the query over the view")


def _known_word(tokens: list[Token], at: int) -> bool:
    name = word(tokens[at])
    after_dot = at > 0 and tokens[at - 1].token_type == TokenType.DOT
    return after_dot or _all_in(name, SYNTAX) or name in UNITS or name in TYPES


def _all_in(name: str, words: frozenset[str]) -> bool:
    """For tokens of one word and of several, such as IS NOT."""
    return name != "" and all(part in words for part in name.split())


def refuse_function(source: Source, token: Token) -> UserError:
    """Why a function cannot be used, and what can."""
    name = token.text.lower()
    kind, volatile = engine_functions().get(name, ("", word(token).startswith(("current_", "localtime"))))
    allowed = "the scalar functions listed in docs/views.md"
    if volatile:
        got = f"{name}() does not give the same value each time, so a recomputed view would differ"
        return source.refuse(token.start, got, allowed, "use a field of the event, such as its event time")
    got = f"function {name}() is not in the list" if kind else f"unknown function {name}()"
    return source.refuse(token.start, got, allowed, close(name, ALLOWED) or "compute it in the query over the view")
