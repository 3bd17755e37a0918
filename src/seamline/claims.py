"""Claims: one process writes a log. A lease and an OS lock come before the claim entry, which decides.

The lease says who holds a log and until when, so that a second process is refused at once and by name, and what its
holder waits for, so that anyone who sees the lake can tell. The OS lock tells a dead holder from a living one: it ends
with its process; only of a holder that is frozen, so that its lease runs out, the log is taken over its lock. What
keeps the ledger right is neither, but `ledger.Writer`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import obstore
import psutil
from filelock import FileLock, Timeout
from obstore.exceptions import BaseError

from seamline.attempts import new_attempt
from seamline.clock import Clock, system_clock
from seamline.entries.base import Claim
from seamline.entries.speed import Epoch
from seamline.errors import ConflictError, TransientError
from seamline.lake import Lake
from seamline.ledger import Log, Writer, writer_conflict
from seamline.objects import unavailable

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
"""How long a lease holds unless it is renewed; it is renewed three times as often."""


@dataclass(frozen=True)
class Stay:
    """Why what a holder would let go stays."""

    before: str
    """The event date, in ISO's form, before which it is past its time."""

    why: str
    help: str = ""
    """The command that helps; '' where it ends by itself."""

    def __str__(self) -> str:
        return f"event dates before {self.before} stay: {self.why}"


@dataclass(frozen=True)
class Lease:
    """Who holds a log."""

    holder: str
    host: str
    pid: int

    born: float
    """The process's start (seconds since 1970): process ids are used again."""

    until: str

    waits: str = ""
    """What keeps it from working; empty while it works."""

    since: str = ""
    """When that began."""

    stays: Mapping[str, Stay] = field(default_factory=dict)
    """By contract, why event dates that are past their retention stay in raw, as it looked last."""

    @property
    def named(self) -> str:
        """For people."""
        return f"{self.holder} on {self.host}, pid {self.pid}"

    def is_over(self, now: datetime) -> bool:
        """Whether it ran out, or its process on this machine is gone."""
        if datetime.fromisoformat(self.until) <= now:
            return True
        return self._is_gone

    def is_frozen(self, now: datetime) -> bool:
        """Whether it ran out though its process, as far as can be seen from here, is still there."""
        return datetime.fromisoformat(self.until) <= now and not self._is_gone

    @property
    def _is_gone(self) -> bool:
        return self.host == socket.gethostname() and _born(self.pid) != self.born


class Holder(Writer):
    """The writer of a log while its lease is renewed."""

    lease: _Renewal

    def tell(self, waits: str) -> None:
        """Says in the lease what this process waits for; nothing, once it works again. Thread-safe."""
        self.lease.tell(waits)

    def tell_stays(self, stays: Mapping[str, Stay]) -> None:
        """The same of what stays though its time is over."""
        self.lease.tell_stays(stays)


@contextmanager
def claim(lake: Lake, log: Log, role: str, clock: Clock = system_clock, lease: timedelta = LEASE) -> Iterator[Holder]:
    """The one writer of `log` for the time of the block; `role` is how a refusal names the holder.

    Raises ConflictError WRITER_CONFLICT, which names the holder and where it stands, while another process holds it.
    """
    with _claimed(lake, log, _own(role), clock, lease) as writer:
        yield writer


@contextmanager
def _claimed(lake: Lake, log: Log, mine: Lease, clock: Clock, lease: timedelta) -> Iterator[Holder]:
    lock = lake.lock(log.name)
    free = _acquired(lock)
    try:
        held, now = read_lease(lake, log), clock()
        # who has the lock and no lease is about to write one
        if (held is not None and not held.is_over(now)) if free else (held is None or not held.is_frozen(now)):
            raise _refused(log, held)
        waiting = _read(lake, _path_of_next(log))
        if _is_anothers(waiting, mine, now):
            raise _refused(log, waiting)
        _write(lake, _path(log), mine, clock() + lease)
        try:
            writer = Holder.take(log, Claim(at=clock(), holder=mine.named))
        except ConflictError as error:
            raise _refused(log, read_lease(lake, log)) from error
        writer.lease = _Renewal(lake, log, mine, clock, lease)
        with writer.lease.kept():
            yield writer
    finally:
        if lock is not None:
            lock.release()


def read_lease(lake: Lake, log: Log) -> Lease | None:
    """The lease of a log as it stands, or None (a damaged one counts as none: it is advisory)."""
    return _read(lake, _path(log))


def is_claimed(lake: Lake, log: Log, clock: Clock = system_clock) -> bool:
    """Whether a living process seems to hold a log: for people and for choosing a way, never for correctness."""
    held = read_lease(lake, log)
    return held is not None and not held.is_over(clock())


@contextmanager
def claim_between(
    lake: Lake, log: Log, role: str, passing: str, seconds: float, clock: Clock = system_clock
) -> Iterator[Holder]:
    """`claim`, where holders of the role `passing` come and go: the first moment between two of them is this one's.

    While it waits it says so beside the lease, and no other takes the log meanwhile: else those who come back at once
    could keep it waiting for ever. Raises WRITER_CONFLICT where another role holds the log or waits for it: at once, as
    a ConflictError. Where the holder held on for `seconds`, as a TransientError: such a holder is soon gone.
    """
    mine, deadline = _own(role), time.monotonic() + seconds
    with ExitStack() as held:
        try:
            while True:
                try:
                    writer = held.enter_context(_claimed(lake, log, mine, clock, LEASE))
                    break
                except ConflictError as error:
                    _wait_for(lake, log, mine, passing, clock() + timedelta(seconds=seconds) + LEASE, clock, error)
                    if time.monotonic() > deadline:
                        raise TransientError(
                            error.condition, error.message, hint=error.hint, where=error.where
                        ) from error
                time.sleep(0.05)
        finally:
            _drop(lake, _path_of_next(log), mine)
        yield writer


def _wait_for(
    lake: Lake, log: Log, mine: Lease, passing: str, until: datetime, clock: Clock, refused: ConflictError
) -> None:
    """Says that `mine` is next; raises `refused` where the holder does not go by itself, or where another is next."""
    now, path = clock(), _path_of_next(log)
    waiting = _read(lake, path)
    if _is_anothers(waiting, mine, now) or not _is_passing(read_lease(lake, log), passing, now):
        raise refused
    if waiting is None or waiting.holder != mine.holder:  # once: it holds for longer than this waits
        _write(lake, path, mine, until)


def _is_anothers(waiting: Lease | None, mine: Lease, now: datetime) -> bool:
    """Whether somebody else is next, whose process is there."""
    return waiting is not None and waiting.holder != mine.holder and not waiting.is_over(now)


def _is_passing(held: Lease | None, passing: str, now: datetime) -> bool:
    """Whether a holder goes by itself: it is of that role, or is about to write its lease, or has just dropped it."""
    return held is None or held.is_over(now) or held.holder.startswith(f"{passing}-")


class _Renewal:
    """Renews a lease until its block ends, then drops it, unless another process took the log over."""

    def __init__(self, lake: Lake, log: Log, mine: Lease, clock: Clock, lease: timedelta) -> None:
        self._lake = lake
        self._log = log
        self._mine = mine
        self._clock = clock
        self._lease = lease
        self._mutex = threading.Lock()

    @property
    def told(self) -> Lease:
        """The lease as this process has it."""
        return self._mine

    def tell(self, waits: str) -> None:
        with self._mutex:
            before = self._mine
            since = (before.since or self._clock().isoformat()) if waits else ""
            self._say(replace(before, waits=waits, since=since))

    def tell_stays(self, stays: Mapping[str, Stay]) -> None:
        with self._mutex:
            self._say(replace(self._mine, stays=dict(stays)))

    def _say(self, now: Lease) -> None:
        before, self._mine = self._mine, now
        if now != before:
            self._write()

    @contextmanager
    def kept(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._renew, args=[ended], name=f"lease {self._log.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            _drop(self._lake, _path(self._log), self._mine)

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(self._lease.total_seconds() / 3):
            with self._mutex:
                if not self._write():
                    return

    def _write(self) -> bool:
        """False, and nothing written, where the lease is another's by now. A store that fails is tried again later."""
        try:
            mine = _is_mine(self._lake, _path(self._log), self._mine)
            if mine:
                _write(self._lake, _path(self._log), self._mine, self._clock() + self._lease)
        except (BaseError, TransientError) as error:
            logger.warning("the lease of %s is not renewed: %s", self._log.name, error)
            return True
        return mine


def _own(role: str) -> Lease:
    """This process's, under a name that no other has."""
    return Lease(f"{role}-{new_attempt()[:8]}", socket.gethostname(), os.getpid(), _born(os.getpid()), "")


def _read(lake: Lake, path: str) -> Lease | None:
    try:
        raw: dict[str, Any] = json.loads(bytes(obstore.get(lake.store, path).bytes()))
        return Lease(**{**raw, "stays": {name: Stay(**one) for name, one in raw.get("stays", {}).items()}})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def _write(lake: Lake, path: str, lease: Lease, until: datetime) -> None:
    payload = json.dumps({**asdict(lease), "until": until.isoformat()}).encode()
    try:
        obstore.put(lake.store, path, payload)
    except BaseError as error:
        raise unavailable(error, path) from error


def _drop(lake: Lake, path: str, mine: Lease) -> None:
    with suppress(BaseError):  # what ended the block says more; the lease runs out
        if _is_mine(lake, path, mine):
            obstore.delete(lake.store, path)


def _is_mine(lake: Lake, path: str, mine: Lease) -> bool:
    held = _read(lake, path)
    return held is not None and held.holder == mine.holder


def _path(log: Log) -> str:
    return Lake.lease_path(log.name)


def _path_of_next(log: Log) -> str:
    """Where who waits for a log says so."""
    return Lake.lease_path(f"{log.name}.next")


def _acquired(lock: FileLock | None) -> bool:
    """Whether no other process has the lock; this one has it then, where there is one."""
    if lock is not None:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
    return True


def _refused(log: Log, held: Lease | None) -> ConflictError:
    """WRITER_CONFLICT with who holds it, or is next, and the last epoch or entry that was put."""
    last = log.last()
    newest = log.read(last) if last else None
    at = f"epoch {newest.number}, entry {last}" if isinstance(newest, Epoch) else f"entry {last}"
    return writer_conflict(log.name, f"{held.named if held else 'its lease is gone'}; {at}", last)


def _born(pid: int) -> float:
    """When a process started; 0 where there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
