"""The embedded broker: its data and its identity outlive every start, its process no parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError
from waiting import wait_until

from seamline.errors import Condition, TransientError
from seamline.machine import process
from seamline.machine.broker import Broker, BrokerState, free_ports
from seamline.machine.broker_settings import BrokerLog, retained
from seamline.operate.stack import revived
from seamline.streaming.kafka import Cluster, TopicKeeps

pytestmark = pytest.mark.broker


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for value in values:
        producer.send(topic, value, partition=0)
    producer.close()


def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    got: list[bytes] = []
    wait_until(
        lambda: got.extend(r.value for rs in consumer.poll(500).values() for r in rs) or len(got) >= count,
        20,
        f"{count} records",
    )
    consumer.close()
    return got


def test_records_go_in_and_come_out(broker: Broker, fresh_topic: Callable[..., str]) -> None:
    topic = fresh_topic(partitions=1)
    produce(broker.bootstrap, topic, [b"a" * (10 << 20 - 10), b"b"])
    assert consume(broker.bootstrap, topic, 2)[1] == b"b"


def test_it_listens_on_loopback_only_and_makes_no_topic_by_itself(broker: Broker) -> None:
    import psutil

    listening = [c.laddr for c in psutil.Process(broker.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening
    assert all("127.0.0.1" in address.ip for address in listening)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_block_ms=1500)
    with pytest.raises(KafkaError):
        producer.send("misspelt", b"x").get(3)
    producer.close()


def test_killed_and_started_again_it_has_its_data_its_id_and_its_port(tmp_path: Path) -> None:
    log = BrokerLog(tmp_path / "broker.log", most=16 << 10, keep=2)
    broker = Broker(tmp_path / "kafka", log, retained(5)).start()
    identity, address = broker.cluster_id, broker.bootstrap
    admin = KafkaAdminClient(bootstrap_servers=address)
    of = {"retention.ms": "60000", "retention.bytes": "4096"}
    admin.create_topics([NewTopic("t", 1, 1), NewTopic("own", 1, 1, topic_configs=of)], wait_for_metadata=True)
    admin.close()
    cluster = Cluster(address)
    assert cluster.keeps(cluster.topics({"t", "own"}).values()) == {
        "t": TopicKeeps(5 * 3600, None), "own": TopicKeeps(60, 4096),
    }  # fmt: skip
    cluster.close()
    logs = sorted(tmp_path.glob("broker.log*"))
    assert [file.name for file in logs] == ["broker.log", "broker.log.1", "broker.log.2"], "older ones are gone"
    assert all(file.stat().st_size < 4 * log.most for file in logs), "a file ends with the event that fills it"
    produce(address, "t", [b"1", b"2"])
    broker.kill()
    assert not broker.is_running()
    assert broker.pid is None
    with Broker(tmp_path / "kafka") as again:
        assert (again.cluster_id, again.bootstrap) == (identity, address)
        assert consume(address, "t", 2) == [b"1", b"2"]
    (tmp_path / "kafka" / "cluster.json").unlink()
    assert Broker(tmp_path / "kafka").cluster_id == identity  # read back from the formatted data


def test_killed_again_while_it_is_being_started_again_it_is_started_once_more(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka").start()
    first = broker.pid
    broker.kill()

    def second() -> int:
        pid = int(json.loads((tmp_path / "kafka" / "cluster.json").read_text())["pid"])
        return pid if pid != first and process.born(pid) else 0

    killed: list[int] = []

    def kill_it() -> None:
        wait_until(second, 20, "a second broker")
        killed.append(second())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_it)
    killer.start()
    try:
        revived(broker)
        killer.join()
        assert broker.is_running()
        assert broker.pid not in (first, *killed, None)
        assert killed
    finally:
        broker.stop()


def test_a_port_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka").start()
    port = int(broker.bootstrap.split(":")[1])
    broker.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with broker:
            assert broker.bootstrap != f"127.0.0.1:{port}"


def test_a_second_broker_over_one_folder_is_refused_and_the_first_lives_on(broker: Broker) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "ORPHAN_GRACE", -10)
        with pytest.raises(TransientError, match="another broker") as caught:
            Broker(broker.folder).start()
    assert caught.value.condition is Condition.BROKER_UNAVAILABLE
    assert broker.is_running()


def test_one_that_cannot_start_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    broken = Broker(tmp_path / "kafka", settings={"num.io.threads": "none"})
    with pytest.raises(TransientError, match=r"num\.io\.threads") as caught:
        broken.start()
    assert caught.value.where


SCRIPT = """
import sys, signal
from pathlib import Path
from seamline.machine.broker import Broker
broker = Broker(Path(sys.argv[1])).start()
print(broker.pid, flush=True)
signal.pause()
"""


def test_it_ends_with_a_parent_that_is_killed_and_starts_again_over_its_data(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    with Broker(tmp_path) as again:  # waits for its predecessor
        assert process.born(pid) == 0.0
        assert again.is_running()


def test_free_ports_differ() -> None:
    ports: Any = free_ports()
    assert ports[0] != ports[1]


def test_a_cluster_id_that_looks_like_an_option_is_formatted(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps(asdict(BrokerState("-" + "a" * 21))))
    with Broker(tmp_path) as started:
        assert started.cluster_id == "-" + "a" * 21
        assert started.is_running()
