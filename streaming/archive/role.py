"""The archive process: its claim, Spark, the cluster's topics, the inbox of imports, and upkeep while it is idle."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

from seamline.claims import Holder, Stay, claim_between
from seamline.clock import Clock, system_clock
from seamline.errors import TransientError
from seamline.frontier import Frontier
from seamline.observe.lineage import ReadAndMade
from seamline.schemas.project import Project
from seamline.signals import stopping
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import Shelf, make_shelves
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.archive.retries import answer
from seamline.streaming.batches import Prepared
from seamline.streaming.every import Every
from seamline.streaming.following import Following
from seamline.streaming.kafka import Cluster, Topic
from seamline.streaming.liveness import Pulse
from seamline.streaming.reading import ReadTopics
from seamline.streaming.role_events import tables_made, told_as_role, topics_read
from seamline.streaming.runner import StreamReading, StreamRunner
from seamline.streaming.samples import KafkaEnds, archive_reading
from seamline.streaming.session import opened
from seamline.streaming.tasks import Tasks

log = logging.getLogger(__name__)

VACUUM_EVERY = timedelta(hours=6)
FIRST_VACUUM = timedelta(minutes=10)
"""After the start: a process that is started anew every few hours vacuums too."""

LET_GO_EVERY = timedelta(minutes=10)
"""How often it is looked whether event dates are past their retention."""

IMPORTING = "import"
IMPORT_SECONDS = 60.0
"""How long the role waits, as it starts, for a moment between imports that claim the log."""


class ArchiveRole:
    """Binds `Archive` to the project's contracts, the cluster's topics and the inbox of imports.

    It changes nothing of its own: what is read is `ReadTopics`' to say, what is filed `Archive`'s.
    """

    def __init__(self, project: Project, stream: str, writer: Holder, cluster: Cluster, clock: Clock) -> None:
        self._project = project
        self._cluster = cluster
        self._following = Following(project, stream)
        self._reading = ReadTopics(project, stream, "archive", self._following, cluster)
        self._stream = stream
        self._writer = writer
        self._inbox = Inbox(project.lake, stream)
        self._vacuum = Every(VACUUM_EVERY, clock() - VACUUM_EVERY + FIRST_VACUUM)
        self._letting_go = Every(LET_GO_EVERY, clock())
        self._clock = clock
        kernel = project.settings.kernel
        engine = project.lake.kernel(kernel.memory, kernel.threads)
        self.archive = Archive(
            project.lake,
            stream,
            writer,
            self._shelves(),
            engine=engine,
            clock=clock,
            check=self._check,
            retention=timedelta(hours=project.settings.archive.retention_hours),
        )

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted({topic for shelf in self.archive.shelves for topic in shelf.topics}))

    @property
    def frontier(self) -> Frontier:
        return self.archive.frontier

    @property
    def read_topics(self) -> tuple[Topic, ...]:
        """The topics that the query reads, as it found them."""
        return tuple(self._reading.prepared.topics.values())

    def prepare(self) -> Prepared:
        prepared = self._reading.prepare(self.archive.history.frontier, self._clock)
        self._reshelve()
        return prepared

    def begin(self, prepared: Prepared) -> None:
        self.archive.begin(prepared.positions)

    def batch(self, tasks: Tasks) -> None:
        self.archive.run_batch(tasks, self._reading.stop)

    def idle(self) -> None:
        self.archive.writer.check()
        frontier = self.archive.history.frontier
        if self._following.reload() | self._following.look() | self._reading.look(frontier):
            self._reshelve()
        if self._reading.prepared.topics.keys() == set(self.topics):
            self.archive.advance(self._reading.passed(frontier))
        self.archive.forget()
        self.archive.clear()
        self.archive.take_all(self._inbox)
        answer(self._project.lake, self._stream, self.archive.shelves)
        if any(shelf.kept is not None for shelf in self.archive.shelves) and self._letting_go.due(self._clock()):
            found = self.archive.let_go(self._ends())
            for contract, what in found.items():
                log.info("raw of %s: %s", contract, what)
            self._writer.tell_stays({contract: one for contract, one in found.items() if isinstance(one, Stay)})
        self.archive.maintain()
        if self._vacuum.due(self._clock()):
            self.archive.vacuum(self._inbox.files)

    def read_and_made(self) -> ReadAndMade:
        """The topics that it reads, and the raw tables that it files them in."""
        following = self._following
        return topics_read(following, self._project.bootstrap), tables_made(self._project.lake, following)

    def _reshelve(self) -> None:
        shelves = self._shelves()
        if [_shelved(s) for s in shelves] != [_shelved(s) for s in self.archive.shelves]:
            self.archive.use(shelves)

    def _shelves(self) -> tuple[Shelf, ...]:
        following = self._following
        return make_shelves(following.contracts, following.lived_by, self._stream, self._reading.leaving)

    def _ends(self) -> Frontier | None:
        try:
            return self._cluster.end(self._reading.prepared.topics.values())
        except TransientError as error:
            log.info("no event dates go now, since nobody says where the partitions end: %s", error)
            return None

    def _check(self) -> None:
        self._cluster.check_ids(self._reading.prepared.sources.values())


def _shelved(shelf: Shelf) -> tuple[object, ...]:
    return shelf.table, shelf.version, shelf.topics


def run_archive(
    project: Project,
    stream: str,
    *,
    spark: Any = None,
    stop: threading.Event | None = None,
    clock: Clock = system_clock,
) -> None:
    """Runs the archive of a stream until SIGTERM, SIGINT or `stop`. Raises what `run_speed` raises."""
    stop = stop or threading.Event()
    settings = project.settings
    kafka = settings.kafka
    reading = StreamReading(
        settings.archive.trigger_ms, settings.archive.max_records, kafka.options, kafka.rest_seconds
    )
    cluster = Cluster(project.bootstrap, settings.kafka.options)
    logged = project.lake.archive_log(stream)
    claimed = claim_between(project.lake, logged, "archive", IMPORTING, IMPORT_SECONDS, clock)
    with stopping(stop), claimed as writer:
        role = ArchiveRole(project, stream, writer, cluster, clock)
        ends = KafkaEnds(cluster, lambda: project.bootstrap, lambda: role.read_topics)
        page = archive_reading(stream, role.archive.history, writer, ends, clock)
        told = told_as_role(project.lake, stream, "archive", writer, role.read_and_made)
        with told, page, opened(project, f"archive-{stream}", spark, writer.tell, stop) as session:
            pulse = Pulse(cluster, lambda: project.bootstrap, writer.tell)
            StreamRunner(session, pulse, role, reading, stop).run()
