"""What is done every so often is due once for each time that passes, however often one asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from seamline.streaming.every import Every

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def test_it_is_due_once_after_each_period_and_the_next_begins_when_it_was() -> None:
    every = Every(timedelta(seconds=60), BEGAN)
    asked = [0, 30, 60, 61, 62, 121, 122, 500, 501]
    assert [s for s in asked if every.due(BEGAN + timedelta(seconds=s))] == [61, 122, 500]


def test_a_clock_that_was_set_back_holds_it_up_until_it_has_caught_up() -> None:
    every = Every(timedelta(seconds=60), BEGAN)
    assert not every.due(BEGAN - timedelta(days=1))
    assert every.due(BEGAN + timedelta(seconds=61))
