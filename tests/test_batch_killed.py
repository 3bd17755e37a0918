"""A batch run that SIGKILL ends, with real Spark: the old answer is served meanwhile, and the next run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lakes import order, orders
from test_spark_submit import project

from seamline.history import BatchHistory


def refresh(folder: Path, stop_at: str = "") -> subprocess.CompletedProcess[str]:
    """`seamline batch refresh`, which SIGKILL ends at a commit point if one is named."""
    env = {**os.environ, **({"SEAMLINE_STOP_AT": stop_at} if stop_at else {}), "SEAMLINE_SPARK__MASTER": "local[2]"}
    command = [sys.executable, "-m", "seamline", "batch", "refresh", "--project", str(folder), "--json"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.spark
@pytest.mark.parametrize("point", ["batch.after-files", "batch.after-version"])
def test_sigkill_of_a_batch_moves_no_answer_and_the_next_run_goes_on(tmp_path: Path, point: str) -> None:
    bench = project(tmp_path / "shop")
    before, served = bench.answer(), bench.served
    killed = refresh(tmp_path / "shop", stop_at=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert bench.served == served, "what was not published is not served"
    assert bench.answer() == before
    bench.send(order("late", amount=7))
    bench.speed()
    expected = bench.expected(*orders(40), order("late", amount=7))
    assert bench.answer() == expected

    ended = refresh(tmp_path / "shop")
    assert ended.returncode == 0, ended.stderr[-2000:]
    (outcome,) = json.loads(ended.stdout)
    assert bench.served[1] == outcome["version"]
    assert bench.answer() == expected
    versions = BatchHistory(bench.lake.batch_log(bench.served[0])).versions
    assert len(versions) == 1, "the run went on with what the killed one had reserved and written"
    assert versions[outcome["version"]].audit.clean
