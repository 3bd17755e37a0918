"""What a look asks of the store does not grow with the views, and what becomes of a hint moves no answer.

Hints are lost, put back and put out of order here as objects of the store: what is answered is compared with DuckDB's
own SQL over the rows, and what is asked is counted at the store's client.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from handmade import ALL, VIEW, Handmade, rows
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import GenericError
from requests_made import Requests

from seamline import hints, objects
from seamline.config import ServingSection
from seamline.serving.serving import Serving

SWEEP = timedelta(seconds=ServingSection().sweep_seconds)  # type: ignore[call-arg]
CONSTANT = 12
"""Requests of a look after one thing has changed: the hints, the views, those that share an object, their logs."""


def named(number: int) -> str:
    return VIEW.replace("VIEW sales", f"VIEW sales{number}")


def ask(serving: Serving, view: str = "sales") -> list[dict[str, Any]]:
    return serving.query(ALL.replace("sales", view)).table.to_pylist()


@pytest.mark.parametrize("views", [1, 30, pytest.param(300, marks=pytest.mark.thorough)])
def test_a_look_asks_as_little_of_many_views_as_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    made = Handmade(tmp_path, VIEW, *(named(n) for n in range(1, views)))
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    serving = made.serving()
    requests = Requests(monkeypatch)
    assert len(requests.of(serving.catch_up)) <= 2
    made.version(made.sent, cut=10)
    assert len(requests.of(serving.catch_up)) <= CONSTANT
    assert serving.snapshot().chain("sales").version == 2
    assert len(requests.of(serving.catch_up)) <= 2
    made.epoch(rows(10, 10))
    files = views + 1  # the epoch's, of each view, are read besides
    assert len(requests.of(serving.catch_up)) <= files + CONSTANT
    assert ask(serving) == made.truth(made.sent)
    assert len(requests.of(serving.catch_up)) <= 2
    made.clock.advance(SWEEP)
    swept = requests.of(serving.catch_up)
    assert len(swept) <= CONSTANT  # of the batch logs, and of the views', one listing is enough
    asked = [path.split("/")[1] for what, path in swept if what == "get"]
    assert sorted(asked) == ["forget", "speed", "speed"]  # of a stream, whatever its views


def test_a_new_view_is_seen_by_its_hint_and_without_it_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    serving = made.serving()
    made.view(VIEW, named(1))
    made.version(made.sent, cut=10, view="sales1")
    serving.catch_up()
    assert ask(serving, "sales1") == made.truth(made.sent)
    world = World(monkeypatch)
    world.fate = "lost"
    made.view(VIEW, named(1), named(2))
    made.version(made.sent, cut=10, view="sales2")
    assert not serving.catch_up()
    made.clock.advance(SWEEP)
    serving.catch_up()
    assert ask(serving, "sales2") == made.truth(made.sent)


class World:
    """What becomes of hints: `put` as they should be, `lost`, or `late`: then they come at once, the newest first."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.fate = "put"
        self._late: list[Callable[[], Any]] = []
        whole = obstore.put

        def put(store: Any, path: str, payload: bytes, **named: Any) -> Any:
            if not path.startswith(hints.HINTS) or self.fate == "put":
                return whole(store, path, payload, **named)
            if self.fate == "lost":
                raise GenericError("away")
            self._late.append(lambda: whole(store, path, payload, **named))
            return None

        patch.setattr(obstore, "put", put)

    def come(self) -> None:
        """What was late is put, out of order."""
        while self._late:
            self._late.pop()()


def removed(made: Handmade) -> None:
    """Every hint is gone."""
    objects.delete(made.lake.store, objects.paths(made.lake.store, hints.HINTS))


STEPS = ("epoch", "epoch", "version", "back", "compact", "look", "look", "fate", "come", "removed")


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of files for all cases: kernels are kept by what they may read."""
    return tmp_path_factory.mktemp("cases")


@given(st.data())
def test_whatever_becomes_of_hints_no_answer_is_wrong_and_all_are_fresh_within_the_bound(
    shared_folder: Path, data: st.DataObject
) -> None:
    made = Handmade(shared_folder, VIEW, named(1))
    made.epoch(rows(2))
    with pytest.MonkeyPatch.context() as patch, closing(made.serving()) as serving:
        world, published, reached = World(patch), list[int](), 0
        for _ in range(data.draw(st.integers(1, 12))):
            match data.draw(st.sampled_from(STEPS)):
                case "epoch":
                    made.epoch(rows(data.draw(st.integers(1, 4)), len(made.sent)))
                case "version":
                    cut = made.ends[data.draw(st.integers(1, len(made.ends) - 1))]
                    published.append(made.version(made.sent[:cut], cut=cut))
                case "back" if published:
                    made.publish(data.draw(st.sampled_from(published)))
                case "compact" if made.number > 1:
                    last = data.draw(st.integers(2, made.number))
                    made.compact(data.draw(st.integers(1, last - 1)), last)
                case "fate":
                    world.fate = data.draw(st.sampled_from(["put", "lost", "late"]))
                case "come":
                    world.come()
                case "removed":
                    removed(made)
                case "look":
                    serving.catch_up()
                    said, reached = reached, answered(serving, made)
                    assert said <= reached
        made.clock.advance(SWEEP)
        serving.catch_up()
        assert ask(serving) == made.truth(made.sent)
        assert serving.snapshot().chain("sales").version == made.catalogue.states["sales"].version


def answered(serving: Serving, made: Handmade) -> int:
    """How many rows both views answer for; it is checked that they are the truth of those."""
    count = sum(row["orders"] for row in ask(serving))
    for view in ("sales", "sales1"):
        assert ask(serving, view) == made.truth(made.sent[:count])
    return count


def test_a_version_whose_own_hint_is_lost_is_read_with_the_view_that_serves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(10))
    serving = made.serving()
    world = World(monkeypatch)
    world.fate = "lost"
    made.epoch(rows(10, 10))
    number = made.version(made.sent, cut=20, publish=False)
    world.fate = "put"
    made.publish(number)
    asked = Requests(monkeypatch).of(serving.catch_up)
    assert len(set(asked)) == len(asked)  # at once, not again after a chain had a hole
    assert (serving.snapshot().chain("sales").version, ask(serving)) == (number, made.truth(made.sent))
