"""One system's run: records at a steady rate, SIGKILL while more come, a backlog, and what the answer is in the end."""

from __future__ import annotations

import bisect
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from beside.batches import BatchSide, cpu_of
from beside.mess import PARTITIONS, run
from beside.systems import HERE, TOPIC, System
from beside.truth import truth, wrong

SEED = 7
RATE = 1_000
DEADLINE = 240.0
LOOK = 0.01
"""Seconds between looks for something new, of every system's reader."""
SETTLED = 2.0
"""Seconds without anything new, after which an answer is the last."""


@dataclass(frozen=True)
class Plan:
    """Seconds of records at RATE: not measured, measured, and in whose middle the stream is killed; then a backlog, in
    records. `again`: whether the batch side runs once more after the end."""

    warm: int
    steady: int
    killed: int
    backlog: int
    again: bool

    @property
    def ends(self) -> tuple[int, int, int, int]:
        """The number after the last record of each."""
        warm, steady, killed = self.warm * RATE, self.steady * RATE, self.killed * RATE
        return warm, warm + steady, warm + steady + killed, warm + steady + killed + self.backlog


@dataclass(frozen=True)
class Found:
    """What one trial found. `delays`: from send to answer, sorted. `cpu`: seconds of the stream's processes over the
    steady records; `backlog_cpu`: from their start after the kill until the backlog was answered; `batch_cpu`: of the
    batch side in the middle, with its kill. `files`: made in the steady seconds. `rate`: none where the first answer
    held the whole backlog. `wrong`: groups of each answer."""

    delays: list[float]
    cpu: float
    backlog_cpu: float
    files: int
    recovery: float
    rate: float | None
    wrong: dict[str, Counter[str]]
    groups: int
    batch_cpu: float


class Looking(threading.Thread):
    """Asks a system for its probes whenever there is something new, and keeps when each was first answered."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self.system, self.done, self.error = system, threading.Event(), ""
        self.ends: dict[int, list[tuple[int, float]]] = defaultdict(lambda: [(-1, 0.0)])
        self.moved = time.time()

    def run(self) -> None:
        while not self.done.wait(LOOK):
            if not self.system.catch_up():
                continue
            try:
                probes = self.system.probes()
            except Exception as error:  # noqa: BLE001 - nothing to answer from yet; told where it lasts
                self.error = str(error)
                continue
            self.moved = time.time()
            for partition, number in probes.items():
                if number > self.ends[partition][-1][0]:
                    self.ends[partition].append((number, self.moved))

    def reached(self) -> int:
        """The number that every partition's probes have reached."""
        return min(self.ends[partition][-1][0] for partition in range(PARTITIONS))

    def hold(self, probes: Iterable[int]) -> bool:
        """Whether an answer holds all these."""
        return all(self.ends[number % PARTITIONS][-1][0] >= number for number in probes)

    def at(self, number: int) -> float:
        """When an answer first held this probe, or a later one of its partition."""
        ends = self.ends[number % PARTITIONS]
        return ends[bisect.bisect_left(ends, (number, 0.0))][1]

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Raises SystemExit where it lasts too long, or the stream has ended."""
        deadline = time.time() + DEADLINE
        while not until():
            code = self.system.streams[-1].poll()
            if code is not None or time.time() > deadline:
                out = (self.system.folder / "stream.out").read_text()[-2_000:]
                raise SystemExit(f"{self.system.name}: {what}: {code}, {self.error}: {out}")
            time.sleep(LOOK)


def trial(system: System, bootstrap: str, plan: Plan, batch: BatchSide | None) -> Found:
    """All of it. The batch side runs, killed once, after the steady records."""
    warm, steady, killed, count = plan.ends
    looking = Looking(system)
    looking.start()
    probes = _send(bootstrap, count, 0, warm, RATE)
    looking.wait(lambda: looking.hold(probes), "the first records")
    with _made(system) as made:
        cpu = _cpu(system)
        probes = _send(bootstrap, count, warm, steady, RATE)
        looking.wait(lambda: looking.hold(probes), "steady records")
        cpu = _cpu(system) - cpu
    delays = sorted(looking.at(number) - at for number, at in probes.items())
    batch_cpu = batch.run(steady, killed=True) if batch else 0.0
    sender = threading.Thread(target=_send, args=(bootstrap, count, steady, killed, RATE))
    sender.start()
    looking.wait(lambda: looking.reached() > steady + (killed - steady) // 4, "records before the kill")
    system.kill()
    before = looking.reached()
    sender.join()
    _send(bootstrap, count, killed, count + PARTITIONS, 0)
    system.start_again()
    began = time.time()
    looking.wait(lambda: looking.reached() > before, "the first answer after the kill")
    first, at = looking.reached(), time.time()
    looking.wait(lambda: looking.reached() >= count, "the backlog")
    took, backlog_cpu = time.time() - at, _cpu(system)
    looking.wait(lambda: time.time() - looking.moved > SETTLED, "an answer that stands")
    looking.done.set()
    looking.join()
    expected = truth(run(SEED, count))
    answers = {"": wrong(system.answer(), expected)}
    if batch:
        answers["with a batch from the middle"] = wrong(batch.merged(system), expected)
    if batch and plan.again:
        batch.run(count + PARTITIONS, killed=False)
        answers["with another batch"] = wrong(batch.merged(system), expected)
    return Found(
        delays, cpu, backlog_cpu, len(made), at - began, (count - first) / took if first < count else None,
        answers, len(expected), batch_cpu,
    )  # fmt: skip


def _send(bootstrap: str, count: int, first: int, end: int, rate: int) -> dict[int, float]:
    """From a process of its own; when each probe was sent."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        numbers = map(str, (SEED, count, first, end, rate))
        command = [sys.executable, "-m", "beside.sending", bootstrap, TOPIC, *numbers, out.name]
        subprocess.run(command, check=True, cwd=HERE, env=os.environ | {"PYTHONPATH": str(HERE)})
        return {int(number): at for number, at in json.loads(Path(out.name).read_text()).items()}


def _cpu(system: System) -> float:
    """Of the stream's processes, since their start."""
    return sum(cpu_of(system.streams[-1].pid).values())


@contextmanager
def _made(system: System) -> Iterator[set[Path]]:
    """The files that a system makes meanwhile, those that it removes again among them."""
    before, made, done = system.files(), set[Path](), threading.Event()

    def look() -> None:
        while not done.wait(0.25):
            made.update(system.files() - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield made
    finally:
        done.set()
        thread.join()
