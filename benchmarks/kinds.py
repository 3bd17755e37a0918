"""Many contracts on few topics: what a warm micro-batch costs that holds records of a few of them.

The tasks and the commit as they are, without Spark. A batch of a few kinds is to cost what its records cost, however
many contracts share their topics.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from figures import Figure, Size, ratios, side_by_side

from seamline.clock import system_clock
from seamline.entries.base import Claim
from seamline.frontier import topic_source
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.text import parse_views
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import RECORDS, Row, Task

TOPICS = 3
BATCH = 1_000
FEW = 5
"""Kinds of a batch, and contracts that the others are compared with."""
MANY = {Size.SMALL: (300,), Size.WHOLE: (300, 1_000)}
ROUNDS, BATCHES = 5, 5
"""How often it is measured, and batches that are measured at once: CPU time is told in steps of 10 ms."""

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: k{n}
version: 1.0.0
status: active
schema:
  - name: kind{n}
    properties:
      - {{name: id, logicalType: string, required: true}}
      - {{name: seen, logicalType: timestamp, required: true}}
      - {{name: page, logicalType: string, required: true}}
      - {{name: user, logicalType: string}}
      - {{name: ms, logicalType: integer}}
      - {{name: price, logicalType: number}}
      - {{name: ok, logicalType: boolean}}
customProperties:
  - {{property: seamline.eventTime, value: seen}}
  - {{property: seamline.eventId, value: id}}
  - {{property: seamline.topic, value: topic{topic}}}
  - {{property: seamline.discriminator, value: {{path: type, value: kind{n}}}}}
"""
VIEW = """CREATE MATERIALIZED VIEW view{n} AS
SELECT time_bucket(INTERVAL '1 hour', seen) AS hour, page, count(*) AS events, sum(ms) AS ms, max(price) AS dearest
FROM kind{n} GROUP BY ALL;
"""


def measure(size: Size) -> list[Figure]:
    """A batch of five kinds among many contracts over one among five; and a batch of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        streams = {number: Stream(Path(folder) / str(number), number) for number in (FEW, *MANY[size])}
        costs = side_by_side(
            {str(number): stream.batches(range(FEW), BATCHES) for number, stream in streams.items()}, ROUNDS
        )
        found: list[Figure] = []
        for number in MANY[size]:
            sizes = {"contracts": number, "topics": TOPICS, "records": BATCH, "kinds": FEW, "batches": ROUNDS * BATCHES}
            name = f"micro-batch of {FEW} kinds, {number} contracts and views on {TOPICS} topics"
            found.append(Figure(name, costs[str(number)].cpu * 1000 / BATCHES, "ms of CPU", "", sizes))
            found += ratios(name, costs[str(number)], costs[str(FEW)], f"{FEW} contracts", sizes, "at most 1.5, by CPU")
        many = MANY[Size.SMALL][0]
        cost = side_by_side({"all": streams[many].batches(range(many), 1)}, ROUNDS)["all"].cpu
        sizes = {"contracts": many, "topics": TOPICS, "records": BATCH, "kinds": many}
        return [*found, Figure(f"micro-batch of {many} kinds", cost * 1000 / many, "ms of CPU a kind", "", sizes)]


def contract(n: int) -> Contract:
    return parse_contract(CONTRACT.format(n=n, topic=n % TOPICS), f"kind{n}.yaml")


class Stream:
    """A speed layer of some contracts and as many views, without Spark."""

    def __init__(self, folder: Path, contracts: int) -> None:
        self.contracts = [contract(n) for n in range(contracts)]
        live = [
            (compile_view(parse_views(VIEW.format(n=n), f"view{n}.sql")[0], one), (one,))
            for n, one in enumerate(self.contracts)
        ]
        lake = Lake.open(str(folder))
        writer = Writer.take(lake.speed_log("main"), Claim(at=system_clock(), holder="bench"))
        self.speed = Speed(lake, "main", writer, make_plan(self.contracts, live))
        self.sent = 0

    def batches(self, kinds: Sequence[int], number: int) -> Callable[[], object]:
        """Commits so many micro-batches of records of some kinds each time it is called, in every round.

        Raises SystemExit where not every record is counted."""
        made = iter([[self._tables(kinds) for _ in range(number)] for _ in range(ROUNDS + 1)])

        def commit() -> None:
            for tables in next(made):
                self._commit(tables)

        return commit

    def _commit(self, tables: Sequence[pa.Table]) -> None:
        def apply(task: Task[Any]) -> list[Row]:
            return [row for table in tables for row in task(table)]

        epoch = self.speed.run_batch(apply)
        if epoch is None or sum(c.counted for c in epoch.counts.values()) != sum(t.num_rows for t in tables):
            raise SystemExit(f"not every record was counted: {epoch}")

    def _tables(self, kinds: Sequence[int]) -> list[pa.Table]:
        """One for each topic."""
        self.sent += BATCH
        each = BATCH // len(kinds)
        return [self._records(topic, [k for k in kinds if k % TOPICS == topic], each) for topic in range(TOPICS)]

    def _records(self, topic: int, kinds: Sequence[int], each: int) -> pa.Table:
        values = [
            json.dumps(
                {
                    "type": f"kind{k}",
                    "id": f"{k}-{self.sent + i}",
                    "seen": "2026-01-01T10:00:00Z",
                    "page": f"page{i % 20}",
                    "user": f"user{i}",
                    "ms": i,
                    "price": i / 4,
                    "ok": True,
                }
            ).encode()
            for i in range(each)
            for k in kinds
        ]
        rows = len(values)
        now = system_clock()
        return pa.table(
            [
                pa.array([topic_source(f"topic{topic}", "bench")] * rows, pa.string()),
                pa.array([0] * rows, pa.int32()),
                pa.array(range(self.sent, self.sent + rows), pa.int64()),
                pa.array([now] * rows, pa.timestamp("us", "UTC")),
                pa.nulls(rows, pa.binary()),
                pa.array(values, pa.binary()),
            ],
            schema=RECORDS,
        )
