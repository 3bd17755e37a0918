"""Who asks the serving role during `python benchmarks load`: programs over HTTP, and clients of PostgreSQL.

Locust runs this file in a process of its own. What it needs to know comes in its environment: LOAD_TOKEN, LOAD_PG,
LOAD_NOW (the end of the newest hour), LOAD_PAGES (keys of an hour), LOAD_EACH (requests a second of each, 0: no pause).
"""

from __future__ import annotations

import os
import random
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
from locust import FastHttpUser, User, constant_throughput, task

NOW = datetime.fromisoformat(os.environ["LOAD_NOW"])
PAGES = int(os.environ["LOAD_PAGES"])
EACH = float(os.environ["LOAD_EACH"])
POINT = "SELECT * FROM pages WHERE hour = TIMESTAMPTZ '{hour}' AND page = '{page}'"
WEEK = (
    "SELECT time_bucket(INTERVAL '1 day', hour) AS day, sum(clicks) AS clicks, max(slowest) AS slowest FROM pages"
    f" WHERE hour >= TIMESTAMPTZ '{(NOW - timedelta(days=7)).isoformat()}' GROUP BY ALL ORDER BY ALL"
)
SCAN = "SELECT page, sum(clicks) AS clicks FROM pages GROUP BY page ORDER BY clicks DESC LIMIT 10"


def pause(user: User) -> float:
    """As long as it takes for EACH requests a second; none where that is 0."""
    wait: float = constant_throughput(EACH)(user) if EACH else 0.0
    return wait


def point() -> str:
    """One page in one of the last hours."""
    hour = NOW - timedelta(hours=random.choice((1, 2)))
    return POINT.format(hour=hour.isoformat(), page=f"page{random.randrange(PAGES)}")


class Program(FastHttpUser):
    """Three quarters of all: a key, a range, a scan."""

    weight = 3
    wait_time = pause

    def ask(self, sql: str, name: str) -> None:
        """One query. Whatever is not an answer with its proof is a failure."""
        headers = {"Authorization": f"Bearer {os.environ['LOAD_TOKEN']}"}
        with self.client.post("/v1/query", json={"sql": sql}, headers=headers, name=name, catch_response=True) as said:
            if said.status_code != 200 or b'"provenance"' not in (said.content or b""):
                said.failure(f"{said.status_code}: {str(said.text)[:200]}")

    @task(8)
    def one_key(self) -> None:
        """As a page of a product would."""
        self.ask(point(), "HTTP, a key")

    @task(2)
    def seven_days(self) -> None:
        """As a chart would."""
        self.ask(WEEK, "HTTP, seven days")

    @task(1)
    def scan(self) -> None:
        """As somebody who looks around would."""
        self.ask(SCAN, "HTTP, a scan")


class Client(User):
    """A quarter of all: PostgreSQL's clients, each over a connection that it keeps."""

    weight = 1
    wait_time = pause
    connection: psycopg.Connection[Any]

    def on_start(self) -> None:
        """Connects, which counts as a request."""
        self.connection = self.timed("wire, a connection", lambda: psycopg.connect(os.environ["LOAD_PG"]))
        self.connection.autocommit = True

    def timed(self, name: str, work: Any) -> Any:
        """What the work gives; Locust is told how long it took, and of any failure."""
        began, failure, given = time.perf_counter(), None, None
        try:
            given = work()
        except psycopg.Error as error:
            failure = error
        took = (time.perf_counter() - began) * 1000
        self.environment.events.request.fire(
            request_type="wire", name=name, response_time=took, response_length=0, exception=failure
        )
        return given

    @task(4)
    def one_key(self) -> None:
        """A key, with a bound parameter."""
        hour, page = NOW - timedelta(hours=1), f"page{random.randrange(PAGES)}"
        sql = "SELECT * FROM pages WHERE hour = %s AND page = %s"
        self.timed("wire, a key", lambda: self.connection.execute(sql, (hour, page)).fetchall())

    @task(1)
    def seven_days(self) -> None:
        """A range."""
        self.timed("wire, seven days", lambda: self.connection.execute(WEEK).fetchall())
