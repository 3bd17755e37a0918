"""Stops a statement that takes too long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

AGAIN = 0.02
"""Seconds between interrupts."""


@contextmanager
def deadline(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupts what a connection runs inside the block once `seconds` have passed, again and again until it ends:
    DuckDB forgets an interrupt that comes before a statement, or between its binding and its running."""
    ended, turn = threading.Event(), threading.Lock()

    def watch() -> None:
        wait = seconds
        while not ended.wait(wait):
            with turn:
                if not ended.is_set():  # never the next statement's
                    connection.interrupt()
            wait = AGAIN

    threading.Thread(target=watch, name="deadline", daemon=True).start()
    try:
        yield
    finally:
        with turn:
            ended.set()
