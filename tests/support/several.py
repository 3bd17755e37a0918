"""A lake of two contracts: a view over both, two over views, with copies, rejected records and events of no group."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from lakes import project
from obstore.store import LocalStore
from simulation import BEGIN, World
from truth import Event

from seamline.jobs.batch import Batch
from seamline.schemas.states import apply_views
from seamline.schemas.views.text import parse_views

OVER_SEVERAL = """CREATE MATERIALIZED VIEW moves AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, kind, e.shop, count(*) AS moves, sum(amount) AS total,
       avg(weight) AS weight, max(note) AS note
FROM (SELECT placed, shop, amount, weight, 'sale' AS kind FROM orders AS o WHERE o.shop <> 'x'
      UNION ALL BY NAME
      SELECT placed, shop, abs(-amount) AS amount, 'return' AS kind, buyer AS note FROM returns) AS e
WHERE amount IS DISTINCT FROM 2 GROUP BY ALL;
CREATE MATERIALIZED VIEW by_day AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, CASE WHEN kind = 'sale' THEN 'sold' ELSE 'back' END AS kind,
       MEASURE(moves) AS moves, MEASURE(total) AS total, MEASURE(weight) + 1 AS weight
FROM moves AS m WHERE m.shop IS DISTINCT FROM 'b' GROUP BY ALL;
CREATE MATERIALIZED VIEW by_month AS
SELECT date_trunc('month', day) AS month, kind, MEASURE(moves) AS moves, MEASURE(total) AS total
FROM by_day WHERE kind = 'back' OR day IS NOT NULL GROUP BY ALL HAVING total > 5 AND MEASURE(moves) > 1;
CREATE MATERIALIZED VIEW mixed AS
SELECT time_bucket(INTERVAL '1 day', placed) AS day, max(said) AS said
FROM (SELECT placed, amount AS said FROM orders UNION ALL BY NAME SELECT placed, buyer AS said FROM returns) AS e
GROUP BY ALL"""
COMPARED = ("moves", "by_day", "by_month")


def several(folder: Path, returns: int = 20) -> Path:
    """A project whose lake holds three views over two contracts, one over the other, with copies and rejects."""
    project(folder)
    world = World(folder / "lake", store=LocalStore(str(folder / "lake")))
    texts = {view.name: view for view in parse_views(OVER_SEVERAL, "views.sql")}
    apply_views(world.lake, texts, {"orders": world.contract, "returns": world.returns}, world.clock)
    for n in range(40):
        at = BEGIN - timedelta(hours=9 * (n % 7))
        event = Event(str(n), at, "abx"[n % 3], n % 5, n / 4, "uv"[n % 2])
        for copy in range(2 if n % 8 == 0 else 1):
            world.send(n % 2, event.encode(copy), event)
            if n < returns:
                world.send(0, event.encode(copy), event, topic="returns")
        if n % 10 == 0:
            world.send(0, b"{")
    world.run_speed([99, 99])
    world.run_archive([99, 99])
    batch = Batch(world.lake, clock=world.clock)
    for view in texts:
        batch.refresh(view)
    return folder
