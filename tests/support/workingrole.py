"""The HTTP role over its workers, in a thread of the tests: a real port, real processes, and two tokens."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from handmade import OTHER, VIEW, Handmade, rows
from waiting import wait_until

from seamline.config import Settings
from seamline.serving.access.authentication import Access
from seamline.serving.access.store import TokenStore
from seamline.serving.follower import Follower
from seamline.serving.http.app import create_app
from seamline.serving.lookups.indexes import Lookups
from seamline.serving.role import listen
from seamline.serving.workers.crew import Crew

LIMITS = {
    "poll_ms": 5, "query_seconds": 8, "worker_memory_mb": 300, "workers": 2, "queue": 100, "queue_seconds": 6,
    "max_mb": 16, "caller_queries": 1, "ready_lag_seconds": 10**9,
}  # fmt: skip


class WorkingRole:
    """A running server with workers, and two tokens: `mad` and `calm`."""

    def __init__(self, folder: Path, made: Handmade | None = None, **limits: Any) -> None:
        """`made`: the lake; None: one of two views, with an epoch of twenty records."""
        self.made = made or lake_of_two(folder)
        folder.mkdir(exist_ok=True)
        store = TokenStore(folder / "tokens.json", self.made.clock)
        self.tokens = {name: store.create(name, views=None)[1] for name in ("mad", "calm")}
        settings = Settings.model_validate({"serving": LIMITS | limits})
        crew = Crew(lambda: self.follower.serving, settings.serving, 1, self.made.clock)
        self.lookups = Lookups(lambda: self.follower.serving, settings.serving.lookup_mb << 20)
        ready = self.lookups.after(crew.publish)
        self.follower = Follower(self.made.lake, settings, self.made.clock, ready)

        @asynccontextmanager
        async def beside(_: FastAPI) -> AsyncIterator[None]:
            async with crew:
                yield

        app = create_app(self.follower, access=Access(store), asker=crew, lookups=self.lookups, lifespan=beside)
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        self.socket = listen("127.0.0.1", 0)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.socket.getsockname()[1]}", timeout=60)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()
        self.lookups.start()
        self.follower.start()
        wait_until(lambda: self.client.get("/healthz").status_code == 200, 60, "the role is ready")

    def get(self, path: str, kind: str = "calm", **headers: str) -> httpx.Response:
        return self.client.get(path, headers={"Authorization": f"Bearer {self.tokens[kind]}", **headers})

    def query(self, sql: str, kind: str = "calm", headers: Any = None, **body: Any) -> httpx.Response:
        head = {"Authorization": f"Bearer {self.tokens[kind]}", **(headers or {})}
        return self.client.post("/v1/query", json={"sql": sql, **body}, headers=head)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.lookups.stop()
        self.follower.stop()


def lake_of_two(folder: Path) -> Handmade:
    made = Handmade(folder / "lake", VIEW, OTHER)
    made.epoch(rows(20))
    return made
