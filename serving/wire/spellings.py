"""PostgreSQL's spellings that DuckDB has another word for: one entry each, and what is refused by name.

A call is written anew from its arguments' texts; what has no entry is DuckDB's to understand or to refuse.
docs/postgres.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

from seamline.kernel import fold, literal
from seamline.serving.wire.cut import Rewrite, Statement, arguments, closing, name_of
from seamline.serving.wire.failing import WireError
from seamline.sql import Token

_PATTERNS = {
    "YYYY": "%Y", "YY": "%y", "MM": "%m", "MONTH": "%B", "MON": "%b", "DDD": "%j", "DD": "%d", "HH24": "%H",
    "HH12": "%I", "HH": "%I", "MI": "%M", "SS": "%S", "MS": "%g", "US": "%f", "AM": "%p", "PM": "%p", "DY": "%a",
    "IYYY": "%G", "IW": "%V", "ID": "%u", "TZ": "%Z",
}  # fmt: skip
"""PostgreSQL's patterns of times that mean the same as one of strftime's. """

_PATTERN = re.compile("|".join(sorted(_PATTERNS, key=len, reverse=True)), re.IGNORECASE)
_CASED = {"MON": "Mon", "DY": "Dy"}


def pattern(text: str) -> str:
    """A format of to_char or to_timestamp as one of strftime. Raises WireError 0A000 for what has none."""
    written, at = list[str](), 0
    while at < len(text):
        if text[at] == '"':
            end = text.find('"', at + 1)
            end = len(text) if end < 0 else end
            written.append(text[at + 1 : end].replace("%", "%%"))
            at = end + 1
            continue
        found = _PATTERN.match(text, at)
        if found is None and text[at].isalpha() and text[at] != "T":
            raise _format_refused(text, text[at:])
        if found is None:
            written.append("%%" if text[at] == "%" else text[at])
            at += 1
            continue
        word = found[0].upper()
        if word == "MONTH" or _CASED.get(word, found[0]) != found[0]:
            raise _format_refused(text, found[0])
        written.append(_PATTERNS[word])
        at = found.end()
    return "".join(written)


def _format_refused(text: str, part: str) -> WireError:
    return WireError(
        "0A000", f"the pattern {part!r} in the format {text!r}", detail=", ".join(sorted(_PATTERNS)),
        hint="write strftime(time, format) or strptime(text, format) with DuckDB's patterns",
    )  # fmt: skip


class Called:
    """A call in a statement: the texts of its arguments, and those that are one string."""

    def __init__(self, statement: Statement, spans: Sequence[tuple[int, int]], views: Collection[str]) -> None:
        self._statement, self._spans, self._views = statement, spans, views

    def __len__(self) -> int:
        return len(self._spans)

    def text(self, number: int) -> str:
        """An argument, with the spellings in it written out."""
        first, last = self._spans[number]
        inside = self._statement.tokens[first : last + 1]
        start = inside[0].start
        piece = self._statement.text[start : inside[-1].end + 1]
        made, at = list[str](), 0
        for one in edits(self._statement, self._views, first, last + 1):
            made += [piece[at : one.start - start], one.text]
            at = one.end - start
        return "".join([*made, piece[at:]])

    def string(self, number: int) -> str:
        """The format that an argument is. Raises WireError where it is computed."""
        first, last = self._spans[number]
        found = self._statement.tokens[first : last + 1]
        if not found or found[0].kind != "string" or (len(found) > 1 and found[1].sign != "::"):
            raise WireError("0A000", "a format that is computed", hint="write the format out, in quotes")
        return found[0].text


def _to_timestamp(call: Called) -> str | None:
    if len(call) != 2:
        return None
    return f"CAST(strptime({call.text(0)}, {literal(pattern(call.string(1)))}) AS TIMESTAMPTZ)"


def _to_date(call: Called) -> str | None:
    return f"CAST(strptime({call.text(0)}, {literal(pattern(call.string(1)))}) AS DATE)" if len(call) == 2 else None


def _to_char(call: Called) -> str | None:
    return f"strftime({call.text(0)}, {literal(pattern(call.string(1)))})" if len(call) == 2 else None


def _date_trunc(call: Called) -> str | None:
    if len(call) != 3:
        return None
    zone = call.text(2)
    return f"timezone({zone}, date_trunc({call.text(0)}, timezone({zone}, {call.text(1)})))"


def _date_bin(call: Called) -> str | None:
    if len(call) != 3:
        return None
    return f"time_bucket(CAST({call.text(0)} AS INTERVAL), {call.text(1)}, {call.text(2)})"


def _quote_ident(call: Called) -> str | None:
    if len(call) != 1:
        return None
    it = f"CAST({call.text(0)} AS VARCHAR)"
    plain = f"regexp_full_match({it}, '[a-z_][a-z0-9_$]*')"
    return f"CASE WHEN {plain} THEN {it} ELSE '\"' || replace({it}, '\"', '\"\"') || '\"' END"


def _quote_literal(call: Called) -> str | None:
    return f"('''' || replace(CAST({call.text(0)} AS VARCHAR), '''', '''''') || '''')" if len(call) == 1 else None


def renamed(name: str) -> Callable[[Called], str]:
    """The same arguments to a function of another name."""
    return lambda call: f"{name}({', '.join(call.text(number) for number in range(len(call)))})"


def now(call: Called) -> str | None:
    """One moment, whichever of them is asked."""
    return "now()" if len(call) == 0 else None


CALLS: dict[str, Callable[[Called], str | None]] = {
    "to_timestamp": _to_timestamp,
    "to_date": _to_date,
    "to_char": _to_char,
    "date_trunc": _date_trunc,
    "date_bin": _date_bin,
    "quote_ident": _quote_ident,
    "quote_literal": _quote_literal,
    "btrim": renamed("trim"),
    "every": renamed("bool_and"),
    "clock_timestamp": now,
    "statement_timestamp": now,
    "array_lower": lambda call: f"CASE WHEN len({call.text(0)}) > 0 THEN 1 END" if len(call) == 2 else None,
    "array_upper": lambda call: f"nullif(len({call.text(0)}), 0)" if len(call) == 2 else None,
    "json_build_object": renamed("json_object"),
    "jsonb_build_object": renamed("json_object"),
    "json_agg": renamed("json_group_array"),
    "jsonb_agg": renamed("json_group_array"),
    "jsonb_extract_path_text": renamed("json_extract_path_text"),
}
"""By name; None where the call is DuckDB's as it stands."""

TYPES = {"jsonb": "JSON", "name": "VARCHAR", "bpchar": "VARCHAR", "citext": "VARCHAR", "unknown": "VARCHAR"}
"""After `::`, or AS in a CAST."""

REFUSED = {
    "format": "PostgreSQL's format() and DuckDB's differ: concatenate with ||",
    "div": "write a // b: it is exact for whole numbers",
    "initcap": "write upper(left(x, 1)) || lower(substr(x, 2)) for one word",
    "regexp_match": "write regexp_extract(text, pattern, group)",
    "pg_sleep": "nothing waits here",
}
"""Functions that are not what they seem, with what to write instead."""


def edits(statement: Statement, views: Collection[str], first: int = 0, end: int | None = None) -> Iterator[Rewrite]:
    """What is to be written otherwise in a part of a statement. `views`: the folded names of what is served."""
    found, number = statement.tokens, first
    end = len(found) if end is None else end
    while number < end:
        here, step = _edit(statement, number, views)
        if here is not None:
            yield here
        number += step


def _edit(statement: Statement, number: int, views: Collection[str]) -> tuple[Rewrite | None, int]:
    """The edit at one token, and how many tokens it takes."""
    found, token = statement.tokens, statement.tokens[number]
    if token.kind not in ("word", "name"):
        follows = found[number + 1] if number + 1 < len(found) else token
        typed = token.sign == "::" and fold(follows.text) in TYPES
        return (_type(follows), 2) if typed else (None, 1)
    after_dot = number > 0 and found[number - 1].sign == "."
    if not after_dot and (qualified := _qualifier(found, number, views)):
        return qualified
    called = number + 1 < len(found) and found[number + 1].sign == "("
    name = fold(token.text)
    if called and not after_dot and name in REFUSED:
        raise WireError("0A000", f"function {name}", hint=REFUSED[name], position=token.start + 1)
    if called and not after_dot and name in CALLS and (closes := closing(found, number + 1)) > 0:
        written = CALLS[name](Called(statement, arguments(found, number + 1, closes), views))
        if written is not None:
            return Rewrite(token.start, found[closes].end + 1, written), closes - number + 1
    if name == "as" and number + 2 < len(found) and found[number + 2].sign == ")" and _is_cast(found, number):
        return _type(found[number + 1]), 2
    return None, 1


def _is_cast(found: Sequence[Token], number: int) -> bool:
    """Whether an AS is one of CAST(… AS …)."""
    depth = 0
    for at in range(number - 1, 0, -1):
        depth += (found[at].sign == ")") - (found[at].sign == "(")
        if depth < 0:
            return fold(found[at - 1].text) in ("cast", "try_cast")
    return False


def _type(token: Token) -> Rewrite | None:
    """Another name for a type."""
    known = TYPES.get(fold(token.text))
    return Rewrite(token.start, token.end + 1, known) if known else None


def _qualifier(found: Sequence[Token], number: int, views: Collection[str]) -> tuple[Rewrite, int] | None:
    """`public.` before a view, with a catalogue before it perhaps, and `pg_catalog.` before anything, are left out."""
    names = [name_of(one) if one.kind in ("word", "name") else one.sign for one in found[number : number + 5]]
    start = found[number].start
    if len(names) >= 3 and names[1] == "." and names[0] == "public" and fold(names[2]) in views:
        return Rewrite(start, found[number + 2].start, ""), 2
    if len(names) == 5 and names[1] == names[3] == "." and names[2] == "public" and fold(names[4]) in views:
        return Rewrite(start, found[number + 4].start, ""), 4
    if len(names) >= 3 and names[1] == "." and names[0] == "pg_catalog":
        return Rewrite(start, found[number + 2].start, ""), 2
    return None
