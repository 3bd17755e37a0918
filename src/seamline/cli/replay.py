"""`seamline replay`: files of events into a contract's topic."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seamline.cli.console import cell, note, say
from seamline.cli.events import EventFile, newest, read_event, shift
from seamline.cli.options import HERE, ProjectOption, examples
from seamline.cli.progress import Advance, progress, unseen
from seamline.clock import system_clock
from seamline.errors import Condition, TerminalError, TransientError

if TYPE_CHECKING:
    from seamline.schemas.contracts import Contract

IN_FLIGHT = 20_000
"""Records sent and not yet acknowledged: what bounds the memory of a replay."""

Send = Callable[[bytes | None, bytes | None], object]
"""Takes (key, value) towards the topic; returns at once."""


@dataclass
class Sent:
    """What a replay did. `unreadable`: lines that were no event as they stood; they were sent all the same."""

    records: int = 0
    unreadable: int = 0


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="replay",
        epilog=examples(
            "seamline replay orders.jsonl --contract orders",
            "seamline replay may.csv.gz june.csv.gz --contract orders --rate 500 --shift-to-now",
        ),
    )(replay)


def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines or CSV; plain, .gz or .bz2.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract of these events; it names topic and key.")],
    rate: Annotated[float, typer.Option("--rate", min=0, help="Records a second; 0 is as fast as it can.")] = 0,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all event times, so that the newest is now.")
    ] = False,
    project: ProjectOption = HERE,
) -> None:
    """Send files of events to a contract's topic, keyed by the contract's key. The topic is made if it is missing."""
    from seamline.schemas.project import load_project
    from seamline.streaming.kafka import Cluster

    loaded = load_project(project)
    wanted = loaded.contract(contract)
    _check(files)
    cluster = Cluster(loaded.bootstrap, loaded.settings.kafka.options)
    try:
        if cluster.create_missing([wanted.topic], loaded.settings.kafka.partitions):
            note(f"made topic {wanted.topic} with {loaded.settings.kafka.partitions} partitions")
    finally:
        cluster.close()
    by = _shift_of(files, wanted, system_clock()) if shift_to_now else timedelta()
    with producer(loaded.bootstrap, loaded.settings.kafka.options, wanted.topic) as send:
        started = time.monotonic()
        with progress(f"replay to {wanted.topic}", sum(path.stat().st_size for path in files)) as advance:
            sent = send_files(files, wanted, send, rate, by, advance)
        seconds = time.monotonic() - started
    say(f"{sent.records} records sent to {wanted.topic} in {seconds:.1f} s")
    if sent.unreadable:
        note(f"{sent.unreadable} of them cannot be read as events: they were sent as they are and will be rejected")


def send_files(
    files: Iterable[Path],
    contract: Contract,
    send: Send,
    rate: float = 0,
    by: timedelta = timedelta(),
    advance: Advance = unseen,
) -> Sent:
    """Sends every record of the files in order, at `rate` records a second (0: unbounded), event times moved `by`.

    `advance` is told the bytes of the files, as they are stored.
    """
    sent = Sent()
    pace = _paced(rate)
    for path in files:
        with EventFile(path) as file:
            before = 0
            for value in file.values(contract):
                event, _ = read_event(shift(value, contract, by) if by else value, contract)
                next(pace)
                send(event.key, event.value)
                sent.records += 1
                sent.unreadable += not event.readable
                if sent.records % 100 == 0:
                    advance(file.done - before, f"{sent.records} records")
                    before = file.done
    return sent


@contextmanager
def producer(bootstrap: str, options: Mapping[str, str], topic: str) -> Iterator[Send]:
    """A way to send to one topic: idempotent, acknowledged by all replicas; the block ends when everything is.

    Raises TransientError BROKER_UNAVAILABLE, or TerminalError INPUT_INVALID for a record that the cluster refuses.
    """
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    from seamline.streaming.kafka import python_options

    waiting: deque[Any] = deque()

    def settle(left: int) -> None:
        while len(waiting) > left:
            waiting.popleft().get(timeout=120)

    def send(key: bytes | None, value: bytes | None) -> None:
        waiting.append(client.send(topic, key=key, value=value))
        if len(waiting) > IN_FLIGHT:
            settle(IN_FLIGHT // 2)

    try:
        client = KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            batch_size=256 << 10,
            max_request_size=16 << 20,
            **python_options(options),
        )
        try:
            yield send
            client.flush()
            settle(0)
        finally:
            client.close(timeout=5)
    except KafkaError as error:
        raise _refused(bootstrap, topic, error) from error


def _refused(bootstrap: str, topic: str, error: Any) -> TransientError | TerminalError:
    got = f"{type(error).__name__}: {error}"
    if getattr(error, "retriable", True):
        return TransientError(
            Condition.BROKER_UNAVAILABLE,
            f"the cluster at {bootstrap} did not take the records: {got}",
            mend="see 'seamline doctor'; run again, a replay sends copies, which count once where there is an event id",
            where=bootstrap,
        )
    return TerminalError(Condition.INPUT_INVALID, f"topic {topic} refuses a record: {got}", where=topic)


def _check(files: Iterable[Path]) -> None:
    """All files can be opened, before the first record goes out."""
    for path in files:
        with EventFile(path):
            pass


def _shift_of(files: Iterable[Path], contract: Contract, now: datetime) -> timedelta:
    """By how much event times have to move so that the newest is now: one pass over the files."""
    latest = None
    for path in files:
        with EventFile(path) as file:
            found = newest(file.values(contract), contract, now)
        latest = max(filter(None, (latest, found)), default=None)
    if latest is None:
        return timedelta()
    note(f"event times move by {cell(now - latest)}: {cell(latest)} becomes now")
    return now - latest


def _paced(rate: float) -> Iterator[None]:
    """Yields when the next record is due."""
    started, due = time.monotonic(), 0.0
    while True:
        ahead = due - (time.monotonic() - started)
        if ahead > 0.002:
            time.sleep(ahead)
        yield
        due += 1 / rate if rate else 0.0
