"""What other users of the machine cannot look into: files by the umask, folders by their mode, temporary ones by both.

Whether the *group* may read and write is the user's own umask's affair: a lake that several users share is one of a
group's.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from seamline.errors import Condition, UserError

OTHERS = 0o007
FOLDER = 0o777 & ~OTHERS
HELD = "held"


def keep_others_out() -> None:
    """For a process's entry: nothing that it or its children make from here on is open to every user."""
    before = os.umask(OTHERS)
    os.umask(before | OTHERS)


def made(folder: Path) -> Path:
    """The folder, made where it is missing: without a way in for others, whatever stands in it."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    return folder


def put_whole(file: Path, text: str, mode: int | None = None) -> None:
    """Writes a small file in one step, its folder too where that is missing: a reader never sees half of it.

    mode: who may read it, at no moment more; None: as the umask says.
    """
    fresh = made(file.parent) / f".{file.name}.{os.getpid()}.tmp"
    if mode is not None:
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


FileStamp = tuple[int, int, int]
"""What tells one writing of a file from another."""


def stamp_of(file: Path) -> FileStamp:
    """A file's, as it stands now. Raises OSError where there is none."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def own_folder() -> Path:
    """This user's folder for temporary files. Its name can be guessed: whose it is is looked at, no link is followed.

    Raises UserError CONFIG_INVALID where something else stands there.
    """
    folder = Path(tempfile.gettempdir(), f"seamline-{os.getuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no folder"
        raise UserError(
            Condition.CONFIG_INVALID,
            f"{kind} of user {found.st_uid} stands where temporary files should go",
            detail="a folder of this user's",
            hint="remove it, or name another place for temporary files with TMPDIR",
            where=str(folder),
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def spill_folder() -> Path:
    """Where this process's kernels spill: a folder of its own, under a name that nobody knows before."""
    return _spill_of(os.getpid())


@cache
def _spill_of(pid: int) -> Path:
    return kept_while_alive(own_folder() / "spill")


def kept_while_alive(home: Path) -> Path:
    """A new folder in `home`, private, that is this process's until it ends; those of processes that ended are removed.

    A lock tells them apart, which ends with its process whichever way that ends, and holds between containers that
    share the folder but no process numbers. Raises OSError.
    """
    home.mkdir(mode=0o700, exist_ok=True)
    with _locked(home):
        for left in home.iterdir():
            if not _is_held(left):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=home))
        handle = os.open(folder / HELD, os.O_RDWR | os.O_CREAT, 0o600)  # open, and so locked, until the process ends
        fcntl.flock(handle, fcntl.LOCK_EX)
    return folder


def _is_held(folder: Path) -> bool:
    try:
        handle = os.open(folder / HELD, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@atexit.register
def _remove_spill() -> None:
    """Registered before the kernels' own ending, so it runs after that."""
    if _spill_of.cache_info().currsize:
        shutil.rmtree(spill_folder(), ignore_errors=True)


os.register_at_fork(after_in_child=_spill_of.cache_clear)
