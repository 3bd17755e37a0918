"""The speed role: one process that reads a stream with Spark and commits an epoch for each micro-batch.

`run_speed` claims the stream's log before it opens Spark, reads from where the ledger stands, and ends between two
batches.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from seamline.claims import claim
from seamline.clock import Clock, system_clock
from seamline.errors import TransientError
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.kernel import Limits
from seamline.ledger import Writer
from seamline.observe.lineage import ReadAndMade
from seamline.schemas.project import Project
from seamline.schemas.service_levels import Promised, promised
from seamline.signals import stopping
from seamline.streaming.batches import Prepared
from seamline.streaming.following import Following
from seamline.streaming.kafka import Cluster, Topic
from seamline.streaming.liveness import Pulse
from seamline.streaming.reading import ReadTopics
from seamline.streaming.role_events import told_as_role, topics_read, views_made
from seamline.streaming.runner import StreamReading, StreamRunner
from seamline.streaming.samples import KafkaEnds, speed_reading
from seamline.streaming.session import opened
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.stream_plan import StreamPlan, make_plan
from seamline.streaming.tasks import Tasks

log = logging.getLogger(__name__)

FEW = 5_000
"""Records that one task has done sooner than two have started: statements cost 30 ms of CPU however few there are."""


class SpeedRole:
    """Binds `Speed` to the project's contracts, the lake's views and the cluster's topics.

    What is read is `ReadTopics`' to say, what is made of it `Speed`'s. Its own is what is served, told its page anew
    where the plan is made anew.
    """

    def __init__(self, project: Project, stream: str, writer: Writer, cluster: Cluster, clock: Clock) -> None:
        kernel = project.settings.kernel
        self._project = project
        self._cluster = cluster
        self._following = Following(project, stream)
        self._served = tuple(self._following.served)  # kept for the page's thread, which must not compile
        self._reading = ReadTopics(project, stream, "speed", self._following, cluster)
        history = SpeedHistory(project.lake.speed_log(stream), project.lake.packs.keep, every=True)
        self.speed = Speed(
            project.lake,
            stream,
            writer,
            self._plan(history),
            engine=project.lake.kernel(kernel.memory, kernel.threads),
            clock=clock,
            check=self._check,
            ends=self._ends,
            task_limits=Limits(memory=kernel.memory, threads=1),
            history=history,
        )
        self._maintenance = Maintenance(self.speed, self._following.catalogue, project.settings)

    @property
    def topics(self) -> tuple[str, ...]:
        return self.speed.plan.topics

    @property
    def frontier(self) -> Frontier:
        return self.speed.frontier

    @property
    def read_topics(self) -> tuple[Topic, ...]:
        """The topics that the query reads, as it found them."""
        return tuple(self._reading.prepared.topics.values())

    def prepare(self) -> Prepared:
        prepared = self._reading.prepare(self.speed.history.frontier, self.speed.clock)
        self._replan()
        return prepared

    def begin(self, prepared: Prepared) -> None:
        self.speed.begin(prepared.positions)

    def batch(self, tasks: Tasks) -> None:
        if self._following.look() | self._reading.look(self.speed.history.frontier):
            before = self.topics
            self._replan()
            if self.topics != before:
                return  # the query starts again, and reads this batch with what it lacked
        if self.speed.run_batch(tasks, self._reading.stop) is not None:
            self._maintenance.after_epoch()

    def idle(self) -> None:
        self.speed.writer.check()
        self.speed.look_for_forgotten()
        frontier = self.speed.history.frontier
        if self._following.reload() | self._following.look() | self._reading.look(frontier):
            self._replan()
        if self._reading.prepared.topics.keys() == set(self.topics):
            self.speed.announce(self._reading.passed(frontier))
        self._maintenance.between_batches()

    def promises(self) -> list[Promised]:
        """What the stream's contracts and served views promise. Raises CONTRACT_INVALID."""
        return promised({one.name: one for one in self._following.contracts}, self._served)

    def read_and_made(self) -> ReadAndMade:
        """The topics that it reads, and the views that get epochs of them."""
        lake, bootstrap = self._project.lake, self._project.bootstrap
        return topics_read(self._following, bootstrap), views_made(lake, self._following, bootstrap)

    def _replan(self) -> None:
        self._served = tuple(self._following.served)
        self.speed.use(self._plan(self.speed.history))

    def _plan(self, history: SpeedHistory) -> StreamPlan:
        following = self._following
        return make_plan(following.contracts, following.live, self._reading.leaving, history.newest_epoch)

    def _ends(self) -> Frontier | None:
        try:
            return self._cluster.end(self._reading.prepared.topics.values())
        except TransientError as error:
            log.info("no ids are forgotten now, since nobody says where the partitions end: %s", error)
            return None

    def _check(self) -> None:
        self._cluster.check_ids(self._reading.prepared.sources.values())


def run_speed(
    project: Project,
    stream: str,
    *,
    spark: Any = None,
    stop: threading.Event | None = None,
    clock: Clock = system_clock,
) -> None:
    """Runs the speed layer of a stream until SIGTERM, SIGINT or `stop`.

    Raises ConflictError WRITER_CONFLICT (another process writes), TerminalError (TOPIC_RECREATED, RECORDS_EXPIRED,
    TOPIC_COMPACTED) and TransientError (PROCESS_FAILED, STORE_UNAVAILABLE). A cluster that is away is waited for.
    """
    stop = stop or threading.Event()
    settings = project.settings
    kafka = settings.kafka
    reading = StreamReading(
        settings.speed.trigger_ms, settings.speed.max_records, kafka.options, kafka.rest_seconds, FEW
    )
    cluster = Cluster(project.bootstrap, settings.kafka.options)
    with stopping(stop), claim(project.lake, project.lake.speed_log(stream), "speed", clock) as writer:
        role = SpeedRole(project, stream, writer, cluster, clock)
        ends = KafkaEnds(cluster, lambda: project.bootstrap, lambda: role.read_topics)
        page = speed_reading(stream, role.speed.history, writer, ends, clock, role.promises)
        told = told_as_role(project.lake, stream, "speed", writer, role.read_and_made)
        with told, page, opened(project, f"speed-{stream}", spark, writer.tell, stop) as session:
            pulse = Pulse(cluster, lambda: project.bootstrap, writer.tell)
            StreamRunner(session, pulse, role, reading, stop).run()
