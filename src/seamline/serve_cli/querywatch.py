"""`seamline query --watch`: the answer again whenever something new is in it."""

from __future__ import annotations

import time
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


def answers(serving: Serving, sql: str, pause: timedelta) -> Iterator[Answer]:
    """The answer now, and again after each look that found something. Raises as `Serving.query`."""
    yield serving.query(sql)
    while True:
        time.sleep(pause.total_seconds())
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
