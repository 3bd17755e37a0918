"""Upkeep of an archive's log by its one writer: snapshots of it, and the removal of what they hold."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from seamline.clock import Clock
from seamline.commitpoint import reach
from seamline.history.archive import ArchiveHistory
from seamline.ledger import HELD_GRACE, Writer

SNAPSHOT_EVERY = 64
"""Entries after which the next snapshot is put. With HELD_GRACE it says how many stand: at most some hundreds."""


class Snapshots:
    """Puts snapshots of a log, and removes what they hold a while later.

    What changes, by `keep` alone: the snapshots that stand, as far as this process knows, with the times of their puts.
    """

    def __init__(self, history: ArchiveHistory, writer: Writer, clock: Clock, every: int = SNAPSHOT_EVERY) -> None:
        self._history = history
        self._writer = writer
        self._clock = clock
        self._every = every
        known = history.snapshot
        self._put: deque[tuple[int, datetime]] = deque([(known[0], known[1].at)] if known else [])

    def keep(self) -> None:
        """Puts the next snapshot, and removes entries, where it is time. Raises WRITER_CONFLICT.

        A listing of the log for each snapshot; what else it takes follows the entries since the one before.
        """
        if self._history.begun and self._history.after_snapshot() >= self._every:
            now = self._clock()
            number = self._writer.put(self._history.summed(self._writer.claim, now))
            reach("snapshot.after-entry")
            self._history.catch_up()
            self._put.append((number, now))
        held = 0
        while self._put and self._clock() - self._put[0][1] > HELD_GRACE:
            held = self._put.popleft()[0]
        if held:
            self._remove(held)

    def _remove(self, below: int) -> None:
        """All that stands below a snapshot, but for claims: what a writer that slept may have put there, too."""
        claims = set(self._history.claims)
        log = self._history.log
        log.remove_all(number for number in log.numbers() if number < below and number not in claims)
