"""A worker: one process that answers one query at a time, from the snapshot it was given last.

It has a limit of private memory from the operating system, and may be killed at any moment: it holds nothing that
another does not have too.
"""

from __future__ import annotations

import os
import pickle
import queue
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, SeamlineError, TerminalError, UserError
from seamline.kernel import Limits
from seamline.serving.asking import Ask, too_large, too_many_rows
from seamline.serving.deadline import AGAIN, interrupt_all
from seamline.serving.encode import AnswerNotes, encoding
from seamline.serving.failures import MEMORY
from seamline.serving.pool import Pool
from seamline.serving.query import Query, described
from seamline.serving.snapshot import Snapshot
from seamline.serving.workers.frames import FrameKind, error_data, packed, receive_now, said, schema_text
from seamline.serving.workers.index import IndexReader
from seamline.serving.workers.shared import load

FIRST = 256 << 10
"""Bytes of an answer that are held back: an error among them is an error, and no answer that is cut off."""


STOPPING = 2.0
"""Seconds in which a query that is stopped has to end."""


@dataclass(frozen=True)
class Bounds:
    """What a worker may use."""

    memory_mb: int
    """MiB of private memory, above what a worker begins with."""

    threads: int
    seconds: float
    max_rows: int
    max_bytes: int

    @property
    def kernel(self) -> Limits:
        """What its DuckDB may use: the rest is for what DuckDB does not count, and for encoding."""
        return Limits(memory=f"{self.memory_mb * 3 // 4}MiB", threads=self.threads)


@dataclass(frozen=True)
class Errand:
    """One query for a worker."""

    ask: Ask
    asked: datetime

    seconds: float
    """How long it may run."""


def work(connection: socket.socket, bounds: Bounds) -> None:
    """Answers until the other side is gone."""
    _least_worth()
    worker = Worker(connection, bounds)
    bound_memory(bounds.memory_mb)
    worker.run()


def bound_memory(megabytes: int) -> None:
    """No more private memory than what is used now and so many MiB: what asks for more fails."""
    most = _used() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


@contextmanager
def less_memory(megabytes: int | None) -> Iterator[None]:
    """Inside the block no more than what is used now and so many MiB, and never more than `bound_memory` said. None:
    as that said."""
    if megabytes is None:
        yield
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (min(most, _used() + (megabytes << 20)), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _used() -> int:
    """Bytes of private memory."""
    used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    return int(used.split()[1]) * 1024


class Worker:
    """One process's work. A second thread listens, so that a query can be stopped."""

    def __init__(self, connection: socket.socket, bounds: Bounds) -> None:
        self._connection = connection
        self._bounds = bounds
        self._pool = Pool(bounds.kernel, bounds.seconds)
        self._reader = IndexReader(load)
        self._snapshot = Snapshot({})
        self._frames: queue.SimpleQueue[tuple[FrameKind, bytes] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Until the other side is gone."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        while (frame := self._frames.get()) is not None:
            self._stopped.clear()
            try:
                self._answer(*frame)
            except ConnectionError:
                return
            except Exception as error:  # noqa: BLE001 - the query's, never the worker's
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, SpentError) or is_memory(error):
            own = error.megabytes if isinstance(error, SpentError) else self._bounds.memory_mb
            self._send(FrameKind.SPENT, error_data(out_of_memory(own)))
        elif isinstance(error, SeamlineError):
            self._send(FrameKind.ERROR, error_data(error))
        else:
            failed = TerminalError(Condition.KERNEL_FAILED, f"{type(error).__name__}: {error}")
            self._send(FrameKind.ERROR, error_data(failed))

    def _listen(self) -> None:
        with suppress(EOFError, ConnectionError):
            while True:
                kind, data = receive_now(self._connection)
                if kind is FrameKind.STOP:
                    self._stopped.set()
                    threading.Thread(target=self._stop, daemon=True).start()
                else:
                    self._frames.put((kind, data))
        self._frames.put(None)
        self._stopped.set()
        self._stop()
        os._exit(1)  # nobody is left who would end what cannot be interrupted

    def _stop(self) -> None:
        """Interrupts what runs now, until it has ended; for as long as whoever asked for it waits."""
        until = time.monotonic() + STOPPING
        while self._stopped.is_set() and time.monotonic() < until:
            interrupt_all()
            time.sleep(AGAIN)

    def _answer(self, kind: FrameKind, data: bytes) -> None:
        given: Any = pickle.loads(data)  # noqa: S301 - the parent process's own
        if kind is FrameKind.SNAPSHOT:
            self._snapshot = self._reader.read(given)
            self._pool.prepare(self._snapshot.files)
            self._pool.asked("SELECT 1")  # the DuckDB that parses stands then, too
            self._send(FrameKind.READY, b"")
        elif kind is FrameKind.VIEWS:
            views = Query(given.sql, self._pool, given.parameters).views(self._snapshot.seen_by(given.caller))
            self._send(FrameKind.SAID, said(views))
        elif kind is FrameKind.DESCRIBE:
            found = described(given.sql, self._pool, self._snapshot.seen_by(given.caller))
            self._send(FrameKind.SAID, said([schema_text(found.columns), found.kinds, found.parameters]))
        else:
            own = given.ask.caller.limits.memory_mb
            with less_memory(own):
                self._within(min(self._bounds.memory_mb, own or self._bounds.memory_mb), given)

    def _within(self, megabytes: int, task: Errand) -> None:
        """Raises SpentError where that is too little memory."""
        try:
            self._query(task)
        except Exception as error:
            if not is_memory(error):
                raise
            raise SpentError(megabytes) from error

    def _query(self, task: Errand) -> None:
        ask, snapshot = task.ask, self._snapshot.seen_by(task.ask.caller)
        form, began = encoding(ask.format), time.perf_counter()
        query = Query(ask.sql, self._pool, ask.parameters, task.seconds)
        parsed = time.perf_counter()
        with query.reading(snapshot, lambda: task.asked) as answer:
            bound = time.perf_counter()
            beside = AnswerNotes(answer.provenance.to_json(), answer.warnings)
            counted = Counted(answer.rows, min(self._bounds.max_rows, ask.most_rows or self._bounds.max_rows))
            head = said([schema_text(answer.rows.schema), beside.provenance, beside.warnings])
            most = min(self._bounds.max_bytes >> 20, ask.caller.limits.mb or self._bounds.max_bytes >> 20)
            self._stream(head, form.write(answer.rows.schema, counted, beside), most)
        steps = {"parse": parsed - began, "bind": bound - parsed, "run": time.perf_counter() - bound}
        self._send(FrameKind.DONE, said([counted.rows, steps]))

    def _stream(self, head: bytes, pieces: Iterator[bytes], most: int) -> None:
        """Sends an answer piece by piece, so many MiB at most; it waits while the other side does not take more."""
        waiting, size, begun = bytearray(), 0, False
        for piece in pieces:
            waiting += piece
            size += len(piece)
            if size > most << 20:
                raise too_large(most)
            if len(waiting) >= FIRST:
                begun = begun or self._send(FrameKind.BEGUN, head)
                self._send_all(waiting)
                waiting.clear()
        if not begun:
            self._send(FrameKind.BEGUN, head)
        self._send_all(waiting)

    def _send_all(self, data: bytearray) -> None:
        for start in range(0, len(data), FIRST):
            self._send(FrameKind.DATA, bytes(data[start : start + FIRST]))

    def _send(self, kind: FrameKind, data: bytes) -> bool:
        self._connection.sendall(packed(kind, data))
        return True


class SpentError(Exception):
    """A query needs more memory than it may have."""

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes
        super().__init__(megabytes)


class Counted:
    """Batches, and how many rows have gone by. Raises QUERY_REFUSED for more than are allowed."""

    def __init__(self, batches: pa.RecordBatchReader, most: int) -> None:
        self._batches = batches
        self._most = most
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            if self.rows > self._most:
                raise too_many_rows(self._most)
            yield batch


def is_memory(error: Exception) -> bool:
    """Whether a query failed for want of memory; a thread's stack is memory too."""
    if isinstance(error, SeamlineError):
        return error.detail == MEMORY
    return isinstance(error, MemoryError | pa.ArrowMemoryError) or "can't start new thread" in str(error)


def out_of_memory(megabytes: int) -> UserError:
    """A query that needs more than a worker has."""
    return UserError(
        Condition.QUERY_REFUSED, "the query needs more memory", detail=f"{megabytes} MiB (serving.worker_memory_mb)",
        hint="narrow the query, or raise serving.worker_memory_mb, or the token's own limit",
    )  # fmt: skip


def _least_worth() -> None:
    """Where the machine has no memory left, the kernel ends workers before anything else."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
