"""The one place that opens Spark.

On one machine (`local…`) it starts a JVM that listens on loopback only, with the jars of jars.py given as files (so
nothing is downloaded), and sends everything it and its workers print to a log file. Under `spark-submit` the JVM is
there already: what was given wins, and only what Seamline cannot do without is added.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.kernel import out_of_memory
from seamline.machine.class_archive import sharing, spark_archive
from seamline.machine.jars import spark_jars
from seamline.machine.java import find_java
from seamline.private import own_folder

NEEDED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.python.worker.reuse": "true",  # a worker keeps its kernel: opening one costs 18 ms
    # checkpoints are thrown away and on local disk, whose rename is atomic: 27 ms a batch instead of 61
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),  # without it 10,000 records, whatever their size
}
"""What both layers rely on, anywhere."""

QUIET = {
    "spark.ui.enabled": "false",  # it listens on every address, and asks nobody who they are
    "spark.ui.showConsoleProgress": "false",
}
"""What holds for every session opened here, where nobody said otherwise."""

LAPTOP = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    # the first compiler alone: a micro-batch costs half the CPU for minutes, a start is 1 s sooner, a backlog no slower
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xms96m",
    "spark.databricks.delta.snapshotPartitions": "2",  # the default 50 cost a first commit 16 s
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
}
"""What suits one machine, where nobody said otherwise."""

DYING = 2.0
"""Seconds that a killed JVM may take to be gone after its connections broke."""

_NAMED = "|".join(
    (Condition.KERNEL_FAILED, Condition.KERNEL_MEMORY, Condition.STORE_UNAVAILABLE, Condition.VALUE_OUT_OF_RANGE)
)
_RAISED = re.compile(rf"\[(?P<condition>{_NAMED})\] (?P<message>.*)")

LOG4J = """\
rootLogger.level = WARN
rootLogger.appenderRef.file.ref = file
logger.behind.name = org.apache.spark.sql.execution.streaming.runtime.ProcessingTimeExecutor
logger.behind.level = ERROR
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}}: %m%n%ex
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
"""
"""What Spark says. Not that a batch takes longer than its trigger: each does, where triggers are as short as they can
be. How far a stream is behind, `seamline status` says."""


def session(
    app: str, master: str = "local[*]", extra: Mapping[str, str] | None = None, *, log: Path | None = None
) -> SparkSession:
    """This process's Spark session; made on the first call (3 to 12 s), the same one afterwards.

    `extra` goes over every default, but under spark-submit not over what was given there. `log` is where Spark and
    its workers write (else SEAMLINE_SPARK_LOG, else a file in the temporary folder). While the JVM
    starts, this process's standard output and error go there too: do not draw a live display meanwhile.
    Raises UserError JAVA_MISSING, TransientError PROCESS_FAILED where the JVM dies meanwhile, and what
    jars.spark_jars raises.
    """
    file = (log or default_log(app)).absolute()
    if is_lost():
        raise lost(file)
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    if is_submitted():
        return _submitted(app, master, extra or {})
    file.parent.mkdir(parents=True, exist_ok=True)
    conf = SparkConf(loadDefaults=False)
    shared = sharing(spark_archive()) if local_cores(master) else []
    for key, value in plan(master, spark_jars(), extra or {}, _write_log4j(file), shared).items():
        conf.set(key, value)
    _prepare_environment(master, extra or {})
    try:
        with _output_to(file.with_suffix(".out")):
            return SparkSession.builder.appName(app).master(master).config(conf=conf).getOrCreate()
    except Exception as error:
        if is_lost(DYING):
            raise lost(file) from error
        raise


def is_lost(seconds: float = 0.0) -> bool:
    """Whether the JVM that this process has started has ended, perhaps before its session was open.

    Then no session works here any more, nor can another be opened: another process has to. The connections of one that
    is killed break before it is gone: after an error, give it some `seconds`.
    """
    jvm = getattr(SparkContext._gateway, "proc", None)
    if jvm is None:
        return False
    try:
        jvm.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def lost(log: Path) -> TransientError:
    """What to raise where `is_lost`."""
    hint = f"start again; {log} may say why it died (was memory short?)"
    return TransientError(Condition.PROCESS_FAILED, "Spark's JVM has died", hint=hint)


def is_submitted() -> bool:
    """Whether spark-submit started this process (the JVM then is its parent)."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def plan(
    master: str, jars: Sequence[Path], extra: Mapping[str, str], log4j: Path, java: Sequence[str] = ()
) -> dict[str, str]:
    """Every setting a session started here gets; `java`: options for its JVM that any others go over. Pure."""
    cores = local_cores(master)
    logging = f"-Dlog4j2.configurationFile={log4j.as_uri()}"
    settings = {**NEEDED, **QUIET, "spark.jars": ",".join(map(str, jars))}
    if cores is not None:
        settings |= {**LAPTOP, "spark.sql.shuffle.partitions": str(cores)}
    settings |= extra
    options = [logging, *java, settings.get("spark.driver.extraJavaOptions", "")]
    return {**settings, "spark.driver.extraJavaOptions": " ".join(options).strip()}


def local_cores(master: str) -> int | None:
    """How many tasks run at once on this machine; None for a cluster elsewhere."""
    if master == "local":
        return 1
    if found := re.fullmatch(r"local\[(\*|\d+)(?:,\d+)?\]", master):
        return (os.cpu_count() or 1) if found[1] == "*" else int(found[1])
    if found := re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master):
        return int(found[1]) * int(found[2])
    return None


def from_task(error: BaseException) -> SeamlineError | None:
    """What a task raised, of which Spark brings back the text alone; None where the text names no such condition."""
    found = _RAISED.search(str(error))
    if found is None:
        return None
    if found["condition"] == Condition.STORE_UNAVAILABLE:
        hint = "see to the store (is it full, or away?): what has no entry never happened, and is made again"
        return TransientError(Condition.STORE_UNAVAILABLE, found["message"], hint=hint)
    if found["condition"] == Condition.KERNEL_MEMORY:
        return out_of_memory(found["message"])
    if found["condition"] == Condition.VALUE_OUT_OF_RANGE:
        return UserError(Condition.VALUE_OUT_OF_RANGE, found["message"], hint="leave that column out")
    return TerminalError(Condition.KERNEL_FAILED, found["message"], hint="this is a defect: report it")


_settled = False


def settle_worker() -> None:
    """For a task's end: the modules and kernels its Python worker holds by now are never looked at for garbage again.

    Spark's worker collects garbage after every task, over all that was ever imported: 50 ms of CPU each time.
    """
    global _settled  # noqa: PLW0603 - one worker, one heap
    if not _settled:
        gc.collect()
        gc.freeze()
        _settled = True


def default_log(app: str) -> Path:
    """SEAMLINE_SPARK_LOG, else one file for each application and process in the user's temporary folder."""
    named = os.environ.get("SEAMLINE_SPARK_LOG")
    safe = re.sub(r"[^\w.-]+", "-", app)
    return Path(named) if named else own_folder() / f"{safe}-{os.getpid()}.log"


def _submitted(app: str, master: str, extra: Mapping[str, str]) -> SparkSession:
    SparkContext._ensure_initialized()  # connects to the JVM, whose properties SparkConf then reads
    given = SparkConf()
    conf = SparkConf()
    for key, value in {"spark.master": master, "spark.app.name": app, **NEEDED, **extra}.items():
        if not given.contains(key):
            conf.set(key, value)
    extensions = given.get("spark.sql.extensions", "") or ""
    if extensions and NEEDED["spark.sql.extensions"] not in extensions:
        conf.set("spark.sql.extensions", f"{extensions},{NEEDED['spark.sql.extensions']}")
    return SparkSession.builder.config(conf=conf).getOrCreate()


def _prepare_environment(master: str, extra: Mapping[str, str]) -> None:
    """What the JVM and its workers take from the environment, where the user did not set it.

    Executors anywhere run the Python named in spark.pyspark.python (which Spark itself reads under spark-submit only),
    else this one.
    """
    os.environ["JAVA_HOME"] = str(find_java().home)
    os.environ.setdefault("PYSPARK_PYTHON", extra.get("spark.pyspark.python", sys.executable))
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


def _write_log4j(log: Path) -> Path:
    file = log.with_suffix(".log4j2.properties")
    file.write_text(LOG4J.format(log=str(log).replace("\\", "\\\\")))
    return file


@contextmanager
def _output_to(file: Path) -> Iterator[None]:
    """Processes started inside inherit `file` as standard output and error."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)  # less what the umask says
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, target):
            os.close(descriptor)
