"""Runs the roles of a project as child processes: started in order, restarted when they die, stopped in reverse.

Each role is a session of its own (process.py), so a dead driver's JVM is killed and gone before its successor starts.
What a role's end means is decided by pure functions: an exit code that says "an operator decides" (2, 3, 4) is not
tried again; everything else is, ever more slowly while it keeps dying young. The state of each role stands in `<state
folder>/<role>.json` for `seamline status`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from seamline.clock import Clock, system_clock
from seamline.errors import Condition, ConflictError
from seamline.logs import human
from seamline.machine import process

FINAL_CODES = {2: "its input is wrong", 3: "an operator has to decide", 4: "another writer holds its log"}
"""Exit codes of UserError, TerminalError and ConflictError: trying again would not help."""

FIRST_DELAY, LONGEST_DELAY, HEALTHY_AFTER = 0.5, 30.0, 60.0
STOP_SECONDS = 30.0


class State(StrEnum):
    """Where a role is. Only `stopped` and `failed` stay as they are."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Role:
    """One supervised process."""

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)

    ready: Callable[[], bool] | None = None
    """Says when it does its work; None: as soon as it runs."""


@dataclass(frozen=True)
class RoleState:
    """What is known of a role; times are ISO 8601 in UTC."""

    role: str
    state: State
    pid: int | None = None
    born: float = 0.0
    started: str | None = None
    restarts: int = 0

    failures: int = 0
    """Deaths in a row while young."""

    last_exit: int | None = None
    reason: str = ""
    next_start: str | None = None
    log: str = ""


def next_delay(failures: int, uptime: float) -> float:
    """Seconds before a role is started again after its `failures`-th death in a row, `uptime` seconds old."""
    if uptime >= HEALTHY_AFTER:
        return FIRST_DELAY
    return float(min(FIRST_DELAY * 2 ** min(max(failures - 1, 0), 16), LONGEST_DELAY))


def after_exit(before: RoleState, code: int, now: datetime) -> RoleState:
    """What becomes of a role that ended with `code` at `now`."""
    ended = replace(before, pid=None, last_exit=code, next_start=None)
    if code == 0:
        return replace(ended, state=State.STOPPED, reason="ended by itself")
    if code in FINAL_CODES:
        return replace(ended, state=State.FAILED, reason=FINAL_CODES[code])
    uptime = (now - datetime.fromisoformat(before.started)).total_seconds() if before.started else 0.0
    failures = 1 if uptime >= HEALTHY_AFTER else before.failures + 1
    due = now + timedelta(seconds=next_delay(failures, uptime))
    reason = f"ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return replace(ended, state=State.WAITING, failures=failures, reason=reason, next_start=due.isoformat())


class Supervisor:
    """Owns the roles of one project, whose `state_folder` only one supervisor may hold. Thread-safe."""

    def __init__(self, roles: Sequence[Role], state_folder: Path, clock: Clock = system_clock) -> None:
        self._roles = {role.name: role for role in roles}
        self._folder = state_folder
        self._clock = clock
        self._states = {role.name: RoleState(role.name, State.STOPPED, log=str(role.log)) for role in roles}
        self._children: dict[str, process.Child] = {}
        self._mutex = threading.RLock()
        self._held = FileLock(state_folder / ".supervisor.lock", thread_local=False)

    def start(self) -> None:
        """Ends what a killed predecessor left behind, then starts every role in order.

        Raises ConflictError WRITER_CONFLICT where another supervisor holds the project.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._held.acquire(timeout=0)
        except Timeout:
            raise ConflictError(
                Condition.WRITER_CONFLICT,
                "another `seamline up` runs this project",
                hint="stop it first, or look at it with `seamline status`",
                where=str(self._folder),
            ) from None
        with self._mutex:
            for file in sorted(self._folder.glob("[!.]*.json")):
                sweep_orphan(read_state(self._folder, file.stem))
                if file.stem not in self._roles:  # a predecessor's that ran other roles
                    file.unlink()
            for name in self._roles:
                self._launch(name, restarts=0)

    def poll(self) -> Mapping[str, RoleState]:
        """Looks at every role once, restarts what is due; returns their states. Call it a few times a second."""
        with self._mutex:
            for name in self._roles:
                self._look_at(name)
            return dict(self._states)

    def pid(self, name: str) -> int | None:
        """The role's driver process, while it runs."""
        return self._states[name].pid

    def states(self) -> Mapping[str, RoleState]:
        """The states as last seen."""
        with self._mutex:
            return dict(self._states)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stops the roles: SIGTERM to all in reverse order, SIGKILL after `seconds`. Returns when all are gone.

        They wind up side by side: none needs another to stop, since all they share is the ledger.
        """
        with self._mutex:
            for running in reversed(self._children.values()):
                running.terminate()
            for name in reversed(self._roles):
                child = self._children.pop(name, None)
                state = self._states[name]
                if child is not None:
                    child.wait(seconds)
                    code = child.exit_code()
                    child.clear()
                    state = replace(state, last_exit=child.exit_code() if code is None else code)
                if state.state is not State.FAILED:
                    state = replace(state, state=State.STOPPED, reason="", next_start=None)
                self._set(replace(state, pid=None))
            self._held.release()

    def run(self, stop: threading.Event, every: float = 0.2) -> None:
        """Polls until `stop` is set, then stops the roles, whatever happens."""
        try:
            while not stop.is_set():
                self.poll()
                stop.wait(every)
        finally:
            self.stop()

    def _look_at(self, name: str) -> None:
        state, child, now = self._states[name], self._children.get(name), self._clock()
        if child is not None:
            code = child.exit_code()
            if code is not None:
                child.clear()
                del self._children[name]
                self._set(after_exit(state, code, now))
            elif state.state is State.STARTING:
                ready = self._roles[name].ready
                if ready is None or ready():
                    self._set(replace(state, state=State.RUNNING, reason=""))
        elif state.state is State.WAITING and (
            state.next_start is None or now >= datetime.fromisoformat(state.next_start)
        ):
            self._launch(name, restarts=state.restarts + 1)

    def _launch(self, name: str, *, restarts: int) -> None:
        role = self._roles[name]
        child = process.start(role.command, log=role.log, env={**os.environ, **role.env})
        self._children[name] = child
        self._set(
            replace(
                self._states[name],
                state=State.STARTING,
                pid=child.pid,
                born=process.born(child.pid),
                started=self._clock().isoformat(),
                restarts=restarts,
                next_start=None,
            )
        )

    def _set(self, state: RoleState) -> None:
        self._states[state.role] = state
        partial = self._folder / f".{state.role}.json.tmp"
        partial.write_text(json.dumps(asdict(state), indent=1))
        os.replace(partial, self._folder / f"{state.role}.json")


def read_state(folder: Path, role: str) -> RoleState | None:
    """A role's state as its supervisor last wrote it; None where there never was one."""
    file = folder / f"{role}.json"
    if not file.exists():
        return None
    kept = json.loads(file.read_text())
    return RoleState(**{**kept, "state": State(kept["state"])})


def sweep_orphan(state: RoleState | None) -> None:
    """Kills what is left of a role whose supervisor was killed. A process id used again by another is let be."""
    if state is None or state.pid is None or state.born < psutil.boot_time():
        return
    if process.born(state.pid) in (0.0, state.born):
        process.sweep(state.pid, 20.0)


def tail(log: Path, lines: int = 1) -> str:
    """The last lines of a log, short enough for a message."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        said = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(map(human, said[-lines:]))[-500:]
