"""OpenLineage events of runs, where OpenLineage's own variables or file say where to; else nothing of it is imported.

A batch run and the life of a stream's role are a run each: START, then COMPLETE, FAIL or ABORT. What is told of it is
what it reads and makes, by name, type and column: no SQL, no values, and of an error its condition alone.

Nobody waits for an event: one thread of this process sends them in their order, and what it has not sent by the end of
the process is given up after PATIENCE, with a warning.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from seamline.clock import system_clock
from seamline.errors import Condition, SeamlineError, UserError

log = logging.getLogger(__name__)

VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
"""OpenLineage's own, or what their names begin with, that say where events go."""

CLIENT = "seamline.observe.openlineage"
"""Makes and sends them: it imports OpenLineage's client, an extra, in half a second."""

FILES = (Path("openlineage.yml"), Path("~/.openlineage/openlineage.yml"))
"""Where its client looks for its file besides."""

PATIENCE = 5.0
"""Seconds that the end of a process waits for events that are not sent yet."""

MOST = 1000
"""Events that wait to be sent; more are given up."""

STOPPED = frozenset({Condition.LEDGER_CONFLICT, Condition.BACKFILL_STOPPED})
"""Another writer was first, or an operator's word: nothing has failed."""

LineageState = Literal["START", "COMPLETE", "ABORT", "FAIL"]
Transformation = Literal["IDENTITY", "TRANSFORMATION", "AGGREGATION"]


@dataclass(frozen=True)
class ColumnOrigin:
    """A column that another is made of."""

    namespace: str
    name: str
    column: str

    how: Transformation


@dataclass(frozen=True)
class LineageDataset:
    """What is read or made, by OpenLineage's names."""

    namespace: str
    name: str

    columns: tuple[tuple[str, str, str], ...]
    """Of each its name, its type and what it is for."""

    origins: Mapping[str, tuple[ColumnOrigin, ...]] = field(default_factory=dict)
    """By column what it is made of."""


ReadAndMade = tuple[Sequence[LineageDataset], Sequence[LineageDataset]]


@dataclass(frozen=True)
class LineageJob:
    """What runs again and again."""

    lake: str
    """Its lake's URI."""

    name: str
    kind: Literal["BATCH", "STREAMING"]

    def run(self, identity: str) -> str:
        """The id of one of its runs, from what the ledger calls it: the same wherever it is told."""
        return str(uuid5(NAMESPACE_URL, f"{self.lake}#{self.name}/{identity}"))


@dataclass(frozen=True)
class LineageEvent:
    """That a run has come to a state."""

    state: LineageState
    at: datetime
    job: LineageJob
    run: str
    read: Sequence[LineageDataset]
    made: Sequence[LineageDataset]

    error: str = ""
    """The condition that it failed with."""


class Lineage:
    """This process's events. Who sends them is there within `sending`, and nobody else."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[LineageEvent | None] | None = None

    @contextmanager
    def sending(self, patience: float = PATIENCE) -> Iterator[None]:
        """Sends events to where the environment says; nothing where it says nothing.

        Raises CONFIG_INVALID where what sends them is not installed.
        """
        if not is_wanted(os.environ):
            yield
            return
        if find_spec("openlineage") is None:
            raise UserError(
                Condition.CONFIG_INVALID,
                f"OpenLineage's events are wanted ({VARIABLES[0]} or the like), and its client is not installed",
                detail="the packages of the extra 'lineage'",
                hint="pip install 'seamline[lineage]', or set OPENLINEAGE_DISABLED=true",
            )
        waiting = self._waiting = queue.Queue(MOST)
        thread = threading.Thread(target=_send, args=[waiting], name="lineage", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._waiting = None
            _end(thread, waiting, patience)

    @contextmanager
    def run(self, job: LineageJob, identity: str, datasets: Callable[[], ReadAndMade]) -> Iterator[None]:
        """A run, as long as the block lasts. `identity`: what the ledger calls it; `datasets`: asked at its beginning
        and at its end."""
        if self._waiting is None:
            yield
            return
        self._tell("START", job, identity, datasets)
        try:
            yield
        except BaseException as error:
            condition = error.condition if isinstance(error, SeamlineError) else Condition.UNEXPECTED
            stopped = condition in STOPPED or not isinstance(error, Exception)
            self._tell("ABORT" if stopped else "FAIL", job, identity, datasets, condition)
            raise
        self._tell("COMPLETE", job, identity, datasets)

    def _tell(
        self, state: LineageState, job: LineageJob, identity: str, datasets: Callable[[], ReadAndMade], error: str = ""
    ) -> None:
        waiting = self._waiting
        if waiting is None:
            return
        try:
            read, made = datasets()
            waiting.put_nowait(LineageEvent(state, system_clock(), job, job.run(identity), read, made, str(error)))
        except Exception as failed:  # noqa: BLE001 - whatever is wrong with what is told of a run, it goes on
            log.warning("%s of %s is not told as lineage: %s: %s", state, job.name, type(failed).__name__, failed)


def _end(thread: threading.Thread, waiting: queue.Queue[LineageEvent | None], patience: float) -> None:
    try:
        waiting.put_nowait(None)
        thread.join(patience)
    except queue.Full:
        pass  # told as what is left
    if thread.is_alive():
        log.warning("lineage: %d events or more could not be sent in time", max(1, waiting.qsize()))


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether OpenLineage's client would find where to send events."""
    if environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    named = any(value and name.startswith(VARIABLES) for name, value in environ.items())
    return named or any(file.expanduser().is_file() for file in FILES)


def _send(waiting: queue.Queue[LineageEvent | None]) -> None:
    """Sends what waits, one after another, until None. One that cannot be sent is told and given up."""
    client: Any = None
    while (event := waiting.get()) is not None:
        try:
            client = client or import_module(CLIENT).OpenLineage()
            client.send(event)
        except Exception as error:  # noqa: BLE001 - the endpoint's, or its configuration's: no run ends for it
            log.warning(
                "%s of %s could not be sent as lineage: %s: %s",
                event.state, event.job.name, type(error).__name__, str(error)[:300],
            )  # fmt: skip
    if client is not None:
        client.close()


LINEAGE = Lineage()
"""This process's."""
