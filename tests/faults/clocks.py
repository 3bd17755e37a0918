"""Time that passes as it does, and can be moved ahead."""

from __future__ import annotations

from datetime import datetime, timedelta

from seamline.clock import system_clock


class Moved:
    """The machine's time, moved ahead by as much as a test says."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.by
