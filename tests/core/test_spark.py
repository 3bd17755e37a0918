"""One place opens Spark, with settings that both layers rely on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError
from seamline.sides.spark import LAPTOP, NEEDED, default_log, from_task, local_cores, plan, session

JARS = [Path("/jars/a.jar"), Path("/jars/b.jar")]


@pytest.mark.parametrize(
    ("master", "cores"),
    [
        ("local", 1),
        ("local[3]", 3),
        ("local[2,4]", 2),
        ("local[*]", os.cpu_count()),
        ("local-cluster[2,1,1024]", 2),
        ("spark://host:7077", None),
        ("yarn", None),
    ],
)
def test_cores_of_this_machine_are_known_from_the_master(master: str, cores: int | None) -> None:
    assert local_cores(master) == cores


def test_a_local_session_uses_given_jars_loopback_and_as_many_partitions_as_cores() -> None:
    made = plan("local[3]", JARS, {}, Path("/logs/l.properties"))
    assert made["spark.jars"] == "/jars/a.jar,/jars/b.jar"
    assert made["spark.driver.bindAddress"] == "127.0.0.1"
    assert made["spark.sql.shuffle.partitions"] == "3"
    logging, _, others = made["spark.driver.extraJavaOptions"].partition(" ")
    assert logging == "-Dlog4j2.configurationFile=file:///logs/l.properties"
    assert others == LAPTOP["spark.driver.extraJavaOptions"]


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        (TransientError, Condition.STORE_UNAVAILABLE),
        (TerminalError, Condition.KERNEL_FAILED),
        (TerminalError, Condition.KERNEL_MEMORY),
    ],
)
def test_what_a_task_raised_keeps_its_condition(kind: type[SeamlineError], condition: Condition) -> None:
    raised = kind(condition, "no room", where="raw/x.parquet", hint="make some")
    told = from_task(
        RuntimeError(f"Job aborted\nTraceback: in run\nseamline.errors.{kind.__name__}: {raised}\n\tat org")
    )
    assert type(told) is kind
    assert (told.condition, told.message) == (condition, "raw/x.parquet: no room")
    assert from_task(RuntimeError("lost task [1]")) is None


def test_a_cluster_keeps_its_own_network_and_sizes() -> None:
    made = plan("yarn", JARS, {}, Path("/l"))
    assert set(LAPTOP) & set(made) == {"spark.driver.extraJavaOptions"}
    assert made["spark.driver.extraJavaOptions"].startswith("-Dlog4j2.configurationFile=")
    assert LAPTOP["spark.driver.extraJavaOptions"] not in made["spark.driver.extraJavaOptions"]
    assert set(NEEDED) <= set(made)


def test_what_the_user_sets_goes_over_every_default() -> None:
    extra = {"spark.driver.memory": "4g", "spark.driver.extraJavaOptions": "-Dx=1", "spark.sql.shuffle.partitions": "7"}
    made = plan("local[2]", JARS, extra, Path("/l"))
    assert made["spark.driver.memory"] == "4g"
    assert made["spark.sql.shuffle.partitions"] == "7"
    assert made["spark.driver.extraJavaOptions"].split(" ")[1:] == ["-Dx=1"]


def test_the_log_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_SPARK_LOG", "/x/y.log")
    assert default_log("speed") == Path("/x/y.log")


@pytest.mark.each_python
@pytest.mark.spark
def test_workers_run_this_python_and_delta_reads_what_it_wrote(spark: Any, tmp_path: Path) -> None:
    def python_of(batches: Any) -> Any:
        import sys

        import pyarrow as pa

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"python": [sys.executable]})

    seen = spark.range(2, numPartitions=2).mapInArrow(python_of, "python string").collect()
    assert {row.python for row in seen} == {sys.executable}
    spark.range(5).write.format("delta").save(str(tmp_path / "table"))
    assert spark.read.format("delta").load(str(tmp_path / "table")).count() == 5
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"


@pytest.mark.spark
def test_there_is_one_session_in_a_process(spark: Any) -> None:
    assert session("another") is spark


@pytest.mark.spark
@pytest.mark.broker
def test_kafka_is_read_with_the_given_jars(spark: Any, broker: Any, fresh_topic: Any) -> None:
    from kafka import KafkaProducer

    topic = fresh_topic(partitions=2)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for number in range(10):
        producer.send(topic, b"%d" % number)
    producer.close()
    frame = spark.read.format("kafka").option("kafka.bootstrap.servers", broker.bootstrap)
    assert frame.option("subscribe", topic).load().count() == 10
