"""A short chaos run: what `make chaos` does, in a process of its own. docs/chaos.md says what it holds together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KILLS = 5
SEED = 21
"""Speed frozen at a commit point, Spark's checkpoints lost, serving, batch, a JVM and a compaction killed."""


@pytest.mark.broker
@pytest.mark.spark
def test_five_kills_move_no_number(tmp_path: Path) -> None:
    command = [sys.executable, str(TESTS / "chaos"), "--seed", str(SEED), "--kills", str(KILLS)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "faults")])}
    run = subprocess.run(
        [*command, "--folder", str(tmp_path / "chaos")],
        env=env,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert "Every answer was true." in run.stdout
