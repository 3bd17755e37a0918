"""Where workers come from: a process that has loaded all they need, has no thread and no DuckDB, and forks.

A worker so begins in 20 ms, where a new Python takes half a second. The forge is told over a socket: for a new worker
it is handed that worker's own socket, and it ends and buries those that are to go. It ends with its parent, and they
with it.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from seamline.errors import Condition, TransientError
from seamline.serving.workers.worker import Bounds, work

ALONE = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Keeps numpy and Arrow's allocator from beginning threads: a process that forks is to have none but its own."""

_LONGEST = 1 << 16


class Forge:
    """The process, as its parent sees it. Calls wait for it, milliseconds; one thread calls at a time."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ALONE},
            )

    def make(self) -> tuple[int, socket.socket]:
        """A new worker: its number as a process, and this side of its socket. Raises PROCESS_FAILED where the forge is
        gone."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._socket, [pickle.dumps(self._bounds)], [theirs.fileno()])
            return json.loads(self._socket.recv(_LONGEST) or b"0") or self._gone(), ours
        except OSError:
            ours.close()
            raise _lost() from None

    def end(self, pid: int) -> None:
        """Kills a worker: whatever it is at, it is not there any more."""
        with suppress(OSError):
            self._socket.send(json.dumps(pid).encode())

    def close(self) -> None:
        """Ends it, and all that came of it."""
        self._socket.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _gone(self) -> int:
        raise _lost()


def _lost() -> TransientError:
    message, hint = "the process that makes workers has ended", "ask again; the role's log says why"
    return TransientError(Condition.PROCESS_FAILED, message, hint=hint)


def main(parent: socket.socket) -> None:
    """Makes and ends workers until the parent is gone."""
    children = set[int]()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # the parent's affair: it finishes what is running
    try:
        while True:
            ready, _, _ = select.select([parent], [], [], 1.0)
            if ready:
                data, given, *_ = socket.recv_fds(parent, _LONGEST, 1)
                if not data:
                    return
                if given:
                    pid = _forked(parent, given[0], pickle.loads(data))  # noqa: S301 - the parent's own
                    children.add(pid)
                    parent.send(json.dumps(pid).encode())
                elif (pid := int(json.loads(data))) in children:
                    os.kill(pid, signal.SIGKILL)  # a child that nobody buried keeps its number
            children -= _buried(children)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def _forked(parent: socket.socket, handle: int, bounds: Bounds) -> int:
    pid = os.fork()
    if pid:
        os.close(handle)
        return pid
    try:
        parent.close()
        work(socket.socket(fileno=handle), bounds)
    finally:
        os._exit(0)


def _buried(children: set[int]) -> set[int]:
    return {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}


if __name__ == "__main__":
    with suppress(ConnectionError):
        main(socket.socket(fileno=int(sys.argv[1])))
