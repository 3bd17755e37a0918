"""Large records through Spark and a broker: a backlog that no kernel can decode at once stops neither role."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream_parts import answer, event, make_project, produce, read_so_far, running
from waiting import wait_until

from seamline.history.archive import ArchiveHistory
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project, load_project
from seamline.streaming.archive.role import run_archive
from seamline.streaming.speed.role import run_speed


def test_a_backlog_of_large_records_is_read_by_both_roles_in_little_memory(
    broker: Any, spark: Any, fresh_topic: Callable[..., str], tmp_path: Path
) -> None:
    """300 records of 100 KB: each of two partitions holds more than a kernel of 128 MB can decode at once."""
    topic = fresh_topic(2)
    project = make_project(tmp_path / "p", broker.bootstrap, topic)
    settings = project.folder / "seamline.toml"
    settings.write_text(settings.read_text() + '[kernel]\nmemory = "128MB"\nthreads = 1\n')
    project = load_project(project.folder)
    chance = random.Random(1)
    values = [event(n)[:-1] + f', "more": "{chance.randbytes(50_000).hex()}"}}'.encode() for n in range(300)]
    produce(broker.bootstrap, topic, values)
    with running(run_archive, project, spark) as raised:
        wait_until(lambda: raised or _archived(project) == 300, 120, "all are archived")
    assert not raised
    with running(run_speed, project, spark) as raised:
        wait_until(lambda: raised or read_so_far(project.lake) == 300, 120, "all are read")
    assert not raised
    (live,) = Catalogue(project.lake).live("main")
    (row,) = answer(project.lake, live)
    assert (row["events"], row["total"]) == (300, sum(range(300)))


def _archived(project: Project) -> int:
    return sum(one.read for one in ArchiveHistory(project.lake.archive_log("main")).counts.values())
