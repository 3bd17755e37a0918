"""Copies, wherever they come and however they differ: counted once, and what only looks like one counted for itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

from field import CONTRACT, GARBAGE, SALES, Field, Written, orders
from reader import library
from truth import Event
from waiting import wait_until

from seamline.entries.base import Counts
from seamline.history.speed import SpeedHistory

KIND = "  - {{property: seamline.discriminator, value: {{path: kind, value: {kind}}}}}\n"
RETURNED = SALES.replace("sales", "returned").replace("FROM orders", "FROM returns")


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


def two_kinds(field: Callable[..., Field]) -> Field:
    """Orders and returns on one topic, with a view over each. In the truth, returns are the events of shop `back`."""
    contract = CONTRACT + KIND.replace("{kind}", "order")
    here = field(views={"sales": SALES, "returned": RETURNED}, contracts={"orders": contract, "returns": contract
                 .replace("id: orders", "id: returns").replace("name: orders", "name: returns")
                 .replace("value: order}", "value: return}")})  # fmt: skip
    here.hold_against("sales", SALES.replace("FROM orders", "FROM orders WHERE shop <> 'back'"))
    here.hold_against("returned", RETURNED.replace("FROM returns", "FROM orders WHERE shop = 'back'"))
    return here


def order(event: Event) -> Written:
    """An order as this topic carries it."""
    return Written(event, json.dumps({"kind": "order", **json.loads(event.encode())}).encode())


def returned(event: Event) -> Written:
    """A return with the id and the event time of an order; in the truth it has an id of its own."""
    back = replace(event, shop="back")
    value = json.dumps({"kind": "return", **json.loads(back.encode())}).encode()
    return Written(replace(back, id=f"return of {event.id}"), value)


def test_what_differs_from_a_copy_is_counted_as_the_design_says(field: Callable[..., Field], spark: Any) -> None:
    here = two_kinds(field)
    history = orders(40)
    one, two, three, four, five = history[:5]
    nameless = [replace(event, id=None) for event in history[:10]]
    batches = [
        [order(event) for event in history],
        [order(replace(one, amount=1000)), order(replace(two, shop="a", amount=2000))],  # disagreeing: the first stays
        [order(replace(three, placed=three.placed + timedelta(seconds=1))), order(three)],  # at another event time
        [returned(event) for event in history[:5]] + [returned(four)],  # the same id in another contract
        [order(event) for event in nameless + nameless],  # no id: each is an event of its own
        [order(four).value.replace(b'"amount": 3', b'"amount": "3"')],  # rejected, and not the first of its copies
        [b'{"kind": "gift"}', b'{"id": "x"}', b"{"],  # of no contract
    ]
    broken = order(replace(five, id="mended")).value
    batches.append([broken.replace(b'"amount": 4', b'"amount": "4"'), order(replace(five, id="mended"))])
    with ExitStack() as stack:
        readers = [stack.enter_context(here.read(view)) for view in here.project.views]
        failed = [stack.enter_context(role) for role in (here.speed(spark), here.archive(spark))]
        for batch in batches:  # all in one partition: there the first to come has the lowest position too
            here.send(*batch, partition=0)
        for batch in batches:
            here.send(*(one for one in batch if isinstance(one, Written)), partition=0)
            readers[0].reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        outcomes = {view: here.batch(spark).rebuild(view) for view in here.project.views}
        for reader in readers:
            wait_until(lambda r=reader: r.seen[-1].version == outcomes[r.view].version, 60, "the version is served")
            reader.asks()
    assert failed == [[], []]
    assert {view: one.audit.disagreeing_copies for view, one in outcomes.items()} == {"sales": 2, "returned": 0}
    assert all(one.audit.clean for one in outcomes.values())


def test_copies_that_disagree_in_two_partitions_are_settled_by_the_batch_and_told(
    field: Callable[..., Field], spark: Any
) -> None:
    """Speed counts the one that came first, as any one pass over the log so far; batch the one that lies lowest."""
    here = field()
    (event,) = orders(1)
    low, high = replace(event, amount=1), replace(event, amount=2)
    asked = "SELECT orders, amount::INT FROM sales"
    with here.speed(spark) as failed, here.archive(spark) as also_failed:
        with here.read() as reader:
            here.send(high, partition=1)
            reader.reaches(here.topic.end)
            here.send(low, partition=0)
            reader.reaches(here.topic.end)
            wait_until(here.archived(), 90, "all archived")
        ask = library(here.project)
        assert ask(asked)["rows"] == [[1, 2]]
        audit = here.batch(spark).rebuild("sales").audit
        assert ask(asked)["rows"] == [[1, 1]]
    assert not failed + also_failed
    assert audit.disagreeing_copies == 1
    assert SpeedHistory(here.lake.speed_log("main")).counts["orders"] == Counts(read=2, counted=1, duplicate=1)
