"""Values in words, for people: NULL is empty, an instant is UTC to the second, a duration is short."""

from __future__ import annotations

from datetime import datetime, timedelta


def cell(value: object) -> str:
    """One value for a person: NULL is empty, an instant is UTC to the second, a duration is short."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds" if value.microsecond else "seconds")
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    return str(value).replace("\n", " ")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`: the largest unit that fits."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2 or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
