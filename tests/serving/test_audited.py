"""Each question has one line, whatever becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from handmade import Handmade, rows

from seamline.errors import SeamlineError
from seamline.serving.access.audited import AuditedAsker
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.asking import Ask, Direct, Reply
from seamline.serving.callers import Caller
from seamline.serving.serving import Serving

ADA = Caller("ada", frozenset({"sales"}))
Does = Callable[[AuditedAsker], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = Handmade(tmp_path_factory.mktemp("lake"))
    made.epoch(rows(20))
    return made.serving()


def lines_of(serving: Serving, folder: Path, does: Does, *, masked: bool = False) -> list[dict[str, Any]]:
    """What is kept of what it does."""
    log = AuditLog(folder / "audit.jsonl", masked=masked, most=1 << 20, keep=1)
    asyncio.run(does(AuditedAsker(Direct(lambda: serving), log, "http", serving.clock)))
    log.close()
    path = folder / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def taken(asker: AuditedAsker, ask: Ask) -> bytes:
    reply = await asker.ask(ask)
    return b"".join([chunk async for chunk in reply.chunks])


def test_who_asked_what_how_long_and_how_many_rows(serving: Serving, tmp_path: Path) -> None:
    ask = Ask("SELECT shop FROM sales WHERE shop <> $1 LIMIT 2", ADA, ["x"], format="csv", as_of=1)
    written: list[bytes] = []

    async def does(asker: AuditedAsker) -> None:
        written.append(await taken(asker, ask))

    (line,) = lines_of(serving, tmp_path, does)
    seconds = line.pop("seconds")
    assert 0 <= seconds < 60
    assert line == {
        "at": serving.clock().isoformat(), "who": "ada", "door": "http", "sql": ask.sql, "parameters": ["x"],
        "as_of": 1, "format": "csv", "outcome": "ok", "views": ["sales"], "rows": 2, "bytes": len(written[0]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "outcome"), [("SELECT * FROM shops", "QUERY_INVALID"), ("SELECT getenv('x')", "QUERY_REFUSED")]
)
def test_what_is_refused_says_why(serving: Serving, tmp_path: Path, sql: str, outcome: str) -> None:
    async def does(asker: AuditedAsker) -> None:
        for work in (asker.ask, asker.describe):
            with pytest.raises(SeamlineError):
                await work(Ask(sql, ADA))

    for line in lines_of(serving, tmp_path, does):
        assert (line["who"], line["sql"], line["outcome"]) == ("ada", sql, outcome)
        assert line["message"]
    (masked, _) = lines_of(serving, tmp_path / "masked", does, masked=True)
    assert masked["outcome"] == outcome
    assert "message" not in masked
    assert "'x'" not in masked["sql"]


def test_who_goes_away_has_a_line_too(serving: Serving, tmp_path: Path) -> None:
    async def unread(asker: AuditedAsker) -> None:
        await (await asker.ask(Ask("SELECT 1 AS x", ADA))).aclose()

    async def half(asker: AuditedAsker) -> None:
        reply = await asker.ask(Ask("SELECT 1 AS x", ADA))
        await anext(reply.chunks)
        await reply.aclose()
        await reply.aclose()

    async def cancelled(asker: AuditedAsker) -> None:
        work = asyncio.ensure_future(asker.ask(Ask("SELECT count(*) FROM range(100000000)", ADA, seconds=20)))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    for does in (unread, half, cancelled):
        (line,) = lines_of(serving, tmp_path / does.__name__, does)
        assert line["outcome"] == "left"


def test_an_answer_that_fails_on_the_way_says_so(serving: Serving, tmp_path: Path) -> None:
    class Failing(Direct):
        async def ask(self, ask: Ask) -> Reply:
            reply = await super().ask(ask)

            async def chunks() -> AsyncGenerator[bytes, None]:
                yield b"half"
                raise ZeroDivisionError

            return Reply(reply.schema, reply.provenance, reply.warnings, chunks())

    log = AuditLog(tmp_path / "audit.jsonl", masked=False, most=1 << 20, keep=1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(taken(AuditedAsker(Failing(lambda: serving), log, "postgres"), Ask("SELECT 1 AS x", ADA)))
    log.close()
    (line,) = [json.loads(text) for text in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert (line["outcome"], line["bytes"], line["door"]) == ("UNEXPECTED", 4, "postgres")
