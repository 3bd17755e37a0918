"""Named points of a commit where a process can be stopped: before and after files, Delta commits and entries.

The names are part of what tests rely on, so they are listed here. A simulation installs a hook
with `hooked`; a real process obeys the environment variable SEAMLINE_STOP_AT=<point>, which kills it with
SIGKILL at that point, as a machine that loses power would; <point>:SIGSTOP freezes it there until SIGCONT.

A process that runs already is stopped through the folder named by SEAMLINE_STOP_FOLDER: a file there, named like a
point and holding the signal's name (empty: SIGKILL), arms the point for whoever reaches it first. It is taken by being
renamed to <point>.<pid>, so it stops one process once, and says which.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POINTS = frozenset(
    {
        "speed.before-files",
        "speed.after-files",
        "speed.after-entry",
        "archive.before-delta",
        "archive.after-check",
        "archive.after-delta",
        "archive.after-entry",
        "archive.after-joined",
        "archive.after-swap",
        "archive.after-settled",
        "batch.after-reserve",
        "batch.after-unit",
        "batch.after-files",
        "batch.before-version",
        "batch.after-version",
        "batch.after-publish",
        "snapshot.after-entry",
        "compact.after-files",
        "compact.after-entry",
        "sweep.after-files",
        "sweep.after-held",
        "view.before-entry",
        "retention.before-view",
        "retention.after-view",
        "retention.after-settled",
    }
)

FORGETTING = frozenset(
    {
        "forget.after-rewritten",
        "forget.after-erased",
        "forget.after-raw",
        "forget.after-file",
        "forget.after-request",
        "forget.after-void",
        "forget.after-withdrawn",
        "forget.after-cleared",
        "forget.after-ids",
        "forget.after-epochs",
        "forget.after-removed",
    }
)
"""Those of requests to forget records."""

PUBLISHING = frozenset(
    {
        "publish.before-delta",
        "publish.after-delta",
        "publish.after-rows",
        "publish.after-marker",
        "publish.after-commit",
    }
)
"""Those of what is published for readers outside."""

EXPIRING = frozenset({"archive.before-gone", "archive.after-gone", "archive.after-begins"})
"""Those of event dates that go from raw."""

_hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Called by a committing process as it passes `point`."""
    if point not in POINTS | FORGETTING | PUBLISHING | EXPIRING:
        raise ValueError(f"unknown commit point {point!r}")
    if _hook is not None:
        _hook(point)
    wanted, _, how = os.environ.get("SEAMLINE_STOP_AT", "").partition(":")
    if wanted == point:
        _stop(how)
    folder = os.environ.get("SEAMLINE_STOP_FOLDER")
    if folder:
        _stop_if_armed(Path(folder), point)


def _stop_if_armed(folder: Path, point: str) -> None:
    taken = folder / f"{point}.{os.getpid()}"
    try:
        os.rename(folder / point, taken)
    except FileNotFoundError:
        return
    _stop(taken.read_text(encoding="utf-8").strip())


def _stop(how: str) -> None:
    """To this thread, so that it goes no further: what is sent to a process stops it once some thread takes it."""
    signal.pthread_kill(threading.get_ident(), signal.Signals[how or "SIGKILL"])


@contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[None]:
    """Runs `hook(point)` at every commit point inside the block; it may raise to simulate death."""
    global _hook  # noqa: PLW0603 - one process, one hook
    before, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = before
