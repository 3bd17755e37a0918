"""Time: buckets whose width and zone are written out, and which keys are time buckets."""

from __future__ import annotations

import difflib
import functools
import re
from datetime import time

from seamline.kernel import kernel
from seamline.schemas.contracts.types import DATE_PATTERN, TIMESTAMP_PATTERN, parse_instant
from seamline.schemas.views.clauses import closing, split
from seamline.schemas.views.source import Source, is_call, word
from seamline.sql import Token

UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
CALENDAR = ("month", "quarter", "year")
"""Units of which a bucket has no fixed length."""

ORIGINS = ("timestamp", "timestamptz", "date")
"""Types of the literal that says where a bucket begins."""

TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
"""Types of a time bucket's key."""

FIRST_INSTANT = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
"""No contract's time is earlier."""

_FORM = f"time_bucket(INTERVAL 'n {'|'.join(UNITS)}', timestamp[, 'time zone' or TIMESTAMPTZ 'origin'])"
_WIDTH = re.compile(rf"interval ([1-9]\d{{0,5}}) *({'|'.join(UNITS)})s?")
_TRUNCATE = ("date_trunc", "datetrunc")

_FIELD = r"(?P<at>\w+\.\"(?:[^\"]|\"\")+\")"
_BY_CALENDAR = (
    re.compile(rf"time_bucket\(interval '?(?P<n>\d+)'? *(?P<unit>day|week)s?'?, {_FIELD}(?:, 'UTC')?\)", re.IGNORECASE),
    re.compile(rf"date_?trunc\('(?P<unit>second|minute|hour|day|week)', {_FIELD}\)", re.IGNORECASE),
)
_FIXED = {"second": "1 second", "minute": "1 minute", "hour": "1 hour", "day": "24 hours", "week": "168 hours"}


@functools.cache
def zones() -> frozenset[str]:
    """The time zones that the kernel knows."""
    return frozenset(kernel().run("SELECT name FROM pg_timezone_names()").column("name").to_pylist())


def check_times(source: Source, tokens: list[Token]) -> None:
    """Refuses a time bucket whose width, zone or origin is not written out, and a time zone that there is not.

    The kernel would refuse neither before it runs, and then every key would be NULL. Raises VIEW_INVALID there.
    """
    for at, token in enumerate(tokens):
        if is_call(tokens, at) and token.text.lower() == "time_bucket":
            _check_bucket(source, tokens[at : (closing(tokens, at + 1) or len(tokens) - 1) + 1])
        before = " ".join(filter(None, (word(t) for t in tokens[max(0, at - 3) : at])))
        if token.kind == "string" and before.endswith("at time zone"):
            _check_zone(source, token)


def _check_bucket(source: Source, call: list[Token]) -> None:
    parts = split(call[2:-1])
    width = " ".join(token.text.lower() for token in parts[0])
    found = _WIDTH.fullmatch(width)
    if len(parts) not in (2, 3) or not found:
        message = f"time bucket {source.text[call[0].start : call[-1].end + 1]!r}"
        raise source.refuse(call[0].start, message, _FORM, "write the width as one number and one unit")
    if len(parts) < 3:
        return
    if [token.kind for token in parts[2]] == ["string"]:
        _check_zone(source, parts[2][0])
        return
    at = parts[2][0].start if parts[2] else call[-1].start
    if len(parts[2]) != 2 or word(parts[2][0]) not in ORIGINS or parts[2][1].kind != "string":
        message = f"{source.text[at : call[-1].start]!r} as a bucket's time zone or origin"
        hint = "write the zone's name, 'Asia/Seoul', or where a bucket begins, TIMESTAMPTZ '2000-01-03 06:00:00Z'"
        raise source.refuse(at, message, _FORM, hint)
    _check_origin(source, parts[2][1], found[2])


def _check_origin(source: Source, token: Token, unit: str) -> None:
    """The kernel takes a month's origin for the first of it, whatever day is written."""
    written = re.fullmatch(f"{TIMESTAMP_PATTERN}|{DATE_PATTERN}", token.text)
    origin = parse_instant(token.text) if written else None
    if origin is None:
        raise source.refuse(token.start, f"origin {token.text!r}", "a timestamp such as '2000-01-03 06:00:00Z'")
    if unit in CALENDAR and (origin.day, origin.time()) != (1, time()):
        message = f"origin {token.text!r} of a bucket in units of a {unit}"
        hint = "count in days or weeks, or take the time to the zone first: time AT TIME ZONE '...'"
        raise source.refuse(token.start, message, "midnight of the first of a month", hint)


def _check_zone(source: Source, token: Token) -> None:
    if token.text in zones():
        return
    by_name = {zone.lower(): zone for zone in sorted(zones())}
    near = difflib.get_close_matches(token.text.lower(), by_name, n=2)
    hint = f"did you mean {' or '.join(repr(by_name[name]) for name in near)}?" if near else "use such a name"
    raise source.refuse(token.start, f"unknown time zone {token.text!r}", "'Asia/Seoul', 'UTC' and the like", hint)


def without_calendar(sql: str, kind: str) -> str:
    """A key over a field with the same value of each row, computed at a tenth of the cost where the kernel would go by
    its calendar. Pure.

    In UTC days and weeks have a fixed length, and buckets of hours begin where those do: on Monday, 3 January 2000.
    From the year 1 on, infinity too, both are one; from 290,000 years before that only the calendar can reach the 3rd.
    """
    body = sql.removeprefix("TRY(").removesuffix(")") if sql.startswith("TRY(") else sql
    found = next(filter(None, (form.fullmatch(body) for form in _BY_CALENDAR)), None)
    if found is None or kind != "TIMESTAMP WITH TIME ZONE":
        return sql
    count, width = int(found.groupdict().get("n") or 1), _FIXED[found["unit"].lower()].split()
    fixed = f"time_bucket(INTERVAL '{count * int(width[0])} {width[1]}', {found['at']})"
    return f"TRY(CASE WHEN {found['at']} >= {FIRST_INSTANT} THEN {fixed} ELSE {body} END)"


def is_bucket(body: list[Token], *, cast: bool) -> bool:
    """Whether a whole expression is time_bucket(…) or date_trunc('second' to 'year', …), or a cast to DATE.

    cast: whether all before a `::DATE` is one field.
    """
    if [word(token) for token in body[-1:]] == ["date"] and len(body) > 2:
        return cast and body[-2].sign == "::"
    if not is_call(body, 0) or closing(body, 1) != len(body) - 1:
        return False
    name, parts = body[0].text.lower(), split(body[2:-1])
    if name in _TRUNCATE:
        return [(t.kind, t.text.lower() in UNITS) for t in parts[0]] == [("string", True)]
    if name in ("cast", "try_cast"):
        return [word(token) for token in body[-3:-1]] == ["as", "date"]
    return name == "time_bucket"
