"""Every entry of the algebra's table, in one view, through Spark SQL: the answer is serving's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from algebra_laws import same
from test_every_aggregate import Place, things

from seamline.attempts import new_attempt
from seamline.clock import system_clock
from seamline.entries.base import Counts, DataFile
from seamline.entries.batch import Version
from seamline.entries.speed import Epoch
from seamline.frontier import Frontier, Partition
from seamline.jobs.unit import TODAY
from seamline.schemas.states import decide, served_state
from seamline.serving.serving import Serving
from seamline.serving.spark import register


def at(offset: int) -> Frontier:
    return Frontier({Partition("things@id1", 0): offset})


def filled(folder: Path, version: bool, view: str = "") -> Place:
    """A project with every entry in its view, or another view of that name: 300 events in a batch version, or none, and
    two epochs after it."""
    here = Place(folder, "nowhere:9092", "things", view)
    batches = [things(count, seed) for count, seed in ((300, 1), (150, 2), (60, 3))]
    for number, batch in enumerate(batches, start=1):
        start = len(here.rows)
        here.rows += [row | {"_source": "topic", "_partition": 0, "_offset": start + n} for n, row in enumerate(batch)]
        file = written(here, start)
        counts = {"things": Counts(read=len(batch), counted=len(batch))}
        epoch = Epoch(
            at=system_clock(), number=number, claim=1, start=at(start), end=at(len(here.rows)),
            files={here.definition.hash: file}, counts=counts, **TODAY,
        )  # fmt: skip
        here.lake.speed_log("main").put(number, epoch)
        if number == 1 and version:
            publish(here, file)
    return here


def written(here: Place, start: int) -> DataFile:
    """The partials of the events from `start` on."""
    definition, path = here.definition, here.lake.speed_path("main", here.definition.hash, new_attempt())
    events: pa.Table = here.events().slice(start)
    rows = here.lake.write(here.lake.kernel(), definition.partials["things"], {"events": events}, path)
    return DataFile(path=path, rows=rows)


def publish(here: Place, file: DataFile) -> None:
    """A batch version of the first events, served."""
    entry = Version(
        at=system_clock(), run=new_attempt(), cut=at(300), base=None, complete=True, units={"2026-01-01": (file,)},
        archive_entry=1, **TODAY,
    )  # fmt: skip
    here.lake.batch_log(here.definition.hash).put(1, entry)

    def decision(state: Any) -> Any:
        return served_state(state, state.served, 1, "test", system_clock())

    decide(here.lake, "everything", decision)


def test_every_entry_of_the_table_answers_in_spark_as_it_is_served(spark: Any, tmp_path: Path) -> None:
    here = filled(tmp_path, version=True)
    registered = register(spark, here.project, "everything", partitions=3)
    found = spark.sql("SELECT * FROM everything ORDER BY hour, kind NULLS LAST").toArrow().to_pylist()
    query = "SELECT * FROM everything ORDER BY hour, kind NULLS LAST"
    served = Serving(here.lake, here.project.settings).query(query).table
    assert registered.provenance.epochs == (2, 3)
    assert len(found) == served.num_rows > 4
    for mine, theirs in zip(found, served.to_pylist(), strict=True):
        for column in here.definition.columns:
            exact, name = column.exactness == "exact", column.name
            assert same(mine[name], theirs[name], exact, 1e6), (name, column.aggregate, mine[name], theirs[name])
