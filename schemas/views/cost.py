"""What a definition costs: the bytes that one group takes, reckoned from the types of its partial columns. Pure.

Bytes are those of a value in memory (Arrow); Parquet files are smaller. What grows with the data is named, not guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from seamline.schemas.algebra.forms import decimal_of
from seamline.schemas.views.definition import EVENTS, Column, Definition

Kind = Literal["key", "plain", "rare", "sketch", "bounded collection"]

_WIDTHS = {
    **dict.fromkeys(("BOOLEAN", "TINYINT"), 1),
    "SMALLINT": 2,
    **dict.fromkeys(("INTEGER", "FLOAT", "DATE"), 4),
    **dict.fromkeys(("BIGINT", "DOUBLE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"), 8),
}
_UNSIGNED = {"UTINYINT": 1, "USMALLINT": 2, "UINTEGER": 4, "UBIGINT": 8}
_TEXTS = ("VARCHAR", "BLOB")
_SLICE = re.compile(r"\[1?:(\d+)\]")


@dataclass(frozen=True)
class Size:
    """Bytes of one value."""

    fixed: int = 0

    texts: int = 0
    """How many texts of whatever length are in it."""

    element: Size | None = None
    """Of each element of a list."""

    most: int = 0
    """How many elements a list holds at most; 0 where nothing says so."""

    def __str__(self) -> str:
        parts = [f"{self.fixed} B"] if self.fixed or not (self.texts or self.element) else []
        if self.texts:
            parts.append("its text" if self.texts == 1 else f"{self.texts} texts")
        if self.element is not None:
            parts.append(self._listed(self.element))
        return " + ".join(parts)

    @property
    def limit(self) -> int | None:
        """The most bytes, or None where nothing bounds them."""
        if self.texts or (self.element is not None and not self.most):
            return None
        inner = self.element.limit if self.element is not None else 0
        return None if inner is None else self.fixed + self.most * inner

    def _listed(self, element: Size) -> str:
        if not self.most:
            return f"({element}) for each value kept"
        limit, said = element.limit, str(element)
        each = f"{self.most:,} texts" if element == Size(texts=1) else f"{self.most:,} of {said}"
        if " + " in said:
            each = f"{self.most:,} of ({said})"
        return f"up to {bytes_said(self.most * limit)} ({each})" if limit is not None else f"up to {each}"


@dataclass(frozen=True)
class StoredColumn:
    """One column that is stored."""

    name: str
    sql_type: str
    kind: Kind
    size: Size

    makes: tuple[str, ...]
    """The view's columns that are finished from it, or `(HAVING)`."""


@dataclass(frozen=True)
class Cost:
    """What one group of a view takes, column by column."""

    columns: tuple[StoredColumn, ...]

    @property
    def fixed(self) -> int:
        """Bytes that every group takes, whatever it counts."""
        return sum(column.size.fixed for column in self.columns)

    @property
    def kind(self) -> Kind:
        """The dearest kind among its columns."""
        kinds = {column.kind for column in self.columns}
        return next((kind for kind in _DEAREST if kind in kinds), "plain")

    @property
    def words(self) -> str:
        """The cost class in a few words: what is constant, and what grows up to what."""
        texts = [column.name for column in self.columns if column.size.texts and column.size.element is None]
        plain = f"plain: {self.fixed} bytes a group" + (f" and the text of {', '.join(texts)}" if texts else "")
        return "; ".join([plain, *(f"{c.kind} {c.name}: {c.size}" for c in self.columns if c.size.element)])


_DEAREST: tuple[Kind, ...] = ("bounded collection", "sketch", "plain")


def cost(definition: Definition) -> Cost:
    """What a definition's groups take."""
    keys = {key.name for key in definition.keys}
    return Cost(tuple(_stored(definition, column, column.name in keys) for column in definition.partial_columns))


def _stored(definition: Definition, column: Column, key: bool) -> StoredColumn:
    users = [output for output in definition.columns if column.name in output.uses]
    cuts = [int(most) for most in _SLICE.findall(definition.merges.get(column.name, ""))]
    size = size_of(column.sql_type, column.most or max(cuts, default=0))
    kind: Kind = "key" if key else "plain"
    if size.element is not None and not key:
        kind = "sketch" if any(output.exactness == "approximate" for output in users) else "bounded collection"
    kind = "rare" if column.rare else kind
    unseen = ("(audit)",) if column.name == EVENTS.name else ("(HAVING)",)
    makes = (column.name,) if key else tuple(output.name for output in users) or unseen
    return StoredColumn(column.name, column.sql_type, kind, size, makes)


def size_of(sql_type: str, most: int = 0) -> Size:
    """The bytes of a stored type's value; `most`: how many elements its lists are cut to."""
    if sql_type.endswith("[]"):
        return Size(element=size_of(sql_type[:-2]), most=most)
    if sql_type.startswith("STRUCT("):
        members = [size_of(kind, most) for kind in _members(sql_type)]
        lists = [member for member in members if member.element is not None]
        element = Size(
            sum(m.element.fixed for m in lists if m.element), sum(m.element.texts for m in lists if m.element)
        )
        fixed, texts = sum(m.fixed for m in members), sum(m.texts for m in members)
        return Size(fixed, texts, element if lists else None, most if lists else 0)
    if sql_type in _TEXTS:
        return Size(texts=1)
    if digits := decimal_of(sql_type):
        return Size(next(width for most_, width in ((4, 2), (9, 4), (18, 8), (38, 16)) if digits[0] <= most_))
    return Size(_WIDTHS.get(sql_type) or _UNSIGNED.get(sql_type, 8))


def _members(struct: str) -> list[str]:
    """The types of a struct's members: `STRUCT(a BIGINT, "b c" DOUBLE[])`."""
    found, depth, quoted, start = [], 0, False, len("STRUCT(")
    for at in range(start, len(struct)):
        letter = struct[at]
        quoted ^= letter == '"'
        depth += (letter == "(") - (letter == ")") if not quoted else 0
        if not quoted and (depth < 0 or (depth == 0 and letter == ",")):
            found.append(re.sub(r'^("([^"]|"")*"|\w+) ', "", struct[start:at].strip()))
            start = at + 1
        if depth < 0:
            break
    return found


def bytes_said(number: int) -> str:
    """`97 B`, `32 KB`, `1.5 MB`."""
    for size, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{number} B"
