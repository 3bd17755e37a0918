"""A JVM that is killed, by a machine short of memory for one: the process that opened it ends, and says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from stream_parts import make_project

SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from pyspark import SparkContext
from seamline.errors import TransientError
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.project import load_project
from seamline.streaming.session import opened

project = load_project(Path(sys.argv[1]))
said = []
try:
    with opened(project, "speed-main", None, print, threading.Event()) as spark:
        os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
        spark.range(1).count()
except TransientError as error:
    said.append(error)
units = SparkUnits(project)
assert not units.lost
try:
    units([])
except TransientError as error:
    said.append(error)
assert units.lost
print(*(f"{error.condition} {error.message}" for error in said), sep="\\n")
"""


@pytest.mark.spark
def test_a_killed_jvm_is_told_as_such_and_the_process_knows_that_it_must_end(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "127.0.0.1:1", "clicks")
    command = [sys.executable, "-c", SCRIPT, str(project.folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.stdout.splitlines() == ["PROCESS_FAILED Spark's JVM has died"] * 2, run.stderr
