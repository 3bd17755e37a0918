"""Which files of a folder are opened meanwhile, as the operating system tells."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_OPEN, IN_Q_OVERFLOW, IN_NONBLOCK = 0x20, 0x4000, 0x800
HEAD = struct.Struct("iIII")


@contextmanager
def opened(folder: Path) -> Iterator[Counter[str]]:
    """Counts the times each file below the folder is opened, by name, by any process; they are known after the block.
    Folders that are made meanwhile are not watched."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(IN_NONBLOCK)
    if watch < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    found = Counter[str]()
    try:
        for one in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            if libc.inotify_add_watch(watch, os.fsencode(one), IN_OPEN) < 0:
                raise OSError(ctypes.get_errno(), f"inotify_add_watch {one}")
        yield found
        found.update(_names(watch))
    finally:
        os.close(watch)


def _names(watch: int) -> Iterator[str]:
    while True:
        try:
            data = os.read(watch, 1 << 20)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            _, mask, _, length = HEAD.unpack_from(data, at)
            name = data[at + HEAD.size : at + HEAD.size + length].rstrip(b"\0").decode()
            at += HEAD.size + length
            if mask & IN_Q_OVERFLOW:
                raise OverflowError("more files were opened than the kernel remembered")
            if name.endswith(".parquet"):
                yield name
