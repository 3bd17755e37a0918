"""While the store is away, or hangs, answers go on from the last snapshot, and whoever needs the store is told soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from crews import SLACK
from handmade import rows
from obstore.exceptions import GenericError
from tenacity import stop_after_delay
from waiting import wait_until
from workingrole import WorkingRole

from seamline import objects

CALLS = ("get", "list", "list_with_delimiter", "head")
QUICK = "SELECT sum(orders)::INT AS n FROM sales"


class Road:
    """The way to the store: open, closed (each call fails), or blocked (each call waits)."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.closed, self.made = False, 0
        self.open = threading.Event()
        self.open.set()
        for name in ("get", "paths", "stamps", "folders", "stands"):
            patch.setattr(getattr(objects, name).retry, "stop", stop_after_delay(0.3))
        for name in CALLS:
            patch.setattr(obstore, name, self._through(getattr(obstore, name)))

    def _through(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def passed(*args: Any, **kwargs: Any) -> Any:
            self.made += 1
            self.open.wait()
            if self.closed:
                raise GenericError("the network is unreachable")
            return call(*args, **kwargs)

        return passed


@pytest.fixture
def road(monkeypatch: pytest.MonkeyPatch) -> Road:
    return Road(monkeypatch)


def failing(role: WorkingRole) -> str:
    told: str = role.client.get("/healthz").json().get("failing", {}).get("condition", "")
    return told


def test_answers_go_on_from_the_last_snapshot_and_say_how_old_it_is(tmp_path: Path, road: Road) -> None:
    role = WorkingRole(tmp_path / "role", poll_ms=50)
    try:
        before = role.query(QUICK).json()
        road.closed = True
        role.made.clock.advance(timedelta(minutes=5))
        wait_until(lambda: failing(role) == "STORE_UNAVAILABLE", 20, "it tells that the store is away")
        now = role.query(QUICK).json()
        assert (now["rows"], role.client.get("/healthz").json()["ready"]) == (before["rows"], True)
        lags = [said["provenance"]["sales"]["lag"]["seconds"] for said in (before, now)]
        assert lags[1] - lags[0] == 300 == role.client.get("/readyz").json()["lag_seconds"] - lags[0]

        def refused() -> tuple[int, str]:
            answer = role.query(QUICK, as_of=1)
            return answer.status_code, answer.json().get("condition", "")

        wait_until(lambda: road.made and refused() == (503, "STORE_UNAVAILABLE"), 20, "the past is out of reach")
        wait_until(lambda: _nobody_asks(road), 20, "the store is left alone")
        asked, began = road.made, time.monotonic()
        assert {refused() for _ in range(20)} == {(503, "STORE_UNAVAILABLE")}
        assert road.made - asked <= 4 * (1 + time.monotonic() - began), "the store was asked for each of them"

        road.closed = False
        role.made.epoch(rows(5, 20))
        wait_until(lambda: role.query(QUICK).json()["rows"] == [[25]], 20, "the new epoch is served")
        assert (failing(role), role.query(QUICK, as_of=1).json()["rows"]) == ("", [[20]])
    finally:
        road.closed = False
        role.stop()


def _nobody_asks(road: Road) -> bool:
    before = road.made
    threading.Event().wait(0.5)
    return road.made == before


def test_a_store_that_hangs_holds_up_nobody_who_does_not_need_it(tmp_path: Path, road: Road) -> None:
    role = WorkingRole(tmp_path / "role", caller_queries=2)
    try:
        road.open.clear()
        with ThreadPoolExecutor(6) as pool:
            began = time.monotonic()
            past = [pool.submit(role.query, QUICK, "mad", as_of=1, timeout=2) for _ in range(6)]
            quick = 0
            while not all(one.done() for one in past):
                asked = time.monotonic()
                assert role.query(QUICK).json()["rows"] == [[20]]
                assert time.monotonic() - asked < 1 + SLACK
                quick += 1
            assert time.monotonic() - began < 2 + 1 + SLACK
            assert quick > 3
            assert {one.result().json()["condition"] for one in past} == {"STORE_UNAVAILABLE"}
    finally:
        road.open.set()
        role.stop()
