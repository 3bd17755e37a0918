"""A view's types as Spark has them.

Spark has no unsigned integers: they are read as the next wider signed type, and UBIGINT as DECIMAL(20,0), which hold
every value. All other types that a view can have are Spark's too.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import types as spark

from seamline.errors import Condition, UserError
from seamline.kernel import quote


@dataclass(frozen=True)
class Seen:
    """One type."""

    kind: spark.DataType
    """Spark's."""

    sql: str
    """The kernel's of the same values."""


_SIMPLE: dict[pa.DataType, Seen] = {
    pa.bool_(): Seen(spark.BooleanType(), "BOOLEAN"),
    pa.int8(): Seen(spark.ByteType(), "TINYINT"),
    pa.int16(): Seen(spark.ShortType(), "SMALLINT"),
    pa.int32(): Seen(spark.IntegerType(), "INTEGER"),
    pa.int64(): Seen(spark.LongType(), "BIGINT"),
    pa.uint8(): Seen(spark.ShortType(), "SMALLINT"),
    pa.uint16(): Seen(spark.IntegerType(), "INTEGER"),
    pa.uint32(): Seen(spark.LongType(), "BIGINT"),
    pa.uint64(): Seen(spark.DecimalType(20, 0), "DECIMAL(20,0)"),
    pa.float32(): Seen(spark.FloatType(), "FLOAT"),
    pa.float64(): Seen(spark.DoubleType(), "DOUBLE"),
    pa.string(): Seen(spark.StringType(), "VARCHAR"),
    pa.binary(): Seen(spark.BinaryType(), "BLOB"),
    pa.date32(): Seen(spark.DateType(), "DATE"),
    pa.time64("us"): Seen(spark.TimeType(6), "TIME"),
    pa.timestamp("us"): Seen(spark.TimestampNTZType(), "TIMESTAMP"),
    pa.timestamp("us", "UTC"): Seen(spark.TimestampType(), "TIMESTAMP WITH TIME ZONE"),
}


def seen(arrow: pa.DataType, column: str) -> Seen:
    """Spark's type for the kernel's. `column` is for the message of QUERY_REFUSED, where Spark has none."""
    if arrow in _SIMPLE:
        return _SIMPLE[arrow]
    if pa.types.is_decimal(arrow):
        return Seen(spark.DecimalType(arrow.precision, arrow.scale), f"DECIMAL({arrow.precision},{arrow.scale})")
    if pa.types.is_list(arrow):
        element = seen(arrow.value_type, column)
        return Seen(spark.ArrayType(element.kind), f"{element.sql}[]")
    if pa.types.is_map(arrow):
        key, value = seen(arrow.key_type, column), seen(arrow.item_type, column)
        return Seen(spark.MapType(key.kind, value.kind), f"MAP({key.sql}, {value.sql})")
    if pa.types.is_struct(arrow):
        members = {field.name: seen(field.type, column) for field in arrow.fields}
        fields = [spark.StructField(name, member.kind) for name, member in members.items()]
        listed = ", ".join(f"{quote(name)} {member.sql}" for name, member in members.items())
        return Seen(spark.StructType(fields), f"STRUCT({listed})")
    raise UserError(
        Condition.QUERY_REFUSED,
        f"column {column!r} holds {arrow}, for which Spark has no type",
        detail="scalars, lists, maps and structs",
        hint="name the columns to register without it: columns=(…)",
    )
