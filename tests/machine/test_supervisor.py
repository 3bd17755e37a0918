"""Roles: restarted when they die, left alone when an operator has to decide, and never outliving their supervisor."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from seamline.clock import ManualClock
from seamline.errors import ConflictError
from seamline.machine import process
from seamline.machine.supervisor import (
    FINAL_CODES,
    HEALTHY_AFTER,
    LONGEST_DELAY,
    Role,
    RoleState,
    State,
    Supervisor,
    after_exit,
    next_delay,
    read_state,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOREVER = "import signal; signal.pause()"
Make = Callable[..., Supervisor]


def role(tmp_path: Path, name: str, code: str, **more: object) -> Role:
    return Role(name, [sys.executable, "-c", code], tmp_path / f"{name}.log", **more)  # type: ignore[arg-type]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Make]:
    made: list[Supervisor] = []

    def make(*roles: Role, clock: ManualClock | None = None) -> Supervisor:
        made.append(Supervisor(roles, tmp_path / "state", clock or ManualClock(NOW)))
        return made[-1]

    yield make
    for one in made:
        one.stop(5)


def alive(pid: int) -> bool:
    return process.born(pid) != 0.0


@given(st.integers(0, 1000), st.floats(0, 1e9))
def test_delays_are_positive_bounded_and_grow_with_failures(failures: int, uptime: float) -> None:
    assert 0 < next_delay(failures, uptime) <= LONGEST_DELAY
    assert next_delay(failures + 1, uptime) >= next_delay(failures, uptime)
    assert next_delay(failures, HEALTHY_AFTER) <= next_delay(failures, uptime)


@given(st.integers(-64, 255), st.integers(0, 20), st.floats(0, 1000))
def test_only_final_codes_fail_a_role_and_only_zero_ends_it(code: int, failures: int, uptime: float) -> None:
    if code < 0 and -code not in set(signal.Signals):
        return
    before = RoleState("r", State.RUNNING, 1, started=(NOW - timedelta(seconds=uptime)).isoformat(), failures=failures)
    after = after_exit(before, code, NOW)
    expected = State.STOPPED if code == 0 else State.FAILED if code in FINAL_CODES else State.WAITING
    assert (after.state, after.pid, after.last_exit) == (expected, None, code)
    assert (after.next_start is not None) == (expected is State.WAITING)


def wait_ready(supervisor: Supervisor, seconds: float) -> None:
    def ready() -> bool:
        return all(one.state is State.RUNNING for one in supervisor.poll().values())

    wait_until(ready, seconds, "every role is ready")


def test_a_killed_role_waits_its_delay_and_is_started_again(tmp_path: Path, supervise: Make) -> None:
    clock = ManualClock(NOW)
    supervisor = supervise(role(tmp_path, "speed", FOREVER), clock=clock)
    supervisor.start()
    wait_ready(supervisor, 10)
    first = supervisor.pid("speed")
    assert first
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.poll()["speed"].state is State.WAITING, 10, "its death is seen")
    assert supervisor.states()["speed"].reason == "ended by signal SIGKILL"
    assert supervisor.poll()["speed"].state is State.WAITING
    clock.advance(timedelta(seconds=1))
    wait_until(lambda: supervisor.poll()["speed"].state is State.RUNNING, 10, "it runs again")
    assert supervisor.pid("speed") != first
    assert supervisor.states()["speed"].restarts == 1


def test_what_a_dead_driver_leaves_behind_is_gone_before_its_successor_starts(tmp_path: Path, supervise: Make) -> None:
    """The stand-in for its JVM ignores SIGTERM and has a process group of its own, as Spark's daemon has."""
    child = "import os,signal; os.setpgid(0,0); signal.signal(15, signal.SIG_IGN); signal.pause()"
    code = (
        "import subprocess,sys,signal\n"
        f"left = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"open({str(tmp_path / 'left')!r}, 'a').write(f'{{left.pid}}\\n')\nsignal.pause()"
    )
    clock = ManualClock(NOW)
    supervisor = supervise(role(tmp_path, "speed", code), clock=clock)
    supervisor.start()
    wait_until(lambda: (tmp_path / "left").exists() and (tmp_path / "left").read_text(), 10, "it has a child")
    orphan = int((tmp_path / "left").read_text())
    pid = supervisor.pid("speed")
    assert pid
    assert alive(orphan)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: supervisor.poll()["speed"].state is State.WAITING, 10, "its death is seen")
    assert not alive(orphan)


@pytest.mark.parametrize("code", sorted(FINAL_CODES))
def test_a_code_that_asks_for_an_operator_is_not_tried_again(tmp_path: Path, supervise: Make, code: int) -> None:
    clock = ManualClock(NOW)
    supervisor = supervise(role(tmp_path, "speed", f"raise SystemExit({code})"), clock=clock)
    supervisor.start()
    wait_until(lambda: supervisor.poll()["speed"].state is State.FAILED, 10, "it is marked failed")
    clock.advance(timedelta(days=1))
    assert supervisor.poll()["speed"].state is State.FAILED
    kept = json.loads((tmp_path / "state" / "speed.json").read_text())
    assert (kept["state"], kept["last_exit"], kept["restarts"]) == ("failed", code, 0)


def test_a_transient_code_is_tried_again_ever_more_slowly(tmp_path: Path, supervise: Make) -> None:
    clock = ManualClock(NOW)
    supervisor = supervise(role(tmp_path, "speed", "raise SystemExit(75)"), clock=clock)
    supervisor.start()
    delays = []
    for failures in (1, 2, 3):
        wait_until(lambda n=failures: supervisor.poll()["speed"].failures == n, 10, f"failure {failures}")  # type: ignore[misc]
        due = datetime.fromisoformat(supervisor.states()["speed"].next_start or "")
        delays.append((due - clock()).total_seconds())
        clock.advance(due - clock())
    assert delays == [0.5, 1.0, 2.0]


def test_every_role_is_told_to_stop_and_a_deaf_one_is_killed(tmp_path: Path, supervise: Make) -> None:
    said = tmp_path / "said"
    polite = (
        "import signal,sys\n"
        f"def end(*_): open({str(said)!r}, 'a').write(sys.argv[1] + ' '); sys.exit(0)\n"
        "signal.signal(15, end); print('up', flush=True); signal.pause()"
    )
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
    roles = [
        Role(
            name,
            [sys.executable, "-c", code, name],
            tmp_path / name,
            ready=lambda n=name: (tmp_path / n).stat().st_size > 0,
        )  # type: ignore[misc]
        for name, code in (("first", polite), ("deaf", deaf), ("last", polite))
    ]
    supervisor = supervise(*roles)
    supervisor.start()
    wait_ready(supervisor, 20)
    pids = [supervisor.pid(r.name) for r in roles]
    supervisor.stop(0.5)
    assert sorted(said.read_text().split()) == ["first", "last"]
    assert not any(alive(pid) for pid in pids if pid)
    assert {state.state for state in supervisor.states().values()} == {State.STOPPED}
    assert supervisor.states()["deaf"].last_exit == -signal.SIGKILL


def test_what_a_killed_supervisor_left_of_other_roles_is_ended_and_forgotten(tmp_path: Path, supervise: Make) -> None:
    child = process.start([sys.executable, "-c", FOREVER], log=tmp_path / "log")
    folder = tmp_path / "state"
    folder.mkdir()
    left = RoleState("archive", State.RUNNING, pid=child.pid, born=process.born(child.pid))
    (folder / "archive.json").write_text(json.dumps(asdict(left)))
    supervise(role(tmp_path, "together", FOREVER)).start()
    assert child.wait(10)
    assert read_state(folder, "archive") is None
    assert read_state(folder, "together") is not None


def test_a_second_supervisor_of_the_same_project_is_refused(tmp_path: Path, supervise: Make) -> None:
    supervise().start()
    with pytest.raises(ConflictError, match="another `seamline up`"):
        supervise().start()


SCRIPT = """
import sys, threading
from pathlib import Path
from seamline.signals import stopping
from seamline.machine.supervisor import Role, Supervisor
folder = Path(sys.argv[1])
code = "import signal; signal.signal(15, signal.SIG_IGN)\\nwhile True: signal.pause()"
stop = threading.Event()
with stopping(stop):
    supervisor = Supervisor([Role("deaf", [sys.executable, "-c", code], folder / "log")], folder)
    supervisor.start()
    supervisor.run(stop)
"""


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.thorough), signal.SIGTERM])
def test_roles_end_with_their_supervisor_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    running = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)])
    wait_until(lambda: (s := read_state(tmp_path, "deaf")) and s.state is State.RUNNING, 20, "the role runs")
    state = read_state(tmp_path, "deaf")
    assert state
    assert state.pid
    if number == signal.SIGTERM:
        os.kill(state.pid, signal.SIGKILL)  # the deaf role would hold up a clean stop for 30 s
    running.send_signal(number)
    running.wait(20)
    wait_until(lambda: process.session_members(state.pid or 0) == [], 15, "the role ends by itself")


def test_what_a_killed_supervisor_left_running_is_ended_by_the_next(tmp_path: Path, supervise: Make) -> None:
    left = subprocess.Popen([sys.executable, "-c", FOREVER], start_new_session=True)
    state = RoleState("speed", State.RUNNING, left.pid, process.born(left.pid))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "speed.json").write_text(json.dumps({**state.__dict__}))
    supervise(role(tmp_path, "speed", FOREVER)).start()
    assert left.wait(10) == -signal.SIGKILL


def test_a_process_id_used_again_by_another_is_let_be(tmp_path: Path, supervise: Make) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", FOREVER], start_new_session=True)
    state = RoleState("speed", State.RUNNING, stranger.pid, process.born(stranger.pid) - 5)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "speed.json").write_text(json.dumps({**state.__dict__}))
    supervise(role(tmp_path, "speed", FOREVER)).start()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait(10)


LOGS = (
    "import logging, signal; from seamline.logs import start_logging; start_logging();"
    "signal.signal(signal.SIGUSR1, lambda *_: logging.getLogger('seamline').info('said again'));"
    "logging.getLogger('seamline').info('said');\nwhile True: signal.pause()"
)


def test_a_role_whose_logs_were_deleted_writes_to_new_ones(tmp_path: Path, supervise: Make) -> None:
    log = tmp_path / "logs" / "a.log"
    supervisor = supervise(Role("a", [sys.executable, "-c", LOGS], log))
    supervisor.start()
    wait_until(lambda: log.exists() and "said" in log.read_text(), 60, "the role logs")
    shutil.rmtree(log.parent)
    pid = supervisor.pid("a")
    assert pid is not None
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: log.exists() and "said again" in log.read_text(), 60, "a new log")
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: log.read_text().count("said again") == 2, 60, "the same log")
