"""The Spark rim that archive and speed share: one Structured Streaming query from exactly where the ledger stands.

Its checkpoint is thrown away; only committed records are read; what fails is examined, so that a process ends with
the error an operator can act on. A query is stopped between two batches, never inside one. A cluster that is away is
waited for. Where nothing arrives no query runs: Spark asks Kafka at every trigger, which costs the most of all that an
idle project costs.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from seamline.errors import Condition, SeamlineError, TransientError
from seamline.sides.spark import from_task, settle_worker
from seamline.streaming.arrivals import Arrivals
from seamline.streaming.batches import NOTHING, Batches, Prepared, StreamingRole
from seamline.streaming.kafka import starting_offsets
from seamline.streaming.liveness import Pulse, is_outage
from seamline.streaming.tasks import Row, Task, records_table

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How often the process looks for a signal or a failure."""

LOOK_SECONDS = 1.0
"""How long is looked at once whether something arrives: a record ends the look, a signal does not."""

CLIENT = {
    "request.timeout.ms": "20000",
    "default.api.timeout.ms": "20000",
    "fetch.max.wait.ms": "1",
    "max.poll.records": "10000",
}
"""A client that hangs after a broker came back gives up in a third of Kafka's own time; a fresh query reads on.

A fetch that waits for more than there is holds a micro-batch up by that wait, once for each partition: with each poll
the client asks for what comes next, and Spark then asks, on the same connection, where the partition begins and ends.
Nothing is fetched between micro-batches, so waiting saves nothing. Spark asks that at every poll: the fewer records one
gives, the more often; a fetch is at most 1 MiB all the same."""

POLL_MS = "20000"
"""A task that gets no record of those it was promised gives up as soon as its client does, not after Spark's two
minutes: what it waits for may be a broker that is gone."""

SETTINGS = {
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
"""Of the session that a stream's queries run in, which is theirs alone.

A checkpoint is thrown away: nobody checks its sums, and Hadoop starts a chmod for each of its files and sums, four for
a micro-batch. What a plan looks like is written down for each of them, and nobody sees it. To write code for a few
hundred rows costs more than to go without, 5 to 10 ms of CPU a micro-batch; of a backlog it would save a twentieth."""

HELD_BYTES = 64 << 20
"""Records that a task holds at once: as many as Spark puts into one Arrow batch, where they are large."""

RESULT = StructType(
    [StructField("kind", StringType()), StructField("name", StringType()), StructField("payload", BinaryType())]
)
_RESULT = pa.schema([("kind", pa.string()), ("name", pa.string()), ("payload", pa.binary())])


@dataclass(frozen=True)
class StreamReading:
    """How one stream is read."""

    trigger_ms: int
    """Between the starts of two batches."""

    max_records: int
    """Offsets in one batch, at most."""

    options: Mapping[str, str]
    """For Kafka's clients, in Kafka's own names."""

    rest_seconds: float
    """Without a record, after which the query ends until one arrives."""

    few: int = 0
    """A batch that follows one of fewer records is run as a single task."""


class StreamRunner:
    """Runs a role's queries, one after the other, until it is told to stop: `stop` is set by a signal, or by a test.

    What changes while one of them runs is kept in its `Batches`, and ends with it.
    """

    def __init__(
        self, spark: Any, pulse: Pulse, role: StreamingRole, reading: StreamReading, stop: threading.Event
    ) -> None:
        self.spark = own_session(spark)
        self.pulse = pulse
        self.cluster = pulse.cluster
        self.role = role
        self.reading = reading
        self.stop = stop
        self._sent = SentPlan(spark)

    def run(self) -> None:
        """Reads until `stop`. Raises what a batch raised, or the error found where the query died."""
        try:
            while not self.stop.is_set():
                if not self.role.topics:
                    self._wait_for_topics()
                elif self.pulse.wait(self.stop):
                    self._read_on()
        finally:
            self.pulse.close()
            self.cluster.close()

    def _wait_for_topics(self) -> None:
        """There is nothing to read: what the query before left unfinished is given up, and the role is idle."""
        self.role.begin(NOTHING)
        batches = Batches(self.role, self.reading.few, self.stop)
        while batches.wanted:
            self.stop.wait(POLL_SECONDS)
            batches.idle()

    def _read_on(self) -> None:
        """One query, from where the ledger stands until it has to end, or until the cluster is away; and the rest after
        it, where it ended since nothing arrives."""
        try:
            prepared = self.role.prepare()
            batches = Batches(self.role, self.reading.few, self.stop)
            self.role.begin(prepared)
            with Arrivals(self.cluster, prepared) as arrivals:
                with self._query(prepared, batches) as query:
                    self._watch(query, batches, arrivals)
                self._rest(batches, arrivals)
        except SeamlineError as error:
            if not is_outage(error):
                raise
            log.warning("reads again where the ledger stands: %s", error)

    def _rest(self, batches: Batches, arrivals: Arrivals) -> None:
        """Until a record arrives, which the next query reads, or that one has to ask Kafka and the ledger anew."""
        while batches.wanted and self.pulse.feel() and not arrivals.moved():
            if arrivals.seen(self.role.frontier, LOOK_SECONDS):
                return
            batches.idle()
            _ = self.spark.streams.active  # raises where the JVM has died, which no query would say here

    def _watch(self, query: Any, batches: Batches, arrivals: Arrivals) -> None:
        """Until the query has to end: a signal, a failure, other topics to read, or nothing that arrives."""
        while batches.wanted:
            ended = False
            try:
                ended = query.awaitTermination(POLL_SECONDS)
            except PySparkException as error:
                raise self._examined(batches.error or error) from (batches.error or error)
            if ended:
                found = query.exception() or RuntimeError("the query ended by itself")
                raise self._examined(batches.error or found)
            if self.pulse.feel():  # an outage that is short is over before Spark notices
                batches.idle()
            if batches.is_quiet(self.reading.rest_seconds):
                if not arrivals.seen(self.role.frontier, LOOK_SECONDS):
                    return
                batches.stir()  # a batch that takes long, or the very first

    def _examined(self, error: BaseException) -> SeamlineError:
        """Why a query died: what a batch raised, else what Kafka says now, else something transient."""
        if isinstance(error, SeamlineError):
            return error
        raised = from_task(error)
        if raised is not None:
            return raised
        try:
            self.role.prepare()
        except SeamlineError as found:
            return found
        first = str(error).strip().splitlines() or [type(error).__name__]
        return TransientError(
            Condition.BROKER_UNAVAILABLE if self.pulse.missed else Condition.PROCESS_FAILED,
            f"the query died: {first[0][:500]}",
            hint="it starts again where the ledger stands; Spark's log says more",
        )

    @contextmanager
    def _query(self, prepared: Prepared, batches: Batches) -> Iterator[Any]:
        checkpoint = tempfile.mkdtemp(prefix="seamline-checkpoint-")

        def batch(frame: Any, _: int) -> None:
            batches.run(lambda task, few: self._applied(task, frame, prepared.sources, few))

        query = (
            self._source(prepared)
            .writeStream.foreachBatch(batch)
            .option("checkpointLocation", checkpoint)
            .trigger(processingTime=f"{self.reading.trigger_ms} milliseconds")
            .start()
        )
        try:
            yield query
        finally:
            batches.close()
            while batches.runs(POLL_SECONDS):
                self.pulse.feel()  # one that waits for a broker that is gone must not keep that from being told
            query.stop()
            shutil.rmtree(checkpoint, ignore_errors=True)

    def _applied(self, task: Task[Any], frame: Any, sources: dict[str, str], few: bool) -> list[Row]:
        at_once = 1 if few else int(self.spark.sparkContext.defaultParallelism)  # as many as there are cores by now
        return run_action(frame, task.work, self._sent.of(task.plan), sources, at_once)

    def _source(self, prepared: Prepared) -> Any:
        options = {
            **{f"kafka.{name}": value for name, value in {**CLIENT, **self.reading.options}.items()},
            "kafka.bootstrap.servers": self.cluster.bootstrap,
            "kafka.isolation.level": "read_committed",
            "subscribe": ",".join(sorted(prepared.topics)),
            "startingOffsets": starting_offsets(prepared.positions),
            "failOnDataLoss": "true",
            "maxOffsetsPerTrigger": str(self.reading.max_records),
            "kafkaConsumer.pollTimeoutMs": POLL_MS,
        }
        frame = self.spark.readStream.format("kafka").options(**options).load()
        return frame.selectExpr("topic AS source", "partition", "offset", "timestamp", "key", "value")


def own_session(spark: Any) -> Any:
    """A session with SETTINGS over the same JVM: what else runs there, Delta among it, keeps its own."""
    session = spark.newSession()
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    return session


class SentPlan:
    """The plan that Spark's workers have: a broadcast variable, which each of them reads once, so that no batch carries
    it. Another plan takes its place."""

    def __init__(self, spark: Any) -> None:
        self._spark = spark
        self._plan: object = None
        self._broadcast: Any = None

    def of(self, plan: object) -> Any:
        """The variable whose value is `plan`."""
        if self._broadcast is None or self._plan is not plan:
            if self._broadcast is not None:
                self._broadcast.destroy()
            self._broadcast = self._spark.sparkContext.broadcast(plan)
            self._plan = plan
        return self._broadcast


def run_action(
    frame: Any, work: Callable[[pa.Table, Any], list[Row]], plan: Any, sources: dict[str, str], at_once: int
) -> list[Row]:
    """One Spark action: the work over the records of one or several partitions, all rows on the driver. `plan`: a
    broadcast variable.

    No more tasks than can run `at_once`: a small batch costs what its tasks' overhead costs. A task holds HELD_BYTES of
    records at once, however many there are; events to be kept go along with the first of them alone.
    """

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, held in enumerate(in_bytes_of(batches, HELD_BYTES)):
            rows = [row for row in work(records_table(held, sources), plan.value) if not number or row.kind != "events"]
            columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
            arrays = [pa.array(column, kind.type) for column, kind in zip(columns, _RESULT, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=_RESULT)
        settle_worker()

    found = frame.coalesce(at_once).mapInArrow(apply, RESULT).collect()
    return [Row(row.kind, row.name, bytes(row.payload)) for row in found]


def in_bytes_of(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[list[pa.RecordBatch]]:
    """Batches put together as long as they have at most `most` bytes in all."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if held and sum(one.nbytes for one in held) + batch.nbytes > most:
            yield held
            held = []
        held.append(batch)
    if held:
        yield held
