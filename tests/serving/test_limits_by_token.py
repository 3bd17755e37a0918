"""Limits of a token's own: each ends what goes beyond it, and others do not notice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from crews import HOSTILE, standing
from handmade import ALL, Handmade, rows
from test_http import Role
from waiting import wait_until

from seamline.clock import ManualClock
from seamline.errors import Condition
from seamline.serving.access.authentication import Access
from seamline.serving.access.store import TokenStore
from seamline.serving.callers import Caller, CallerLimits

SLOW = "SELECT count(*) FROM range(10000000000) a(i), range(9) b(j) WHERE i * j % 7 = 3"


def caller(**limits: int) -> Caller:
    return Caller("small", limits=CallerLimits(**limits))


def test_seconds_rows_bytes_and_memory_of_one_query(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as one:
            for limits, sql, condition, said in (
                ({"seconds": 1}, SLOW, Condition.QUERY_TIMEOUT, "1 s"),
                ({"rows": 3}, ALL, Condition.QUERY_REFUSED, "more than 3 rows"),
                ({"mb": 1}, "SELECT repeat('x', 2000) FROM range(1000)", Condition.QUERY_REFUSED, "more than 1 MiB"),
                ({"memory_mb": 64}, "SELECT length(repeat('x', 120000000))", Condition.QUERY_REFUSED, "64 MiB"),
            ):
                error = await one.error(sql, caller=caller(**limits))
                assert error.condition is condition, limits
                assert said in error.message + error.detail
                if condition is not Condition.QUERY_TIMEOUT:
                    assert (await one.table(sql))[0].num_rows > 0

    asyncio.run(run())


def test_queries_at_a_time_and_those_that_wait(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path, workers=2, queue_seconds=1) as one:
            small = caller(queries=1, queue=1)
            first = asyncio.create_task(one.error(HOSTILE[1], caller=small, seconds=4.0))
            await asyncio.sleep(0)
            second = asyncio.create_task(one.error(ALL, caller=small))
            await asyncio.sleep(0)
            third = await one.error(ALL, caller=small)
            assert (third.condition, "wait already" in third.message) == (Condition.LIMIT_REACHED, True)
            assert (await one.table(ALL))[0].num_rows > 0
            waited = await second
            assert (waited.condition, "1 of small run" in waited.message) == (Condition.LIMIT_REACHED, True)
            assert (await first).condition is Condition.QUERY_TIMEOUT

    asyncio.run(run())


def test_they_are_kept_with_the_token_and_told_over_http(tmp_path: Path) -> None:
    made = Handmade(tmp_path / "lake")
    made.epoch(rows(20))
    store = TokenStore(tmp_path / "tokens.json", ManualClock(made.clock()))
    _, text = store.create("small", views=None, limits=CallerLimits(rows=3, seconds=1, live=0))
    role = Role(made, 30, access=Access(store))
    role.follower.start()
    wait_until(lambda: role.client.get("/healthz").status_code == 200, 60, "the role is ready")
    head = {"Authorization": f"Bearer {text}"}

    def asked(**body: Any) -> Any:
        return role.client.post("/v1/query", json=body, headers=head)

    refused = asked(sql=ALL)
    assert (refused.status_code, refused.json()["condition"]) == (400, "QUERY_REFUSED")
    assert asked(sql=f"SELECT * FROM ({ALL}) LIMIT 3").status_code == 200
    assert asked(sql=ALL, max_rows=100).status_code == 400
    assert asked(sql=SLOW, timeout=20).json()["condition"] == "QUERY_TIMEOUT"
    followed = role.client.get("/v1/live", params={"view": "sales"}, headers=head)
    assert (followed.status_code, followed.headers["Retry-After"]) == (429, "1")
    assert followed.headers["Content-Type"] == "application/problem+json"
    assert followed.json()["type"] == "urn:seamline:LIMIT_REACHED"
    assert (followed.json()["title"], followed.json()["status"]) == ("Limit reached", 429)
    role.stop()
