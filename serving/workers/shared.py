"""What workers share: each Arrow table of a snapshot is written once, into memory that they map.

The folder lies on /dev/shm, or on disk where there is no such place, or no room. Names of files are never used again,
and a file that is removed stays readable for whoever has mapped it.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, TransientError
from seamline.private import kept_while_alive, own_folder

MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it, under this user's name

_log = logging.getLogger("seamline.serving")


class SharedValues:
    """The files of one process's snapshots. One thread puts at a time.

    A value is known by its identity, and stays alive as long as its file stands.
    """

    def __init__(self, memory: Path = MEMORY) -> None:
        self._folder = _folder(memory)
        self._disk: Path | None = None
        self._standing: dict[int, tuple[Any, Path]] = {}
        self._number = 0

    def put(self, value: Any) -> Path:
        """The file of an Arrow table, or of anything else as a pickle; it is written where it does not stand yet."""
        known = self._standing.get(id(value))
        if known is not None and known[1].exists():  # somebody may have cleared the place
            return known[1]
        self._number += 1
        path = self._written(f"{self._number}", _table if isinstance(value, pa.Table) else _pickled, value)
        self._standing[id(value)] = value, path
        return path

    def keep(self, paths: frozenset[Path]) -> None:
        """Removes all files but these."""
        for key, (_, path) in list(self._standing.items()):
            if path not in paths:
                del self._standing[key]
                path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of what stands."""
        return sum(path.stat().st_size for _, path in self._standing.values())

    def close(self) -> None:
        """Removes all."""
        self._standing.clear()
        for folder in (self._folder, self._disk):
            if folder is not None:
                rmtree(folder, ignore_errors=True)

    def _written(self, name: str, write: Callable[[Any, Path], None], value: Any) -> Path:
        path = self._folder / name
        try:
            write(value, path)
        except OSError as error:
            path.unlink(missing_ok=True)
            if self._folder == self._disk:
                raise TransientError(
                    Condition.STORE_UNAVAILABLE,
                    f"no room for what workers share: {error}",
                    hint="make room",
                    where=str(path),
                ) from error
            self._to_disk(error)
            return self._written(name, write, value)
        return path

    def _to_disk(self, error: OSError) -> None:
        """From now on; what stands, stays."""
        _log.warning("workers share snapshots through the disk: %s", error)
        self._disk = self._disk or kept_while_alive(own_folder() / "shared")
        self._folder = self._disk


def load(path: str) -> Any:
    """What was put there: a table is mapped, not read."""
    with open(path, "rb") as file:
        if file.read(6) != b"ARROW1":
            file.seek(0)
            return pickle.load(file)  # noqa: S301 - the parent process's own, in a private folder
    return pa.ipc.open_file(pa.memory_map(path)).read_all()


def _folder(memory: Path) -> Path:
    """This process's folder. What processes that ended left is removed."""
    try:
        home = memory / own_folder().name
        found = kept_while_alive(home) if memory.is_dir() and _is_own(home) else None
    except OSError as error:
        found = None
        _log.warning("workers share snapshots through the disk: %s", error)
    return found or kept_while_alive(own_folder() / "shared")


def _is_own(home: Path) -> bool:
    """Whether a folder of this name is this user's alone, or is not there."""
    try:
        home.mkdir(mode=0o700)
    except FileExistsError:
        said, own = home.lstat(), own_folder().lstat()
        return said.st_uid == own.st_uid and said.st_mode == own.st_mode
    return True


def _table(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _pickled(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
