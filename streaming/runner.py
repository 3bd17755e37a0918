"""The Spark rim that archive and speed share: one Structured Streaming query from exactly where the ledger stands.

Its checkpoint is thrown away; only committed records are read; what fails is examined, so that a process ends with
the error an operator can act on. A query is stopped between two batches, never inside one. A cluster that is away is
waited for.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from pyspark.errors import PySparkException

from seamline.errors import Condition, SeamlineError, TransientError
from seamline.frontier import Frontier
from seamline.spark import from_task, settle_worker
from seamline.streaming.kafka import Topic, starting_offsets
from seamline.streaming.liveness import Pulse, is_outage
from seamline.streaming.tasks import Row, Task, Tasks, records_table

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How often the process looks for a signal or a failure."""

IDLE_SECONDS = 1.0
"""How often it looks for something to do between batches."""

PATIENT_SECONDS = 2.0
"""How long it waits for a batch to end so that it may."""

CLIENT = {
    "request.timeout.ms": "20000",
    "default.api.timeout.ms": "20000",
    "fetch.max.wait.ms": "10",
}
"""A client that hangs after a broker came back gives up in a third of Kafka's own time; a fresh query reads on.

A fetch that waits for more than there is holds a micro-batch up by that wait, once for each partition: Kafka's own
500 ms cost the last records before a pause 2 s. Nothing is fetched between micro-batches, so waiting saves nothing."""

HELD_BYTES = 64 << 20
"""Records that a task holds at once: as many as Spark puts into one Arrow batch, where they are large."""

RESULT = "kind string, name string, payload binary"
_RESULT = pa.schema([("kind", pa.string()), ("name", pa.string()), ("payload", pa.binary())])


@dataclass(frozen=True)
class StreamReading:
    """How one stream is read: milliseconds between batches, offsets in one batch, options for Kafka's clients.

    A batch that follows one of fewer than `few` records is run as a single task.
    """

    trigger_ms: int
    max_records: int
    options: Mapping[str, str]
    few: int = 0


@dataclass(frozen=True)
class Prepared:
    """What one query is to read, and from where."""

    topics: Mapping[str, Topic]
    """By name."""

    positions: Frontier
    """The next offset to read of every partition of theirs."""

    @property
    def sources(self) -> dict[str, str]:
        """The topics' names to their sources."""
        return {name: topic.source for name, topic in self.topics.items()}


class StreamingRole(Protocol):
    """What a streaming process does with its batches. All calls are made one at a time."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that must be read now; another set makes the query start afresh."""

    @property
    def frontier(self) -> Frontier:
        """Where the ledger stands."""

    def prepare(self) -> Prepared:
        """What a query is to read, from where; raises where it may not. `topics` are those from now on."""

    def begin(self, prepared: Prepared) -> None:
        """A query is about to start over these topics: what the one before left unfinished is given up."""

    def batch(self, tasks: Tasks) -> None:
        """One micro-batch: commit it, or raise."""

    def idle(self) -> None:
        """Between batches, every now and then."""


class Runner:
    """Runs a role's query until it is told to stop: `stop` is set by a signal, or by a test."""

    def __init__(
        self, spark: Any, pulse: Pulse, role: StreamingRole, reading: StreamReading, stop: threading.Event
    ) -> None:
        self.spark = spark
        self.pulse = pulse
        self.cluster = pulse.cluster
        self.role = role
        self.reading = reading
        self.stop = stop
        self._between = threading.Lock()
        self._closing = False
        self._error: BaseException | None = None
        self._read: tuple[str, ...] = ()
        self._idle_at = 0.0
        self._few = False

    def run(self) -> None:
        """Reads until `stop`. Raises what a batch raised, or the error found where the query died."""
        try:
            while not self.stop.is_set():
                self._read = self.role.topics
                if not self._read:
                    self.stop.wait(POLL_SECONDS)
                    self._idle()
                elif self.pulse.wait(self.stop):
                    self._read_on()
        finally:
            self.pulse.close()
            self.cluster.close()

    def _read_on(self) -> None:
        """One query, from where the ledger stands until it has to end, or until the cluster is away."""
        self._error = None
        try:
            prepared = self.role.prepare()
            self._read = self.role.topics
            self.role.begin(prepared)
            with self._query(prepared) as query:
                self._watch(query)
        except SeamlineError as error:
            if not is_outage(error):
                raise
            log.warning("reads again where the ledger stands: %s", error)

    def _watch(self, query: Any) -> None:
        """Until the query has to end: a signal, a failure, or other topics to read."""
        while not self.stop.is_set() and self.role.topics == self._read:
            ended = False
            try:
                ended = query.awaitTermination(POLL_SECONDS)
            except PySparkException as error:
                raise self._examined(error) from (self._error or error)
            if ended:
                raise self._examined(query.exception() or RuntimeError("the query ended by itself"))
            if self.pulse.feel():  # an outage that is short is over before Spark notices
                self._idle()

    def _idle(self) -> None:
        if time.monotonic() < self._idle_at or not self._between.acquire(timeout=PATIENT_SECONDS):
            return  # a batch that hangs must not keep the pulse from being felt
        try:
            if self._error is None:  # after a batch that failed, the role begins anew before it does anything else
                self.role.idle()
        finally:
            self._between.release()
        self._idle_at = time.monotonic() + IDLE_SECONDS

    def _examined(self, error: BaseException) -> SeamlineError:
        """Why a query died: what a batch raised, else what Kafka says now, else something transient."""
        if isinstance(self._error, SeamlineError):
            return self._error
        raised = from_task(self._error or error)
        if raised is not None:
            return raised
        try:
            self.role.prepare()
        except SeamlineError as found:
            return found
        first = str(self._error or error).strip().splitlines() or [type(error).__name__]
        return TransientError(
            Condition.BROKER_UNAVAILABLE if self.pulse.missed else Condition.PROCESS_FAILED,
            f"the query died: {first[0][:500]}",
            hint="it starts again where the ledger stands; Spark's log says more",
        )

    @contextmanager
    def _query(self, prepared: Prepared) -> Iterator[Any]:
        checkpoint = tempfile.mkdtemp(prefix="seamline-checkpoint-")
        sources = prepared.sources
        self._closing = False
        query = (
            self._source(prepared)
            .writeStream.foreachBatch(lambda frame, _: self._batch(frame, sources))
            .option("checkpointLocation", checkpoint)
            .trigger(processingTime=f"{self.reading.trigger_ms} milliseconds")
            .start()
        )
        try:
            yield query
        finally:
            with self._between:
                self._closing = True
            query.stop()
            shutil.rmtree(checkpoint, ignore_errors=True)

    def _source(self, prepared: Prepared) -> Any:
        options = {
            **{f"kafka.{name}": value for name, value in {**CLIENT, **self.reading.options}.items()},
            "kafka.bootstrap.servers": self.cluster.bootstrap,
            "kafka.isolation.level": "read_committed",
            "subscribe": ",".join(sorted(prepared.topics)),
            "startingOffsets": starting_offsets(prepared.positions),
            "failOnDataLoss": "true",
            "maxOffsetsPerTrigger": str(self.reading.max_records),
        }
        frame = self.spark.readStream.format("kafka").options(**options).load()
        return frame.selectExpr("topic AS source", "partition", "offset", "timestamp", "key", "value")

    def _batch(self, frame: Any, sources: dict[str, str]) -> None:
        with self._between:
            if self._closing or self.stop.is_set() or self.role.topics != self._read:
                return  # what has no entry never happened: the next query reads it again
            before = self.role.frontier
            at_once = 1 if self._few else self.spark.sparkContext.defaultParallelism
            try:
                self.role.batch(lambda task: run_action(frame, task, sources, at_once))
            except BaseException as error:
                self._error = error
                raise
            self._few = before.distance(self.role.frontier) < self.reading.few


def run_action(frame: Any, task: Task, sources: dict[str, str], at_once: int) -> list[Row]:
    """One Spark action: the task over the records of one or several partitions, all rows on the driver.

    No more tasks than can run `at_once`: a small batch costs what its tasks' overhead costs. A task holds HELD_BYTES of
    records at once, however many there are; events to be kept go along with the first of them alone.
    """

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, held in enumerate(in_bytes_of(batches, HELD_BYTES)):
            rows = [row for row in task(records_table(held, sources)) if not number or row.kind != "events"]
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
