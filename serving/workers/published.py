"""Which snapshots workers are given, and whose files must stand for it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from seamline.errors import Condition, TransientError
from seamline.serving.snapshot import Snapshot
from seamline.serving.workers.index import Index, index
from seamline.serving.workers.shared import SharedValues


class ServedSnapshots:
    """The newest snapshot, and past ones for as long as somebody is being given them. Safe to share between threads.

    A worker maps all of a snapshot when it is given it, so the files need not stand any longer than that.
    """

    def __init__(self, shared: SharedValues) -> None:
        self._shared = shared
        self._writing = threading.Lock()  # held while files are written: never by the event loop
        self._lock = threading.Lock()  # held for microseconds
        self._current: Index | None = None
        self._lent: Counter[Index] = Counter()

    def now(self, snapshot: Snapshot) -> None:
        """The newest from here on; files that nobody needs any more are removed. Raises STORE_UNAVAILABLE."""
        with self._writing:
            made = index(snapshot, self._shared.put)
            with self._lock:
                self._current = made
                needed = frozenset(path for one in (made, *self._lent) for path in one.paths)
            self._shared.keep(needed)

    @property
    def newest(self) -> Index | None:
        """The newest; None before the first."""
        return self._current

    def current(self) -> Index:
        """The newest. Raises VIEW_NOT_READY before the first."""
        if self._current is None:
            raise TransientError(
                Condition.VIEW_NOT_READY, "the first snapshot is being loaded", hint="ask again in a moment"
            )
        return self._current

    def lent(self) -> AbstractContextManager[Index]:
        """The newest: its files stand inside the block. Raises like `current`."""
        with self._lock:
            found = self.current()
            self._lent[found] += 1
        return self._until_given(found)

    def also(self, snapshot: Snapshot) -> AbstractContextManager[Index]:
        """Another: its files stand until the end of the block. Raises STORE_UNAVAILABLE."""
        with self._writing:
            made = index(snapshot, self._shared.put)
            with self._lock:
                self._lent[made] += 1
        return self._until_given(made)

    def close(self) -> None:
        """Removes all files."""
        with self._writing:
            self._shared.close()

    @contextmanager
    def _until_given(self, one: Index) -> Iterator[Index]:
        try:
            yield one
        finally:
            with self._lock:
                self._lent[one] -= 1
                if not self._lent[one]:
                    del self._lent[one]
