"""The page of one process that Prometheus reads, and where it is to be found.

The server's thread waits for a request and for nothing else: a process at rest is not woken. Each process writes its
address into `.seamline/metrics/<process>.json` in the form of Prometheus' `file_sd_configs`, so that one pattern finds
them all, on whatever ports they are.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET6, create_connection

import psutil
from prometheus_client import MetricsHandler

from seamline.addresses import reached_at
from seamline.config import MetricsSection
from seamline.errors import Condition, UserError
from seamline.observe.meters import METERS
from seamline.private import made, put_whole

FOLDER = "metrics"
"""In the project's .seamline."""

PID = "__pid"
"""A label that Prometheus drops: the process, by which an address that nobody serves any more is known."""


class _Handler(MetricsHandler):
    registry = METERS.registry
    timeout = 10  # seconds that a client may take


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = AF_INET6


@contextmanager
def metrics_page(settings: MetricsSection, state: Path, process: str) -> Iterator[None]:
    """Serves this process's figures while the block lasts, where that is wanted. `state`: the project's .seamline.

    Raises INPUT_INVALID where the port is taken.
    """
    if not settings.enabled:
        yield
        return
    server = _listening(settings)
    ended = threading.Event()
    thread = threading.Thread(target=_serve, args=[server, ended], name="metrics", daemon=True)
    thread.start()
    told = _tell(server, made(state / FOLDER) / f"{process}.json", process)
    try:
        yield
    finally:
        told.unlink(missing_ok=True)
        ended.set()
        with suppress(OSError), create_connection((settings.host, server.server_port), timeout=1):
            pass  # it wakes the thread
        thread.join(5)
        server.server_close()


def addresses(state: Path) -> dict[str, str]:
    """By process the page of each that runs on this machine."""
    found = {}
    for file in sorted((state / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, LookupError):  # ended meanwhile
            said = json.loads(file.read_text(encoding="utf-8"))[0]
            if _runs(int(said["labels"][PID]), file.stat().st_mtime):
                found[file.stem] = f"http://{said['targets'][0]}/metrics"
    return found


def _runs(pid: int, told: float) -> bool:
    """Whether the process is there that told its address then: numbers are used again."""
    try:
        return bool(psutil.Process(pid).create_time() <= told + 1)
    except psutil.Error:
        return False


def _serve(server: _Server, ended: threading.Event) -> None:
    while not ended.is_set():
        server.handle_request()


def _listening(settings: MetricsSection) -> _Server:
    kind = _Server6 if ":" in settings.host else _Server
    try:
        return kind((settings.host, settings.port), _Handler)
    except OSError as error:
        raise UserError(
            Condition.INPUT_INVALID,
            f"cannot serve metrics on {settings.host}:{settings.port}: {error.strerror}",
            detail="a free port for each process",
            hint="stop what listens there, or set metrics.port (0 takes a free one)",
        ) from error


def _tell(server: _Server, file: Path, process: str) -> Path:
    host, port = server.server_address[:2]
    target = reached_at(str(host), int(port))
    put_whole(file, json.dumps([{"targets": [target], "labels": {"process": process, PID: str(os.getpid())}}]) + "\n")
    return file
