"""A view's rows of raw events by Spark's own operators: the kernel takes no part, so its faults are seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, UserError
from seamline.jobs.conditions import own
from seamline.lake import Lake
from seamline.operate.verification import RawEvents, Recompute, Subject
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.contracts.judged import within
from seamline.schemas.project import Project
from seamline.schemas.views.alike import fields_read
from seamline.schemas.views.event_columns import empty_events
from seamline.schemas.views.sparkselect import UNION, spark_select
from seamline.schemas.views.sparkwords import quoted
from seamline.schemes import spark_uri
from seamline.sides.spark import session

PLACE = "_source, _partition, _offset"

NUMBERS = re.compile(r"tinyint|smallint|int|bigint|float|double|decimal\(\d+,\d+\)")
"""Types that both engines put together as numbers."""


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
    fields = {one.name: [field.name for field in fields_read(found.definition, one)] for one in found.contracts}
    said = spark_select(found.definition, fields)
    again = [events.contract.name for events in raw if events.again or events.contract.before]
    if again:
        raise UserError(
            Condition.QUERY_REFUSED,
            f"raw of {', '.join(again)} holds records that another text of the contract has filed",
            detail="records as they are filed: Spark decodes none",
            hint="verify it with --engine duckdb",
        )
    by_contract = {events.contract.name: events for events in raw if events.files}
    if not by_contract:
        return pa.table({column.name: pa.nulls(0) for column in found.definition.columns}), dict(said.left_out)
    beside = spark.newSession()  # its settings and views are nobody else's
    beside.conf.set("spark.sql.ansi.enabled", "false")
    beside.conf.set("spark.sql.session.timeZone", "UTC")
    for contract in found.contracts:
        events = by_contract.get(contract.name)
        rows = _none(beside, lake, contract) if events is None else _events(beside, lake, found, events)
        rows.createOrReplaceTempView(quoted(contract.name))
    if said.branches:
        _united(found, {name: beside.sql(sql) for name, sql in said.branches.items()})
    return beside.sql(said.sql).toArrow(), dict(said.left_out)


def _events(spark: Any, lake: Lake, found: Subject, events: RawEvents) -> Any:
    """A contract's events, as the version counts them."""
    files = (_path(lake.absolute(file.path)) for file in events.files)
    spark.read.option("mergeSchema", "true").parquet(*files).createOrReplaceTempView("_raw")
    return spark.sql(events_text(found, events))


def _none(spark: Any, lake: Lake, contract: Contract) -> Any:
    """A contract of which there are none."""
    return spark.createDataFrame(lake.kernel().run(empty_events(event_schema(contract)), {}))


def _united(found: Subject, branches: Mapping[str, Any]) -> None:
    """Makes UNION of each branch's rows. Raises QUERY_REFUSED for a column that the engines would make alike each in
    its own way."""
    by_column: dict[str, dict[str, str]] = {}
    for contract, rows in branches.items():
        for column, kind in rows.dtypes:
            by_column.setdefault(column, {})[contract] = kind
    for column, kinds in by_column.items():
        different = set(kinds.values()) - {"void"}
        if len(different) > 1 and not all(NUMBERS.fullmatch(kind) for kind in different):
            said = ", ".join(f"{kind} of {contract}" for contract, kind in kinds.items())
            raise UserError(
                Condition.QUERY_REFUSED,
                f"view {found.definition.view} by Spark: column {column} of its union is {said}",
                detail="numbers, or one type in every branch: each engine makes others alike in its own way",
                hint="cast it in the view, or verify it with --engine duckdb",
            )
    first, *others = branches.values()
    reduce(lambda above, rows: above.union(rows), others, first).createOrReplaceTempView(UNION)


def events_text(found: Subject, events: RawEvents) -> str:
    """The events of `_raw` below the version's cut, each once. Pure."""
    contract, version = events.contract, found.version
    below = f"({within(version.cut, version.imports)}) AND {own(contract)} AND _reject IS NULL"
    columns = ", ".join(map(quoted, events.fields))
    if not contract.event_id:
        return f"SELECT {columns} FROM _raw WHERE {below}"
    id_, time = quoted(contract.event_id), quoted(contract.event_time)
    rank = f"row_number() OVER (PARTITION BY {id_}, {time} ORDER BY {PLACE}) AS _rank"
    return f"SELECT {columns} FROM (SELECT *, {rank} FROM _raw WHERE {below}) WHERE {id_} IS NULL OR _rank = 1"


def _path(file: str) -> str:
    """A file as Spark names it, no character taken for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", spark_uri(file))
