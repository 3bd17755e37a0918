"""Forgetting: records of a field's values are looked for, asked for, and taken out of everything that holds them.

Running roles do their part by themselves; where none runs, this process does it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from seamline.advance import Advance, Show, unshown
from seamline.claims import claim, is_claimed
from seamline.clock import system_clock
from seamline.errors import Condition, ConflictError, SeamlineError, TransientError, UserError
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.forget import ForgetHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.batch import Batch
from seamline.jobs.clearing import GRACE, clear, remove
from seamline.jobs.finding import ValuesSought, wanted
from seamline.jobs.forgetting import Looked, ask, look
from seamline.jobs.unit import Runner
from seamline.kernel import Kernel
from seamline.operate.batch import batch_layer
from seamline.operate.forgetproof import prove
from seamline.operate.spark_units import SparkUnits
from seamline.operate.status import kafka_says
from seamline.schemas.project import Project
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import make_shelves
from seamline.streaming.archive.role import IMPORTING
from seamline.streaming.following import Following
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.stream_plan import make_plan

WAIT_SECONDS = 120.0
LOOK_SECONDS = 0.5
"""How long running roles have for their part, and how often it is looked whether they have done it."""

_LITERAL = r"'(?:[^']|'')*'|[-+]?\d+(?:\.\d+)?|true|false"
_EQUAL = re.compile(rf"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*({_LITERAL})\s*", re.IGNORECASE)
_AMONG = re.compile(
    rf"\s*([A-Za-z][A-Za-z0-9_]*)\s+IN\s*\(\s*((?:{_LITERAL})(?:\s*,\s*(?:{_LITERAL}))*)\s*\)\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class ForgetRequest:
    """One request, and how far it has come."""

    number: int
    stream: str
    contract: str
    field: str
    at: datetime

    records: int
    counted: int
    rejected: int
    days: dict[date, int]
    """Of those that counted, how many on which event date."""

    state: str
    """asked, out of raw, not served, forgotten."""

    since: datetime | None
    """When the last step was done; of the second nobody says it."""

    removed_from: datetime | None
    """From when on what held the records is removed."""

    until: Frontier
    withhold: bool

    raw: dict[str, tuple[int, int]]
    """By raw table the last version that held records of it, and the first that does not."""

    versions: dict[str, int]
    """By definition, the batch version below which all were withdrawn."""

    epochs: int | None
    """The last epoch of which ids alone are left."""


def parse_where(text: str) -> tuple[str, list[str]]:
    """A field and its values, of `field = value` or `field IN (value, …)`. Raises INPUT_INVALID."""
    found = _EQUAL.fullmatch(text) or _AMONG.fullmatch(text)
    if found is None:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{text!r} says no field and values",
            detail="field = value, or field IN (value, …), where a value is 'text', a number, true or false",
            hint="one condition on one field of the contract: other records are never looked at by SQL",
        )
    return found[1], [_value(one) for one in re.findall(_LITERAL, found[2], re.IGNORECASE)]


def _value(text: str) -> str:
    return text[1:-1].replace("''", "'") if text.startswith("'") else text


def read_ids(file: Path) -> list[str]:
    """Event ids, one a line. Raises INPUT_INVALID."""
    try:
        found = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            Condition.INPUT_INVALID, f"{file}: {error}", detail="a text file, an event id a line"
        ) from error
    if not found:
        raise UserError(Condition.INPUT_INVALID, f"{file} holds no id", detail="a text file, an event id a line")
    return found


def look_for(project: Project, contract: str, field: str, values: Sequence[str]) -> Looked:
    """The records of a contract in which a field ('': the event id) has one of some values, as raw holds them now.
    Nothing is written.

    Raises CONTRACT_UNKNOWN, INPUT_INVALID, and STORE_UNAVAILABLE where the archive has not read yet what speed has, or
    what Kafka holds: what is not in raw cannot be found.
    """
    of, asked = project.contract(contract), sought_of(project, contract, field, values)
    engine = _engine(project)
    _check_archived(project, of.stream)
    following = Following(project, of.stream)
    texts = [one for one in (*following.contracts, *following.lived_by) if one.name == contract]
    return look(project.lake, engine, texts, asked)


def sought_of(project: Project, contract: str, field: str, values: Sequence[str]) -> ValuesSought:
    """What is looked for: values of a field of a contract ('': of the event id). Raises CONTRACT_UNKNOWN,
    INPUT_INVALID."""
    of = project.contract(contract)
    if not field and of.event_id is None:
        raise UserError(
            Condition.INPUT_INVALID, f"contract {contract} has no event id", hint="name a field of it by --where"
        )
    return wanted(_engine(project), of, field or str(of.event_id), values)


def _engine(project: Project) -> Kernel:
    kernel = project.settings.kernel
    return project.lake.kernel(kernel.memory, kernel.threads)


def _check_archived(project: Project, stream: str) -> None:
    ends = kafka_says(project).ends
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        read = SpeedHistory(project.lake.speed_log(stream)).frontier.join(ends.get(stream, Frontier()))
        archived = ArchiveHistory(project.lake.archive_log(stream)).frontier
        if read <= archived:
            return
        running = is_claimed(project.lake, project.lake.archive_log(stream))
        if not running or time.monotonic() > deadline:
            raise TransientError(
                Condition.STORE_UNAVAILABLE,
                f"the archive of stream {stream} has read up to {archived}, and there is more up to {read}",
                detail="records can be found once they are archived",
                hint="wait for it" if running else "'seamline up', or 'seamline run archive', reads on",
            )
        time.sleep(LOOK_SECONDS)


def request(project: Project, looked: Looked, *, withhold: bool, drop_gone: bool = False) -> int:
    """Puts the request; its number in the stream's forget log. Raises what `ask` does."""
    return ask(project.lake, _engine(project), looked, system_clock, withhold=withhold, drop_gone=drop_gone)


def pursue(project: Project, stream: str, show: Show = unshown, units: Runner | None = None) -> str:
    """Goes on with all requests of a stream, and waits for what running roles do of it; returns what it waits for, ''
    once nothing that is served holds a record of them. Safe to repeat. `units` runs the batch work in place
    of Spark. Raises what a refresh does."""
    with SparkUnits(project) as spark, show(f"forget in stream {stream}") as advance:
        batch = batch_layer(project, spark, advance)
        return _pursue(project, stream, replace(batch, runner=units) if units else batch, advance)


def _pursue(project: Project, stream: str, batch: Batch, advance: Advance) -> str:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        alone = _as_speed(project, stream) & _as_archive(project, stream)
        why = clear(batch, stream)
        advance(0, why)
        if not why:
            break
        if alone or time.monotonic() > deadline:
            return why
        time.sleep(LOOK_SECONDS)
    _as_speed(project, stream)
    _as_archive(project, stream)
    remove(project.lake, stream, system_clock())
    prove(project, stream)
    return ""


def _as_speed(project: Project, stream: str) -> bool:
    """Does the speed layer's part, where no other process does: says what is known of copies, keeps the ids alone of
    epochs that nobody needs, and removes what was dropped. False where another does."""
    log = project.lake.speed_log(stream)
    history = SpeedHistory(log)
    if not history.last_epoch:
        return not is_claimed(project.lake, log)

    def work(writer: Any) -> None:
        following = Following(project, stream)
        known = SpeedHistory(log, project.lake.packs.keep)
        plan = make_plan(following.contracts, following.live, newest=known.newest_epoch)
        speed = Speed(project.lake, stream, writer, plan, history=known)
        upkeep = Maintenance(speed, following.catalogue, project.settings)
        speed.announce()
        upkeep.forget()
        upkeep.remove()

    return _as_writer(project, log, work)


def _as_archive(project: Project, stream: str) -> bool:
    """The same of the archive: takes records out of raw, and deletes what is not needed any more."""

    def work(writer: Any) -> None:
        following = Following(project, stream)
        shelves = make_shelves(following.contracts, following.lived_by, stream)
        archive = Archive(project.lake, stream, writer, shelves)
        archive.forget()
        archive.clear()

    return _as_writer(project, project.lake.archive_log(stream), work)


def _as_writer(project: Project, log: Any, work: Callable[[Any], None]) -> bool:
    if is_claimed(project.lake, log):
        return False
    try:
        with claim(project.lake, log, IMPORTING) as writer:  # a role that starts meanwhile waits for such a one
            work(writer)
    except ConflictError:
        return False
    return True


def requests(project: Project) -> list[ForgetRequest]:
    """Every request, by stream, the oldest first."""
    found = []
    for stream in project.streams:
        forgets = ForgetHistory(project.lake.forget_log(stream))
        if forgets.requests:
            archive = ArchiveHistory(project.lake.archive_log(stream))
            speed = SpeedHistory(project.lake.speed_log(stream))
            found += [_told(stream, number, forgets, archive, speed) for number in forgets.requests]
    return found


def _told(
    stream: str, number: int, forgets: ForgetHistory, archive: ArchiveHistory, speed: SpeedHistory
) -> ForgetRequest:
    one, erased, cleared = forgets.requests[number], archive.erased.get(number), forgets.cleared.get(number)
    done = forgets.forgotten.get(number)
    state = "forgotten" if done else "not served" if cleared else "out of raw" if erased else "asked"
    moved = {} if erased is None else {
        table: (before, erased.after[table])
        for table, before in erased.before.items()
        if erased.after.get(table, before) != before
    }  # fmt: skip
    alone = [last for (_, last), segment in speed.compacted.items() if segment.ids_alone]
    at = done.at if done else cleared.at if cleared else None if erased else one.at
    return ForgetRequest(
        number=number, stream=stream, contract=one.contract, field=one.field, at=one.at, records=one.counts.read,
        counted=one.counts.counted, rejected=one.counts.rejected, days=one.days, state=state, since=at,
        removed_from=cleared.at + GRACE if cleared else None, until=one.until, withhold=one.withhold, raw=moved,
        versions=cleared.versions if cleared else {}, epochs=max(alone, default=None) if cleared else None,
    )  # fmt: skip


def kept_by_kafka(project: Project, of: ForgetRequest) -> dict[str, tuple[int, int]] | None:
    """By topic and partition, the offsets below a request's end of which Kafka may still hold records: from, up to.
    None where Kafka does not answer."""
    try:
        cluster = Cluster(project.bootstrap, project.settings.kafka.options, patience=3.0)
    except SeamlineError:
        return None
    try:
        topics = cluster.topics({project.contract(of.contract).topic}).values()
        earliest = cluster.earliest(topics)
    except SeamlineError:
        return None
    finally:
        cluster.close()
    return {
        f"{at.source.partition('@')[0]}/{at.number}": (earliest[at], end)
        for at, end in of.until.items()
        if at in {*earliest} and earliest[at] < end
    }
