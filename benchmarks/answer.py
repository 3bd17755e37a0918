"""The merged answer over the batch-only answer: a point and a range of seven days, through the library serving uses.

Two `Serving`s of one lake take turns. One has seen the batch version alone; the other has followed the ledger through
every live epoch after it, one by one, as it does in service. Both ranges reach into the hours that are still growing.
And what the walls around a query cost: the same statement on a DuckDB that may read every file.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
from figures import Cost, Figure, Size, ratios, side_by_side
from lakes import FIRST_DATE, SOURCE, Clicks

from seamline.attempts import new_attempt
from seamline.clock import system_clock
from seamline.config import Settings
from seamline.entries.base import DataFile
from seamline.entries.batch import Version
from seamline.frontier import Frontier, Partition
from seamline.jobs.unit import TODAY
from seamline.kernel import quote
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.states import publish
from seamline.serving.cursor import statement
from seamline.serving.serving import Serving

DAYS = 100
SIZES = {Size.SMALL: (1_000_000, 200, 30), Size.WHOLE: (10_000_000, 1_000, 50)}
"""Rows of the view, live epochs, questions of each kind."""
BARS = {"scan": "at most 1.3"}
"""Of what walls cost; beside a point, checking the text and the proof of the answer weigh, too."""
EVENTS = 500
"""Events of one live epoch."""


def measure(size: Size) -> list[Figure]:
    """Medians in milliseconds, and their ratios."""
    rows, epochs, questions = SIZES[size]
    sizes = {"view rows": rows, "live epochs": epochs, "events an epoch": EVENTS, "questions": questions}
    with tempfile.TemporaryDirectory() as folder:
        lake = Live(Path(folder) / "lake", rows)
        lake.publish()
        batch_only, merged = Serving(lake.lake, Settings()), Serving(lake.lake, Settings())
        for _ in range(epochs):
            lake.epoch()
            merged.catch_up()
        found = {
            "point": _ask(batch_only, merged, [lake.point() for _ in range(questions)]),
            "range of 7 days": _ask(batch_only, merged, [lake.week()] * questions),
        }
        confined = _confined(batch_only, questions // 3)
        batch_only.close()
        merged.close()
    return [
        figure
        for name, (alone, both) in found.items()
        for figure in (
            Figure(f"answer, {name}, batch only", alone, "ms", "", sizes),
            Figure(f"answer, {name}, merged", both, "ms", "", sizes),
            Figure(f"answer, {name}, merged", both / alone, "ratio", "batch only", sizes, "at most 1.5"),
        )
    ] + [
        figure
        for name, (walled, free) in confined.items()
        for figure in ratios(
            f"answer, {name}, walls", walled, free, "DuckDB that may read all", sizes, BARS.get(name, "")
        )
    ]


def _confined(serving: Serving, rounds: int) -> dict[str, tuple[Cost, Cost]]:
    """What its walls cost a query: through serving, and the same statement on a DuckDB that may read every file."""
    served = serving.snapshot().view("pages")
    hour = f"TIMESTAMPTZ '{FIRST_DATE} 05:00:00+00'"
    texts = {
        "point": f"SELECT * FROM pages WHERE hour = {hour} AND page = 'page7'",
        "scan": "SELECT page, sum(clicks) AS clicks FROM pages GROUP BY page",
    }
    free = duckdb.connect()
    free.execute(f"SET threads = {serving.settings.kernel.threads}; SET TimeZone = 'UTC'")
    free.execute(f"CREATE VIEW pages AS {statement(served, served.definition)}")
    found: dict[str, tuple[Cost, Cost]] = {}
    for name, text in texts.items():
        costs = side_by_side({"walled": partial(serving.query, text), "free": partial(_read, free, text)}, rounds)
        found[name] = costs["walled"], costs["free"]
    free.close()
    return found


def _read(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    connection.execute(text).to_arrow_table()


def _ask(batch_only: Serving, merged: Serving, texts: list[str]) -> tuple[float, float]:
    """Median milliseconds of each, turn by turn."""
    times: dict[Serving, list[float]] = {batch_only: [], merged: []}
    for text in (texts[0], *texts):
        for serving, took in times.items():
            began = time.perf_counter()
            serving.query(text)
            took.append((time.perf_counter() - began) * 1000)
    alone, both = (statistics.median(took[1:]) for took in times.values())
    return alone, both


class Live(Clicks):
    """A published batch version of `rows` view rows over some dates, and epochs after it, of its last two hours."""

    def __init__(self, folder: Path, rows: int, dates: int = DAYS) -> None:
        super().__init__(folder, rows)
        self.dates, self.pages = dates, rows // dates // 24
        self.now = datetime(FIRST_DATE.year, FIRST_DATE.month, FIRST_DATE.day, tzinfo=UTC) + timedelta(days=dates)
        self.chance = random.Random(0)

    def publish(self) -> None:
        """One file for each date, its rows in no order, as a hash aggregate leaves them."""
        types = {c.name: c.sql_type for c in self.definition.partial_columns}
        made = {
            "hour": "{day} + to_hours(i // {pages})",
            "page": "'page' || (i % {pages})",
            "clicks": "1 + hash(i) % 99",
        }
        values = {**made, "ms": "hash(i, 1) % 9999", "slowest": "hash(i, 2) % 5000", "_events": made["clicks"]}
        columns = ", ".join(f"({text})::{types[name]} AS {quote(name)}" for name, text in values.items())
        units: dict[str, tuple[DataFile, ...]] = {}
        for n in range(self.dates):
            day = FIRST_DATE + timedelta(days=n)
            path = self.lake.batch_path(self.definition.hash, day.isoformat(), new_attempt())
            select = columns.format(day=f"TIMESTAMPTZ '{day} 00:00:00+00'", pages=self.pages)
            statement = f"SELECT {select} FROM range(24 * {self.pages}) r(i) ORDER BY hash(i, 3)"
            units[day.isoformat()] = (DataFile(path=path, rows=self.lake.write(self.engine, statement, {}, path)),)
        self._covered(None, EVENTS)
        version = Version(
            at=system_clock(), run="bench", cut=self.frontier, base=None, complete=True, units=units, archive_entry=0,
            **TODAY,
        )  # fmt: skip
        self.lake.batch_log(self.definition.hash).put(1, version)
        publish(self.lake, Catalogue(self.lake).states["pages"], self.definition.hash, 1, "bench", system_clock())

    def epoch(self) -> None:
        """One live epoch."""
        path = self.lake.speed_path("main", self.definition.hash, new_attempt())
        start = f"TIMESTAMPTZ '{self.now.isoformat()}' - INTERVAL 2 HOUR"
        events = (
            f"SELECT '' AS id, {start} + to_seconds(hash(i, {self.events}) % 7200) AS seen,"
            f" 'page' || (hash(i, {self.events}, 1) % {self.pages}) AS page, i::BIGINT AS ms FROM range({EVENTS}) r(i)"
        )
        statement = f"WITH events AS ({events})\n{self.definition.partial}"
        self._covered(DataFile(path=path, rows=self.lake.write(self.engine, statement, {}, path)), EVENTS)

    def _covered(self, file: DataFile | None, events: int) -> None:
        self.frontier = Frontier({Partition(SOURCE, 0): self.events + events})
        self._epoch({self.definition.hash: file}, events)

    def point(self) -> str:
        """One page in one of the last hours."""
        hour = self.now - timedelta(hours=self.chance.choice((1, 2)))
        page = self.chance.randrange(self.pages)
        return f"SELECT * FROM pages WHERE hour = TIMESTAMPTZ '{hour.isoformat()}' AND page = 'page{page}'"

    def week(self) -> str:
        """The last seven days, by day."""
        since = self.now - timedelta(days=7)
        return (
            "SELECT time_bucket(INTERVAL '1 day', hour) AS day, sum(clicks) AS clicks, max(slowest) AS slowest"
            f" FROM pages WHERE hour >= TIMESTAMPTZ '{since.isoformat()}' GROUP BY ALL ORDER BY ALL"
        )
