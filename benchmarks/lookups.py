"""Lookups over the same rows' SQL: one key in this process, and requests a second over HTTP.

In the process: an index over DuckDB that reads the same merged statement and files, turn by turn; and one key of an
index with a hundred times the rows. Over HTTP: the role's application with tokens and the audit log, over a plain
FastAPI with DuckDB in its threads, both on uvloop and httptools, each in a process of its own, asked in turns.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import httpx
import uvicorn
import uvloop
from answer import Live
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from figures import Figure, Size

from seamline.clock import system_clock
from seamline.config import Settings
from seamline.lake import Lake
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.access.store import TokenStore
from seamline.serving.cursor import statement
from seamline.serving.encode import rows
from seamline.serving.follower import Follower
from seamline.serving.http.app import create_app
from seamline.serving.lookups.indexes import Lookups
from seamline.serving.lookups.rowsasked import MOST, RowsAsked
from seamline.serving.lookups.rowsbody import IndexedAnswers
from seamline.serving.role import LOOP, listen
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView

SIZES = {Size.SMALL: (480_000, 2_000, 2, 3), Size.WHOLE: (9_600_000, 20_000, 10, 7)}
"""Rows of the view, keys that are asked in the process, and seconds and rounds of each server."""
CONNECTIONS, CLIENTS = 16, 2
ROOM = 8 << 30
SPAWN = multiprocessing.get_context("spawn")


def measure(size: Size) -> list[Figure]:
    """Medians of a lookup, and requests a second."""
    rows_, asked, seconds, rounds = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        large, small = Live(Path(folder) / "large", rows_), Live(Path(folder) / "small", rows_ // 100, 10)
        found = _inside(large, small, asked, rows_)
        served = _over_http(large, Path(folder), seconds, rounds)
    sizes = {"view rows": rows_, "connections": CONNECTIONS}
    mine, other = (statistics.median(served[name]) for name in ("role", "fastapi"))
    ratio = statistics.median(a / b for a, b in zip(served["role"], served["fastapi"], strict=True))
    return [
        *found,
        Figure("lookups, role with tokens and audit log", mine, "requests/s", "", sizes),
        Figure("lookups, FastAPI with DuckDB", other, "requests/s", "", sizes),
        Figure("lookups, requests a second", ratio, "ratio", "FastAPI with DuckDB", sizes, "at least 5"),
    ]


# --- in this process -------------------------------------------------------------------------------------


def _inside(large: Live, small: Live, asked: int, rows_: int) -> list[Figure]:
    indexes = {name: _indexed(live) for name, live in (("large", large), ("small", small))}
    keys = {name: _keys(live, asked) for name, live in (("large", large), ("small", small))}
    serving, answers = indexes["large"]
    served = serving.snapshot().view("pages")
    plain = _plain(served, serving.settings.kernel.threads)
    works: dict[str, Callable[[tuple[str, str]], object]] = {
        "large": partial(_look, indexes["large"][1]),
        "small": partial(_look, indexes["small"][1]),
        "duckdb": partial(_read, plain),
    }
    keys["duckdb"] = keys["large"]
    took: dict[str, list[float]] = {name: [] for name in works}
    for number in range(asked):
        for name, work in works.items():
            if name == "duckdb" and number % 20:
                continue
            began = time.perf_counter()
            work(keys[name][number])
            took[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(times) * 1e6 for name, times in took.items()}
    sizes = {"view rows": rows_, "layers": len(answers.index.layers)}
    bytes_a_row = answers.index.size / answers.index.rows
    for one, _ in indexes.values():
        one.close()
    return [
        Figure("lookup of a key", middle["large"], "us", "", sizes),
        Figure("DuckDB in the process, the same key", middle["duckdb"], "us", "", sizes),
        Figure("lookup of a key, p50", middle["large"] / middle["duckdb"], "ratio", "DuckDB", sizes, "at most 0.3"),
        Figure("lookup at 100 x the rows", middle["large"] / middle["small"], "ratio", "1 x", sizes, "at most 1.5"),
        Figure("an index", bytes_a_row, "bytes a row", "", sizes),
    ]


def _indexed(live: Live) -> tuple[Serving, IndexedAnswers]:
    """A version, and a few epochs after it, in an index."""
    live.publish()
    live.epoch()
    serving = Serving(live.lake, Settings())
    lookups = Lookups(lambda: serving, ROOM)
    lookups.find("pages", serving.snapshot().view("pages"))
    lookups.catch_up()
    for _ in range(5):
        live.epoch()
        serving.catch_up()
        lookups.catch_up()
    answers = lookups.find("pages", serving.snapshot().view("pages"))
    if answers is None:
        raise RuntimeError("there is no index")
    return serving, answers


def _keys(live: Live, count: int) -> list[tuple[str, str]]:
    """A page and an hour each, over all dates."""
    chance = random.Random(1)
    hours = live.dates * 24
    return [
        (
            f"page{chance.randrange(live.pages)}",
            (live.now - timedelta(hours=chance.randrange(1, hours))).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        for _ in range(count)
    ]


def _look(answers: IndexedAnswers, key: tuple[str, str]) -> None:
    asked = RowsAsked("pages", key)
    if not answers.body(asked, answers.find(asked, MOST), system_clock())[1]:
        raise RuntimeError(key)


def _plain(served: ServedView, threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'")
    connection.register("given", served.speed)
    connection.execute("CREATE TABLE _speed_pages AS FROM given")
    connection.execute(f"CREATE VIEW pages AS {statement(served, served.definition)}")
    return connection


def _read(connection: duckdb.DuckDBPyConnection, key: tuple[str, str]) -> str:
    found = connection.execute("SELECT * FROM pages WHERE page = $1 AND hour = $2::TIMESTAMPTZ", list(key))
    return json.dumps(list(rows(found.to_arrow_table())))


# --- over HTTP -------------------------------------------------------------------------------------------


def _over_http(live: Live, folder: Path, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Requests a second of each, round by round."""
    uri = str(folder / "large")
    store = TokenStore(folder / "tokens.json", system_clock)
    token = store.create("bench", views=None)[1]
    paths = [f"/v1/views/pages/rows?key={page}&key={hour}" for page, hour in _keys(live, 500)]
    found: dict[str, list[float]] = {"role": [], "fastapi": []}
    with _server(_role, uri, str(folder)) as role, _server(_fastapi, uri, str(folder)) as other:
        ports = {"role": role, "fastapi": other}
        _warm(role, token, paths[0])
        for number in range(rounds + 1):
            for name, port in ports.items():
                rate = _rate(port, token, paths, seconds)
                found[name] += [rate] if number else []
    return found


@contextmanager
def _server(run: Callable[[str, str, Connection], None], uri: str, folder: str) -> Iterator[int]:
    mine, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=run, args=(uri, folder, theirs), daemon=True)
    process.start()
    try:
        yield int(mine.recv())
    finally:
        process.terminate()
        process.join()


def _role(uri: str, folder: str, pipe: Connection) -> None:
    settings = Settings()
    access = Access(TokenStore(Path(folder) / "tokens.json", system_clock))
    audit = AuditLog(Path(folder) / "audit.jsonl", masked=True, most=10 << 20, keep=1)
    lookups = Lookups(lambda: follower.serving, ROOM)
    follower = Follower(Lake.open(uri), settings, ready=lookups.after(Serving.prepare))
    lookups.start()
    follower.start()
    _run(create_app(follower, access=access, audit=audit, lookups=lookups), pipe)


def _fastapi(uri: str, folder: str, pipe: Connection) -> None:
    serving = Serving(Lake.open(uri), Settings())
    served = serving.snapshot().view("pages")
    root = _plain(served, 1)
    local, app = threading.local(), FastAPI()

    @app.get("/v1/views/{name}/rows")
    def look(name: str, request: Request) -> JSONResponse:
        if not hasattr(local, "cursor"):
            local.cursor = root.cursor()
        page, hour = request.query_params.getlist("key")
        return JSONResponse(json.loads(_read(local.cursor, (page, hour))))

    _run(app, pipe)


def _run(app: FastAPI, pipe: Connection) -> None:
    listening = listen("127.0.0.1", 0)
    pipe.send(listening.getsockname()[1])
    config = uvicorn.Config(app, loop=LOOP, http="httptools", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def _warm(port: int, token: str, path: str) -> None:
    """Until the index answers."""
    until, headers = time.monotonic() + 120, {"Authorization": f"Bearer {token}"}
    while httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers).headers.get("seamline-lookup") != "index":
        if time.monotonic() > until:
            raise RuntimeError("no index answers")
        time.sleep(0.2)


def _asked(token: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.index(b"content-length:") + len(b"content-length:")
    body = await reader.readexactly(int(lower[at : lower.index(b"\r\n", at)]))
    return head + body


def _rate(port: int, token: str, paths: list[str], seconds: float) -> float:
    """Requests a second of all connections, over two processes, in a closed loop."""
    with SPAWN.Pool(CLIENTS) as pool:
        each = CONNECTIONS // CLIENTS
        given = [(port, token, paths[n::CLIENTS], seconds, each) for n in range(CLIENTS)]
        return float(sum(pool.starmap(_load, given)))


def _load(port: int, token: str, paths: list[str], seconds: float, connections: int) -> float:
    requests = [_asked(token, path) for path in paths]

    async def one(first: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        until, done = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            writer.write(requests[(first + done) % len(requests)])
            answer = await _answer(reader)
            if b" 200 " not in answer[:16]:
                raise RuntimeError(answer)
            done += 1
        writer.close()
        return done

    async def every() -> int:
        return sum(await asyncio.gather(*(one(n * 31) for n in range(connections))))

    return uvloop.run(every()) / seconds
