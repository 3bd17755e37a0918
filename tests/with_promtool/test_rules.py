"""The rules of deploy/observability/, by Prometheus' own tester: `make test-rules`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parents[2] / "deploy" / "observability"
RULES, TESTS = (sorted((HERE / kind).glob("*.yml")) for kind in ("rules", "tests"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seamline"
TOOLS = Path(os.environ.get("SEAMLINE_HOME", CACHE)) / "tools"


@pytest.mark.parametrize("command", [["check", "rules", *RULES], ["test", "rules", *TESTS]], ids=["check", "test"])
def test_the_rules_are_prometheus_own_and_call_when_they_should(command: list[Any]) -> None:
    promtool = shutil.which("promtool", path=f"{TOOLS}:{os.environ['PATH']}")
    assert promtool, "no promtool: `make promtool`, or apt-get install prometheus"
    done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
