"""A lake's folder on a disk: what must outlast a power loss is written through, and a new name appears at once or not.

A name is given by a link: the bytes are whole and durable before they can be found. Object stores need none of this.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

AT_ONCE = 16
"""Syncs under way at one time: a disk answers many with one flush, where one after the other waits for each."""


class Disk:
    """The folder of one lake. Paths are relative to it. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._named = {root}  # folders whose own names are durable

    def put_new(self, path: str, payload: bytes) -> bool:
        """Makes a file, durable when this returns; False, and nothing changed, where one stands there."""
        final = self.root / path
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = final.parent / f".{final.name}.{uuid4().hex}"  # where it dies, a name that no log reads
        try:
            with partial.open("xb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(partial, final)
            except FileExistsError:
                return False
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
        self._sync(set(), {final.parent})
        return True

    def sync(self, paths: Iterable[str]) -> None:
        """Makes files that stand, whoever wrote them, durable, and the folders that name them."""
        files = {self.root / path for path in paths}
        if files:
            self._sync(files, {file.parent for file in files})

    def paths(self, prefix: str) -> list[str]:
        """The paths of all files below a folder, in no order. A tenth of what a store takes, which asks for their sizes
        and times."""

        def failed(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        at = len(str(self.root)) + 1
        found = os.walk(self.root / prefix, onerror=failed)
        return [os.path.join(folder, name)[at:] for folder, _, names in found for name in names]

    def set_aside(self, path: str, payload: bytes) -> None:
        """Renames a file that holds just `payload`, so that its name is free again; nothing where it is another by now.

        Only who has locked the very file that the name stands for may rename it: two that do this at once never take
        away what one of them has put in its place.
        """
        final = self.root / path
        with suppress(FileNotFoundError), final.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), final.stat()) and file.read() == payload:
                final.rename(final.parent / f".{final.name}.torn-{uuid4().hex}")
                self._sync(set(), {final.parent})

    def _sync(self, files: set[Path], folders: set[Path]) -> None:
        """Files, folders, and those that hold the name of a folder which this process has not seen durable yet."""
        chain = {up for folder in folders for up in (folder, *folder.parents) if up.is_relative_to(self.root)}
        new = chain - self._named
        wanted = [*files, *(folders | {up.parent for up in new})]
        if len(wanted) == 1:
            _sync(wanted[0])
        else:
            list(_side_by_side().map(_sync, wanted))
        self._named |= new


@cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sync")


@cache
def disk(root: Path) -> Disk:
    """The disk of a lake's folder: one in a process, which remembers what it has made durable."""
    return Disk(root)


os.register_at_fork(after_in_child=_side_by_side.cache_clear)  # threads stay with the parent


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
