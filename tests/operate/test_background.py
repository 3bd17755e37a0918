"""`up --detach` and `down`: why it is not ready is said, a second time is no fault, and no other process is touched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamline.cli.main import execute
from seamline.machine.identity import Identity
from seamline.machine.process import born
from seamline.operate.stack import MARK, hold
from seamline.operate.template import make_project
from seamline.schemas.project import load_project

STAYS = "import signal, sys, time\n{}print('ready', flush=True)\ntime.sleep(60)\n"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_project(tmp_path / "shop")
    (tmp_path / "shop/.seamline").mkdir()
    return tmp_path / "shop"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """A process that ends when it is asked to."""
    yield from _process("")


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[str]]:
    """One that does not."""
    yield from _process(DEAF)


def _process(more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", STAYS.format(more)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def mark(shop: Path, pid: int, at: float, host: str | None = None) -> Path:
    """What a stack of that process would have written."""
    Identity(host or Identity.own().host, pid, at).write(shop / ".seamline" / MARK)
    return shop / ".seamline" / MARK


def down(shop: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    assert execute(["down", "--project", str(shop), *more]) == 0
    return capsys.readouterr().out


def test_the_process_that_runs_a_project_is_ended_and_waited_for(
    shop: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = mark(shop, other.pid, born(other.pid))
    assert down(shop, capsys).startswith("stopped")
    assert born(other.pid) == 0.0
    assert not file.exists()
    assert down(shop, capsys) == "nothing runs this project here\n"


def test_one_that_does_not_end_is_killed(
    shop: Path, deaf: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    mark(shop, deaf.pid, born(deaf.pid))
    assert down(shop, capsys, "--seconds", "0.1").startswith("stopped")
    assert born(deaf.pid) == 0.0


def test_a_process_that_has_the_pid_of_one_that_is_gone_is_let_be(
    shop: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    mark(shop, other.pid, born(other.pid) - 100)
    assert down(shop, capsys) == "nothing runs this project here\n"
    assert other.poll() is None


def test_what_another_machine_started_is_let_be(
    shop: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = mark(shop, other.pid, born(other.pid), host="elsewhere")
    for command in (["down"], ["up", "--detach"]):
        assert execute([*command, "--project", str(shop)]) == 2
        assert "was last started on elsewhere" in capsys.readouterr().err
    assert other.poll() is None
    assert file.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_mark_that_says_nothing_is_as_none(shop: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / ".seamline" / MARK).write_text(text)
    assert down(shop, capsys) == "nothing runs this project here\n"


def test_a_second_detach_is_no_fault(
    shop: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    mark(shop, other.pid, born(other.pid))
    began = time.monotonic()
    assert execute(["up", "--detach", "--project", str(shop)]) == 0
    assert capsys.readouterr().out.startswith(f"runs already, as process {other.pid};")
    assert time.monotonic() - began < 30  # nothing was started and waited for
    assert other.poll() is None


def test_why_it_cannot_start_is_said(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = hold(load_project(shop))
    try:
        assert execute(["up", "--detach", "--project", str(shop)]) == 3
    finally:
        held.release()
    said = capsys.readouterr().err
    assert "'seamline up' ended with 4" in said
    assert "another 'seamline up' runs this project" in said
    assert str(shop / ".seamline/logs/up.log") in said
