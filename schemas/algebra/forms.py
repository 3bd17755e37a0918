"""What an entry of the algebra is made of, and the few ways that most entries are written.

An entry says, for each type of argument, which partial columns an aggregate has, how they are made from
events, merged, and finished. Two kinds:

- plain: ordinary columns that any Parquet reader understands;
- state: DuckDB's exported aggregate states, stored as an ordinary struct (`EXPORT_STATE`,
  `combine_aggr`, `finalize`).

Templates are SQL. `{x}` and `{y}` are the arguments, `{filter}` a FILTER clause or nothing, `{where}` its condition
(or `true`), `{at}` the event's place in the order of events as a struct of type AT; in `merge`, `{c}` is the column
itself; in `finalise`, `{high}` stands for the partial column with that suffix, `{}` for the one without, `{column}` for
the view column's name. Every `merge` is one expression of aggregates over `{c}`, so that it can be grouped and framed
anew. Partials and merges cannot raise on data (law 7).

A value out of its type's range, or beyond an entry's limit: finalising raises `VALUE_OUT_OF_RANGE` only when that
group's value is really computed. It is written as a failing CAST, which DuckDB evaluates for the rows and columns an
answer needs and no others, and which (unlike `error()`) is not volatile: filters are still pushed through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seamline.errors import Condition, TerminalError
from seamline.kernel import kernel

Exactness = Literal["exact", "approximate", "approximate (float)"]

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")

AT = "STRUCT(t TIMESTAMP WITH TIME ZONE, s VARCHAR, p INTEGER, o BIGINT)"
"""How events are put in order: event time, then event id, or source, partition and offset where there is none."""

NUMBERS = "numbers: integers, decimals, FLOAT, DOUBLE"
ORDERED = "any type that can be stored (docs/views.md)"


@dataclass(frozen=True)
class Part:
    """One partial column."""

    suffix: str
    """What its name has after the measure's; '' for nothing."""

    partial: str

    stored: str
    """Its type in Parquet and Arrow."""

    merge: str

    most: int = 0
    """How many elements its list keeps at most, where `merge` does not say so by a slice."""

    since: int = 0
    """The layout (`algebra.LAYOUT`) from which on it has been stored as it is now."""

    engine: bool = False
    """Whether it holds what the kernel makes as it likes (exported states, hashes), so that no other kernel's can be
    read."""

    rare: bool = False
    """Whether it is NULL in nearly every group."""


@dataclass(frozen=True)
class InSpark:
    """The same answer in Spark SQL, over partial columns as Spark reads them from Parquet."""

    merges: Mapping[str, str] = field(hash=False)
    """Of the columns that are needed, by suffix, over `{c}`."""

    finalise: str = "{}"
    """As a Form's."""

    bound: str = ""
    """How far off the kernel's answer, where that is not to the bit."""


@dataclass(frozen=True)
class Form:
    """An aggregate over arguments of given types."""

    parts: tuple[Part, ...]
    finalise: str
    sql_type: str
    exactness: Exactness = "exact"
    bound: str = ""

    check: str = ""
    """NULL, or says what is out of range, where that can be."""

    native: str = ""
    """DuckDB's own type of the aggregate, where it is not `sql_type`."""

    own: str = ""
    """What DuckDB itself runs over the events for the same answer, where the call as written is not DuckDB's or its
    answer depends on order."""

    combines: tuple[str, ...] = ()
    """Aggregates that are right over finished values."""

    audit: str = ""
    """Over merged partial columns, what is equal to the bit in whatever tree they were merged, where the finished value
    need not be: all that is compared of a sketch, and compared besides the value where that is `approximate (float)`.
    """

    scale: str = ""
    """Over merged partial columns, the size that the bound of such a value is relative to, where that is not the value
    itself."""

    spark: InSpark | None = None
    """The same in Spark SQL, where it can be said there."""


@dataclass(frozen=True)
class Call:
    """How an aggregate is called."""

    types: tuple[str, ...]
    """Of its arguments."""

    constants: tuple[Any, ...] = ()
    """The values of those after them."""

    texts: tuple[str, ...] = ()
    """Their SQL."""

    @property
    def type(self) -> str:
        """The first argument's type."""
        return self.types[0]


@dataclass(frozen=True)
class Aggregate:
    """One entry."""

    name: str
    kind: Literal["plain", "state"]

    takes: str
    """The types of arguments that are allowed, in words."""

    form: Callable[[Call], Form | None]
    """Gives None where the arguments' types are refused, and raises ValueError that says what a constant must be."""

    about: str = ""

    arguments: int = 1
    """How many expressions it takes."""

    constants: tuple[str, ...] = ()
    """The names of what may follow them."""

    needed: int = 0
    """How many constants must follow."""

    star: bool = False
    """Whether `name(*)` and `name()` are allowed."""

    also: tuple[str, ...] = ()
    """Other names of the same."""

    within: str = ""
    """Its name where it is written `name(constants) WITHIN GROUP (ORDER BY x)`."""

    alike: bool = False
    """Whether DISTINCT changes nothing where no constant follows."""

    tried: tuple[tuple[str, ...], ...] = ((),)
    """Constants as SQL, with which tests and examples call it."""

    @property
    def signature(self) -> str:
        """How it is written: `max_by(x, y[, k])`."""
        expressions = ", ".join("xyz"[: self.arguments])
        must = "".join(f", {name}" for name in self.constants[: self.needed])
        may = "".join(f"[, {name}]" for name in self.constants[self.needed :])
        name, _, distinct = self.name.partition(" ")
        return f"{name}({'DISTINCT ' if distinct else ''}{expressions}{must}{may})"

    @property
    def ordered(self) -> str:
        """How it is written with WITHIN GROUP, or ''."""
        return f"{self.within}({', '.join(self.constants)}) WITHIN GROUP (ORDER BY x)" if self.within else ""


def evaluated(texts: Sequence[str]) -> tuple[Any, ...]:
    """The values of constants. Raises SeamlineError KERNEL_FAILED where one has none, or none that Python can hold."""
    listed = ", ".join(f"{sql} AS c{n}" for n, sql in enumerate(texts))
    try:
        return tuple(kernel().run(f"SELECT {listed}").to_pylist()[0].values()) if listed else ()
    except (OverflowError, ValueError) as error:
        raise TerminalError(Condition.KERNEL_FAILED, f"{', '.join(texts)} is beyond the years 1 to 9999") from error


def single(merge: str, stored: str, partial: str, *combines: str, spark: InSpark | None = None) -> Form:
    """A form whose only partial column is the answer itself."""
    return Form((Part("", partial, stored, merge),), "{}", stored, combines=combines, spark=spark)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Puts values for `{name}`. Other braces, such as those of struct literals, stay."""
    return re.sub(r"\{((?:[a-z]+[0-9]*)?)\}", lambda match: values[match[1]], template)


def decimal_of(sql_type: str) -> tuple[int, int] | None:
    """(precision, scale) of DECIMAL(p,s)."""
    match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", sql_type)
    return (int(match[1]), int(match[2])) if match else None


def numeric(sql_type: str) -> bool:
    """Whether values are numbers: integers, decimals or floats."""
    return sql_type in (*INTEGERS, *FLOATS, "HUGEINT") or decimal_of(sql_type) is not None


def canonical(expression: str, sql_type: str) -> str:
    """-0.0 becomes 0.0, in lists and structs too: they are equal, so which of both is kept would depend on order."""
    if sql_type in FLOATS:
        return f"(({expression}) + 0)"
    if not re.search(r"\b(FLOAT|DOUBLE)\b", sql_type):
        return expression
    if sql_type.endswith("[]"):
        each = f"e{len(sql_type)}"
        return f"list_transform({expression}, lambda {each}: {canonical(each, sql_type[:-2])})"
    fields = [
        f"'{name}': " + canonical(f"struct_extract({expression}, '{name}')", kind)
        for name, kind in fields_of(sql_type).items()
    ]
    return f"CASE WHEN ({expression}) IS NOT NULL THEN {{{', '.join(fields)}}} END" if fields else expression


def fields_of(sql_type: str) -> dict[str, str]:
    """The fields of STRUCT(name type, …) and their types; {} for any other type."""
    if not (sql_type.startswith("STRUCT(") and sql_type.endswith(")")):
        return {}
    parts, depth = [""], 0
    for piece in re.findall(r'"(?:[^"]|"")*"|.', sql_type[len("STRUCT(") : -1], re.DOTALL):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    matches = [re.fullmatch(r'\s*("(?:[^"]|"")*"|\S+) (.+)', part, re.DOTALL) for part in parts]
    return {match[1].strip('"').replace('""', '"').replace("'", "''"): match[2] for match in matches if match}


def problem(text: str) -> str:
    """An SQL text that names the column; `text` may go on with `' || expression || '`."""
    return f"'VALUE_OUT_OF_RANGE: column {{column}}: {text}'"


def failing(text: str, sql_type: str) -> str:
    """A CAST of an SQL text to a type that fails with it: texts and bytes would take any text."""
    return f"({text})::BIGINT::VARCHAR::{sql_type}" if sql_type in ("VARCHAR", "BLOB") else f"({text})::{sql_type}"


_STORABLE = {
    *("BOOLEAN", "VARCHAR", "BLOB", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    *INTEGERS,
    *FLOATS,
}


def storable(sql_type: str) -> bool:
    """Whether values survive Arrow and Parquet unchanged: HUGEINT, INTERVAL, JSON, UUID and others do not."""
    if sql_type.endswith("[]"):
        return storable(sql_type[:-2])
    if sql_type.startswith("STRUCT("):
        return not re.search(r"\b(U?HUGEINT|INTERVAL|JSON|UUID|ENUM|MAP|UNION|BIT|BIGNUM|TIMETZ)\b", sql_type)
    return sql_type in _STORABLE or decimal_of(sql_type) is not None
