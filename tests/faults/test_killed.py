"""Speed, archive and batch ended by SIGKILL between the steps of a commit and in the middle of their work."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from field import GARBAGE, Field, orders
from reader import Reader
from waiting import wait_until

from seamline.errors import TransientError
from seamline.frontier import Position
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.work import finished
from seamline.schemas.catalogue import Catalogue
from seamline.streaming.archive.tables import RawTable

DAYS = 4
"""More event dates than units run at once."""


def ended(child: Any, code: int = -signal.SIGKILL, seconds: float = 180) -> bool:
    """Whether a process ended so (by SIGKILL, if nothing else is said), for which it is given some time."""
    return bool(child.wait(seconds) == code)


def test_speed_killed_anywhere_reads_on_from_the_ledger_and_counts_once(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    history = orders(300)
    with here.read() as reader:
        for first, point in ((0, "speed.after-entry"), (100, "speed.after-files")):
            here.send(*history[first : first + 150], *GARBAGE)
            with here.process("speed", stop_at=point) as child:
                assert ended(child)
            assert SpeedHistory(here.lake.speed_log("main")).last_epoch == 1, "one entry, of the first life"
            reader.asks()
        with here.process("speed") as child:
            reader.reaches(here.topic.end, 180)
            for more in range(random.randrange(2, 20)):
                here.send(*orders(40, f"load{more}-"), *history[:5])
            child.kill()
        reader.asks()
        with here.speed(spark) as failed:
            reader.reaches(here.topic.end)
    assert not failed


def test_an_archive_killed_around_its_delta_commit_files_every_record_once(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    with here.read() as reader, here.speed(spark) as failed:
        for number, point in enumerate(("archive.after-delta", "archive.before-delta", "archive.after-entry")):
            here.send(*dated(f"life{number}-"), *GARBAGE)
            with here.process("archive", stop_at=point) as child:
                assert ended(child)
            entries = ArchiveHistory(here.lake.archive_log("main")).touched
            assert len(entries) == (point == "archive.after-entry"), "what has no entry never happened"
            reader.asks()
        with here.archive(spark) as also_failed:
            here.send(*dated("last-"))
            wait_until(lambda: also_failed or here.archived()(), 90, "all archived")
        assert raw_positions(here) == sent_positions(here)
        version = here.batch(spark).rebuild("sales").version
        wait_until(lambda: reader.seen[-1].version == version, 30, "the version is served")
    assert not failed + also_failed


def test_a_batch_killed_at_each_step_moves_no_answer_and_goes_on_as_the_same_run(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*dated("first-"))
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        old = here.batch(spark).rebuild("sales").version
        here.send(*dated("late-"), *GARBAGE)
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        for number, point in enumerate(("reserve", "unit", "files", "version")):
            with here.command("batch", "refresh", stop_at=f"batch.after-{point}") as child:
                # a unit's own process is one of Spark's workers: the run fails with it
                assert ended(child, TransientError.exit_code if point == "unit" else -signal.SIGKILL)
            if point == "unit":
                assert 0 < len(finished(here.lake, newest_run(here))) < DAYS
            still_served(here, reader, old, f"more{number}-")
        with here.command("batch", "refresh", stop_at="batch.after-publish") as child:
            assert ended(child)
        new = max(versions(here).versions)
        wait_until(lambda: reader.seen[-1].version == new, 30, "the version is served")
        assert here.batch(spark).refresh("sales").version not in (old, new)
    assert not failed + also_failed
    assert len(versions(here).reserved) == len(versions(here).versions) == 3, "five lives made one version"
    assert all(version.audit.clean for version in versions(here).versions.values())


def dated(prefix: str) -> list[Any]:
    """Orders of several dates."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [one for day in range(DAYS) for one in orders(20, f"{prefix}{day}-", now - timedelta(days=day))]


def still_served(here: Field, reader: Reader, version: int | None, prefix: str) -> None:
    """More records are answered on top of the old version."""
    here.send(*dated(prefix))
    assert reader.reaches(here.topic.end).version == version


def versions(here: Field) -> BatchHistory:
    """The batch log of what is served."""
    return BatchHistory(here.lake.batch_log(str(Catalogue(here.lake).states["sales"].served)))


def newest_run(here: Field) -> str:
    """The run of the newest reservation."""
    return max(versions(here).reserved.items())[1].run


def raw_positions(here: Field) -> Counter[Position]:
    """The position of every row of every raw table, as the ledger names them."""
    history = ArchiveHistory(here.lake.archive_log("main"))
    paths = [
        here.lake.absolute(path)
        for table, version in history.tables.items()
        for path in RawTable(here.lake, table, version=version).files()
    ]
    rows = here.lake.kernel().run("SELECT _source, _partition, _offset FROM raw", {"raw": paths}).to_pylist()
    return Counter(Position(*row.values()) for row in rows)


def sent_positions(here: Field) -> Counter[Position]:
    """The position of every record that was sent."""
    return Counter(position for position, _ in here.topic.between(here.topic.origin, here.topic.end))
