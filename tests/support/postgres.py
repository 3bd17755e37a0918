"""Debian's PostgreSQL 15, as the oracle of what its clients are told: one server a run, of an unprivileged user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

HINT = "PostgreSQL 15 is not on this machine: 'make postgres' installs it where apt-get does (as root)"


def binaries() -> Path:
    """The folder of `initdb` and `postgres`; fails with what to do where there is none."""
    on_path = shutil.which("initdb")
    found = [*Path("/usr/lib/postgresql").glob("15/bin"), *([Path(on_path).parent] if on_path else [])]
    assert found, HINT
    return found[0]


@contextmanager
def running_postgres() -> Iterator[int]:
    """A server with nothing in it; its port on 127.0.0.1. Anybody may log in."""
    at = binaries()
    with TemporaryDirectory(prefix="seamline-postgres-") as made:  # pytest's own folders let nobody else pass
        folder = Path(made)
        if os.getuid() == 0:
            shutil.chown(folder, "nobody")
        data, port = folder / "data", _free_port()
        options = ["-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        _run([str(at / "initdb"), *options])
        control = [str(at / "pg_ctl"), "-D", str(data), "-w"]
        settings = f"-p {port} -k '' -c fsync=off -c listen_addresses=127.0.0.1 -c TimeZone=UTC"
        _run([*control, "-l", str(folder / "log"), "-o", settings, "start"])
        try:
            yield port
        finally:
            _run([*control, "-m", "immediate", "stop"])


def _run(command: list[str]) -> None:
    """As somebody who is not root, whom the server would refuse."""
    who = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    subprocess.run([*who, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
