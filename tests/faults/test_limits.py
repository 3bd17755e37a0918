"""Sums at the limits of their types: exact, or an error for the one group whose sum does not fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from field import Field
from reader import Ask, Reader, library
from truth import Event
from waiting import wait_until

from seamline.errors import Condition, SeamlineError
from seamline.history.speed import SpeedHistory

SUMS = """CREATE MATERIALIZED VIEW sums AS
SELECT placed::DATE AS day, shop, count(*) AS orders, sum(amount) AS amount, sum(buyer::DECIMAL(38,0)) AS vast
FROM orders GROUP BY ALL"""

TRUE = """CREATE MATERIALIZED VIEW sums AS
SELECT placed::DATE AS day, shop, count(*) AS orders, sum(amount) AS amount, (sum(buyer::HUGEINT // limb)
  * any_value(limb) + sum(buyer::HUGEINT % limb))::DECIMAL(38,0) AS vast
FROM orders, (SELECT 10000000000000000000::HUGEINT AS limb) WHERE shop LIKE 'in%' GROUP BY ALL"""
"""Plain DuckDB's own sum overflows on the way: a sum in two halves does not."""

SHOPS, ROUNDS, OVER = 450, 20, 3
MOST, LEAST, VAST = 2**63 - 1, -(2**63), 10**38 - 1


def order(shop: int, number: int) -> Event:
    """The `number`-th order of a shop: the sum of its amounts grows or stays small, its vast values cancel out.

    The last shops' vast values do not: their sum is out of range from the second order on.
    """
    amount = (MOST, LEAST, (LEAST, MOST)[number % 2])[shop % 3]
    over = shop >= SHOPS - OVER
    vast = VAST - shop if over or (shop + number) % 2 else shop - VAST
    name = f"{'over' if over else 'in'}{shop}"
    return Event(f"{shop}-{number}", datetime(2024, 5, 1, tzinfo=UTC), name, amount, 0.5, str(vast))


def check_over(ask: Ask, rounds: int) -> None:
    """An error where the sums of all groups are asked for; every other column and group answers."""
    with pytest.raises(SeamlineError) as caught:
        ask("SELECT * FROM sums")
    assert caught.value.condition is Condition.VALUE_OUT_OF_RANGE
    assert "vast" in str(caught.value)
    rest = ask("SELECT orders, amount FROM sums WHERE shop LIKE 'over%' ORDER BY amount")["rows"]
    shops = range(SHOPS - OVER, SHOPS)
    sums = [sum(order(shop, number).amount or 0 for number in range(rounds)) for shop in shops]
    assert [(orders, Decimal(amount)) for orders, amount in rest] == [(rounds, one) for one in sorted(sums)]


def test_nine_thousand_partial_sums_at_the_limits_are_exact_or_an_error_of_their_group_alone(
    field: Callable[..., Field], spark: Any
) -> None:
    """Each epoch holds one order of every shop, so that no sum is made before partials are merged."""
    here = field(1, settings=f"[speed]\nmax_records = {SHOPS}\n", views={"sums": SUMS})
    here.hold_against("sums", TRUE)
    ask = library(here.project)
    inside = Reader(lambda sql: ask(f"{sql} WHERE shop LIKE 'in%'"), here.lake, "sums")
    here.readers.append(inside)
    here.send(*(order(shop, number) for number in range(ROUNDS) for shop in range(SHOPS)))
    with here.checked(), inside, here.speed(spark) as failed, here.archive(spark) as also_failed:
        inside.reaches(here.topic.end)
        check_over(ask, ROUNDS)
        wait_until(here.archived(), 90, "all archived")
        outcome = here.batch(spark).rebuild("sums")
        wait_until(lambda: inside.seen[-1].version == outcome.version, 60, "the version is served")
        check_over(ask, ROUNDS)
        here.send(*(order(shop, ROUNDS) for shop in range(SHOPS)))
        inside.reaches(here.topic.end)
        check_over(ask, ROUNDS + 1)
    assert not failed + also_failed
    assert outcome.audit.compared
    assert outcome.audit.clean
    epochs = SpeedHistory(here.lake.speed_log("main")).epochs.values()
    assert sum(file.rows for epoch in epochs for file in epoch.files.values() if file) == SHOPS * (ROUNDS + 1)
