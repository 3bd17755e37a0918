"""What `seamline up` shows while it runs: a live table on a terminal, lines where something changes elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from seamline.clock import system_clock
from seamline.console import is_terminal, note
from seamline.machine.supervisor import RoleState, tail
from seamline.operate.stack import Stack, addresses
from seamline.operate.watch import StreamProgress, Streams, looks
from seamline.wording import cell, duration

LINE_SECONDS = 30.0
COLOURS = {"running": "green", "starting": "yellow", "waiting": "yellow", "failed": "red", "stopped": "dim"}


def watch(stack: Stack, stop: threading.Event) -> None:
    """Shows how it goes until `stop` is set, or no role is left to run."""
    streams = Streams(stack.project)
    if is_terminal(sys.stderr):
        with Live(console=Console(stderr=True), auto_refresh=False) as live:
            for states in looks(stack, stop):
                live.update(_picture(stack, states, streams), refresh=True)
        return
    said: dict[str, str] = {}
    due = time.monotonic()
    for states in looks(stack, stop):
        for name, state in states.items():
            words = f"{state.state}{f' ({state.reason})' if state.reason else ''}"
            if said.get(name) != words:
                said[name] = words
                note(f"{name}: {words}{_last_word(state)}")
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_SECONDS
            for stream, reached in streams.reached().items():
                note(f"stream {stream}: {_line(reached)}")


def _line(reached: StreamProgress | None) -> str:
    """How far a stream is."""
    if reached is None:
        return "no epoch yet"
    ago = duration(max(0.0, (system_clock() - reached.at).total_seconds()))
    return f"epoch {reached.epoch} {ago} ago; {reached.read} records read, {reached.counted} counted"


def _last_word(state: RoleState) -> str:
    """The end of a role's log, where it has died: why it did."""
    if state.state not in ("waiting", "failed"):
        return ""
    return f"\n  {state.log}: {tail(Path(state.log))}"


def _picture(stack: Stack, states: Mapping[str, RoleState], streams: Streams) -> Table:
    table = Table(title=f"seamline · {stack.project.folder} · Ctrl-C stops", title_justify="left", box=None)
    for column in ("role", "state", "pid", "restarts", ""):
        table.add_column(column)
    broker = stack.broker
    table.add_row("broker", "running" if broker else "configured", cell(broker and broker.pid), "", stack.bootstrap)
    for name, state in states.items():
        words = f"{state.reason}{_last_word(state)}" or (addresses(stack.project) if name == "serving" else "")
        table.add_row(
            name, f"[{COLOURS[state.state]}]{state.state}[/]", cell(state.pid), str(state.restarts), escape(words)
        )
    for stream, reached in streams.reached().items():
        table.add_row(f"stream {stream}", "", "", "", _line(reached))
    return table
