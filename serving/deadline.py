"""Stops a statement that takes too long, or whose asker is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

AGAIN = 0.02
"""Seconds between interrupts."""

_running: dict[threading.Event, tuple[duckdb.DuckDBPyConnection, threading.Lock]] = {}


@contextmanager
def deadline(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupts what a connection runs inside the block once `seconds` have passed, again and again until it ends:
    DuckDB forgets an interrupt that comes before a statement, or between its binding and its running."""
    ended, turn = threading.Event(), threading.Lock()
    _running[ended] = connection, turn

    def watch() -> None:
        wait = seconds
        while not ended.wait(wait):
            _interrupt(ended, connection, turn)
            wait = AGAIN

    threading.Thread(target=watch, name="deadline", daemon=True).start()
    try:
        yield
    finally:
        with turn:
            ended.set()
            del _running[ended]


def interrupt_all() -> None:
    """Interrupts, once, whatever this process runs inside such a block."""
    for ended, (connection, turn) in list(_running.items()):
        _interrupt(ended, connection, turn)


def _interrupt(ended: threading.Event, connection: duckdb.DuckDBPyConnection, turn: threading.Lock) -> None:
    with turn:
        if not ended.is_set():  # never the next statement's
            connection.interrupt()
