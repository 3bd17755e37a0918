"""A project that runs here without a terminal: started, waited for until it is ready, and stopped whole.

Whose process it is stands in `.seamline/up.json`, by pid and time of birth: no other process is ever signalled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from seamline.advance import Say, unsaid
from seamline.errors import Condition, TerminalError, TransientError, UserError
from seamline.machine.identity import Identity
from seamline.machine.process import sweep, until
from seamline.machine.supervisor import RoleState, State, read_state, sweep_orphan, tail
from seamline.operate.stack import MARK, ROLES, embedded_broker, hold, roles
from seamline.operate.status import alive
from seamline.private import made
from seamline.schemas.project import Project

LOG = "up.log"
"""In .seamline/logs: what the process in the background says; that of the one before is kept beside it."""

EVERY = 0.2
"""Seconds between two looks."""


def running(project: Project) -> Identity | None:
    """The process that runs the project on this machine, if one does.

    Raises UserError INPUT_INVALID where one of another machine said so last: nothing of it can be seen here.
    """
    found = Identity.read(project.state / MARK)
    if found is not None and not found.is_here:
        raise UserError(
            Condition.INPUT_INVALID,
            f"the project was last started on {found.host}, process {found.pid}",
            detail="one machine for each folder",
            hint=f"stop it there; if {found.host} is gone for good, remove {project.state / MARK}",
        )
    return found if found is not None and found.lives else None


def start_in_background(project: Project, seconds: float, *, shared: bool = False, say: Say = unsaid) -> Identity:
    """Starts the project in a session of its own, and returns when every role does its work.

    Raises TerminalError PROCESS_FAILED, with the end of its log, where it ends or one of its roles fails for good;
    TransientError PROCESS_FAILED where it takes longer than `seconds`: then it goes on.
    """
    log = _fresh(made(project.state / "logs") / LOG)
    command = [sys.executable, "-m", "seamline", "up", "--project", str(project.folder)]
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*command, *(["--small"] if shared else [])], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    wanted = [one.name for one in roles(project, {}, shared=shared or project.settings.spark.shared)]
    deadline, said = time.monotonic() + seconds, dict[str, str]()
    while True:
        if child.poll() is not None:
            raise _failed(f"'seamline up' ended with {child.returncode}: {tail(log, 3)}", log)
        states = _states(project, child.pid, wanted)
        for name, state in states.items():
            if said.get(name) != state.state:
                said[name] = state.state
                say(f"{name}: {state.state}{f' ({state.reason})' if state.reason else ''}")
        failed = next((state for state in states.values() if state.state is State.FAILED), None)
        if failed is not None:
            found = f"role {failed.role} failed: {failed.reason}; {tail(Path(failed.log))}"
            raise _failed(f"{found}. The others run: 'seamline down' stops them", Path(failed.log))
        if len(states) == len(wanted) and all(state.state is State.RUNNING for state in states.values()):
            return Identity.read(project.state / MARK) or Identity.own()
        if time.monotonic() > deadline:
            raise _slow(wanted, states, seconds, log)
        time.sleep(EVERY)


def stop_in_background(project: Project, seconds: float) -> bool:
    """Stops what runs the project on this machine, and what one that was killed has left behind; returns when all of
    it is gone. False where nothing ran.

    It is asked first, and killed after `seconds`: what was committed stands either way. Raises UserError INPUT_INVALID
    where it is another user's or another machine's; WRITER_CONFLICT where it has not said who it is.
    """
    found = running(project)
    if found is not None:
        _end(found, seconds)
    with hold(project):  # nobody looks after what is left
        for state in _all_states(project):
            sweep_orphan(state)
        embedded_broker(project).wait_for_predecessor()
        (project.state / MARK).unlink(missing_ok=True)
    return found is not None


def _end(found: Identity, seconds: float) -> None:
    """Asks a process to end; kills its session after `seconds`. psutil compares its birth before each signal."""
    try:
        process = psutil.Process(found.pid)
        if process.create_time() != found.born:
            return
        process.terminate()
        if not until(lambda: not found.lives, seconds, EVERY):
            process.kill()
            if os.getsid(0) != found.pid:
                sweep(found.pid, 20.0)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
    except psutil.AccessDenied as error:
        raise UserError(
            Condition.INPUT_INVALID,
            f"process {found.pid}, which runs the project, is another user's",
            hint="stop it as the user who started it",
        ) from error


def _states(project: Project, pid: int, wanted: Sequence[str]) -> dict[str, RoleState]:
    """The roles' states as this very `up` has written them; none before it holds the project."""
    mark = Identity.read(project.state / MARK)
    if mark is None or mark.pid != pid:
        return {}
    found = (read_state(project.state / ROLES, name) for name in wanted)
    return {state.role: state for state in map(alive, filter(None, found)) if state.state is not State.STOPPED}


def _all_states(project: Project) -> list[RoleState]:
    names = sorted(path.stem for path in (project.state / ROLES).glob("[!.]*.json"))
    return [state for name in names if (state := read_state(project.state / ROLES, name)) is not None]


def _fresh(log: Path) -> Path:
    if log.exists():
        os.replace(log, log.with_name(f"{log.name}.1"))
    return log


def _failed(found: str, log: Path) -> TerminalError:
    return TerminalError(Condition.PROCESS_FAILED, found, hint="correct what its log says, start again", where=str(log))


def _slow(wanted: Sequence[str], states: dict[str, RoleState], seconds: float, log: Path) -> TransientError:
    late = [name for name in wanted if name not in states or states[name].state is not State.RUNNING]
    return TransientError(
        Condition.PROCESS_FAILED,
        f"not ready after {seconds:.0f} s: {', '.join(late)}; it goes on in the background",
        hint="'seamline status' tells how it is, 'seamline down' stops it",
        where=str(log),
    )
