"""A cluster's executors: found fit or named unfit at once, shared between roles, waited for aloud."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest
from waiting import wait_until

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError
from seamline.machine.java import find_java
from seamline.sides.executors import Fit, check, failed, own

HOME = Path(pyspark.__file__).parent


@pytest.mark.parametrize(
    ("said", "got"),
    [
        ("pickle.loads\nModuleNotFoundError: No module named 'seamline'\n at org.apache", "lack the Python package"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9", "another Python"),
        ('java.io.IOException: Cannot run program "/opt/py/bin/python3": error=2', "cannot run /opt/py/bin/python3"),
    ],
)
def test_what_unfit_executors_say_is_terminal_and_named(said: str, got: str) -> None:
    error = failed(said)
    assert isinstance(error, TerminalError)
    assert error.condition is Condition.EXECUTORS_UNFIT
    assert got in error.message
    assert "spark.pyspark.python" in error.hint


def test_anything_else_that_fails_is_tried_again() -> None:
    assert isinstance(failed("Job 0 cancelled because SparkContext was shut down"), TransientError)


@pytest.mark.parametrize("other", [Fit("2.7", own().kernel), Fit(own().python, "0.0.1")])
def test_executors_of_another_python_or_kernel_are_refused(other: Fit) -> None:
    check(own())
    with pytest.raises(SeamlineError) as raised:
        check(other)
    assert raised.value.condition is Condition.EXECUTORS_UNFIT


@contextmanager
def spark_daemon(name: str, folder: Path, *arguments: str) -> Iterator[Path]:
    """Spark's own master or worker; gives its log."""
    log = folder / f"{name}.log"
    kind = f"org.apache.spark.deploy.{name.lower()}.{name}"
    command = [str(HOME / "bin" / "spark-class"), kind, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    environment = {
        "SPARK_HOME": str(HOME),
        "JAVA_HOME": str(find_java().home),
        "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PATH": "/usr/bin:/bin",
    }
    with log.open("w") as output:
        running = subprocess.Popen([*command, *arguments], stdout=output, stderr=output, env=environment, cwd=folder)
    try:
        yield log
    finally:
        running.terminate()
        running.wait(20)


def found(log: Path, words: str) -> str:
    """What stands after some words in a log, once it does."""
    lines: list[str] = []

    def said() -> bool:
        lines[:] = [line.partition(words)[2] for line in log.read_text().splitlines() if words in line]
        return bool(lines)

    wait_until(said, 60, f"{words!r} in {log}")
    return lines[0].split()[0]


PROGRAM = """
import sys, threading
from seamline.config import SparkSection
from seamline.sides.executors import await_executors
from seamline.sides.spark import session
told = []
spark = session(sys.argv[1], sys.argv[2], SparkSection(cores=1).given)
await_executors(spark, lambda waits: (told.append(waits), print("told", waits, flush=True)))
print("fit", spark.conf.get("spark.ui.enabled"), flush=True)
sys.stdin.readline()
spark.stop()
"""


@contextmanager
def application(name: str, master: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name, master], text=True, cwd=folder,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.spark
def test_roles_share_a_standalone_master_and_say_that_they_wait_for_its_executors(tmp_path: Path) -> None:
    """A worker comes late, with cores for both: neither role takes them all. Its own environment names no Python, so
    executors run the driver's."""
    with (
        spark_daemon("Master", tmp_path) as log,
        application("speed", master := found(log, "Spark master at "), tmp_path) as speed,
        application("archive", master, tmp_path) as archive,
    ):
        for role in (speed, archive):
            assert role.stdout
            assert role.stdout.readline() == f"told executors of Spark at {master}: none has come\n"
        with spark_daemon("Worker", tmp_path, "--cores", "2", "--memory", "2g", master):
            for role in (speed, archive):
                assert role.stdout
                assert [role.stdout.readline() for _ in range(2)] == ["told \n", "fit false\n"]
