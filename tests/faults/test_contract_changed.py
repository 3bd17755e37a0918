"""A contract that rejects more is handed to a view while everything runs: nothing is built, and no answer is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from field import Field, Written, orders
from waiting import wait_until

from seamline.history.speed import SpeedHistory
from seamline.operate.viewapply import put_into_service
from seamline.schemas.project import load_project

COUPON = "      - {{name: coupon, logicalType: string}}\n"


def test_a_field_is_added_while_the_roles_run_and_rejects_from_the_epoch_on_that_says_so(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    history = orders(120)
    bad = [Written(None, json.dumps({**json.loads(one.encode()), "coupon": 7}).encode()) for one in orders(6, "bad")]
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*history)
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 60, "all archived")
        version = here.batch(spark).rebuild("sales").version
        wait_until(lambda: reader.seen[-1].version == version, 30, "the version is served")
        definition = reader.seen[-1].definition
        file = here.project.folder / "contracts" / "orders.yaml"
        text = file.read_text()
        file.write_text(text.replace("customProperties:", COUPON.format() + "customProperties:"))
        here.project = load_project(here.project.folder)
        (applied,) = put_into_service(here.project)
        assert (applied.definition, applied.change) == (definition, "described")

        def is_taken() -> bool:
            return bool(SpeedHistory(here.lake.speed_log("main")).handovers)

        wait_until(lambda: is_taken() or failed, 60, "an epoch says it, though no record comes")
        here.send(*bad, *history[:30], *orders(20, "live"), *bad)
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 60, "all archived")
        refreshed = here.batch(spark).refresh("sales")
        wait_until(lambda: reader.seen[-1].version == refreshed.version, 30, "the next version is served")
    assert not failed + also_failed
    assert (refreshed.definition, refreshed.audit.clean, refreshed.counts.rejected) == (definition, True, 2 * len(bad))
    assert here.batch(spark).rebuild("sales").audit.clean
