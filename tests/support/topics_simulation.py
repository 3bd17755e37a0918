"""A stream whose topics change under it: the real roles of both layers over a cluster that is played, and the truth.

Topics are lists of records by partition, which grow, expire, are made again, and hold offsets without records. Truth is
kept in plain Python: which record stood where, which of them each role was handed and has committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
from obstore.store import MemoryStore

from seamline.claims import Holder
from seamline.clock import ManualClock, system_clock
from seamline.commitpoint import hooked
from seamline.config import load_settings
from seamline.entries.base import Claim
from seamline.entries.topics import Gone
from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.jobs.batch import Batch
from seamline.jobs.retention import retain
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.project import Project, load_project
from seamline.schemas.states import apply_views
from seamline.serving.serving import Serving
from seamline.streaming.archive.role import ArchiveRole
from seamline.streaming.kafka import Cluster, Topic
from seamline.streaming.reading import accept
from seamline.streaming.speed.role import SpeedRole
from seamline.streaming.tasks import RECORDS

RoleName = Literal["speed", "archive"]
Place = tuple[str, int, int]

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
schema:
  - name: {name}
    properties:
      - {{name: id, logicalType: string}}
      - {{name: placed, logicalType: timestamp}}
customProperties:
  - {{property: seamline.eventTime, value: placed}}
  - {{property: seamline.topic, value: {topic}}}
"""
VIEW = """CREATE MATERIALIZED VIEW {name} AS
SELECT date_trunc('day', placed) AS day, count(*) AS n FROM {name} GROUP BY ALL;
"""
SETTINGS = """\
[kafka]
bootstrap_servers = 'played:1'
[speed]
compact_epochs = 2
retention_hours = 1
[batch]
keep_versions = 2
"""


class Killed(BaseException):
    """Power is lost."""


@dataclass
class Log:
    """One topic under one id: for each partition its records by offset, where it begins, and where it ends."""

    id: str
    records: list[dict[int, bytes]]
    first: list[int] = field(default_factory=list)
    next: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = [0] * len(self.records)
        self.next = [0] * len(self.records)


class PlayedCluster:
    """What `Cluster` answers, from lists. It keeps the real one's contract: ids, first offsets, ends, errors."""

    def __init__(self) -> None:
        self.logs: dict[str, Log] = {}
        self._made = 0

    def make(self, name: str, partitions: int = 1) -> None:
        """Makes a topic, under an id of its own."""
        self._made += 1
        self.logs[name] = Log(f"id{self._made}", [{} for _ in range(partitions)])

    def topic(self, name: str) -> Topic:
        return Topic(name, self.logs[name].id, tuple(range(len(self.logs[name].records))))

    def existing(self, names: Iterable[str]) -> dict[str, Topic]:
        return {name: self.topic(name) for name in set(names) if name in self.logs}

    topics = existing

    def create_missing(self, names: Iterable[str], partitions: int) -> list[str]:
        missing = sorted(set(names) - self.logs.keys())
        for name in missing:
            self.make(name)
        return missing

    def earliest(self, topics: Iterable[Topic]) -> Frontier:
        return self._each(topics, "first")

    def end(self, topics: Iterable[Topic], *, committed: bool = True) -> Frontier:
        return self._each(topics, "next")

    def _each(self, topics: Iterable[Topic], what: str) -> Frontier:
        return Frontier(
            {Partition(t.source, n): getattr(self.logs[t.name], what)[n] for t in topics for n in t.partitions}
        )

    def first_records(self, positions: Frontier, topics: Iterable[Topic], ends: Frontier) -> Frontier:
        found = {}
        for topic in topics:
            for number in topic.partitions:
                at = Partition(topic.source, number)
                if at in positions:
                    later = [offset for offset in self.logs[topic.name].records[number] if offset >= positions[at]]
                    found[at] = min([*later, max(ends[at], positions[at])])
        return Frontier(found)

    def check_compaction(self, topics: Iterable[Topic]) -> None:
        """None is compacted."""

    def check_ids(self, sources: Iterable[str]) -> None:
        for source in sources:
            name, _, topic_id = source.partition("@")
            if name not in self.logs or self.logs[name].id != topic_id:
                raise TerminalError(Condition.TOPIC_RECREATED, source)


class World:
    """One stream of two contracts, `orders` and `others`, each with a view, and all that happens to its topics."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("contracts", "views"):
            (folder / part).mkdir(parents=True)
        (folder / "seamline.toml").write_text(SETTINGS)
        self.clock = ManualClock(system_clock())
        self.cluster = PlayedCluster()
        self.lake = Lake(str(folder / "lake"), MemoryStore())
        self.serving: Serving | None = None
        self.values: dict[Place, str] = {}
        self.taken: dict[RoleName, set[Place]] = {"speed": set(), "archive": set()}
        self.origins: dict[Partition, int] = {}
        self.accepted: list[Gone] = []
        self.names: dict[str, str] = {}
        self.refused: dict[RoleName, Condition] = {}
        self.roles: dict[RoleName, SpeedRole | ArchiveRole] = {}
        self._sent = 0
        self._histories: dict[RoleName, SpeedHistory | ArchiveHistory] = {
            "speed": SpeedHistory(self.lake.speed_log("main")),
            "archive": ArchiveHistory(self.lake.archive_log("main")),
        }
        self.topics = TopicsHistory(self.lake.topics_log("main"))
        self.settings = load_settings(folder)
        for name in ("orders", "others"):
            (folder / "views" / f"{name}.sql").write_text(VIEW.format(name=name))
            self.cluster.make(name)
            self.write(name, name)
        project = self.project
        apply_views(project.lake, project.views, project.contracts, self.clock)

    # what users and producers do

    @property
    def project(self) -> Project:
        """What the folder says now."""
        project = load_project(self.folder)
        project.__dict__["lake"] = self.lake
        return project

    def write(self, contract: str, topic: str) -> None:
        """Gives a contract a topic."""
        self.names[contract] = topic
        (self.folder / "contracts" / f"{contract}.yaml").write_text(CONTRACT.format(name=contract, topic=topic))
        for role in self.roles.values():
            role._following._stamp = ()  # two writes within one tick of the file system's clock

    def move(self, contract: str) -> None:
        """Gives a contract another topic, or its first one back."""
        self.write(contract, contract if self.names[contract] != contract else f"{contract}-moved")

    def send(self, topic: str, partition: int, count: int, gap: int = 0) -> None:
        """Records, then offsets that hold none."""
        log = self.cluster.logs[topic]
        partition %= len(log.records)
        for _ in range(count):
            self._sent += 1
            moment = self.clock().isoformat()
            value = f'{{"id": "e{self._sent}", "placed": "{moment}"}}'
            log.records[partition][log.next[partition]] = value.encode()
            self.values[(f"{topic}@{log.id}", partition, log.next[partition])] = f"e{self._sent}"
            log.next[partition] += 1
        log.next[partition] += gap

    def grow(self, topic: str) -> None:
        """A partition is added."""
        log = self.cluster.logs[topic]
        log.records.append({})
        log.first.append(0)
        log.next.append(0)

    def expire(self, topic: str, partition: int, keep: int) -> None:
        """All but the last `keep` offsets of a partition are gone."""
        log = self.cluster.logs[topic]
        partition %= len(log.records)
        log.first[partition] = max(log.first[partition], log.next[partition] - keep)
        log.records[partition] = {o: v for o, v in log.records[partition].items() if o >= log.first[partition]}

    # processes

    def role(self, name: RoleName) -> SpeedRole | ArchiveRole:
        """A role's process; it starts first."""
        if name not in self.roles:
            log = {"speed": self.lake.speed_log, "archive": self.lake.archive_log}[name]("main")
            writer = Writer.take(log, Claim(at=self.clock(), holder=name))
            kind: type[SpeedRole | ArchiveRole] = SpeedRole if name == "speed" else ArchiveRole
            role = kind(self.project, "main", cast(Holder, writer), cast(Cluster, self.cluster), self.clock)
            role._reading._resting.rest = role._reading._resting.every = 0.0
            self.roles[name] = role
        return self.roles[name]

    def read(self, name: RoleName, most: int, die_at: int = 0) -> None:
        """One query of a role: up to `most` records of each partition in one batch; then it is idle. At commit point
        `die_at` its memory is lost."""
        reached = 0

        def hook(_: str) -> None:
            nonlocal reached
            reached += 1
            if reached == die_at:
                raise Killed

        try:
            with hooked(hook):
                self._read(self.role(name), most)
        except Killed:
            self.roles.pop(name, None)
        except TerminalError as error:
            self.refused[name] = error.condition
            self.roles.pop(name, None)
        else:
            self.refused.pop(name, None)
        self._note(name)

    def _read(self, role: SpeedRole | ArchiveRole, most: int) -> None:
        prepared = role.prepare()
        role.begin(prepared)
        sources = {topic.source: topic.name for topic in prepared.topics.values()}
        rows: list[dict[str, Any]] = []
        for at, first in prepared.positions.items():
            held = self.cluster.logs[sources[at.source]].records[at.number]
            for offset in sorted(o for o in held if o >= first)[:most]:
                place = {"source": at.source, "partition": at.number, "offset": offset, "timestamp": self.clock()}
                rows.append({**place, "key": b"", "value": held[offset]})
        if rows:
            table = pa.Table.from_pylist(rows, schema=RECORDS)
            role.batch(lambda task: task(table))
        role.idle()

    def _note(self, name: RoleName) -> None:
        """What the role has committed by now: every record that stands below its frontier and was ever to be read."""
        history = self.histories[name]
        self.topics.catch_up()
        for read in self.topics.read.values():
            self.origins.update({at: offset for at, offset in read.origin.items() if at not in self.origins})
        for (source, number, offset), _ in self.values.items():
            topic = source.split("@")[0]
            stands = (log := self.cluster.logs[topic]).id == source.split("@")[1] and offset >= log.first[number]
            at = Partition(source, number)
            if offset < history.frontier[at] and stands and offset >= self.origins.get(at, 0):
                self.taken[name].add((source, number, offset))

    def accept(self, topic: str) -> None:
        """`seamline topics accept`."""
        try:
            self.accepted += accept(self.lake, "main", topic, cast(Cluster, self.cluster), "lost", self.clock)
        except TerminalError as error:
            assert error.condition is Condition.RECORDS_EXPIRED

    def refresh(self, view: str) -> None:
        """One batch run, where there is anything to do."""
        Batch(self.lake, settings=self.settings.batch, clock=self.clock).refresh(view)

    def age(self, days: int) -> None:
        """Time passes, and retention does its work in both layers."""
        self.clock.advance(timedelta(days=days))
        role = self.roles.get("speed")
        if isinstance(role, SpeedRole):
            for _ in range(3):
                role._maintenance.compact()
            role._maintenance.retire()
            self.clock.advance(timedelta(hours=2))
            role._maintenance.remove()
            role._maintenance.sweep()
        retain(self.lake, self.settings, self.clock)

    # the truth

    def check(self) -> None:
        """No record is passed over without an operator's word, none is read twice, and answers are right."""
        for name, history in self.histories.items():
            counts = history.counts
            assert sum(c.read for c in counts.values()) == len(self.taken[name]), (name, counts)
            missed = {p for p in self.values if self._is_below(p, history.frontier)} - self.taken[name]
            assert all(self._is_accepted(place) for place in missed), (name, missed)
        for view in self.names:
            self.check_answer(view)

    @property
    def histories(self) -> dict[RoleName, SpeedHistory | ArchiveHistory]:
        """What the ledger says of both roles by now."""
        for history in self._histories.values():
            history.load()
        return self._histories

    def _is_below(self, place: Place, frontier: Frontier) -> bool:
        at = Partition(place[0], place[1])
        return self.origins.get(at, 0) <= place[2] < frontier[at]

    def _is_accepted(self, place: Place) -> bool:
        source, number, offset = place
        return any((g.source, g.partition) == (source, number) and g.start <= offset < g.end for g in self.accepted)

    def check_answer(self, view: str) -> None:
        """What a view answers: below its version's cut what the archive has read, after it what speed has."""
        if self.serving is None:
            self.serving = Serving(self.lake, self.settings, self.clock)
        self.serving.catch_up()
        try:
            answer = self.serving.query(f"SELECT coalesce(sum(n), 0)::BIGINT AS n FROM {view}")
        except SeamlineError as error:
            assert error.condition is Condition.VIEW_NOT_READY, error
            return
        said = answer.provenance[view]
        assert said.reached == self.histories["speed"].frontier
        mine = {source for source, names in self._named().items() if view in names}
        versions = said.version is not None  # without one, the answer begins where speed does
        below = {p for p in self.taken["archive"] if versions and self._is_below(p, said.cut)}
        after = {p for p in self.taken["speed"] if self._is_below(p, said.reached) and not self._is_below(p, said.cut)}
        wanted = sum(1 for place in below | after if place[0] in mine)
        assert answer.table["n"][0].as_py() == wanted, (view, said.cut, said.reached, wanted)

    def _named(self) -> dict[str, set[str]]:
        return {source: set(read.contracts) for source, read in self.topics.read.items()}

    def finish(self) -> None:
        """Everything is read or accepted: both roles stand at one place, and every view gets a version that agrees."""
        for topic in list(self.cluster.logs):
            self.accept(topic)
        for _ in range(4):
            for name in ("speed", "archive"):
                self.read(name, 999)
        assert not self.refused, self.refused
        speed, archive = (history.frontier for history in self.histories.values())
        assert speed == archive
        self.check()
        for view in self.names:
            self.refresh(view)
            self.check_answer(view)
        if self.serving is not None:
            self.serving.close()
