"""What processes keep on disks and in stores: lost, damaged, full, or its answer lost on the way."""

from __future__ import annotations

import itertools
import resource
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from field import GARBAGE, Field, orders
from waiting import wait_until

from seamline.disk import Disk
from seamline.errors import Condition, TransientError
from seamline.history.speed import SpeedHistory


def lose(folder: Path) -> None:
    """All of it."""
    shutil.rmtree(folder)


def damage(folder: Path) -> None:
    """Every file of it."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.write_bytes(b"\0damaged")


def bar(folder: Path) -> None:
    """All of it, and it cannot be made again."""
    lose(folder)
    folder.touch()


def test_sparks_checkpoint_lost_or_damaged_changes_nothing(
    field: Callable[..., Field], spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, temporary = field(), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    history = orders(100)
    with here.read() as reader:
        with here.speed(spark) as failed:
            here.send(*history)
            reader.reaches(here.topic.end)
            (checkpoint,) = temporary.glob("seamline-checkpoint-*")
            for harm in (lose, damage):
                harm(checkpoint)
                here.send(*history[:50], *orders(50, harm.__name__), *GARBAGE)
                reader.reaches(here.topic.end)
            assert not failed
            bar(checkpoint)
            here.send(*history[:50], *orders(50, "last"))
            wait_until(lambda: failed, 90, "the query ends")
            reader.asks()
        assert [getattr(error, "condition", error) for error in failed] == [Condition.PROCESS_FAILED]
        with here.speed(spark) as failed:
            reader.reaches(here.topic.end)
    assert not failed


def test_an_entry_whose_answer_is_lost_stands_once(
    field: Callable[..., Field], spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, lost = field(), set[str]()
    monkeypatch.setattr(Disk, "put_new", losing(Disk.put_new, lost))
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        for number in range(6):
            here.send(*orders(50, f"{number}-"), *orders(20))
            reader.reaches(here.topic.end)
        wait_until(lambda: also_failed or here.archived()(), 90, "all archived")
        version = here.batch(spark).rebuild("sales").version
        wait_until(lambda: reader.seen[-1].version == version, 30, "the version is served")
    assert not failed + also_failed
    assert lost >= {"speed", "archive"}


def losing(put: Callable[[Disk, str, bytes], bool], lost: set[str]) -> Callable[[Disk, str, bytes], bool]:
    """The lake's own put; of three entries one is not taken at first, and of one that is taken the answer is lost."""
    count = itertools.count()

    def put_or_lose(disk: Disk, path: str, payload: bytes) -> bool:
        turn = next(count) % 3 if path.startswith("ledger/") else 0
        if turn == 1:
            raise OSError("connection refused")
        answer = put(disk, path, payload)
        if turn == 2:
            lost.add(path.split("/")[1])
            raise OSError("connection reset by peer")
        return answer

    return put_or_lose


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux lets no further byte of a process be written")
def test_a_full_disk_commits_nothing_says_so_and_goes_on_once_there_is_room(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    with here.read() as reader:
        with here.command("run", "speed", errors=subprocess.PIPE) as child, heard(child) as said:
            here.send(*orders(100))
            reader.reaches(here.topic.end, 180)
            before = last_epoch(here)
            with no_room(child):
                here.send(*GARBAGE)  # no segment: the first that finds no room is the entry
                wait_until(lambda: any(f"[{Condition.STORE_UNAVAILABLE}] ledger/speed" in s for s in said), 90, "a try")
                reader.asks(1)  # within the 20 s that a put is tried for
                assert last_epoch(here) == before
            reader.reaches(here.topic.end)
            before = last_epoch(here)
            with no_room(child):
                here.send(*orders(100, "more"))
                assert child.wait(90) == TransientError.exit_code
                reader.asks()
            assert last_epoch(here) == before
        assert any(f"[{Condition.STORE_UNAVAILABLE}]" in line and "speed/main/" in line for line in said[-5:]), said
        with here.speed(spark) as failed:
            reader.reaches(here.topic.end)
    assert not failed


@contextmanager
def no_room(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Each write of the process to a file fails (EFBIG), as on a full disk (ENOSPC), which needs a disk of its own."""
    limit = resource.prlimit(child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        yield
    finally:
        if child.poll() is None:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, limit)


@contextmanager
def heard(child: subprocess.Popen[bytes]) -> Iterator[list[str]]:
    """The lines that a process writes to its standard error, which is no file."""
    said: list[str] = []

    def listen() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            said.append(line.decode())

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield said
    finally:
        if child.poll() is not None:
            thread.join(30)


def last_epoch(here: Field) -> int:
    """The number of the newest epoch."""
    return SpeedHistory(here.lake.speed_log("main")).last_epoch
