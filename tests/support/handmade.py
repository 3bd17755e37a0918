"""Lakes made by hand for tests of serving: entries and Parquet files are put directly, in any wrong way a test wants.

Rows of events are (shop, hour, amount); their positions are their order in one partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from obstore.store import MemoryStore

from seamline.attempts import new_attempt
from seamline.clock import ManualClock
from seamline.config import Settings
from seamline.entries.base import Counts, DataFile
from seamline.entries.batch import Version
from seamline.entries.speed import Compacted, Epoch, Retired
from seamline.frontier import Frontier, Partition
from seamline.jobs.unit import TODAY
from seamline.kernel import KERNEL_VERSION, Input
from seamline.lake import Lake
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import event_schema, parse_contract
from seamline.schemas.states import apply_views, decide, served_state
from seamline.schemas.views.text import parse_views
from seamline.serving.serving import Serving

Row = tuple[str, int, int]

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: placed, logicalType: timestamp}
      - {name: shop, logicalType: string}
      - {name: amount, logicalType: number, physicalType: "decimal(38,0)"}
customProperties:
  - {property: seamline.eventTime, value: placed}
  - {property: seamline.topic, value: orders}
"""

VIEW = """\
CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       avg(amount) AS mean, approx_count_distinct(amount) AS amounts, max(placed) AS latest
FROM orders GROUP BY ALL
"""

OTHER = """\
CREATE MATERIALIZED VIEW shops AS
SELECT date_trunc('day', placed) AS day, shop, count(*) AS orders FROM orders GROUP BY day, shop
"""

DAY = datetime(2024, 5, 1, tzinfo=UTC)
SOURCE = "orders@id1"
ALL = "SELECT * FROM sales ORDER BY ALL"


def at(offset: int) -> Frontier:
    """A frontier of the one partition."""
    return Frontier({Partition(SOURCE, 0): offset})


def rows(count: int, first: int = 0) -> list[Row]:
    """So many different rows over three shops and five hours."""
    return [(f"shop{n % 3}", n % 5, n) for n in range(first, first + count)]


class Handmade:
    """A lake of one stream and its views. `ends` are the offsets where epochs ended, `sent` all rows put in epochs."""

    def __init__(self, folder: Path, *views: str, lake: Lake | None = None) -> None:
        self.lake = lake or Lake(str(folder), MemoryStore())
        self.clock = ManualClock(datetime(2024, 6, 1, tzinfo=UTC))
        self.contract = parse_contract(CONTRACT, "orders.yaml")
        self.engine = self.lake.kernel()
        self.sent: list[Row] = []
        self.ends = [0]
        self.number = 0
        self.view(*(views or (VIEW,)))

    def view(self, *texts: str) -> None:
        """Applies view texts."""
        parsed = {v.name: v for text in texts for v in parse_views(text, "views.sql")}
        apply_views(self.lake, parsed, {"orders": self.contract}, self.clock)
        self.catalogue = Catalogue(self.lake)

    def served(self, view: str = "sales") -> Any:
        """The definition that is served."""
        return self.catalogue.definition(str(self.catalogue.states[view].served))

    def serving(self, **settings: Any) -> Serving:
        """A fresh reader of the lake."""
        return Serving(self.lake, Settings.model_validate({"serving": settings}), self.clock)

    # data

    def events(self, of: Sequence[Row]) -> pa.Table:
        """Rows as the contract's fields, and where they were read: by `amount`, so that any part of them agrees."""
        columns = ", ".join(f"{name}::{kind} AS {name}" for name, kind in event_schema(self.contract).items())
        columns += (
            f", '{SOURCE}' AS _source, 0::INTEGER AS _partition, (amount::HUGEINT % 1000000007)::BIGINT AS _offset"
        )
        table = pa.table(
            {
                "placed": pa.array(
                    [DAY + timedelta(hours=h, seconds=n % 60) for _, h, n in of], pa.timestamp("us", "UTC")
                ),
                "shop": pa.array([shop for shop, _, _ in of], pa.string()),
                "amount": pa.array([str(n) for _, _, n in of], pa.string()),
            }
        )
        return self.engine.run(f"SELECT {columns} FROM raw", {"raw": table})

    def write(self, definition: Any, of: Sequence[Row]) -> DataFile | None:
        """The rows' partials as a file of the lake."""
        if not of:
            return None
        path = self.lake.speed_path("main", definition.hash, new_attempt())
        return DataFile(path=path, rows=self.lake.write(self.engine, definition.partial, self._input(of), path))

    def _input(self, of: Sequence[Row]) -> dict[str, Input]:
        return {"events": self.events(of)}

    # entries

    def put(self, log: Any, entry: Any) -> int:
        """Puts an entry after the last one."""
        number = log.last() + 1
        log.put(number, entry)
        return int(number)

    def epoch(self, of: Sequence[Row], *, start: int | None = None, skip: Sequence[str] = ()) -> int:
        """Commits the rows as one epoch, from where the last one ended or from `start`; definitions `skip`ped are left
        out."""
        begin = self.ends[-1] if start is None else start
        self.number += 1
        self.sent += of
        self.ends.append(begin + max(len(of), 1))
        files = {d.hash: self.write(d, of) for d in self.catalogue.live("main") if d.hash not in skip}
        counts = {"orders": Counts(read=len(of), counted=len(of))}
        entry = Epoch(
            at=self.clock(), number=self.number, claim=1, start=at(begin), end=at(self.ends[-1]), files=files,
            counts=counts, newest=self.clock(), **TODAY,
        )  # fmt: skip
        self.put(self.lake.speed_log("main"), entry)
        return self.number

    def compact(self, first: int, last: int, of: Sequence[Row] | None = None) -> None:
        """Epochs first to last as one segment (rows `of`: something else in it, to see whether it is used)."""
        if of is None:
            of = self.sent[self.ends[first - 1] : self.ends[last]]
        files = {d.hash: self.write(d, of) for d in self.catalogue.live("main")}
        start, end = at(self.ends[first - 1]), at(self.ends[last])
        entry = Compacted(at=self.clock(), claim=1, first=first, last=last, start=start, end=end, files=files, **TODAY)
        self.put(self.lake.speed_log("main"), entry)

    def retire(self, last: int, *replaced: tuple[int, int]) -> None:
        """Drops epochs."""
        self.put(self.lake.speed_log("main"), Retired(at=self.clock(), claim=1, last=last, replaced=replaced))

    def version(
        self, of: Sequence[Row], cut: int, *, view: str = "sales", kernel: str = KERNEL_VERSION, publish: bool = True,
        base: int | None = None, unit: str = "2024-05-01",
    ) -> int:  # fmt: skip
        """A batch version over the rows, and its publication."""
        return self.version_of({unit: [of]}, cut, view=view, kernel=kernel, publish=publish, base=base)

    def version_of(
        self, units: Mapping[str, Sequence[Sequence[Row]]], cut: int, *, view: str = "sales",
        kernel: str = KERNEL_VERSION, publish: bool = True, base: int | None = None,
    ) -> int:  # fmt: skip
        """A batch version whose units have a file for each of these lists of rows, and its publication."""
        definition = self.served(view)
        files = {
            unit: tuple(filter(None, (self.write(definition, of) for of in lists))) for unit, lists in units.items()
        }
        entry = Version(
            at=self.clock(), run=new_attempt(), cut=at(cut), base=base, complete=base is None,
            units=files, archive_entry=1, kernel=kernel, layout=LAYOUT,
        )  # fmt: skip
        number = self.put(self.lake.batch_log(definition.hash), entry)
        if publish:
            self.publish(number, view)
        return number

    def publish(self, number: int | None, view: str = "sales", definition: str | None = None) -> None:
        """Serves a version."""

        def decision(state: Any) -> Any:
            return served_state(state, definition or state.served, number, "test", self.clock())

        decide(self.lake, view, decision)
        self.catalogue.catch_up()

    # truth

    def truth(self, of: Sequence[Row], view: str = "sales") -> list[dict[str, Any]]:
        """The view's own SELECT straight over the rows."""
        select = self.served(view).select_over("events")
        found: list[dict[str, Any]] = self.engine.run(
            f"SELECT * FROM ({select}) ORDER BY ALL", self._input(of)
        ).to_pylist()
        return found


def handmade_project(folder: Path, *views: str) -> Handmade:
    """A project's folder with a lake made by hand, as commands and `seamline.connect` find it."""
    made = Handmade(folder, *views, lake=Lake.open(str(folder / "lake")))
    texts = {f"views/{number}.sql": text for number, text in enumerate(views or (VIEW,))}
    for name, text in {"seamline.toml": "", "contracts/orders.yaml": CONTRACT, **texts}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return made
