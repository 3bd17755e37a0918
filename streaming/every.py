"""When what is done every so often is due."""

from __future__ import annotations

from datetime import datetime, timedelta


class Every:
    """Due whenever more than `period` has passed: since `last`, then since it was due."""

    def __init__(self, period: timedelta, last: datetime) -> None:
        self._period = period
        self._last = last

    def due(self, now: datetime) -> bool:
        """Whether it is; then it is done, and not due again until the period has passed once more."""
        if now - self._last <= self._period:
            return False
        self._last = now
        return True
