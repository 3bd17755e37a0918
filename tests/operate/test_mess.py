"""The demo's mess is planned: from a seed, with every clean line in it and every malformed record known."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from seamline.demo.demo import fresh_project
from seamline.demo.mess import MALFORMED, WINDOW, make_mess
from seamline.errors import Condition, SeamlineError


def line(i: int) -> bytes:
    return json.dumps({"id": str(i), "dt": "2015-02-22T21:00:00Z", "repo": f"r{i % 7}", "type": "push"}).encode()


FIRST = [line(i) for i in range(1000)]
SECOND = [line(i) for i in range(1000, 3000)]


@pytest.fixture(scope="module")
def mess():
    return make_mess(FIRST, SECOND, "repo", seed=7)


def test_the_same_seed_makes_the_same_mess(mess) -> None:
    assert make_mess(FIRST, SECOND, "repo", seed=7) == mess
    assert make_mess(FIRST, SECOND, "repo", seed=8) != mess


def test_every_event_is_sent_and_only_duplicates_are_sent_twice(mess) -> None:
    clean = Counter(m.value for m in (*mess.history, *mess.live) if m.kind in ("event", "late"))
    assert clean == Counter(FIRST + SECOND)
    assert all(m.value in clean for m in mess.live if m.kind == "duplicate")


def test_the_shares_are_as_said(mess) -> None:
    assert mess.count("late") == len(FIRST) * 2 // 100
    assert mess.count("duplicate") == len(SECOND) * 3 // 100
    below = {m.value for m in mess.history}
    assert sum(m.value in below for m in mess.live if m.kind == "duplicate") == len(SECOND) * 3 // 100 // 2


def test_six_kinds_of_malformed_records_are_among_the_live_ones(mess) -> None:
    kinds = Counter(m.kind for m in mess.live if m.kind.startswith("malformed"))
    assert sum(kinds.values()) == MALFORMED
    assert len(kinds) == 6
    assert any(m.value is None for m in mess.live)


def test_live_records_arrive_out_of_order_but_not_far(mess) -> None:
    order = [m.value for m in mess.live if m.kind == "event"]
    places = [SECOND.index(v) for v in order]
    assert places != sorted(places)
    assert max(abs(i - place) for i, place in enumerate(places)) <= 2 * WINDOW


def test_a_demo_does_not_empty_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(SeamlineError) as caught:
        fresh_project(tmp_path)
    assert caught.value.condition is Condition.INPUT_INVALID
    assert (tmp_path / "precious").exists()
