"""The batch side of each system: run in the middle, killed once and run again, and once more after the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb
import psutil
from deltalake import DeltaTable

from beside.systems import HERE, TOPIC, System
from beside.truth import Answer
from seamline.history.archive import ArchiveHistory
from seamline.schemas.project import Project

LOOK = 0.05
DEADLINE = 300.0


class BatchSide(Protocol):
    """What is run beside a stream."""

    def run(self, sent: int, *, killed: bool) -> float:
        """Takes in `sent` records and computes all groups; killed once on the way if so. CPU seconds."""

    def merged(self, system: System) -> Answer:
        """The answer of both."""


class SeamlineBatch:
    """The archive role until it has read all, then a batch version: the first a rebuild, each later one a refresh."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder, self.does = project, folder, "rebuild"

    def run(self, sent: int, *, killed: bool) -> float:
        def archived() -> bool:
            frontier = ArchiveHistory(self.project.lake.archive_log("main")).frontier
            return sum(offset for _, offset in frontier.items()) >= sent

        where = ["--project", str(self.project.folder)]
        cpu = ran([sys.executable, "-m", "seamline", "run", "archive", *where], self.folder, archived, signal.SIGTERM)
        command = [sys.executable, "-m", "seamline", "batch", self.does, "pages", *where]
        if killed:
            cpu += ran(command, self.folder, lambda: any((self.project.folder / "lake").glob("runs/*/*")))
        self.does = "refresh"
        return cpu + ran(command, self.folder)

    def merged(self, system: System) -> Answer:
        """Serving's own answer: every version continues in the epochs after its cut."""
        system.catch_up()
        return system.answer()


class SparkBatch:
    """Below the hour of its cut the batch's groups, from it on the stream's."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder, self.bootstrap = folder, bootstrap

    def run(self, sent: int, *, killed: bool) -> float:
        command = [sys.executable, "-m", "beside.spark_batch", self.bootstrap, TOPIC, str(self.folder)]
        log = self.folder / "raw" / "_delta_log"
        cpu = ran(command, self.folder, lambda: any(log.glob("*.json"))) if killed else 0.0
        return cpu + ran(command, self.folder)

    def merged(self, system: System) -> Answer:
        files = DeltaTable(str(self.folder / "batch")).file_uris()
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            found = engine.execute(
                f"SELECT hour::TIMESTAMPTZ, page, clicks, ms, slowest, cut::TIMESTAMPTZ FROM read_parquet({files!r})"
            ).fetchall()
        return by_event_time({row[:2]: row[2:5] for row in found}, system.answer(), found[0][5])


def by_event_time(batch: Answer, stream: Answer, cut: datetime) -> Answer:
    """Groups of hours below the cut from the batch, the others from the stream. Pure."""
    below = {group: row for group, row in batch.items() if group[0] is not None and group[0] < cut}
    return below | {group: row for group, row in stream.items() if group[0] is None or group[0] >= cut}


def ran(
    command: Sequence[str], folder: Path, until: Callable[[], bool] | None = None, by: signal.Signals = signal.SIGKILL
) -> float:
    """CPU seconds of a command and all below it, which is ended by a signal as soon as `until` holds.

    Raises SystemExit where it fails, takes too long, or ends before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen: dict[tuple[int, float], float] = {}
    deadline, ended = time.time() + DEADLINE, False
    with (folder / "batch.out").open("ab") as out:
        env = os.environ | {"PYTHONPATH": str(HERE)}
        child = subprocess.Popen(command, cwd=HERE, env=env, stdout=out, stderr=out, start_new_session=True)
        while child.poll() is None:
            seen |= cpu_of(child.pid)
            ended = until is not None and until()
            if ended or time.time() > deadline:
                os.killpg(child.pid, by)
                child.wait()
            else:
                time.sleep(LOOK)
    if time.time() > deadline or ended != (until is not None) or (child.returncode and not ended):
        raise SystemExit(f"{command}: {child.returncode}: {(folder / 'batch.out').read_text()[-2_000:]}")
    return sum(seen.values())


def cpu_of(pid: int) -> dict[tuple[int, float], float]:
    """CPU seconds of a process and all below it, by (id, start)."""
    found = {}
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            found[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        pass  # what ended meanwhile counts as it was last seen
    return found
