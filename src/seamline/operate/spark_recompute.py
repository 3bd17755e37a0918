"""A view's rows of raw events by Spark's own operators: the kernel takes no part, so its faults are seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, UserError
from seamline.jobs.conditions import own
from seamline.lake import Lake
from seamline.operate.verification import RawEvents, Recompute, Subject
from seamline.schemas.contracts.judged import within
from seamline.schemas.project import Project
from seamline.schemas.views.sparkselect import spark_select
from seamline.schemes import spark_uri
from seamline.sides.spark import session

PLACE = "_source, _partition, _offset"


@contextmanager
def spark_engine(project: Project, spark: Any = None) -> Iterator[Recompute]:
    """An engine that runs in Spark, in a session that is opened here unless one is given."""
    settings, opened = project.settings.spark, spark
    if opened is None:
        log = project.state / "logs" / "spark-verify.log"
        opened = session("seamline-verify", settings.master, settings.given, log=log)
    try:
        yield partial(recompute, opened, project.lake)
    finally:
        if spark is None:
            opened.stop()


def recompute(spark: Any, lake: Lake, found: Subject, raw: Sequence[RawEvents]) -> tuple[pa.Table, dict[str, str]]:
    """The view's rows, and why columns of them are NULL. Raises QUERY_REFUSED where Spark cannot say the view, or raw
    holds what only the kernel decodes."""
    said = spark_select(found.definition)
    again = [events.contract.name for events in raw if events.again or events.contract.before]
    if again:
        raise UserError(
            Condition.QUERY_REFUSED,
            f"raw of {', '.join(again)} holds records that another text of the contract has filed",
            detail="records as they are filed: Spark decodes none",
            hint="verify it with --engine duckdb",
        )
    files = [file.path for events in raw for file in events.files]
    if not files:
        return pa.table({column.name: pa.nulls(0) for column in found.definition.columns}), dict(said.left_out)
    (events,) = raw
    beside = spark.newSession()  # its settings and views are nobody else's
    beside.conf.set("spark.sql.ansi.enabled", "false")
    beside.conf.set("spark.sql.session.timeZone", "UTC")
    frame = beside.read.option("mergeSchema", "true").parquet(*(_path(lake.absolute(file)) for file in files))
    frame.createOrReplaceTempView("_raw")
    beside.sql(events_text(found, events)).createOrReplaceTempView(_name(events.contract.name))
    return beside.sql(said.sql).toArrow(), dict(said.left_out)


def events_text(found: Subject, events: RawEvents) -> str:
    """The events of `_raw` below the version's cut, each once. Pure."""
    contract, version = events.contract, found.version
    below = f"({within(version.cut, version.imports)}) AND {own(contract)} AND _reject IS NULL"
    columns = ", ".join(map(_name, events.fields))
    if not contract.event_id:
        return f"SELECT {columns} FROM _raw WHERE {below}"
    id_, time = _name(contract.event_id), _name(contract.event_time)
    rank = f"row_number() OVER (PARTITION BY {id_}, {time} ORDER BY {PLACE}) AS _rank"
    return f"SELECT {columns} FROM (SELECT *, {rank} FROM _raw WHERE {below}) WHERE {id_} IS NULL OR _rank = 1"


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _path(file: str) -> str:
    """A file as Spark names it, no character taken for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", spark_uri(file))
