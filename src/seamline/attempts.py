"""An attempt at an entry: its files first, which nobody sees, then the one entry that lists them.

Files that no entry lists are swept one day. So an attempt whose files might be swept before its entry stands gives up.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from seamline.errors import Condition, TransientError

SWEPT_AFTER = timedelta(days=1)
"""Files that no entry lists are swept once they are older; an attempt gives up at half of it."""


def new_attempt() -> str:
    """A name no other attempt has: for entries, and for the files they list."""
    return uuid4().hex


def may_be_swept(written: datetime, now: datetime) -> bool:
    """Whether a file that no entry lists is old enough."""
    return now - written > SWEPT_AFTER


def check_age(began: datetime, now: datetime, swept_after: timedelta = SWEPT_AFTER) -> None:
    """An attempt whose files are half as old as a sweep allows gives up before its put. Raises TransientError."""
    if now - began > swept_after / 2:
        raise TransientError(
            Condition.STORE_UNAVAILABLE,
            f"this attempt began at {began.isoformat()}, and its files may be swept before its entry stands",
            hint="start again: what has no entry is read again",
        )
