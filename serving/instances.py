"""The DuckDBs that run users' SQL: each can open the files of one snapshot, its own spill folder, and nothing else.

What an instance may open is fixed when it is made, so another batch version needs another one (20 ms; the role makes it
when it sees the version). Only STANDING of them stand at a time, each with the kernel's limits; one that no query uses
makes room.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from seamline.errors import Condition, TransientError
from seamline.kernel import Limits, connect
from seamline.private import spill_folder
from seamline.serving.cursor import Cursor
from seamline.serving.functions import statements

STANDING = 3
"""The newest snapshot's, one that queries of a former version still use, one as of a past epoch."""

KEPT = 8
"""Idle cursors that an instance keeps."""

FEW_THREADS = {"async_threads": "1"}
"""DuckDB begins eight for reading ahead, each with a stack that counts as a process's memory."""

FileNames = frozenset[str]


class Instance:
    """One hardened DuckDB, and its cursors; `users` have one of them now."""

    def __init__(self, limits: Limits, files: FileNames, settings: Sequence[str] = ()) -> None:
        self.users = 0
        self._spill = tempfile.mkdtemp(dir=spill_folder())  # what other kernels of this process spill is not seen
        self._root = connect(replace(limits, files=tuple(sorted(files)), spill=self._spill), settings, FEW_THREADS)
        for made in statements():  # cursors share the root's catalogue
            self._root.execute(made)
        self._idle: list[Cursor] = []

    def take(self, names: frozenset[str]) -> Cursor:
        """A cursor with no views but, perhaps, these."""
        self.users += 1
        fitting = [number for number, one in enumerate(self._idle) if one.names <= names]
        return self._idle.pop(fitting[-1]) if fitting else Cursor(self._root.cursor())

    def give(self, cursor: Cursor) -> None:
        """Takes a cursor back."""
        self.users -= 1
        self._idle.append(cursor)
        if len(self._idle) > KEPT:
            self._idle.pop(0).close()

    def close(self) -> None:
        """Ends it; no query may run any more."""
        for cursor in self._idle:
            cursor.close()
        self._root.close()
        shutil.rmtree(self._spill, ignore_errors=True)


class Instances:
    """Hands out cursors of instances, by the files that they may open. Safe to share between threads."""

    def __init__(self, limits: Limits, seconds: float, settings: Sequence[str] = ()) -> None:
        self._limits = limits
        self._settings = settings
        self._seconds = seconds
        self._standing: dict[FileNames, Instance] = {}  # the one used last is the last
        self._changed = threading.Condition()

    @contextmanager
    def cursor(self, files: FileNames, names: frozenset[str]) -> Iterator[Cursor]:
        """A cursor for one query over views of these names. Raises STORE_UNAVAILABLE where none becomes free."""
        with self._changed:
            instance = self._instance(files)
            cursor = instance.take(names)
        try:
            yield cursor
        finally:
            with self._changed:
                instance.give(cursor)
                self._changed.notify_all()

    def prepare(self, files: FileNames) -> None:
        """Makes the instance that a new snapshot needs, where there is room for it: its first query need not wait."""
        with self._changed:
            if files in self._standing:
                return
        made = Instance(self._limits, files, self._settings)  # queries go on meanwhile
        with self._changed:
            if files not in self._standing and self._room():
                self._standing[files] = made
                return
        made.close()

    def close(self) -> None:
        """Ends all."""
        with self._changed:
            for one in self._standing.values():
                one.close()
            self._standing.clear()

    def _instance(self, files: FileNames) -> Instance:
        until = time.monotonic() + self._seconds
        while files not in self._standing and not self._room():
            if not self._changed.wait(max(0.0, until - time.monotonic())):
                raise TransientError(
                    Condition.STORE_UNAVAILABLE, "queries over other batch versions, or as of other epochs, still run",
                    detail=f"{STANDING} different ones at a time", hint="ask again",
                )  # fmt: skip
        found = self._standing.pop(files, None) or Instance(self._limits, files, self._settings)
        self._standing[files] = found
        return found

    def _room(self) -> bool:
        """Whether one more may stand; the one that was not used for longest makes room."""
        if len(self._standing) >= STANDING:
            idle = [files for files, one in self._standing.items() if not one.users]
            if not idle:
                return False
            self._standing.pop(idle[0]).close()
        return True
