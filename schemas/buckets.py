"""Time: buckets whose width and zone are written out, and which keys are time buckets."""

from __future__ import annotations

import difflib
import functools
import re

from sqlglot import Token, TokenType

from seamline.kernel import kernel
from seamline.schemas.clauses import closing, split
from seamline.schemas.language import Source, is_call, word

UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
"""Types of a time bucket's key."""

_FORM = f"time_bucket(INTERVAL 'n {'|'.join(UNITS)}', timestamp[, 'time zone'])"
_WIDTH = re.compile(rf"interval ([1-9]\d{{0,5}}) *({'|'.join(UNITS)})s?")
_TRUNCATE = ("date_trunc", "datetrunc")


@functools.cache
def zones() -> frozenset[str]:
    """The time zones that the kernel knows."""
    return frozenset(kernel().run("SELECT name FROM pg_timezone_names()").column("name").to_pylist())


def check_times(source: Source, tokens: list[Token]) -> None:
    """Refuses a time bucket whose width or zone is not written out, and a time zone that there is not.

    The kernel would refuse neither before it runs, and then every key would be NULL. Raises VIEW_INVALID there.
    """
    for at, token in enumerate(tokens):
        if is_call(tokens, at) and token.text.lower() == "time_bucket":
            _check_bucket(source, tokens[at : (closing(tokens, at + 1) or len(tokens) - 1) + 1])
        before = " ".join(filter(None, (word(t) for t in tokens[max(0, at - 3) : at])))
        if token.token_type == TokenType.STRING and before.endswith("at time zone"):
            _check_zone(source, token)


def _check_bucket(source: Source, call: list[Token]) -> None:
    parts = split(call[2:-1])
    width = " ".join(token.text.lower() for token in parts[0])
    if len(parts) not in (2, 3) or not _WIDTH.fullmatch(width):
        got = f"time bucket {source.text[call[0].start : call[-1].end + 1]!r}"
        mend = "write the width as one number and one unit; its origin is DuckDB's own"
        raise source.refuse(call[0].start, got, _FORM, mend)
    if len(parts) == 3:
        if len(parts[2]) != 1 or parts[2][0].token_type != TokenType.STRING:
            at = parts[2][0].start if parts[2] else call[-1].start
            got = f"{source.text[at : call[-1].start]!r} as a bucket's time zone"
            raise source.refuse(
                at, got, _FORM, "write the zone's name: 'Asia/Seoul'; a bucket's origin is DuckDB's own"
            )
        _check_zone(source, parts[2][0])


def _check_zone(source: Source, token: Token) -> None:
    if token.text in zones():
        return
    by_name = {zone.lower(): zone for zone in sorted(zones())}
    near = difflib.get_close_matches(token.text.lower(), by_name, n=2)
    mend = f"did you mean {' or '.join(repr(by_name[name]) for name in near)}?" if near else "use such a name"
    raise source.refuse(token.start, f"unknown time zone {token.text!r}", "'Asia/Seoul', 'UTC' and the like", mend)


def is_bucket(body: list[Token], *, cast: bool) -> bool:
    """Whether a whole expression is time_bucket(…) or date_trunc('second' to 'year', …), or a cast to DATE.

    cast: whether all before a `::DATE` is one field.
    """
    if [word(token) for token in body[-1:]] == ["date"] and len(body) > 2:
        return cast and body[-2].token_type == TokenType.DCOLON
    if not is_call(body, 0) or closing(body, 1) != len(body) - 1:
        return False
    name, parts = body[0].text.lower(), split(body[2:-1])
    if name in _TRUNCATE:
        return [(t.token_type, t.text.lower() in UNITS) for t in parts[0]] == [(TokenType.STRING, True)]
    if name in ("cast", "try_cast"):
        return [word(token) for token in body[-3:-1]] == ["as", "date"]
    return name == "time_bucket"
