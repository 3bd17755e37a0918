"""Buckets wider than a date, or of another zone's days, and keys that unnest: the same answer from both layers.

Batch files are kept by event date and epochs by arrival, so the partial rows of one such key stand in many files.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lakes import Bench

from seamline.jobs.unit_statements import unit_statements
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.text import parse_views
from seamline.streaming.stream_plan import make_plan
from seamline.units import Unit

pytestmark = pytest.mark.thorough

TAGS = "}\n      - {name: tags, logicalType: array, items: {logicalType: string}"
SHAPES = {
    "month": "time_bucket(INTERVAL '1 month', placed) AS month, shop",
    "zone": "time_bucket(INTERVAL '1 day', placed, 'Asia/Seoul') AS day, shop",
    "zones_weeks": "time_bucket(INTERVAL '1 week', placed, 'America/New_York') AS week",
    "tags": "time_bucket(INTERVAL '1 quarter', placed) AS quarter, unnest(tags) AS tag",
    "words": "date_trunc('week', placed) AS week, upper(unnest(list_distinct(tags))) AS tag, shop",
}
COLUMNS = "count(*) AS orders, sum(amount) AS amount, min(placed) AS first, max(placed) AS last"


def bench(folder: Path, shape: str) -> Bench:
    view = f"CREATE MATERIALIZED VIEW sales AS SELECT {SHAPES[shape]}, {COLUMNS} FROM orders GROUP BY ALL"
    return Bench(folder, view=view, extra=TAGS)


def event(number: int, hours: int) -> bytes:
    """Event times go around midnight of every zone, and over the ends of weeks, months and a year."""
    at = datetime(2023, 12, 30, tzinfo=UTC) + timedelta(hours=hours)
    tags = [None, [], ["x"], ["x", "y"], ["y", "Y", "x", "y"]][number % 5]
    fields = {"id": str(number), "placed": at.isoformat(), "shop": "ab"[number % 2], "amount": number, "tags": tags}
    return json.dumps(fields).encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_in_many_dates_and_epochs_has_one_row_that_is_the_selects_own(shape: str, tmp_path: Path) -> None:
    lake = bench(tmp_path, shape)
    early, late = ([event(n, hours) for n, hours in enumerate(range(start, 120, 3))] for start in (0, 1))
    late = [value.replace(b'"id": "', b'"id": "late') for value in late]
    lake.send(*early)
    lake.both()
    assert lake.batch.refresh("sales").version is not None
    assert lake.answer() == lake.expected(*early)
    lake.send(*late[::2], *early[:5])
    lake.speed()
    assert lake.answer() == lake.expected(*early, *late[::2])
    lake.send(*late[1::2])
    lake.both()
    outcome = lake.batch.refresh("sales")
    assert outcome.audit.clean
    assert outcome.audit.compared
    assert lake.answer() == lake.expected(*early, *late)
    assert lake.batch.rebuild("sales").version is not None
    assert lake.answer() == lake.expected(*early, *late)


@pytest.mark.parametrize("shape", ["tags", "words"])
def test_both_layers_read_the_array_that_a_key_unnests(shape: str, tmp_path: Path) -> None:
    lake = bench(tmp_path, shape)
    (definition,) = Catalogue(lake.lake).live("main")
    read = {"tags", "placed", "amount"} | ({"shop"} if shape == "words" else set())
    assert set(unit_statements(definition, lake.contract, Unit("", lake.clock().date()), lake.end, ()).used) == read
    (decoding,) = make_plan([lake.contract], [(definition, (lake.contract,))]).decodings
    assert set(decoding.uses) == read


def test_a_view_that_unnests_is_made_again_from_the_ledgers_text(tmp_path: Path) -> None:
    lake = bench(tmp_path, "words")
    (definition,) = Catalogue(lake.lake).live("main")
    (text,) = parse_views(definition.text, "ledger")
    assert compile_view(text, lake.contract) == definition
