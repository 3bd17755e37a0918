"""Files of events into a contract's topic."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from seamline.advance import Advance, Say, Show, unsaid, unseen, unshown
from seamline.clock import system_clock
from seamline.errors import Condition, TerminalError, TransientError, UserError
from seamline.kernel import Limits, kernel
from seamline.operate.event_files import EventFile, newest, read_event, shift
from seamline.operate.event_sources import EventSource, sources
from seamline.operate.survey import Rejection, Survey, check_names, judge_files, say_rejected
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project
from seamline.streaming.clients import REFUSALS, python_options, refused, turned_away
from seamline.streaming.kafka import Cluster
from seamline.wording import cell

IN_FLIGHT = 20_000
"""Records sent and not yet acknowledged: what bounds the memory of a replay."""

LARGEST = (16 << 20) - (4 << 10)
"""Bytes of a record that the producer takes, with room for its key."""

Send = Callable[[bytes | None, bytes | None], object]
"""Takes (key, value) towards the topic; returns at once."""


@dataclass(frozen=True)
class Replayed:
    """What a replay has sent."""

    topic: str
    sent: int
    seconds: float

    rejected: tuple[Rejection, ...]
    """Those of them that the contract will reject, by reason, the most first."""


def replay_files(
    project: Project,
    files: Sequence[Path],
    contract: Contract,
    rate: float = 0,
    *,
    shift_to_now: bool = False,
    kind: str = "",
    show: Show = unshown,
    say: Say = unsaid,
) -> Replayed:
    """Sends files to the contract's topic, which is made if it is missing; none goes before all were read whole.

    `rate`: records a second, 0 is unbounded; `kind`: the format of `-`, as `sources` takes it. Raises UserError
    INPUT_INVALID where a file or a record cannot go; else as `producer` and `send_files` do.
    """
    with sources(files, kind, say=say) as found:
        return _replay(project, found, contract, rate, shift_to_now, show, say)


def _replay(
    project: Project,
    files: Sequence[EventSource],
    contract: Contract,
    rate: float,
    shift_to_now: bool,
    show: Show,
    say: Say,
) -> Replayed:
    check_names(files)
    by = _shift_of(files, contract, system_clock(), say) if shift_to_now else timedelta()
    survey = _judged(project, files, contract, by, show, say)
    kafka = project.settings.kafka
    cluster = Cluster(project.bootstrap, kafka.options)
    try:
        if cluster.create_missing([contract.topic], kafka.partitions):
            say(f"made topic {contract.topic} with {kafka.partitions} partitions")
    finally:
        cluster.close()
    with producer(project.bootstrap, kafka.options, contract.topic) as send:
        started = time.monotonic()
        with show(f"replay to {contract.topic}", sum(file.size for file in files)) as advance:
            sent = send_files(files, contract, send, rate, by, advance)
        seconds = time.monotonic() - started
    return Replayed(contract.topic, sent, seconds, survey.rejections)


def _judged(
    project: Project, files: Sequence[EventSource], contract: Contract, by: timedelta, show: Show, say: Say
) -> Survey:
    """All files, read whole before the first record goes; says what will be rejected, and refuses what cannot go."""
    limits = project.settings.kernel
    engine = kernel(Limits(memory=limits.memory, threads=limits.threads))
    siblings = [one for one in project.contracts.values() if one.topic == contract.topic]
    with show("look at the files", sum(file.size for file in files)) as advance:
        survey = judge_files(files, contract, siblings, engine, system_clock(), by, advance, say)
    length, place = survey.longest
    if length > LARGEST:
        raise UserError(
            Condition.INPUT_INVALID,
            f"a record of {length} bytes",
            detail=f"records of at most {LARGEST} bytes, as Kafka takes them",
            hint="'seamline import' takes larger ones; or split the event",
            where=place,
        )
    say_rejected(survey, contract, say)
    return survey


def send_files(
    files: Iterable[Path | EventSource],
    contract: Contract,
    send: Send,
    rate: float = 0,
    by: timedelta = timedelta(),
    advance: Advance = unseen,
) -> int:
    """Sends every record of the files in order, at `rate` records a second (0: unbounded), event times moved `by`.

    `advance` is told the bytes of the files, as they are stored. Returns how many were sent. Raises TerminalError
    INPUT_INVALID, which says how many, where a file that could be read before cannot any more.
    """
    sent = 0
    pace = _paced(rate)
    for path in files:
        with EventFile(path) as file:
            before = 0
            try:
                for value in file.read(contract).records:
                    event, _ = read_event(shift(value, contract, by) if by else value, contract)
                    next(pace)
                    send(event.key, event.value)
                    sent += 1
                    if sent % 100 == 0:
                        advance(file.done - before, f"{sent} records")
                        before = file.done
            except UserError as error:
                message = f"{sent} records were sent, then: {error.message}"
                raise TerminalError(error.condition, message, hint=error.hint, where=error.where) from error
    return sent


@contextmanager
def producer(bootstrap: str, options: Mapping[str, str], topic: str) -> Iterator[Send]:
    """A way to send to one topic: idempotent, acknowledged by all replicas; the block ends when everything is.

    Raises TransientError BROKER_UNAVAILABLE, or TerminalError: INPUT_INVALID for a record that the cluster refuses,
    KAFKA_AUTH where it turns this client away.
    """
    waiting: deque[Any] = deque()
    taken = 0

    def settle(left: int) -> None:
        nonlocal taken
        while len(waiting) > left:
            waiting.popleft().get(timeout=120)
            taken += 1

    def send(key: bytes | None, value: bytes | None) -> None:
        waiting.append(client.send(topic, key=key, value=value))
        if len(waiting) > IN_FLIGHT:
            settle(IN_FLIGHT // 2)

    try:
        sending = {"linger_ms": 20, "batch_size": 256 << 10, "max_request_size": 16 << 20}
        given = {**sending, **python_options(options, KafkaProducer.DEFAULT_CONFIG)}
        client = KafkaProducer(
            bootstrap_servers=bootstrap.split(","), **{**given, "acks": "all", "enable_idempotence": True}
        )
        try:
            yield send
            client.flush()
            settle(0)
        finally:
            client.close(timeout=5)
    except KafkaError as error:
        why = error if isinstance(error, REFUSALS) else turned_away(bootstrap, options)
        if why:
            raise refused(bootstrap, why) from error
        raise _refused(bootstrap, topic, error, taken) from error


def _refused(bootstrap: str, topic: str, error: Any, taken: int) -> TransientError | TerminalError:
    message = f"{type(error).__name__}: {error} ({taken} records and perhaps some after them were taken before)"
    if getattr(error, "retriable", True):
        return TransientError(
            Condition.BROKER_UNAVAILABLE,
            f"the cluster at {bootstrap} did not take the records: {message}",
            hint="see 'seamline doctor'; run again, a replay sends copies, which count once where there is an event id",
            where=bootstrap,
        )
    return TerminalError(Condition.INPUT_INVALID, f"topic {topic} refuses a record: {message}", where=topic)


def _shift_of(files: Iterable[EventSource], contract: Contract, now: datetime, say: Say) -> timedelta:
    """By how much event times have to move so that the newest is now: one pass over the files."""
    latest = None
    for path in files:
        with EventFile(path) as file:
            found = newest(file.read(contract).records, contract, now)
        latest = max(filter(None, (latest, found)), default=None)
    if latest is None:
        return timedelta()
    say(f"event times move by {cell(now - latest)}: {cell(latest)} becomes now")
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
