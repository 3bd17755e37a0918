"""What a question costs that needs one of many date files, or a little of each: through the library serving uses.

Views of one date, 100 and 1,000 take turns, each with as many rows a date and a file for each. A key and a date need
one file, whatever stands beside it; a key alone needs all, and is held against the same partials in a table of
DuckDB's. Times are of CPU: a question takes a few milliseconds.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
from answer import Live
from figures import Cost, Figure, Size, side_by_side
from lakes import FIRST_DATE

from seamline.config import Settings
from seamline.kernel import parquet
from seamline.serving.bounds import BatchFiles
from seamline.serving.cursor import statement
from seamline.serving.serving import Serving
from seamline.serving.snapshot import Snapshot

FILES = {1: "", 100: "at most 1.5", 1_000: "at most 2"}
"""How many dates a view has, and what a key and a date may cost over the same of one date."""
KEY = "at most 2"
"""What a key alone of many dates may cost over a table; of one date it is the walls around a query that weigh."""
SIZES = {Size.SMALL: (40, 5), Size.WHOLE: (100, 15)}
"""Pages of an hour, rounds. A date has 24 hours, and a row for each of their pages."""
QUESTIONS = 20
"""Times that a question is asked in one round: one alone is too short to tell."""
HOUR = f"TIMESTAMPTZ '{FIRST_DATE} 05:00:00+00'"
DATE_AND_KEY = f"SELECT * FROM pages WHERE hour = {HOUR} AND page = 'page7'"
KEY_ALONE = "SELECT * FROM pages WHERE page = 'page7'"


def measure(size: Size) -> list[Figure]:
    """Milliseconds of CPU, and their ratios."""
    pages, rounds = SIZES[size]
    works = {}
    with ExitStack() as stack:
        for dates in FILES:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            lake = Live(Path(folder) / "lake", dates * 24 * pages, dates)
            lake.publish()
            serving = stack.enter_context(closing(Serving(lake.lake, Settings())))
            serving.prepare()
            table = stack.enter_context(closing(_table(serving.snapshot(), serving.settings.kernel.threads)))
            works["date", dates] = partial(_ask, serving, DATE_AND_KEY)
            works["key", dates] = partial(_ask, serving, KEY_ALONE)
            works["table", dates] = partial(_read, table, KEY_ALONE)
        costs = side_by_side({f"{kind} {dates}": work for (kind, dates), work in works.items()}, rounds)
    return [figure for dates in FILES for figure in _figures(costs, dates, pages)]


def _figures(costs: dict[str, Cost], dates: int, pages: int) -> list[Figure]:
    sizes = {"date files": dates, "rows a date": 24 * pages, "questions": QUESTIONS}
    date, one, key, table = (costs[name].cpu for name in (f"date {dates}", "date 1", f"key {dates}", f"table {dates}"))
    said = f"of {dates:,} date file{'s' * (dates > 1)}"
    found = [
        Figure(f"a key and a date {said}", date / QUESTIONS * 1000, "ms", "", sizes),
        Figure(f"a key alone {said}", key / QUESTIONS * 1000, "ms", "", sizes),
        Figure(f"a key alone {said}", key / table, "ratio", "a table", sizes, KEY if dates > 1 else ""),
    ]
    beside = Figure(f"a key and a date {said}", date / one, "ratio", "one date file", sizes, FILES[dates])
    return found if dates == 1 else [*found, beside]


def _table(snapshot: Snapshot, threads: int) -> duckdb.DuckDBPyConnection:
    """The same view over its batch partials in memory."""
    served = snapshot.view("pages")
    assert isinstance(served.batch, BatchFiles)
    in_memory = replace(served, batch=pa.table({}))
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'")
    connection.execute(f"CREATE TABLE _batch_pages AS FROM {parquet(served.batch.paths, alike=True)}")
    connection.execute(f"CREATE VIEW pages AS {statement(in_memory, served.definition)}")
    return connection


def _ask(serving: Serving, text: str) -> None:
    for _ in range(QUESTIONS):
        serving.query(text)


def _read(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    for _ in range(QUESTIONS):
        connection.execute(text).to_arrow_table()
