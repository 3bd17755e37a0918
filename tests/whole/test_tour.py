"""The README's tour, as a user does it: a real broker, real Spark, every role a process."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from places import ROOT
from waiting import wait_until

BLOCK = re.compile(r"<!-- (?P<mark>\w+) -->\n```sh\n(?P<text>.*?)```", re.DOTALL)
STARTED = 120
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SEAMLINE_PROJECT")},
    "SEAMLINE_SERVING__PORT": "0",
    "SEAMLINE_SPARK__DRIVER_MEMORY": "600m",
}


def steps(mark: str) -> list[list[str]]:
    """The lines of the tour's blocks that bear a mark, block by block."""
    found = BLOCK.finditer((ROOT / "README.md").read_text())
    return [block["text"].strip().splitlines() for block in found if block["mark"] == mark]


class User:
    """Types commands in the project's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def types(self, line: str) -> str:
        """Runs one line of the tour; returns what it printed."""
        words = shlex.split(line)
        assert words[0] == "seamline"
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.folder, env=ENV, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    def asks(self, what: str) -> Any:
        """The orders counted, or what another command says as JSON; None where it cannot be said yet."""
        command = [sys.executable, "-m", "seamline", *shlex.split(what)]
        done = subprocess.run(command, cwd=self.folder, env=ENV, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def counted(self) -> int | None:
        rows = self.asks('query "SELECT sum(orders) AS n FROM orders_by_hour" --format json')
        return int(rows[0]["n"]) if rows and rows[0]["n"] is not None else None

    def version(self) -> tuple[str, int | None]:
        view = self.asks("status --json")["views"]["orders_by_hour"]
        return view["definition"], view["version"]

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        """`seamline up` in a terminal of its own, until Ctrl-C; it must end cleanly."""
        with (self.folder / "up.log").open("ab") as log:
            command = [sys.executable, "-m", "seamline", "up"]
            running = subprocess.Popen(command, cwd=self.folder, env=ENV, stderr=log, start_new_session=True)
        try:
            wait_until(self.runs, STARTED, f"every role runs: {(self.folder / 'up.log').read_text()}")
            yield running
            running.send_signal(signal.SIGINT)
            assert running.wait(90) == 0, (self.folder / "up.log").read_text()
        finally:
            running.kill()

    def runs(self) -> bool:
        status = self.asks("status --json")
        return bool(status and status["roles"]) and all(r["state"] == "running" for r in status["roles"])


@pytest.mark.broker
@pytest.mark.spark
@pytest.mark.timeout(900)
def test_the_tour_leads_where_it_says(tmp_path: Path) -> None:
    prepare = "\n".join(line for block in steps("run") for line in block)
    script = f'set -e\nseamline() {{ {shlex.quote(sys.executable)} -m seamline "$@"; }}\n{prepare}\n'
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=ENV, check=True, capture_output=True)
    user = User(tmp_path / "shop")
    (start,), (replay, query, status), (apply, again, refresh, views) = steps("stack")
    assert start == "seamline up"

    with user.up():
        user.types(replay)
        wait_until(lambda: user.counted() == 3, STARTED, "three orders are counted")
        assert "batch version" in user.types(query)
        assert "5 read = 3 counted + 1 rejected + 1 copies" in user.types(status)
        wait_until(lambda: user.version()[1] is not None, STARTED, "the scheduler publishes the first version")
        assert user.counted() == 3
        refused = subprocess.run([sys.executable, "-m", "seamline", "up"], cwd=user.folder, env=ENV, check=False)
        assert refused.returncode == 4
        before = user.version()

    with user.up():
        assert user.counted() == 3
        view = user.folder / "views" / "orders_by_hour.sql"
        view.write_text(view.read_text().replace("FROM orders\n", "FROM orders WHERE amount >= 10\n", 1))
        user.types(apply)
        definition, version = user.version()
        assert definition == before[0] or version is not None, "the old one serves until the new one has its version"
        user.types(again)
        user.types(refresh)
        wait_until(lambda: user.version()[0] != before[0], STARTED, "the new definition is switched to")
        wait_until(lambda: user.counted() == 4, STARTED, "the new definition covers all of history")
        assert "served" in user.types(views)
        # by name: the scheduler may have published another version of the new definition meanwhile
        user.types(f"seamline views rollback orders_by_hour --definition {before[0]} --version {before[1]}")
        assert user.version()[0] == before[0]
        wait_until(lambda: user.counted() == 6, STARTED, "the old definition went on being kept")
