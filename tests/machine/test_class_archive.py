"""Archives of classes: mapped by the JVMs that the project starts, made for one Java and one classpath."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark import SparkContext

from seamline.machine.class_archive import archive_of, kafka_archive, making, sharing, spark_archive
from seamline.operate.class_training import ensure_archives


@pytest.mark.spark
@pytest.mark.broker
def test_the_broker_and_spark_map_their_archives(spark: Any, broker: Any) -> None:
    assert ensure_archives() == (kafka_archive(), spark_archive())
    jvm = SparkContext._gateway.proc.pid  # type: ignore[union-attr]
    [launched] = [one for one in (psutil.Process(jvm), *psutil.Process(jvm).children()) if one.name() == "java"]
    for pid, archive in ((launched.pid, spark_archive()), (broker.pid, kafka_archive())):
        assert str(archive) in {one.path for one in psutil.Process(pid).memory_maps()}


def test_another_jar_of_the_same_name_has_an_archive_of_its_own(tmp_path: Path) -> None:
    jars = [tmp_path / "a.jar", tmp_path / "b.jar"]
    for jar in jars:
        jar.write_bytes(b"1")
    first = archive_of("spark", jars)
    assert archive_of("spark", reversed(jars)) == first
    assert archive_of("kafka", jars) != first
    jars[1].write_bytes(b"2")
    os.utime(jars[1], ns=(1, 1))
    assert archive_of("spark", jars) != first


def test_where_there_is_no_archive_a_jvm_starts_without(tmp_path: Path) -> None:
    archive = tmp_path / "x.jsa"
    assert sharing(archive) == []
    archive.touch()
    assert sharing(archive)[0] == f"-XX:SharedArchiveFile={archive}"
    assert making(archive)[0] == f"-XX:ArchiveClassesAtExit={archive}"
