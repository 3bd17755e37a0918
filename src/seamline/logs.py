"""What a process logs: to stderr, and into a new file where its own was deleted or moved away."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from seamline.private import made

LOG = "SEAMLINE_LOG"
"""The variable that tells a child where its output goes."""


class Lasting(logging.StreamHandler[TextIO]):
    """A handler whose file may be deleted, or moved away, while it is written to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line; where the log is gone, into a new one."""
        restore_log()
        super().emit(record)


def log_to_stderr() -> None:
    """One line an event, in UTC; chatty libraries only from warnings on."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(handlers=[Lasting(sys.stderr)], level=logging.WARNING, format=form, force=True)
    logging.Formatter.converter = time.gmtime
    logging.getLogger("seamline").setLevel(logging.INFO)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it says each try; what it comes to, we say ourselves


def restore_log() -> None:
    """For a child: where its log was deleted or moved away, what it writes from here on goes to a new one."""
    named = os.environ.get(LOG)
    if named is None or _is_output(Path(named)):
        return
    made(Path(named).parent)
    handle = os.open(named, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _is_output(log: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(2), log.stat())
    except FileNotFoundError:
        return False
