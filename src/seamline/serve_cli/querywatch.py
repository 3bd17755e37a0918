"""`seamline query --watch`: the answer again whenever something new is in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from datetime import timedelta
from io import StringIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from seamline.clock import system_clock
from seamline.console import is_terminal, say
from seamline.serving.provenance import Answer
from seamline.serving.serving import Serving
from seamline.signals import stopping


def answers(serving: Serving, sql: str, pause: timedelta) -> Iterator[Answer]:
    """The answer now, and again after each look that found something, until Ctrl-C; the second one does not wait for
    a query that runs. Raises as `Serving.query`, and KeyboardInterrupt then."""
    stop = threading.Event()
    with stopping(stop, hurried=True):  # an exception could be lost wherever Python was when the signal came
        yield serving.query(sql)
        while not stop.wait(pause.total_seconds()):
            if serving.catch_up():
                yield serving.query(sql)


def show_answers(found: Iterator[Answer], write: Callable[[Answer], None]) -> None:
    """Each in place of the one before on a terminal, one after the other elsewhere; until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        if not is_terminal():
            for answer in found:
                write(answer)
            return
        with Live(console=Console(), screen=True, auto_refresh=False) as live:
            for answer in found:
                drawn = StringIO()
                with redirect_stdout(drawn):
                    say(f"as of {system_clock():%H:%M:%S} UTC; Ctrl-C ends\n")
                    write(answer)
                live.update(Text(drawn.getvalue()), refresh=True)
