"""A cluster that is away is waited for and told of, wherever it comes back."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from waiting import wait_until

from seamline.errors import Condition
from seamline.streaming.kafka import Cluster
from seamline.streaming.liveness import Pulse

NOWHERE = "127.0.0.1:1"


def test_a_cluster_that_is_away_is_told_once_it_is_felt_and_no_more_once_it_answers_elsewhere(broker: Any) -> None:
    told: list[str] = []
    at = [NOWHERE]
    pulse = Pulse(Cluster(NOWHERE), lambda: at[0], told.append)
    assert not pulse.feel()
    assert told[-1].startswith(f"{Condition.BROKER_UNAVAILABLE}: the cluster at {NOWHERE} does not answer")
    waiting = threading.Thread(target=pulse.wait, args=[threading.Event()])
    waiting.start()
    wait_until(lambda: len(told) > 2, 60, "it is asked again")
    at[0] = broker.bootstrap
    waiting.join(60)
    assert not waiting.is_alive()
    assert (told[-1], pulse.missed, pulse.away) == ("", False, False)
    assert pulse.cluster.bootstrap == broker.bootstrap
    assert pulse.feel()
    pulse.close()


def test_who_waits_can_be_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamline.streaming.liveness.EVERY", 0.1)
    stop = threading.Event()
    pulse = Pulse(Cluster(NOWHERE), lambda: NOWHERE, lambda waits: stop.set())
    assert not pulse.wait(stop)
