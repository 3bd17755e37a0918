"""`seamline publish` through a real broker, and read by plain Spark."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from lakes import DAY, VIEW, Bench, order, project
from outside import by_text, merged
from places import ROOT

from seamline.cli.main import execute
from seamline.config import Settings
from seamline.errors import Condition, SeamlineError
from seamline.operate.outside.delta_table import ViewTable
from seamline.operate.outside.upsert_topic import KafkaUpserts
from seamline.operate.publishing import Publisher
from seamline.serving.serving import Serving

TOPIC = "outside.sales"


@pytest.fixture
def bench(tmp_path: Path, broker: Any) -> Bench:
    """A project whose broker is the run's."""
    return project(tmp_path, settings=f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\npartitions = 2\n')


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return f"{TOPIC}.{request.node.name}"


def records(bootstrap: str, topic: str) -> list[list[tuple[int, Any]]]:
    """What is committed, by partition, with offsets."""
    with closing(
        KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    ) as consumer:
        parts = sorted(consumer.partitions_for_topic(topic) or ())
        there = [TopicPartition(topic, number) for number in parts]
        consumer.assign(there)
        consumer.seek_to_beginning()
        found: dict[int, list[tuple[int, Any]]] = {number: [] for number in parts}
        ends = consumer.end_offsets(there)
        while any(consumer.position(at) < ends[at] for at in there):
            for at, batch in consumer.poll(timeout_ms=200).items():
                found[at.partition] += [(one.offset, one) for one in batch]
        return [found[number] for number in parts]


def answer(bench: Bench) -> list[dict[str, Any]]:
    return by_text(bench.answer())


def test_a_reader_of_table_and_topic_has_the_answer_and_a_kill_leaves_the_last_one(
    bench: Bench, broker: Any, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["publish", "sales", "--topic", topic, "--project", str(tmp_path), "--json"]
    for n in range(6):
        bench.send(order(f"o{n}", DAY + timedelta(hours=n % 3), shop="abc"[n % 3], amount=n), partition=n % 2)
    bench.both()
    bench.batch.refresh("sales")
    bench.send(order("late", DAY - timedelta(days=3), shop="d"), order("o0", DAY, amount=0))
    bench.speed()
    assert execute(publish) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["table"]["rows_written"], said["topic"]["rows"]) == (3, 1), "a copy touches no group"
    before = answer(bench)
    assert read(broker, topic) == before

    bench.send(order("more", shop="a", amount=70), partition=1)
    bench.speed()
    for point in ("publish.after-rows", "publish.after-marker"):
        died = subprocess.run(
            [sys.executable, "-m", "seamline", *publish], env={**os.environ, "SEAMLINE_STOP_AT": point}, check=False,
            capture_output=True,
        )  # fmt: skip
        assert died.returncode == -signal.SIGKILL
        assert read(broker, topic) == before, "an open transaction is seen by nobody"
    assert execute(publish) == 0
    assert json.loads(capsys.readouterr().out)["topic"]["sequence"] == 2
    assert read(broker, topic) == answer(bench) != before
    assert execute(publish) == 0
    assert not json.loads(capsys.readouterr().out)["topic"]["sent"]


def read(broker: Any, topic: str) -> list[dict[str, Any]]:
    found = merged(records(broker.bootstrap, topic))
    assert found is not None
    return found[1]


def test_who_starts_later_fences_who_was_there(bench: Bench, broker: Any, topic: str, tmp_path: Path) -> None:
    bench.send(order("a"))
    bench.speed()
    serving = Serving(bench.lake, Settings())
    table = ViewTable(str(tmp_path / "published"))
    with closing(KafkaUpserts(broker.bootstrap, {}, topic, 2)) as first:
        one = Publisher(serving, "sales", table, first)
        one.step()
        with closing(KafkaUpserts(broker.bootstrap, {}, topic, 2)) as second:
            other = Publisher(serving, "sales", table, second)
            bench.send(order("b"))
            bench.speed()
            with pytest.raises(SeamlineError) as caught:
                one.step()
            assert caught.value.condition is Condition.WRITER_CONFLICT
            with pytest.raises(SeamlineError) as caught:
                one.step()
            assert caught.value.condition is Condition.WRITER_CONFLICT
            found = other.step()
    assert found.marker is not None
    assert found.marker.sequence == 2
    assert read(broker, topic) == answer(bench)


def test_a_topic_that_is_kept_otherwise_or_holds_something_else_is_refused(
    broker: Any, fresh_topic: Callable[..., str]
) -> None:
    with pytest.raises(SeamlineError) as caught:
        KafkaUpserts(broker.bootstrap, {}, fresh_topic(), 1)
    assert caught.value.condition is Condition.INPUT_INVALID
    assert "cleanup.policy=delete" in caught.value.message


def test_a_purge_leaves_no_key_of_a_group_that_is_no_more(
    bench: Bench, broker: Any, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["publish", "sales", "--topic", topic, "--project", str(tmp_path), "--json"]
    for n in range(6):
        bench.send(order(f"o{n}", DAY + timedelta(hours=n), shop=("anna", "b")[n % 2], amount=n), partition=n % 2)
    bench.both()
    bench.batch.refresh("sales")
    assert execute(publish) == 0
    bench.apply(VIEW.replace("GROUP BY", "WHERE shop <> 'anna' GROUP BY"))
    for id_ in ("later", "latest"):
        bench.wait(minutes=61)
        bench.send(order(id_, DAY, shop="b"))
        bench.both()
    bench.batch.refresh("sales")
    assert execute(publish) == 0

    def keys() -> list[bytes]:
        return [one.key for log in records(broker.bootstrap, topic) for _, one in log]

    assert [key for key in keys() if b"anna" in key]
    capsys.readouterr()
    assert execute([*publish, "--purge"]) == 0
    purged = json.loads(capsys.readouterr().out)["purged"]
    assert purged["table_files"] == 1
    assert len(purged["rows_before"]) == 2
    assert not [key for key in keys() if b"anna" in key]
    assert read(broker, topic) == answer(bench) != []


def test_a_topic_that_lets_nobody_delete_is_published_to_and_not_purged(
    bench: Bench, broker: Any, fresh_topic: Callable[..., str], tmp_path: Path
) -> None:
    kept = {"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": "31536000000"}
    name = fresh_topic(2, **kept)
    bench.send(order("a"))
    bench.speed()
    with closing(KafkaUpserts(broker.bootstrap, {}, name, 2)) as upserts:
        publisher = Publisher(Serving(bench.lake, Settings()), "sales", ViewTable(str(tmp_path / "p")), upserts)
        assert publisher.step().sent
        with pytest.raises(SeamlineError) as caught:
            publisher.purge()
    assert caught.value.condition is Condition.INPUT_INVALID
    assert "cleanup.policy=[compact,delete]" in caught.value.hint
    assert read(broker, name) == answer(bench)


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("merge", ROOT / "examples/outside/merge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_plain_spark_merges_what_is_published(
    bench: Bench, broker: Any, spark: Any, topic: str, tmp_path: Path
) -> None:
    for n in range(9):
        bench.send(order(f"o{n}", DAY + timedelta(hours=n % 3), shop="abc"[n % 3], amount=n), partition=n % 2)
    bench.send(order("nobody", shop=None))  # type: ignore[arg-type]
    bench.both()
    bench.batch.refresh("sales")
    bench.send(order("late", DAY - timedelta(days=3), shop="d", amount=10**14), order("again", shop=None))  # type: ignore[arg-type]
    bench.speed()
    assert execute(["publish", "sales", "--topic", topic, "--project", str(tmp_path)]) == 0
    rows = example().merged(spark, broker.bootstrap, topic).toArrow().to_pylist()
    assert by_text(rows) == answer(bench)
