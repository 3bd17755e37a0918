"""What `seamline up` shows while it runs: a live table on a terminal, lines where something changes elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from seamline.clock import system_clock
from seamline.console import is_terminal, note
from seamline.errors import Condition, TerminalError
from seamline.history import SpeedHistory
from seamline.machine.supervisor import RoleState, tail
from seamline.operate.stack import Stack, serving_address
from seamline.schemas.project import Project
from seamline.wording import cell, duration

LOOK_SECONDS = 0.25
LINE_SECONDS = 30.0
ENDED = frozenset({"failed", "stopped"})
COLOURS = {"running": "green", "starting": "yellow", "waiting": "yellow", "failed": "red", "stopped": "dim"}


class Streams:
    """Follows the speed log of each stream, and says in a line how far it is."""

    def __init__(self, project: Project) -> None:
        self._histories = {stream: SpeedHistory(project.lake.speed_log(stream)) for stream in project.streams}

    def lines(self) -> dict[str, str]:
        """Stream to its line."""
        return {stream: self._line(history) for stream, history in self._histories.items()}

    def _line(self, history: SpeedHistory) -> str:
        history.catch_up()
        last = history.epochs.get(history.last_epoch)
        if last is None:
            return "no epoch yet"
        counts = history.counts.values()
        ago = duration(max(0.0, (system_clock() - last.at).total_seconds()))
        read, counted = sum(c.read for c in counts), sum(c.counted for c in counts)
        return f"epoch {last.number} {ago} ago; {read} records read, {counted} counted"


def watch(stack: Stack, stop: threading.Event) -> None:
    """Shows how it goes until `stop` is set, or no role is left to run."""
    streams = Streams(stack.project)
    if is_terminal(sys.stderr):
        with Live(console=Console(stderr=True), auto_refresh=False) as live:
            for states in _looks(stack, stop):
                live.update(_picture(stack, states, streams), refresh=True)
        return
    said: dict[str, str] = {}
    due = time.monotonic()
    for states in _looks(stack, stop):
        for name, state in states.items():
            words = f"{state.state}{f' ({state.reason})' if state.reason else ''}"
            if said.get(name) != words:
                said[name] = words
                note(f"{name}: {words}{_last_word(state)}")
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_SECONDS
            for stream, line in streams.lines().items():
                note(f"stream {stream}: {line}")


def _looks(stack: Stack, stop: threading.Event) -> Iterator[Mapping[str, RoleState]]:
    while not stop.is_set():
        states = stack.poll()
        yield states
        if all(state.state in ENDED for state in states.values()):
            raise TerminalError(
                Condition.PROCESS_FAILED,
                "no role is left to run",
                mend="see the logs, mend what they say, start again",
                where=str(stack.project.state / "logs"),
            )
        stop.wait(LOOK_SECONDS)


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
        words = f"{state.reason}{_last_word(state)}" or (serving_address(stack.project) if name == "serving" else "")
        table.add_row(
            name, f"[{COLOURS[state.state]}]{state.state}[/]", cell(state.pid), str(state.restarts), escape(words)
        )
    for stream, line in streams.lines().items():
        table.add_row(f"stream {stream}", "", "", "", line)
    return table
