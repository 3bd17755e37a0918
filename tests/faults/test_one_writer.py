"""One writer a log: a second process is refused by name, and one that was frozen past its claim changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from field import Field, orders
from waiting import wait_until

from seamline.claims import LEASE
from seamline.clock import system_clock
from seamline.errors import Condition, ConflictError
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.streaming.archive.tables import RawTable
from seamline.streaming.archive.vacuum import Standing

DAY = timedelta(days=1)


class Ahead:
    """A clock that is ahead of the system's, by as much as a test says."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def __call__(self) -> datetime:
        return system_clock() + self.by


def test_a_second_process_is_refused_with_the_holder_and_its_epoch_and_the_first_goes_on(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*orders(100))
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        for role in ("speed", "archive"):
            with here.process(role) as child:
                reader.asks()
                assert child.wait(120) == ConflictError.exit_code
            assert f"[{Condition.WRITER_CONFLICT}]" in said(here, role)
            assert f"pid {os.getpid()}" in said(here, role)
        assert f"epoch {SpeedHistory(here.lake.speed_log('main')).last_epoch}" in said(here, "speed")
        here.send(*orders(100, "more"))
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
    assert not failed + also_failed


def test_who_wakes_up_after_another_took_over_is_refused_and_only_its_own_files_are_swept(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    ahead = Ahead(LEASE + timedelta(seconds=1))
    here.send(*orders(5_000))  # more than an entry carries
    with (
        here.read() as reader,
        here.process("speed", stop_at="speed.after-files:SIGSTOP") as speed,
        here.process("archive", stop_at="archive.after-check:SIGSTOP") as archive,
    ):
        wait_until(lambda: is_frozen(speed.pid) and is_frozen(archive.pid), 180, "both frozen before their entries")
        theirs = files(here)
        assert {path.suffix for path in theirs} == {".pack", ".parquet"}, "what both were about to commit"
        with here.speed(spark, ahead) as failed, here.archive(spark, ahead) as also_failed:
            here.send(*orders(100, "more"))
            reader.reaches(here.topic.end)
            wait_until(lambda: also_failed or here.archived()(), 90, "all archived")
            for child in (speed, archive):
                child.send_signal(signal.SIGCONT)
                assert child.wait(120) == ConflictError.exit_code
            assert all(f"[{Condition.WRITER_CONFLICT}]" in said(here, role) for role in ("speed", "archive"))
            assert theirs <= files(here), "what is young is spared"
            for path in files(here):
                os.utime(path, times=(time.time() - 8 * DAY.total_seconds(),) * 2)
            ahead.by += DAY + timedelta(hours=1)
            wait_until(lambda: not theirs & files(here), 90, "the files of both are swept")
            here.send(*orders(100, "and more"))
            reader.reaches(here.topic.end)
            wait_until(lambda: also_failed or here.archived()(), 90, "all archived")
        assert listed(here) <= files(here) <= listed(here) | listed_before(here)
    assert not failed + also_failed


def said(here: Field, role: str) -> str:
    """What a role's process wrote to its log."""
    return (here.project.state / f"{role}.log").read_text()


def is_frozen(pid: int) -> bool:
    """Whether SIGSTOP holds a process."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def files(here: Field) -> set[Path]:
    """Every data file of speed and archive."""
    kept = [path for folder in ("speed", "raw") for path in (Path(here.lake.uri) / folder).rglob("*.*")]
    return {path for path in kept if path.suffix in (".parquet", ".pack")}


def listed(here: Field) -> set[Path]:
    """Those of them that the ledger names."""
    archive = ArchiveHistory(here.lake.archive_log("main"))
    epochs = [path for epoch in SpeedHistory(here.lake.speed_log("main")).epochs.values() for path in epoch.paths]
    of_tables = [file for path, version in archive.tables.items() for file in named_at(here, path, version)]
    return {Path(here.lake.absolute(path)) for path in (*epochs, *of_tables)}


def listed_before(here: Field) -> set[Path]:
    """Those that an older version of a raw table names, which may be read still: they were put together since."""
    tables = ArchiveHistory(here.lake.archive_log("main")).tables
    found = set()
    for table, newest in tables.items():
        standing = Standing.of(here.lake, table)
        for version in filter(standing.can_be_read, range(newest)):
            found |= {Path(here.lake.absolute(path)) for path in named_at(here, table, version)}
    return found


def named_at(here: Field, table: str, version: int) -> list[str]:
    return list(RawTable(here.lake, table, version=version).files())
