"""What a project costs that has nothing to do: processor, memory and objects of `seamline up` with nothing arriving.

A few records first, so that every process has done its work once; then nothing is sent. After a rest each process of
the project, and all below it, is looked at twice, a minute apart. CPU is in percent of one core. Memory is
proportional (PSS: a page that several processes share is divided among them), so that the parts add up to the whole.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from figures import Figure, Size
from kafka import KafkaProducer
from lakes import CONTRACT, VIEW
from stream import TOPIC, produce

from seamline.errors import SeamlineError
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project, load_project

SECONDS = {Size.SMALL: 60, Size.WHOLE: 300}
REST = 100.0
"""Seconds after the last record before anything is looked at. Spark ends a Python worker that was idle for a minute."""

SETTINGS = """\
[kafka]
partitions = 4

[serving]
port = 0

[batch]
refresh_minutes = 1000
"""

LATER = 10
"""Records that follow the first after a rest, each of which has a query that runs."""

Key = tuple[int, float]


@dataclass(frozen=True)
class Seen:
    """One process as it was looked at."""

    part: str
    cpu: float
    pss: int


def measure(size: Size) -> list[Figure]:
    """As it is by default, and as it is with `--small`."""
    return [*idle(SECONDS[size], "up"), *idle(SECONDS[size], "up --small", "--small")]


def idle(seconds: float, named: str, *options: str) -> list[Figure]:
    """CPU and memory by part and in all, and the objects made, of a project at rest for `seconds`."""
    with tempfile.TemporaryDirectory() as folder, up(Path(folder), *options) as (project, root):
        produce(project, 2, 0)
        wait_for(lambda: archived(project) >= 2_000 and counted(project) >= 2_000 and has_version(project))
        time.sleep(REST)
        objects, before, began = files(project), look(root), time.monotonic()
        time.sleep(seconds)
        after, took = look(root), time.monotonic() - began
        made = len(files(project) - objects)
        first, *later = commits(project, 1 + LATER)
    percent: dict[str, float] = defaultdict(float)
    megabytes: dict[str, float] = defaultdict(float)
    for key, seen in after.items():
        start = before[key].cpu if key in before else 0.0
        percent[seen.part] += 100 * (seen.cpu - start) / took
        megabytes[seen.part] += seen.pss / 1e6
    sizes = {"seconds": seconds}
    found = [Figure(f"{named}, idle: CPU in all", sum(percent.values()), "% of a core", bar="at most 5", sizes=sizes)]
    found += [Figure(f"{named}, idle: CPU of {part}", percent[part], "% of a core", sizes=sizes) for part in percent]
    found.append(Figure(f"{named}, idle: memory in all", sum(megabytes.values()), "MB", bar="at most 1,200"))
    found += [Figure(f"{named}, idle: memory of {part}", megabytes[part], "MB") for part in megabytes]
    found.append(Figure(f"{named}, idle: objects made", made, "objects", bar="0", sizes=sizes))
    found.append(Figure(f"{named}, idle: first record to its epoch", first, "s"))
    return [*found, Figure(f"{named}, idle: a later record to its epoch", statistics.median(later), "s")]


@contextmanager
def up(folder: Path, *options: str) -> Iterator[tuple[Project, psutil.Process]]:
    """A project that runs, with every role ready."""
    for name, text in (
        ("contracts/clicks.yaml", CONTRACT),
        ("views/pages.sql", VIEW + ";\n"),
        ("seamline.toml", SETTINGS),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project = load_project(folder)
    command = [sys.executable, "-m", "seamline", "up", "--project", str(folder), *options]
    with (folder / "up.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: (folder / "up.log").read_text().count(": running") >= (2 if "--small" in options else 4))
        yield project, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(60)


def commits(project: Project, number: int) -> list[float]:
    """Seconds from the send of one record to the entry that counts it, of some a second apart."""
    history, found = SpeedHistory(project.lake.speed_log("main")), list[float]()
    producer = KafkaProducer(bootstrap_servers=project.bootstrap)
    for _ in range(number):
        history.catch_up()
        before, sent = history.frontier, time.monotonic()
        producer.send(TOPIC, b"?").get(10)
        while history.frontier == before:
            time.sleep(0.005)
            history.catch_up()
        found.append(time.monotonic() - sent)
        time.sleep(1)
    producer.close()
    return found


def look(root: psutil.Process) -> Mapping[Key, Seen]:
    """Every process of the project, by its id and start."""
    found = {_key(root): _seen("up", root)}
    for child in root.children():
        for process in (child, *child.children(recursive=True)):
            try:
                found[_key(process)] = _seen(f"{_part(child)}{_inside(process)}", process)
            except psutil.NoSuchProcess:
                continue
    return found


def _key(process: psutil.Process) -> Key:
    return process.pid, process.create_time()


def _seen(part: str, process: psutil.Process) -> Seen:
    return Seen(part, sum(process.cpu_times()[:2]), process.memory_full_info().pss)


def _part(child: psutil.Process) -> str:
    """Which part of the project a child of `up` is."""
    words = child.cmdline()
    return "broker" if "kafka.Kafka" in words else words[words.index("run") + 1]


def _inside(process: psutil.Process) -> str:
    """What of a part a process is: its own JVM, or one of Spark's Python workers."""
    words = process.cmdline()
    if any("pyspark.daemon" in word for word in words):
        return " (workers)"
    return " (JVM)" if any("SparkSubmit" in word for word in words) else ""


def files(project: Project) -> set[str]:
    """Every object of the lake."""
    lake = project.folder / project.settings.lake.uri
    return {os.path.join(folder, name) for folder, _, names in os.walk(lake) for name in names}


def counted(project: Project) -> int:
    history = SpeedHistory(project.lake.speed_log("main"))
    return sum(counts.read for epoch in history.epochs.values() for counts in epoch.counts.values())


def archived(project: Project) -> int:
    history = ArchiveHistory(project.lake.archive_log("main"))
    return sum(offset for _, offset in history.frontier.items())


def has_version(project: Project) -> bool:
    """Whether the scheduler has published the view's first version."""
    return all(state.version is not None for state in Catalogue(project.lake).states.values())


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; what is not there yet is asked for again."""
    deadline = time.monotonic() + 300
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise SystemExit("the project did not do its work within 300 s")
        time.sleep(0.25)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except SeamlineError:
        return False
