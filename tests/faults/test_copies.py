"""Copies and malformed records, wherever they come: counted once, or rejected with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from field import GARBAGE, Field, orders
from waiting import wait_until


def test_copies_in_one_batch_across_batches_and_across_the_cut_count_once(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    history = orders(200)
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*history, *history[:50], *GARBAGE)
        reader.reaches(here.topic.end)
        here.send(*history[20:80])
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 60, "all archived")
        version = here.batch(spark).rebuild("sales").version
        wait_until(lambda: reader.seen[-1].version == version, 30, "the version is served")
        here.send(*history[:30], *orders(20, "live"), *history[150:160])
        reader.reaches(here.topic.end)
    assert not failed + also_failed
    assert {seen.version for seen in reader.seen} == {None, version}
