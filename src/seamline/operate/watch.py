"""A stack that runs, looked at again and again; and how far its streams are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from seamline.errors import Condition, TerminalError
from seamline.history.speed import SpeedHistory
from seamline.machine.supervisor import RoleState
from seamline.operate.stack import Stack
from seamline.schemas.project import Project

LOOK_SECONDS = 0.25
ENDED = frozenset({"failed", "stopped"})


@dataclass(frozen=True)
class StreamProgress:
    """The newest epoch of a stream, and the records read and counted in all that still stand in the ledger."""

    epoch: int
    at: datetime
    read: int
    counted: int


class Streams:
    """Follows the speed log of each stream."""

    def __init__(self, project: Project) -> None:
        self._histories = {stream: SpeedHistory(project.lake.speed_log(stream)) for stream in project.streams}

    def reached(self) -> dict[str, StreamProgress | None]:
        """By stream how far it is now; None where there is no epoch yet."""
        return {stream: _reached(history) for stream, history in self._histories.items()}


def _reached(history: SpeedHistory) -> StreamProgress | None:
    history.catch_up()
    last = history.epochs.get(history.last_epoch)
    if last is None:
        return None
    counts = history.counts.values()
    return StreamProgress(last.number, last.at, sum(c.read for c in counts), sum(c.counted for c in counts))


def looks(stack: Stack, stop: threading.Event) -> Iterator[Mapping[str, RoleState]]:
    """The roles' states, a few times a second until `stop` is set; what died is started again meanwhile.

    Raises TerminalError PROCESS_FAILED where no role is left to run.
    """
    while not stop.is_set():
        states = stack.poll()
        yield states
        if all(state.state in ENDED for state in states.values()):
            raise TerminalError(
                Condition.PROCESS_FAILED,
                "no role is left to run",
                hint="see the logs, correct what they say, start again",
                where=str(stack.project.state / "logs"),
            )
        stop.wait(LOOK_SECONDS)
