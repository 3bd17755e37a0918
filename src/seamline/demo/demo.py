"""The whole loop on real events, made late, doubled and broken, with a process killed in it.

It ends well only if every answer was exact, every chain unbroken, law 3's identity held and the audit found no drift.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from seamline.console import note
from seamline.demo import example
from seamline.demo.mess import Mess, Message, make_mess
from seamline.demo.proof import prove
from seamline.demo.witness import Witness
from seamline.errors import Condition, TerminalError, TransientError, UserError
from seamline.operate.stack import Stack, postgres_address, serving_address, start_stack
from seamline.progress import progress
from seamline.schemas.project import ADDRESS, Project, load_project

MARK = ".demo"
"""Stands in folders that a demo made, which another may empty."""
PROMPT = 120
"""Seconds that any one step may take before the demo gives up and says which."""


@dataclass
class Sent:
    """What went into Kafka, with positions: (partition, offset, value) once each send was acknowledged."""

    records: list[tuple[int, int, bytes | None]] = field(default_factory=list)


def show(folder: Path, seed: int, rate: int, *, keep: bool = False) -> None:
    """Makes a project in `folder`, sends the events with a mess from `seed`, the live ones `rate` a second, and proves.

    `keep` leaves all of it running until Ctrl-C. Raises TerminalError PROOF_FAILED where not everything held.
    """
    began = time.monotonic()
    project = fresh_project(folder)
    mess = plan_mess(seed)
    with running(project, keep) as stack:
        sent = Sent()
        wait(stack, (project.state / ADDRESS).exists, "the serving role")
        with Witness(serving_address(project), example.VIEW, example.COUNTING) as witness:
            first = history(stack, mess, sent, witness)
            live(stack, mess, sent, witness, first, rate)
            drain(stack, sent, witness)
            unmoved = reask(witness, first)
        good = prove(project, witness, sent.records, unmoved, mess, time.monotonic() - began)
        if keep:
            stay(project, stack)
    if not good:
        raise TerminalError(Condition.PROOF_FAILED, "not everything held: see the lines marked ✗ above")


def fresh_project(folder: Path) -> Project:
    """A fresh copy of the example, with a scheduler that refreshes often enough to be watched.

    Raises INPUT_INVALID where the example is not installed, or the folder holds something else.
    """
    if not example.FOLDER.is_dir():
        raise TransientError(
            Condition.INPUT_INVALID,
            f"there is no folder {example.FOLDER}",
            hint="install Seamline into an environment: a demo does not run out of a zip",
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise UserError(
            Condition.INPUT_INVALID,
            f"{folder} is not empty, and no demo made it",
            detail="a new folder, an empty one, or that of an earlier demo",
            hint="name another one with --folder",
        )
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(example.FOLDER, folder, ignore=shutil.ignore_patterns("*.gz", "README.md", ".seamline", "lake"))
    (folder / MARK).touch()
    os.environ.setdefault("SEAMLINE_SERVING__PORT", "0")
    os.environ.setdefault("SEAMLINE_BATCH__REFRESH_MINUTES", "0.2")
    os.environ.setdefault("SEAMLINE_SPARK__DRIVER_MEMORY", "600m")
    return load_project(folder)


def plan_mess(seed: int) -> Mess:
    """What is sent when."""
    first, second = example.hours()
    mess = make_mess(first, second, "repo", seed)
    note(
        f"history: {len(mess.history):,} events; live: {mess.count('event'):,} events, {mess.count('late'):,} held"
        f" back, {mess.count('duplicate'):,} duplicates, {mess.count('malformed'):,} malformed, out of order"
    )
    return mess


@contextmanager
def running(project: Project, keep: bool) -> Iterator[Stack]:
    """Broker and roles; all stopped at the end, however it comes."""
    stack = start_stack(project, say=note)
    try:
        yield stack
    finally:
        note("stopping…")
        stack.stop()
        if keep:
            note(f"kept: {project.folder} ('seamline up --project {project.folder}' goes on from here)")


def history(stack: Stack, mess: Mess, sent: Sent, witness: Witness) -> int:
    """The first hour, and a batch version that covers all of it; returns that version."""
    send(stack, mess.history, sent, "history", rate=None)
    total = len(mess.history)
    wait(stack, lambda: (t := witness.latest) is not None and below(t.reached) >= total, "history served by epochs")
    note(f"history is served: {witness.latest.values}" if witness.latest else "")
    wait(stack, lambda: (t := witness.latest) is not None and below(t.cut) >= total, "a batch version of the history")
    latest = witness.latest
    if latest is None or latest.version is None:
        raise AssertionError("waited for a version")
    note(f"batch version {latest.version} published, cut at {latest.cut}")
    return latest.version


def live(stack: Stack, mess: Mess, sent: Sent, witness: Witness, first: int, rate: int) -> None:
    """The second hour with its mess; speed is killed in the middle of it, and a second version is published in it."""
    half = len(mess.live) // 2
    send(stack, mess.live[:half], sent, "live", rate)
    pid = stack.poll()["speed"].pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        note(f"speed (pid {pid}) killed with SIGKILL; its supervisor restarts it")
    rest = iter(mess.live[half:])
    send(stack, [m for _, m in zip(range((len(mess.live) - half) // 2), rest, strict=False)], sent, "live", rate)
    tail = list(rest)
    send(stack, tail[: len(tail) // 2], sent, "live", rate)
    deadline = time.monotonic() + PROMPT
    tail = tail[len(tail) // 2 :]
    while not published_since(witness, first) and tail and time.monotonic() < deadline:
        send(stack, tail[:20], sent, "", rate // 10)
        tail = tail[20:]
    note("a second version was published while records arrived" if published_since(witness, first) else "")
    send(stack, tail, sent, "live", rate)


def published_since(witness: Witness, first: int) -> bool:
    """Whether an answer came from a later version."""
    latest = witness.latest
    return latest is not None and latest.version is not None and latest.version > first


def drain(stack: Stack, sent: Sent, witness: Witness) -> None:
    """Until every record sent lies below the answer's frontier and below a batch cut that speed's death preceded."""
    total = len(sent.records)
    wait(stack, lambda: (t := witness.latest) is not None and below(t.reached) >= total, "all records served")


def reask(witness: Witness, first: int) -> list[tuple[int, bool]]:
    """Asks again, as of epochs answered before the newest version, now that it is served: (epoch, unmoved)."""
    latest = witness.ask()
    before = {t.epoch: t for t in witness.testimonies if t.version == first and latest.cut <= t.reached}
    before |= {t.epoch: t for t in witness.testimonies if t.epoch and latest.cut <= t.reached}
    chosen = sorted(before)[:: max(1, len(before) // 8)]
    return [(epoch, witness.ask(as_of=epoch).values == before[epoch].values) for epoch in chosen]


def stay(project: Project, stack: Stack) -> None:
    """Leaves it running until Ctrl-C."""
    if postgres := postgres_address(project):
        note(f"ask it in SQL: psql {postgres} -c 'SELECT * FROM {example.VIEW} LIMIT 5'")
    note(f"still running: {serving_address(project)}/v1/status, logs in {project.state / 'logs'}; Ctrl-C stops it")
    try:
        while True:
            stack.poll()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return


def below(frontier: Any) -> int:
    """Records below a frontier, where offsets have no gaps."""
    return sum(offset for _, offset in frontier.items())


def send(stack: Stack, messages: Any, sent: Sent, name: str, rate: int | None) -> None:
    """Produces messages in order, `rate` a second, and keeps where each came to stand."""
    batch: list[Message] = list(messages)
    topic = stack.project.contracts[example.CONTRACT].topic
    producer = KafkaProducer(bootstrap_servers=stack.bootstrap, acks="all", linger_ms=5)
    began, futures = time.monotonic(), []
    with progress(name, len(batch)) as advance:
        for number, message in enumerate(batch, start=1):
            futures.append((producer.send(topic, key=message.key, value=message.value), message.value))
            if rate and number % 20 == 0:
                stack.poll()
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            advance(1)
        for future, value in futures:
            metadata = future.get(timeout=60)
            sent.records.append((metadata.partition, metadata.offset, value))
    producer.close()


def wait(stack: Stack, condition: Callable[[], bool], what: str) -> None:
    """Until a condition holds. Raises PROCESS_FAILED, naming the step, where a role failed for good, or time is up."""
    note(f"waiting for: {what}…")
    deadline = time.monotonic() + PROMPT
    while not condition():
        stack.poll()
        if time.monotonic() > deadline:
            raise TransientError(
                Condition.PROCESS_FAILED,
                f"{what}: not within {PROMPT} s",
                hint=f"look into {stack.project.state / 'logs'}",
            )
        time.sleep(0.1)
