"""Child processes that cannot outlive their parent: each in a session of its own, killed whole, waited for.

A child is started through a small shell that leaves a watcher behind and then *becomes* the command (exec), so the
pid is the command's. The watcher reads a pipe whose other end only the parent holds: when the parent ends, however it
ends, the kernel closes the pipe, and the watcher stops the whole group, politely first. (PR_SET_PDEATHSIG would do
the same on Linux only, and fires already when the *thread* that started the child ends.)

Spark's Python daemon leaves the process group but not the session: so it is the session that is killed and waited
for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from seamline.errors import Condition, TransientError
from seamline.logs import LOG
from seamline.private import made

ORPHAN_GRACE = 5
"""Seconds between SIGTERM and SIGKILL for a child whose parent has died."""

_SCRIPT = (
    "exec 3<&0 </dev/null; "
    '( trap "" TERM INT HUP; cat <&3 >/dev/null; kill -TERM -$$ 2>/dev/null; n=0; '
    'while [ $n -lt "$SEAMLINE_ORPHAN_GRACE" ] && kill -0 $$ 2>/dev/null; do sleep 1; n=$((n+1)); done; '
    "kill -KILL -$$ 2>/dev/null ) >/dev/null 2>&1 & "
    'exec 3<&-; unset SEAMLINE_ORPHAN_GRACE; exec "$@"'
)


@dataclass(frozen=True)
class Child:
    """A running or ended child. `pid` is the command's own, and its session's and group's id."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The command's process id."""
        return self.process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self.process.poll()

    def terminate(self) -> None:
        """Asks the command to end (SIGTERM to it alone: it knows best how to end its own children)."""
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> bool:
        """Whether the command ended within `seconds`."""
        try:
            self.process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def clear(self, seconds: float = 20.0) -> None:
        """Kills what is left of the session, JVMs included, and returns when all of it is gone.

        Raises TransientError PROCESS_FAILED where something does not die within `seconds`.
        """
        sweep(self.pid, seconds)
        self.wait(seconds)
        if self.process.stdin is not None:
            self.process.stdin.close()


def start(command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, fresh_log: bool = False) -> Child:
    """Starts `command`, output to `log` (appended, or `fresh_log`); it ends when this process does.

    The command finds the log's name in SEAMLINE_LOG.
    """
    made(log.parent)
    with log.open("wb" if fresh_log else "ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={
                **(os.environ if env is None else env),
                LOG: str(log.absolute()),
                "SEAMLINE_ORPHAN_GRACE": str(ORPHAN_GRACE),
            },
            start_new_session=True,
        )
    return Child(process)


def session_members(session: int) -> list[int]:
    """The living (not zombie) processes of a session."""
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
        except (OSError, psutil.Error):
            continue
    return members


def sweep(session: int, seconds: float) -> None:
    """SIGKILLs every process of a session until none is left. Raises TransientError PROCESS_FAILED."""

    def gone() -> bool:
        members = session_members(session)
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not members

    if not until(gone, seconds):
        raise TransientError(
            Condition.PROCESS_FAILED,
            f"processes of session {session} do not die: {session_members(session)}",
            hint="a process in uninterruptible sleep points at the disk; see `ps -o pid,stat,wchan`",
        )


def born(pid: int) -> float:
    """When a living process was created (seconds since 1970): with the pid, its identity; 0.0 if there is none."""
    try:
        found = psutil.Process(pid)
        return 0.0 if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time())
    except psutil.Error:
        return 0.0


def until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Whether `condition` came true within `seconds`; looks again every `every` seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
