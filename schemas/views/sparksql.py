"""A batch version as Spark SQL text: a view over its Parquet files, for engines that have no Seamline at hand. Pure.

Each file is named by itself: one that is gone is an error there, where a pattern would leave its rows out without a
word. What Spark SQL cannot say as the kernel does is left out by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seamline.errors import Condition, UserError
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.views.definition import Definition, Output
from seamline.schemes import spark_uri

REGISTER = "register the view from Python instead: seamline.serving.spark.register has every column"


@dataclass(frozen=True)
class SparkText:
    """A view's text in Spark's SQL."""

    sql: str

    left_out: dict[str, str]
    """The columns that are not in it, name to reason."""

    bounds: dict[str, str]
    """Those that are not equal to the bit, name to bound."""


def spark_text(definition: Definition, files: Sequence[str], said: str) -> SparkText:
    """The view over a batch version's `files` (full paths or URIs); `said` says which one it is.

    Raises QUERY_REFUSED where the view has HAVING, or no column of its could be in it but keys.
    """
    if definition.having:
        raise _refused(definition, "its HAVING is the kernel's, and without it there would be more groups")
    keys = {key.name for key in definition.keys}
    left_out = {c.name: _reason(c) for c in definition.columns if c.name not in keys and c.spark is None}
    if len(left_out) == len(definition.columns) - len(keys):
        raise _refused(definition, "; ".join(f"{name}: {why}" for name, why in left_out.items()))
    bounds = {c.name: c.spark.bound for c in definition.columns if c.spark is not None and c.spark.bound}
    notes = [f"-- {said}"]
    notes += [f"-- {name} may differ from what is served: {bound}" for name, bound in bounds.items()]
    notes += [f"-- {name} is left out: {why}" for name, why in left_out.items()]
    if any(re.search(r"\bTIME\b(?! ZONE)", column.sql_type) for column in definition.partial_columns):
        notes.append("-- Spark reads the type TIME only with spark.sql.timeType.enabled=true")
    return SparkText("\n".join([*notes, _statement(definition, files)]), left_out, bounds)


def _statement(definition: Definition, files: Sequence[str]) -> str:
    keys = [key.name for key in definition.keys]
    merges = {name: sql for c in definition.columns if c.spark is not None for name, sql in c.spark.merges.items()}
    finished = [
        f"{c.spark.finalise if c.spark is not None else f'partials.`{c.name}`'} AS `{c.name}`"
        for c in definition.columns
        if c.spark is not None or c.name in keys
    ]
    merged = [f"stored.`{key}`" for key in keys] + [f"{sql} AS `{name}`" for name, sql in merges.items()]
    stored = ", ".join(f"`{name}`" for name in [*keys, *merges])
    union = "\n    UNION ALL ".join(f"SELECT {stored} FROM parquet.`{_path(file)}`" for file in files)
    grouped = ", ".join(f"stored.`{key}`" for key in keys)
    outer, inner = ",\n  ".join(finished), ",\n    ".join(merged)
    inside = f"SELECT\n    {inner}\n  FROM (\n    {union}\n  ) AS stored\n  GROUP BY {grouped}"
    return f"CREATE OR REPLACE TEMP VIEW `{definition.view}` AS\nSELECT\n  {outer}\nFROM (\n  {inside}\n) AS partials;"


def _reason(column: Output) -> str:
    if column.aggregate == "expression":
        return "an expression over aggregates, which the kernel computes"
    if ALGEBRA[column.aggregate].kind == "state":
        return f"the partials of {column.aggregate} are a state that the kernel merges"
    return f"Spark SQL has no exact merge of {column.aggregate} for this type"


def _refused(definition: Definition, why: str) -> UserError:
    message = f"view {definition.view} as Spark SQL: {why}"
    return UserError(Condition.QUERY_REFUSED, message, detail="views without HAVING, with plain columns", hint=REGISTER)


def _path(file: str) -> str:
    """A file as Spark names it: with a scheme, its S3 client's own, and no character taken for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", spark_uri(file)).replace("`", "``")
