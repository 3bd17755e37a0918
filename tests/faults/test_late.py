"""Events that come after a batch has covered their dates: in the answer at once, and in the next version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from field import Field, orders
from waiting import wait_until


def test_events_an_hour_and_thirty_days_late_are_in_the_answer_at_once_and_in_the_next_version(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    now = datetime.now(UTC).replace(microsecond=0)
    late = {"hour": now - timedelta(hours=1), "month": now - timedelta(days=30)}
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*orders(100), *(event for name, at in late.items() for event in orders(40, name, at)))
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        first = here.batch(spark).rebuild("sales")
        wait_until(lambda: reader.seen[-1].version == first.version, 60, "the version is served")
        for name, at in late.items():
            here.send(*orders(15, f"late-{name}", at), *orders(40, name, at)[:5])
            assert reader.reaches(here.topic.end).version == first.version
        wait_until(here.archived(), 90, "all archived")
        second = here.batch(spark).refresh("sales")
        wait_until(lambda: reader.seen[-1].version == second.version, 60, "the next version is served")
        reader.asks()
    assert not failed + also_failed
    assert second.cut == here.topic.end
    assert second.audit.compared
    assert second.audit.clean
    assert second.counts.counted == 100 + 2 * 40 + 2 * 15
