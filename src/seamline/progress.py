"""How far something is: a bar on a terminal, a line now and then elsewhere. On stderr, so results stay clean."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from seamline.advance import Advance
from seamline.console import is_terminal, note

EVERY = 5.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def progress(what: str, total: float | None = None) -> Iterator[Advance]:
    """Shows that `what` goes on until the block ends, out of `total` (in the unit of `by`) where that is known."""
    if is_terminal(sys.stderr):
        with _bar(what, total) as advance:
            yield advance
    else:
        yield _lines(what, total)


@contextmanager
def _bar(what: str, total: float | None) -> Iterator[Advance]:
    words_column = TextColumn("{task.fields[words]}", markup=False)
    columns = (SpinnerColumn(), TextColumn(what), BarColumn(), TaskProgressColumn(), words_column, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total, words="")

        def advance(by: float = 1, words: str = "") -> None:
            shown.update(task, advance=by, words=words or shown.tasks[0].fields["words"])

        yield advance


def _lines(what: str, total: float | None) -> Advance:
    last, done = time.monotonic(), 0.0

    def advance(by: float = 1, words: str = "") -> None:
        nonlocal last, done
        done += by
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            share = f"{done / total:.0%}" if total else f"{done:.0f}" if done else ""
            note(f"{what}: {', '.join(filter(None, (share, words)))}")

    return advance
