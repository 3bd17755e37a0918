"""Named points of a commit where a process can be stopped: before and after files, Delta commits and entries.

The names are part of what tests rely on, so they are listed here. A simulation installs a hook
with `hooked`; a real process obeys the environment variable SEAMLINE_STOP_AT=<point>, which kills it with
SIGKILL at that point, as a machine that loses power would.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POINTS = frozenset(
    {
        "speed.before-files",
        "speed.after-files",
        "speed.after-entry",
        "archive.before-delta",
        "archive.after-delta",
        "archive.after-entry",
        "batch.after-reserve",
        "batch.after-unit",
        "batch.after-files",
        "batch.after-version",
        "batch.after-publish",
        "compact.after-files",
        "compact.after-entry",
    }
)

_hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Called by a committing process as it passes `point`."""
    if point not in POINTS:
        raise ValueError(f"unknown commit point {point!r}")
    if _hook is not None:
        _hook(point)
    if os.environ.get("SEAMLINE_STOP_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[None]:
    """Runs `hook(point)` at every commit point inside the block; it may raise to simulate death."""
    global _hook  # noqa: PLW0603 - one process, one hook
    before, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = before
