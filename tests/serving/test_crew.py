"""Workers answer what `Serving` answers in this process, with the same proof; what ends one hurts nobody else."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import lakes
import pyarrow as pa
import pytest
from crews import HOSTILE, children, private, standing
from handmade import ALL, rows

from seamline.errors import Condition, SeamlineError
from seamline.schemas.project import load_project
from seamline.serving.asking import Ask, Reply
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.role import crew_of
from seamline.serving.serving import Serving
from seamline.serving.workers.shared import SharedValues, load


async def there(condition: Callable[[], bool]) -> None:
    """Waits until it is so, in the loop of the crew."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def slowly(reply: Reply) -> None:
    """Takes an answer as a client on a poor line does."""
    async for _ in reply.chunks:
        await asyncio.sleep(0.01)


def files(memory: Path) -> list[Path]:
    """What workers share there."""
    return [path for path in memory.rglob("*") if path.is_file() and path.name != "held"]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_it_answers_what_serving_answers_after_each_epoch_and_version(tmp_path: Path) -> None:
    asked = (
        ALL,
        "SELECT shop, MEASURE(mean) FROM sales GROUP BY shop ORDER BY shop",
        "SELECT count(*) FROM sales, shops WHERE sales.shop = shops.shop AND hour >= '2024-05-01 01:00Z'",
        "SELECT sum(mean) FROM sales",
    )

    async def test() -> None:
        async with standing(tmp_path, worker_memory_mb=1024) as one:
            for number in range(6):
                one.made.epoch(rows(10, 20 + 10 * number))
                if number == 3:
                    one.made.version(one.made.sent[:40], cut=40)
                one.caught_up()
                for sql in asked:
                    table, reply = await one.table(sql)
                    true = one.serving.query(sql)
                    assert table.replace_schema_metadata() == true.table.replace_schema_metadata()
                    assert reply.provenance == true.provenance.to_json()
                    assert reply.warnings == true.warnings
                    assert (reply.rows, reply.schema) == (true.table.num_rows, true.table.schema)
            past, _ = await one.table("SELECT sum(orders) AS n FROM sales", as_of=1)
            assert past.to_pylist() == [{"n": 20}]
            assert await one.table("SELECT $1 + 1 AS n, $2 AS s", parameters=(1, "x")) is not None
            said = await one.crew.describe(Ask("SELECT hour, orders FROM sales WHERE hour > $1", LOCAL))
            assert said == one.serving.describe("SELECT hour, orders FROM sales WHERE hour > $1")

    run(test)


ENDLESS = "SELECT count(*) FROM range(10000000000) a(i), range(9) b(j) WHERE i * j % 7 = 3"


def test_a_worker_takes_no_more_memory_than_its_limit(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path, workers=1, query_seconds=2) as one:
            asked = asyncio.create_task(one.error(HOSTILE[8]))
            most = 0
            while not asked.done():
                most = max(most, *map(private, children()))
                await asyncio.sleep(0.01)
            assert (await asked).condition in (Condition.QUERY_TIMEOUT, Condition.QUERY_REFUSED)
            assert 100 < most < 300 + 160  # what it begins with, two DuckDBs, and its limit

    run(test)


def test_a_worker_that_is_killed_is_told_to_its_query_alone_and_another_stands_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path, query_seconds=30) as one:
            before = {member.pid for member in one.members()}
            asked = asyncio.create_task(one.error(ENDLESS))
            await there(lambda: len(one.members()) == 2)
            (busy,) = before - {member.pid for member in one.members()}
            os.kill(busy, signal.SIGKILL)
            assert (await asked).condition is Condition.QUERY_LOST
            assert (await one.table(ALL))[0].num_rows == 15
            await there(lambda: len(one.members()) == 3)
            assert busy not in {member.pid for member in one.members()}
            for member in one.members():
                os.kill(member.pid, signal.SIGKILL)  # while nothing runs: no query hears of it
            await there(lambda: all(member.ended for member in one.members()))
            assert (await one.table(ALL))[0].num_rows == 15

    run(test)


def test_whoever_leaves_ends_the_query_and_a_slow_reader_holds_nothing_back_for_ever(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path, query_seconds=20, workers=1, max_rows=10**9) as one:
            asked = asyncio.create_task(
                one.error("SELECT count(*) FROM range(10000000000) a(i), range(9) b(j) WHERE i*j%7=3")
            )
            await there(lambda: len(one.members()) == 1)
            asked.cancel()
            await there(lambda: len(one.members()) == 2)
            reply = await one.crew.ask(Ask("SELECT * FROM range(300000000)", LOCAL, format="json"))
            await anext(reply.chunks)
            await reply.aclose()
            assert reply.rows is None
            assert (await one.table(ALL))[0].num_rows == 15
            slow = await one.crew.ask(Ask("SELECT * FROM range(300000000)", LOCAL, format="json", seconds=1))
            with pytest.raises(SeamlineError) as cut:
                await slowly(slow)
            assert cut.value.condition is Condition.QUERY_TIMEOUT

    run(test)


def test_a_reader_who_stops_reading_holds_no_worker(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path, query_seconds=4, workers=1, queue_seconds=12, max_rows=10**9) as one:
            small = await one.crew.ask(Ask("SELECT * FROM range(60000)", LOCAL, format="csv"))
            assert (await one.table(ALL))[0].num_rows == 15  # whole though nobody has read it yet
            assert len(b"".join([chunk async for chunk in small.chunks]).splitlines()) == 60001
            large = await one.crew.ask(Ask("SELECT * FROM range(300000000)", LOCAL, format="csv"))
            assert (await one.table(ALL))[0].num_rows == 15
            with pytest.raises(SeamlineError) as cut:
                await slowly(large)
            assert cut.value.condition is Condition.QUERY_TIMEOUT

    run(test)


def test_what_waits_too_long_or_in_too_long_a_queue_is_told_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path, query_seconds=4, workers=1, queue=1, queue_seconds=1) as one:
            asked = asyncio.create_task(one.error(ENDLESS))
            await there(lambda: len(one.members()) == 1)
            waiting = asyncio.create_task(one.error(ALL))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (await one.error(ALL)).condition is Condition.SERVING_BUSY
            assert "free within 1 s" in (await waiting).message
            assert (await asked).condition is Condition.QUERY_TIMEOUT

    run(test)


def test_an_answer_has_its_bounds(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path, max_rows=1000, max_mb=1) as one:
            assert (await one.table("SELECT * FROM range(1000)"))[1].rows == 1000
            assert "1,000 rows" in (await one.error("SELECT * FROM range(1001)")).message
            assert "10 rows" in (await one.error("SELECT * FROM range(11)", max_rows=10)).message
            assert "1 MiB" in (await one.error("SELECT repeat('x', 2000) FROM range(1000)")).message

    run(test)


def test_callers_see_their_own_views_alone(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path) as one:
            sales, shops = Caller("a", frozenset(["sales"])), Caller("b", frozenset(["shops"]))
            asked = "SELECT count(*) AS n FROM "
            found = await asyncio.gather(
                one.table(asked + "sales", caller=sales), one.error(asked + "sales", caller=shops),
                one.error(asked + "shops", caller=sales), one.table(asked + "shops", caller=shops),
            )  # fmt: skip
            assert [f[0].to_pylist() for f in (found[0], found[3])] == [[{"n": 15}], [{"n": 3}]]
            for refused, hidden in ((found[1], "sales"), (found[2], "shops")):
                assert refused.condition is Condition.QUERY_INVALID
                assert hidden not in refused.detail + refused.hint
            assert set(one.crew.snapshot(sales).views) == {"sales"}

    run(test)


def test_where_shared_memory_is_not_there_or_has_no_room_the_disk_takes_what_workers_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()

    async def test() -> None:
        async with standing(tmp_path / "lake", memory=memory) as one:
            assert files(memory)
            shutil.rmtree(memory)  # from here on nothing can be written there
            for first in (20, 25, 30):
                one.made.epoch(rows(5, first))
                one.caught_up()
                assert (await one.table("SELECT sum(orders) AS n FROM sales"))[0].to_pylist() == [{"n": first + 5}]
        async with standing(tmp_path / "other", memory=memory) as one:
            assert (await one.table(ALL))[0].num_rows == 15

    run(test)
    assert [record.message for record in caplog.records if "through the disk" in record.message][1:] == []


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    living = SharedValues(tmp_path)
    kept = living.put(pa.table({"x": [1]}))
    left = kept.parent.parent / "dead"
    left.mkdir()
    (left / "1").write_bytes(b"x" * 100)
    other = SharedValues(tmp_path)
    assert not left.exists()
    assert load(str(kept)).to_pylist() == [{"x": 1}]
    other.close()
    living.close()
    assert files(tmp_path) == []


def test_what_a_snapshot_needs_stands_and_nothing_else(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()

    async def test() -> None:
        async with standing(tmp_path / "lake", memory=memory) as one:
            for number in range(20):
                one.made.epoch(rows(5, 20 + 5 * number))
                one.caught_up()
            snapshot = one.serving.snapshot()
            runs = sum(len(snapshot.view(view).runs) for view in ("sales", "shops"))
            assert len(files(memory)) == runs + 2  # and two definitions
            assert (await one.table("SELECT sum(orders) AS n FROM sales"))[0].to_pylist() == [{"n": 120}]
        assert files(memory) == []

    run(test)


def test_at_least_waits_for_an_epoch_and_no_longer_than_it_may(tmp_path: Path) -> None:
    async def test() -> None:
        async with standing(tmp_path) as one:
            sql = "SELECT sum(orders) AS n FROM sales"
            waiting = asyncio.create_task(one.table(sql, at_least=2))
            early, _ = await one.table(sql, at_least=1)
            one.made.epoch(rows(5, 20))
            one.caught_up()
            assert [early.to_pylist(), (await waiting)[0].to_pylist()] == [[{"n": 20}], [{"n": 25}]]
            assert (await one.error(sql, at_least=3, seconds=0.2)).condition is Condition.EPOCH_NOT_REACHED

    run(test)


def test_where_the_system_cannot_bound_a_process_queries_run_in_threads_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lakes.project(tmp_path)
    project = load_project(tmp_path)
    assert crew_of(project, lambda: Serving(project.lake, project.settings), "darwin") is None
    assert "darwin" in caplog.text
