"""The story of a run: faults strike while records come and answers are checked; then everything drains, and holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial

from faults import VIEWS, Missed, Step, deal
from producer import Producer, read_back
from reader import NOT_READY, Reader, Truth, check, http
from recovery import Answers, Struck, recovered
from truth import Topic
from waiting import wait_until
from world import Broken, World

from seamline.console import note
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory

CHECK_EVERY = 20
"""Kills after which everything that was answered so far is checked."""

START_SECONDS = 300.0
RECOVERY_SECONDS = 300.0
"""Until answers must be fresh again after any fault. A limit that says 'never', not a bar."""


@dataclass
class Run:
    """What a run did, as far as it came."""

    seed: int
    kills: int
    struck: list[Struck] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    checked: int = 0
    refused: int = 0
    unreachable: int = 0
    records: int = 0
    versions: int = 0
    definitions: int = 0
    recovery: list[float | None] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def hit(self) -> int:
        """Kills so far."""
        return sum(one.kill for one in self.struck)


class Chaos:
    """One run over one world. Its parts are called in order; each raises Broken where a guarantee does not hold."""

    def __init__(self, world: World, run: Run, rate: float) -> None:
        self.world = world
        self.run = run
        self.rate = rate
        self.answers = Answers()
        ask = self.answers.of(http(world.address))
        self.readers = [Reader(ask, world.lake, view, allowed=NOT_READY, pause=0.2) for view in VIEWS]
        self.producer: Producer | None = None
        self.began = time.monotonic()

    @contextmanager
    def everything(self) -> Iterator[Producer]:
        """`seamline up`, readers and a producer, as long as the block lasts."""
        with ExitStack() as stack:
            stack.callback(self.world.sweep)
            self.world.up()
            self.until(self.world.runs, START_SECONDS, "broker and roles run")
            producer = self.producer = stack.enter_context(Producer(self.world, self.run.seed, self.rate))
            for reader in self.readers:
                stack.enter_context(reader)
            self.until(lambda: all(reader.seen for reader in self.readers), START_SECONDS, "the first answers")
            yield producer

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Waits for a condition; raises Broken where it does not come, or where something breaks meanwhile."""
        due = 0.0

        def holds() -> bool:
            nonlocal due
            if time.monotonic() > due:
                self.look()
                due = time.monotonic() + 1
            return bool(condition())

        try:
            wait_until(holds, seconds, what)
        except AssertionError as error:
            raise Broken(str(error)) from error

    def look(self) -> None:
        """Raises Broken where something is wrong already."""
        self.world.check()
        if self.producer is not None:
            self.producer.check()
        for reader in self.readers:
            if reader.failures:
                raise Broken(f"an answer of {reader.view}: {reader.failures[0]}")

    # the faults

    def strike(self, producer: Producer) -> None:
        """Faults, one after the other, until so many kills have hit."""
        steps, due = deal(self.run.seed), CHECK_EVERY
        while self.run.hit < self.run.kills:
            self._step(next(steps), producer)
            if due <= self.run.hit < self.run.kills:
                self.check_so_far(producer)
                due += CHECK_EVERY

    def _step(self, step: Step, producer: Producer) -> None:
        if step.alone:
            self.until(lambda: self.calm(producer), RECOVERY_SECONDS, f"recovery before {step.fault.kind}")
        time.sleep(step.pause)
        self.look()
        alone, at = self.calm(producer), time.monotonic()
        try:
            said = step.fault.strike(self.world, step.random)
        except Missed as missed:
            self.run.missed.append(step.fault.kind)
            note(f"{at - self.began:6.1f} s  {step.fault.kind}: missed, {missed}")
            return
        self.run.struck.append(Struck(step.fault.kind, step.fault.kills, time.monotonic(), alone))
        note(f"{at - self.began:6.1f} s  {self.run.hit:3}/{self.run.kills}  {step.fault.kind}: {said}")

    def check_so_far(self, producer: Producer) -> None:
        """A long run need not wait until its end to hear that an answer was wrong."""
        self.until(lambda: self.calm(producer), RECOVERY_SECONDS, "recovery before a check")
        heard = [copy(reader) for reader in self.readers]
        for one in heard:
            one.seen, one.counted = one.seen.copy(), one.counted.copy()
        topic = read_back(producer, self.world.project.bootstrap)
        self.run.checked = check(heard, topic, self.world.texts, self.world.asked)
        note(f"{time.monotonic() - self.began:6.1f} s  {self.run.checked:,} answers so far, all true")

    def calm(self, producer: Producer) -> bool:
        """Everything runs, and answers cover what was sent after the last fault."""
        return self.world.runs() and all(
            recovered(struck, producer, self.answers) is not None for struck in self.run.struck[-3:]
        )

    # the end

    def drain(self, producer: Producer) -> Topic:
        """No more faults and records: everything is answered, archived, refreshed; no definition waits any more."""
        note(f"{time.monotonic() - self.began:6.1f} s  no more faults: everything drains")
        self.until(lambda: self.calm(producer), RECOVERY_SECONDS, "recovery from the last fault")
        producer.stop()
        topic = read_back(producer, self.world.project.bootstrap)
        end = topic.end
        for reader in self.readers:
            self.until(
                partial(_reaches, reader, end), RECOVERY_SECONDS, f"an answer of {reader.view} that covers every record"
            )
        archive = ArchiveHistory(self.world.lake.archive_log("main"))

        def archived() -> bool:
            archive.catch_up()
            return end <= archive.frontier

        self.until(archived, RECOVERY_SECONDS, "the archive holds every record")
        self.until(lambda: not any(map(self.world.waiting, VIEWS)), RECOVERY_SECONDS, "the switch to each definition")
        self.until(
            lambda: not self.world.forgets(), RECOVERY_SECONDS, "what was asked to be forgotten is served no more"
        )
        for view in VIEWS:
            self.until(lambda view=view: end <= self.world.cut(view), RECOVERY_SECONDS, f"a refresh of {view}")
        self.until(self._extras_ended, RECOVERY_SECONDS, "the end of the second batch processes")
        return topic

    def _extras_ended(self) -> bool:
        for words, child in self.world.extras:
            code = child.exit_code()
            if code is None:
                return False
            over = words.startswith("backfill resume") and code == 2  # it was done before the pause was heard
            if code not in (0, 4, 75, -9) and not over:  # done, another was first, not now, killed at a commit point
                raise Broken(f"seamline {words} ended with {code}; see {self.world.folder / 'extras.log'}")
        return True

    def rebuild(self, topic: Topic) -> None:
        """Recomputes every view from the archive, and waits until that alone is what is answered."""
        ended = self.world.command("batch", "rebuild", "--json", seconds=300)
        if ended.returncode:
            raise Broken(f"the rebuild ended with {ended.returncode}: {ended.stderr}")
        audits = self.world.audits()
        for said in json.loads(ended.stdout):
            version = audits[said["definition"]].versions[said["version"]]
            if version.cut != topic.end or not version.audit.compared:
                raise Broken(f"{said['view']} was rebuilt up to {version.cut}, not {topic.end}: {version.audit}")
            note(f"{time.monotonic() - self.began:6.1f} s  {said['view']} rebuilt: version {said['version']}")
            (reader,) = (reader for reader in self.readers if reader.view == said["view"])
            rebuilt = partial(_answers_from, reader, said["definition"], said["version"])
            self.until(rebuilt, RECOVERY_SECONDS, f"an answer from the rebuilt {reader.view}")

    def prove(self, topic: Topic) -> None:
        """Every answer that was given, and the last, against the truth; every audit."""
        self.look()
        run, texts, asked = self.run, self.world.texts, self.world.asked
        run.checked = check(self.readers, topic, texts, asked)
        with Truth(topic, texts, asked) as truth:
            for reader in self.readers:
                last = reader.seen[-1]
                if last.reached != topic.end or last.rows != truth.answer(
                    last.definition, topic.end, [one.number for one in asked]
                ):
                    raise Broken(
                        f"the last answer of {reader.view}, at {last.reached}, is not the truth at {topic.end}"
                    )
        run.refused = sum(len(reader.refused) for reader in self.readers)
        run.unreachable = sum(reader.unreachable for reader in self.readers)
        run.records = sum(map(len, topic.partitions))
        run.versions = sum(len(batch.versions) for batch in self.world.audits().values())
        run.definitions = len({seen.definition for reader in self.readers for seen in reader.seen})


def _answers_from(reader: Reader, definition: str, version: int) -> bool:
    last = reader.seen[-1]
    return last.definition == definition and (last.version or 0) >= version


def _reaches(reader: Reader, end: Frontier) -> bool:
    return bool(reader.seen) and end <= reader.seen[-1].reached


def play(world: World, run: Run, rate: float = 40) -> None:
    """A whole run. Raises Broken, or an AssertionError that names the answer, where a guarantee does not hold."""
    chaos = Chaos(world, run, rate)
    try:
        with chaos.everything() as producer:
            try:
                chaos.strike(producer)
                topic = chaos.drain(producer)
            finally:
                run.recovery = [recovered(struck, producer, chaos.answers) for struck in run.struck]
            chaos.rebuild(topic)
            code = world.down()
            if code != 0:
                raise Broken(f"seamline up, asked to stop, ended with {code}; see {world.folder / 'up.log'}")
        chaos.prove(topic)
    finally:
        run.seconds = time.monotonic() - chaos.began
