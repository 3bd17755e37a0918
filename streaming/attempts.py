"""What an attempt at an entry has to ask before its put: is its source still the same, are its files young enough."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from seamline.errors import Condition, TransientError

SWEPT_AFTER = timedelta(days=1)
"""Files that no entry lists are swept once they are this old; a writer gives up at half of it."""

Check = Callable[[], None]
"""Raises where what was read is no longer what it was read from."""


def no_check() -> None:
    """Where there are no topics that could be made again."""


def check_age(began: datetime, now: datetime, swept_after: timedelta = SWEPT_AFTER) -> None:
    """A writer whose files are half as old as a sweep allows gives up before its put. Raises TransientError."""
    if now - began > swept_after / 2:
        raise TransientError(
            Condition.STORE_UNAVAILABLE,
            f"this attempt began at {began.isoformat()}, and its files may be swept before its entry stands",
            hint="start again: what has no entry is read again",
        )
