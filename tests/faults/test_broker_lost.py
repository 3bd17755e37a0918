"""The broker away, as roles start and while they run: waited for, told by `status`, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from field import Field, orders
from kafka.admin import KafkaAdminClient, NewTopic
from waiting import wait_until

from seamline.cli.main import execute
from seamline.errors import Condition
from seamline.machine.broker import Broker

SEEN = 120
"""Seconds at most until both roles have seen that the broker is away; it comes back as soon as they have."""

LONG = 240
"""Seconds at most until everything is read: a client that hangs gives up first, and a query starts afresh."""


@pytest.fixture
def own_broker(broker: Any, tmp_path: Path) -> Iterator[Broker]:
    """A broker that a test may take away; the run's stays as it is."""
    with Broker(tmp_path / "kafka") as running:
        yield running


@pytest.fixture
def here(own_broker: Broker, tmp_path: Path) -> Field:
    """A field on that broker."""
    admin = KafkaAdminClient(bootstrap_servers=own_broker.bootstrap)
    admin.create_topics([NewTopic("orders", 2, 1)], wait_for_metadata=True)
    admin.close()
    return Field(tmp_path / "project", own_broker.bootstrap, "orders")


class Told:
    """What `seamline status` tells of a project."""

    def __init__(self, field: Field, capsys: pytest.CaptureFixture[str]) -> None:
        self._field = field
        self._capsys = capsys

    def waits(self) -> dict[str, str | None]:
        """What each writer of the stream waits for."""
        self._capsys.readouterr()
        assert execute(["status", "--project", str(self._field.project.folder), "--json"]) == 0
        said = json.loads(self._capsys.readouterr().out)
        return {name: writer["waits"] for name, writer in said["streams"]["main"]["writers"].items()}

    def away(self) -> bool:
        """Whether both roles wait for the broker."""
        waits = self.waits()
        return len(waits) == 2 and all(w and w.startswith(Condition.BROKER_UNAVAILABLE) for w in waits.values())

    def back(self) -> bool:
        """Whether both roles work."""
        return self.waits() == {"speed": None, "archive": None}


def test_a_broker_that_is_down_at_the_start_or_lost_is_waited_for_and_nothing_is_lost(
    here: Field, own_broker: Broker, spark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Told(here, capsys)
    history = orders(300)
    here.send(*history)
    own_broker.stop()
    with here.read() as reader, ExitStack() as roles:
        failed = [roles.enter_context(role) for role in (here.speed(spark), here.archive(spark))]
        wait_until(told.away, SEEN, "status tells that the roles wait")
        reader.asks()
        own_broker.start()
        reader.reaches(here.topic.end, LONG)
        wait_until(told.back, LONG, "status tells that the roles work")
        here.send(*orders(50, "before-"), *history[:20])
        own_broker.kill()
        wait_until(told.away, SEEN, "status tells that the roles wait")
        reader.asks()
        own_broker.start()
        here.send(*orders(50, "after-"), *history[:20])
        reader.reaches(here.topic.end, LONG)
        wait_until(here.archived(), LONG, "all archived")
        wait_until(told.back, LONG, "status tells that the roles work")
    assert failed == [[], []]
