"""The Postgres port over workers: nothing that one client asks keeps another from its answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from crews import HOSTILE, SLACK, children, private
from handmade import Handmade, rows
from waiting import wait_until
from wireport import VIEW, Port

from seamline.config import ServingSection
from seamline.serving.asking import Asker
from seamline.serving.workers.crew import Crew

LIMITS = {"query_seconds": 8, "worker_memory_mb": 300, "workers": 2, "queue_seconds": 6, "max_mb": 16}
QUICK = "SELECT sum(orders)::INT FROM public.sales"
ENDED = {"57014", "57P02", "53200", "0A000"}
"""SQLSTATEs of what took too long, or needs more than it may have."""


class WorkersPort(Port):
    """One whose queries run in workers."""

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[Asker]:
        settings = ServingSection.model_validate(LIMITS)
        async with Crew(lambda: self.serving, settings, 1, self.made.clock) as crew:
            await asyncio.to_thread(crew.publish, self.serving)
            yield crew


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkersPort]:
    made = Handmade(tmp_path_factory.mktemp("workers"), VIEW)
    made.epoch(rows(20))
    opened = WorkersPort(made)
    yield opened
    opened.close()


def connected(port: Port, **more: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(port.url, autocommit=True, **more)


def test_whatever_a_client_asks_ends_in_time_and_others_get_their_answers(port: WorkersPort) -> None:
    def asked(sql: str) -> tuple[float, str]:
        began = time.monotonic()
        with connected(port, options="-c statement_timeout=1000") as mad, pytest.raises(psycopg.Error) as failed:
            mad.execute(sql)
        return time.monotonic() - began, str(failed.value.sqlstate)

    with ThreadPoolExecutor(1) as pool, connected(port) as calm:
        for sql in HOSTILE:
            mad, answered = pool.submit(asked, sql), 0
            while not mad.done() or not answered:
                assert calm.execute(QUICK).fetchall() == [(20,)]
                answered += 1
                assert max(map(private, children())) < 300 + 160, sql
            took, state = mad.result()
            assert state in ENDED, sql
            assert took < 1 + 1 + 2 * SLACK, sql  # it is described before it is asked


def test_a_cancelled_query_ends_and_its_connection_goes_on(port: WorkersPort) -> None:
    with connected(port) as mine, ThreadPoolExecutor(1) as pool:
        running = pool.submit(mine.execute, HOSTILE[0])
        wait_until(lambda: bool(port.house.busy), 10, "the query runs")
        began = time.monotonic()
        mine.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result()
        assert time.monotonic() - began < 1 + SLACK
        assert mine.execute(QUICK).fetchall() == [(20,)]


def test_rows_come_as_they_are_served(port: WorkersPort) -> None:
    sql = "SELECT hour, shop, orders, amount, mean, latest FROM sales ORDER BY ALL"
    wanted = port.serving.query(sql).table.to_pylist()
    for binary in (False, True):
        with connected(port) as mine, mine.cursor(binary=binary) as cursor:
            found = cursor.execute(sql).fetchall()
        assert [dict(zip(wanted[0], row, strict=True)) for row in found] == wanted


def test_a_port_that_closes_lets_the_statement_that_runs_come_to_its_end(tmp_path: Path) -> None:
    made = Handmade(tmp_path, VIEW)
    made.epoch(rows(20))
    opened = WorkersPort(made)
    with connected(opened) as busy, connected(opened) as idle, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(busy.execute, "SELECT sum(hash(x) % 7)::BIGINT > 0 FROM range(60000000) t(x)")
        wait_until(lambda: opened.house.busy, 10, "the statement runs")
        closing = pool.submit(opened.close)
        assert slow.result(30).fetchall() == [(True,)]
        closing.result(30)
        for one in (busy, idle):
            with pytest.raises(psycopg.OperationalError):
                one.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        connected(opened)
