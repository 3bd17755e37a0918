"""Workers in tests: a crew over a handmade lake, statements that go mad, and what processes take."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handmade import OTHER, VIEW, Handmade, rows

from seamline.config import ServingSection
from seamline.errors import SeamlineError
from seamline.ipc import from_ipc
from seamline.serving.asking import Ask, Reply
from seamline.serving.callers import LOCAL
from seamline.serving.serving import Serving
from seamline.serving.workers import forge
from seamline.serving.workers.crew import Crew
from seamline.serving.workers.shared import MEMORY

SLACK = 1.5
"""Seconds that a busy machine takes besides."""

QUICK = {"query_seconds": 30, "worker_memory_mb": 300, "workers": 2, "queue_seconds": 5}


class Standing:
    """A crew over a handmade lake."""

    def __init__(self, made: Handmade, serving: Serving, crew: Crew) -> None:
        self.made, self.serving, self.crew = made, serving, crew

    def caught_up(self) -> None:
        self.serving.catch_up()
        self.crew.publish(self.serving)

    def members(self) -> list[Any]:
        """The workers that are idle."""
        return list(self.crew.idle)

    async def table(self, sql: str, **more: Any) -> tuple[pa.Table, Reply]:
        reply = await self.crew.ask(Ask(sql, more.pop("caller", LOCAL), **more))
        return from_ipc(b"".join([chunk async for chunk in reply.chunks])), reply

    async def error(self, sql: str, **more: Any) -> SeamlineError:
        with pytest.raises(SeamlineError) as failed:
            await self.table(sql, **more)
        return failed.value


@asynccontextmanager
async def standing(folder: Path, memory: Path = MEMORY, **settings: Any) -> AsyncIterator[Standing]:
    made = Handmade(folder, VIEW, OTHER)
    made.epoch(rows(20))
    serving = made.serving()
    section = ServingSection.model_validate({**QUICK, **settings})
    crew = Crew(lambda: serving, section, 1, made.clock, memory)
    await crew.start()
    found = Standing(made, serving, crew)
    found.caught_up()
    try:
        yield found
    finally:
        await crew.close()
        serving.close()


HOSTILE = [
    "SELECT damerau_levenshtein(repeat('a', 60000), repeat('b', 60000))",
    "SELECT levenshtein(repeat('a', 60000), repeat('b', 60000))",
    "SELECT len(generate_series(1, 2000000000))",
    "SELECT length(repeat('x', 2000000000))",
    "SELECT length(format('{:2000000000}', 1))",
    "SELECT length(printf('%2000000000d', 1))",
    "SELECT length(lpad('x', 2000000000, 'y'))",
    "SELECT count(*) FROM range(list_sum(range(300000000))::BIGINT)",
    "SELECT length(list_reduce(range(40), lambda a, b: a || a, 'x'))",
    "SELECT sha256(repeat('x', 1000000000)) FROM range(100)",
    "SELECT length(translate(repeat('abc', 300000000), 'abc', 'xyz'))",
    "SELECT x FROM range(10) t(x) LIMIT " + "levenshtein(repeat('a', 60000), repeat('b', 60000))",
]


def private(pid: int) -> float:
    """MiB of a process's own memory; 0 where it has ended."""
    line = next((line for line in _read(Path(f"/proc/{pid}/status")).splitlines() if line.startswith("RssAnon")), "_ 0")
    return int(line.split()[1]) / 1024


def children() -> list[int]:
    """The processes that this one's workers are forked by, and they: nothing else that a run of tests has begun."""
    forges = [pid for pid in _begun_by(os.getpid()) if forge.__name__ in _read(Path(f"/proc/{pid}/cmdline"))]
    return sorted(forges + [worker for one in forges for worker in _begun_by(one)])


def _begun_by(pid: int) -> list[int]:
    return [int(one) for file in Path(f"/proc/{pid}/task").glob("*/children") for one in _read(file).split()]


def _read(file: Path) -> str:
    """What /proc says; nothing of what has ended meanwhile."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
