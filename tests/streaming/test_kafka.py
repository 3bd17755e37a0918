"""What the streaming layer asks of Kafka before it reads: the same topics, nothing expired, nothing compacted away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stream_parts import event, produce
from waiting import wait_until

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.frontier import START, Frontier, Partition
from seamline.machine.broker import Broker, free_ports
from seamline.operate.replay import producer
from seamline.streaming.clients import python_options
from seamline.streaming.kafka import Cluster, starting_offsets


def at(**offsets: int) -> Frontier:
    return Frontier({Partition("t@1", int(name[1:])): offset for name, offset in offsets.items()})


def condition(call: Callable[[], object]) -> Condition:
    with pytest.raises(SeamlineError) as caught:
        call()
    return caught.value.condition


def test_starting_offsets_are_positions_by_topic() -> None:
    assert json.loads(starting_offsets(at(p0=7, p1=5))) == {"t": {"0": 7, "1": 5}}


def test_kafka_options_are_translated() -> None:
    jaas = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="pass";'
    given = {"security.protocol": "SASL_SSL", "sasl.jaas.config": jaas, "fetch.min.bytes": "1", "unknown.one": "x"}
    options = python_options(given)
    assert options["security_protocol"] == "SASL_SSL"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", "pass")
    assert "unknown_one" not in options


def test_options_are_taken_in_the_types_that_the_client_wants() -> None:
    given = {"request.timeout.ms": "20000", "receive.buffer.bytes": " 65536", "ssl.check.hostname": "FALSE"}
    assert python_options(given) == {
        "request_timeout_ms": 20_000, "receive_buffer_bytes": 65_536, "ssl_check_hostname": False,
    }  # fmt: skip
    assert python_options({"ssl.endpoint.identification.algorithm": ""}) == {"ssl_check_hostname": False}


@pytest.mark.parametrize(
    "name", ["request.timeout.ms", "receive.buffer.bytes", "ssl.check.hostname", "bootstrap.servers"]
)
def test_an_option_of_another_type_is_named_without_its_value(name: str) -> None:
    with pytest.raises(UserError) as caught:
        python_options({name: "s3cret"})
    assert caught.value.condition is Condition.CONFIG_INVALID
    assert name in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_cluster_takes_its_users_own_timeout(broker: Any) -> None:
    Cluster(broker.bootstrap, {"request.timeout.ms": "20000"}).ping()


def test_a_cluster_that_does_not_answer_is_transient() -> None:
    with pytest.raises(TransientError) as caught:
        Cluster("127.0.0.1:1", patience=0.5).topics(["t"])
    assert caught.value.condition is Condition.BROKER_UNAVAILABLE


def test_topics_are_made_where_missing_and_offsets_are_asked(broker: Any, fresh_topic: Callable[..., str]) -> None:
    cluster = Cluster(broker.bootstrap)
    name = fresh_topic(1) + "-made"
    assert condition(lambda: cluster.topics([name])) is Condition.TOPIC_MISSING
    assert cluster.create_missing([name], 3) == [name]
    assert cluster.create_missing([name], 3) == []
    topic = cluster.topics([name])[name]
    assert topic.partitions == (0, 1, 2)
    produce(broker.bootstrap, name, [event(1), event(2)], partition=1)
    assert cluster.earliest([topic]) == START
    assert cluster.end([topic]) == Frontier({Partition(topic.source, 1): 2})
    cluster.close()


def test_a_topic_made_again_is_another_and_a_compacted_one_refused(
    broker: Any, fresh_topic: Callable[..., str]
) -> None:
    from kafka import TopicPartition

    cluster = Cluster(broker.bootstrap)
    admin = cluster._admin()
    name = fresh_topic(1)
    topic = cluster.topics([name])[name]
    produce(broker.bootstrap, name, [event(n) for n in range(5)])
    admin.delete_records({TopicPartition(name, 0): 4})
    assert cluster.earliest([topic]) == Frontier({Partition(topic.source, 0): 4})
    admin.delete_topics([name])
    wait_until(lambda: name not in admin.list_topics(), 30, "the topic is gone")
    cluster.create_missing([name], 1)
    again = cluster.topics([name])[name]
    assert cluster.existing([name, name + "-none"]) == {name: again}
    with pytest.raises(SeamlineError) as recreated:
        cluster.check_ids([topic.source])
    assert topic.id in str(recreated.value)
    assert again.id in str(recreated.value)
    compacted = cluster.topics([fresh_topic(1, **{"cleanup.policy": "compact"})])
    assert condition(lambda: cluster.check_compaction(compacted.values())) is Condition.TOPIC_COMPACTED
    patient = fresh_topic(1, **{"cleanup.policy": "compact", "min.compaction.lag.ms": str(48 * 3_600_000)})
    cluster.check_compaction(cluster.topics([patient]).values())
    cluster.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker that asks who one is: `ada`, whose password is `right`."""
    folder = tmp_path_factory.mktemp("guarded")
    (client, controller), (asking, _) = free_ports(), free_ports()
    ports = {"cluster_id": "MkU3OEVBNTcwNTJENDM2Qg", "port": client, "controller_port": controller}
    (folder / "cluster.json").write_text(json.dumps(ports))
    own = f"PLAINTEXT://127.0.0.1:{client}"
    settings = {
        "listeners": f"{own},CONTROLLER://127.0.0.1:{controller},ASKING://127.0.0.1:{asking}",
        "advertised.listeners": f"{own},ASKING://127.0.0.1:{asking}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,ASKING:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.asking.plain.sasl.jaas.config": (
            'org.apache.kafka.common.security.plain.PlainLoginModule required user_ada="right";'
        ),
    }
    with Broker(folder, settings=settings):
        yield f"127.0.0.1:{asking}"


def as_ada(password: str, mechanism: str = "PLAIN") -> dict[str, str]:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    jaas = f'{module} required username="ada" password="{password}";'
    return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.jaas.config": jaas}


@pytest.mark.broker
@pytest.mark.parametrize(("password", "mechanism"), [("wr0ng", "PLAIN"), ("right", "SCRAM-SHA-256")])
def test_a_cluster_that_turns_a_client_away_is_not_taken_for_one_that_is_away(
    guarded: str, password: str, mechanism: str
) -> None:
    Cluster(guarded, as_ada("right")).ping()
    with pytest.raises(TerminalError) as caught:
        Cluster(guarded, as_ada(password, mechanism)).ping()
    assert caught.value.condition is Condition.KAFKA_AUTH
    assert "wr0ng" not in str(caught.value)


@pytest.mark.broker
def test_a_replay_with_a_wrong_password_says_so(guarded: str) -> None:
    with pytest.raises(TerminalError) as caught, producer(guarded, as_ada("wr0ng"), "orders") as send:
        send(None, b"{}")
    assert caught.value.condition is Condition.KAFKA_AUTH
