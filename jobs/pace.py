"""How fast a backfill may go: within which hours, and how many units a minute. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

AIM = timedelta(seconds=10)
"""So long a portion is to take: an operator's word waits for its end."""

FIRST_ROWS = 1_000_000
"""Raw rows of the first portion."""

LEAST_ROWS, MOST_ROWS = 100_000, 100_000_000


@dataclass(frozen=True)
class Window:
    """Hours of each day, in UTC, in which units are begun; one that ends before it begins goes over midnight."""

    first: time
    last: time

    @staticmethod
    def parse(text: str) -> Window:
        """Of `22:00-06:00`. Raises ValueError."""
        found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", text)
        if not found or found[1] == found[2]:
            raise ValueError(f"{text!r} are no hours")
        return Window(time.fromisoformat(found[1]), time.fromisoformat(found[2]))

    @property
    def name(self) -> str:
        """As it is written."""
        return f"{self.first:%H:%M}-{self.last:%H:%M}"

    def opens(self, now: datetime) -> datetime:
        """When the next unit may be begun: now, where that is within it."""
        at, begins = now.time(), now.replace(hour=self.first.hour, minute=self.first.minute, second=0, microsecond=0)
        within = self.first <= at < self.last if self.first < self.last else at >= self.first or at < self.last
        if within:
            return now
        return begins if begins > now else begins + timedelta(days=1)


@dataclass(frozen=True)
class Allowance:
    """What an operator allows a backfill."""

    window: Window | None = None
    units_a_minute: float | None = None

    def opens(self, now: datetime, began: datetime, done: int) -> datetime:
        """When the next portion may begin, where so many units were begun since then."""
        at = now
        if self.units_a_minute:
            at = max(at, began + timedelta(minutes=done / self.units_a_minute))
        return self.window.opens(at) if self.window else at

    @property
    def most_units(self) -> int | None:
        """Of one portion: what is allowed in ten seconds, at least one."""
        return None if self.units_a_minute is None else max(1, int(self.units_a_minute * AIM / timedelta(minutes=1)))


def next_rows(rows: int, took: timedelta) -> int:
    """Of how many rows the next portion is, where one of so many took so long: twice or half as many at most."""
    wanted = rows * min(2.0, max(0.5, AIM / max(took, timedelta(milliseconds=1))))
    return int(min(MOST_ROWS, max(LEAST_ROWS, wanted)))
