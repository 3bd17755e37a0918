"""A short chaos run: what `make chaos` does, in a process of its own. docs/chaos.md says what it holds together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

TESTS = ROOT / "tests"
KILLS, SEED = 5, 52
"""A unit killed, a backfill paused, a new definition, compaction frozen, a buyer forgotten, the broker killed."""


@pytest.mark.broker
@pytest.mark.spark
def test_five_kills_move_no_number(tmp_path: Path) -> None:
    folders = [str(TESTS / "support"), str(TESTS / "faults"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, str(TESTS / "chaos"), "--seed", str(SEED), "--kills", str(KILLS)]
    command += ["--folder", str(tmp_path / "chaos")]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=580, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert "Every answer was true." in run.stdout
