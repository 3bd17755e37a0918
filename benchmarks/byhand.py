"""Seamline beside what one would write by hand: the same messy records, the same kill, and what the answers are worth.

Each system reads records of one seed from a real broker of its own (late, sent twice, malformed), is killed in the
middle, and goes on from its checkpoint. Flink is measured where FLINK_PYTHON names a Python that has apache-flink and
FLINK_KAFKA_JAR its Kafka connector.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from beside.batches import BatchSide, SeamlineBatch, SparkBatch
from beside.systems import OUT, Flink, Seamline, SparkByHand, System
from beside.trial import RATE, Found, Plan, trial
from beside.truth import WRONGS
from figures import Figure, Size
from stream import running

from seamline.schemas.project import Project
from seamline.streaming.kafka import Cluster

SIZES = {Size.SMALL: Plan(3, 6, 2, 30_000, again=False), Size.WHOLE: Plan(20, 60, 10, 300_000, again=True)}
DAY = 86_400
FLINK = ("FLINK_PYTHON", "FLINK_KAFKA_JAR")


def measure(size: Size) -> list[Figure]:
    """Of each system: freshness, cost, files, how soon it is back, and how many groups are wrong in the end."""
    plan = SIZES[size]
    found: list[Figure] = []
    for name in chosen():
        found += figures(name, measured(name, plan), plan)
    return found


def chosen() -> list[str]:
    """The systems that can be measured here."""
    return ["seamline", "watermark", "arrival", *(["flink"] if {*FLINK} <= {*os.environ} else [])]


def measured(name: str, plan: Plan) -> Found:
    """One system's run, with a broker of its own."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), dedup=True) as project:
        system, batch = _system(name, Path(folder), project)
        try:
            return trial(system, project.bootstrap, plan, batch)
        finally:
            system.close()


def _system(name: str, folder: Path, project: Project) -> tuple[System, BatchSide | None]:
    """With the batch side of those that have one."""
    bootstrap = project.bootstrap
    if name == "seamline":
        return Seamline(folder / "stream", project), SeamlineBatch(project, folder / "batch")
    if name == "flink":
        cluster = Cluster(bootstrap)
        cluster.create_missing([OUT], 2)
        cluster.close()
        python, jar = (str(Path(os.environ[name]).absolute()) for name in FLINK)
        return Flink(folder / "stream", bootstrap, python, jar), None
    batch = SparkBatch(folder / "batch", bootstrap) if name == "watermark" else None
    return SparkByHand(folder / "stream", bootstrap, name), batch


def figures(name: str, found: Found, plan: Plan) -> Iterator[Figure]:
    """Of one trial."""
    load = {"load": round(os.getloadavg()[0], 1), "records": plan.ends[-1]}
    for part in (50, 99):
        delay = found.delays[len(found.delays) * part // 100]
        yield Figure(f"{name}: send to answer, p{part}", delay, "s", "", load | {"events/s": RATE})
    yield Figure(f"{name}: CPU at {RATE:,} events/s", found.cpu / plan.steady, "cores", "", load)
    yield Figure(f"{name}: files made", found.files / plan.steady * DAY, "a day", "", load)
    yield Figure(f"{name}: SIGKILL to an answer with more", found.recovery, "s", "", load)
    if found.rate is not None:
        yield Figure(f"{name}: backlog", found.rate, "events/s", "", load)
    yield Figure(f"{name}: CPU of start and backlog", found.backlog_cpu, "s", "", load)
    if found.batch_cpu:
        yield Figure(f"{name}: CPU of the batch, killed once", found.batch_cpu, "s", "", load)
    for said, wrong in found.wrong.items():
        for kind in WRONGS:
            where = f"{name}, {said}" if said else name
            yield Figure(f"{where}: {kind}", wrong[kind], "groups", f"of {found.groups:,}", load)
