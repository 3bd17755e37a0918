"""A disk that is full while the archive commits, or a batch version is made: it is said, nothing is lost, and it goes
on by itself once there is room, with the same answer."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lakes import Bench, contract, orders
from lakes import project as bench_project
from stream_parts import tasks

from seamline.claims import claim
from seamline.clock import system_clock
from seamline.errors import Condition, TransientError
from seamline.history.archive import ArchiveHistory
from seamline.jobs.batch import Batch
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import make_shelves

pytestmark = pytest.mark.skipif(
    not hasattr(resource, "RLIMIT_FSIZE"), reason="here no further byte of a process can be forbidden"
)
VALUES = [*orders(40), b"{"]


class Disk:
    """This process's: full from one moment until another. Each write to a file fails (EFBIG) as on a full disk
    (ENOSPC), which needs a disk of its own."""

    def __init__(self) -> None:
        self._room = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._room[1]))

    def fill_for_a_moment(self) -> None:
        self.fill()
        threading.Timer(0.5, self.make_room).start()

    def make_room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._room)


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.make_room()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = bench_project(tmp_path)
    made.send(*VALUES)
    made.speed()
    return made


@contextmanager
def archive_of(bench: Bench, **named: Any) -> Iterator[Archive]:
    """A new archive process, as it were."""
    with claim(bench.lake, bench.lake.archive_log("main"), "archive", system_clock) as writer:
        yield Archive(bench.lake, "main", writer, make_shelves([contract()], [], "main"), **named)


def on(bench: Bench, archive: Archive, before: Callable[[], None], after: Callable[[], None]) -> Any:
    """Tasks over all that is not archived, and what happens around them."""

    def run(task: Any) -> Any:
        before()
        done = tasks(bench.records(archive.frontier, bench.end))(task)
        after()
        return done

    return run


def nothing() -> None:
    """Happens."""


def check_whole(bench: Bench) -> None:
    """Every record is archived once, and answers are exact."""
    history = ArchiveHistory(bench.lake.archive_log("main"))
    counts = history.counts["orders"]
    assert (counts.read, counts.rejected, history.frontier) == (len(VALUES), 1, bench.end)
    bench.batch.rebuild("sales")
    assert bench.answer() == bench.expected(*VALUES[:-1])


@pytest.mark.parametrize("step", ["the data file", "Delta's commit"])
def test_a_full_disk_at_the_archives_files_commits_nothing_and_says_so(bench: Bench, disk: Disk, step: str) -> None:
    before, after = (disk.fill, nothing) if step == "the data file" else (nothing, disk.fill)
    entries = 0
    with archive_of(bench) as archive:
        entries = ArchiveHistory(bench.lake.archive_log("main")).number
        with pytest.raises(TransientError, match="File too large") as refused:
            archive.run_batch(on(bench, archive, before, after))
        disk.make_room()
        assert refused.value.condition is Condition.STORE_UNAVAILABLE
        assert ArchiveHistory(bench.lake.archive_log("main")).number == entries
    with archive_of(bench) as archive:  # the supervisor starts it again
        archive.run_batch(on(bench, archive, nothing, nothing))
    check_whole(bench)


def test_the_archives_entry_waits_for_room_and_goes_on_by_itself(bench: Bench, disk: Disk) -> None:
    """Delta's commit stands by then, and only the entry makes it count."""
    with archive_of(bench, check=disk.fill_for_a_moment) as archive:
        assert archive.run_batch(on(bench, archive, nothing, nothing)) is not None
    check_whole(bench)


@pytest.fixture
def archived(bench: Bench) -> Bench:
    """All of it is archived, too."""
    with archive_of(bench) as archive:
        archive.run_batch(on(bench, archive, nothing, nothing))
    return bench


def test_a_full_disk_under_a_versions_units_publishes_nothing_and_the_next_run_goes_on(
    archived: Bench, disk: Disk
) -> None:
    served, answer = archived.served, archived.answer()

    def units(work: list[UnitTask]) -> Iterable[UnitResult]:
        disk.fill()
        yield from local_runner(archived.lake)(work)

    with pytest.raises(TransientError, match="File too large") as refused:
        Batch(archived.lake, units, settings=archived.settings, clock=archived.clock).rebuild("sales")
    disk.make_room()
    assert refused.value.condition is Condition.STORE_UNAVAILABLE
    assert (archived.served, archived.answer()) == (served, answer), "what is served stays"
    check_whole(archived)
    assert archived.served != served


def test_a_versions_entries_wait_for_room_and_go_on_by_themselves(archived: Bench, disk: Disk) -> None:
    """Its units are done by then."""

    def units(work: list[UnitTask]) -> Iterable[UnitResult]:
        yield from local_runner(archived.lake)(work)
        disk.fill_for_a_moment()

    served = archived.served
    Batch(archived.lake, units, settings=archived.settings, clock=archived.clock).rebuild("sales")
    assert archived.served != served
    assert archived.answer() == archived.expected(*VALUES[:-1])
