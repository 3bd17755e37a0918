"""A view's SELECT with its names looked up: keys, columns over aggregates, conditions; without their types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.views.calls import Measure
from seamline.schemas.views.unnest import Unnested


@dataclass(frozen=True)
class Key:
    """A grouping expression."""

    name: str

    sql: str
    """Over the table `events`."""

    said: str
    """As the user wrote it, normalised."""

    bare: bool
    offset: int

    bucket: bool = False
    """Whether it is a time bucket as it is written."""


@dataclass(frozen=True)
class KeyUse:
    """A key named in an expression over aggregates."""

    name: str


@dataclass(frozen=True)
class Computed:
    """A column over aggregates."""

    name: str

    pieces: tuple[str | Measure | KeyUse, ...]
    """Pieces of SQL, and what stands between them; one aggregate alone is one piece."""

    offset: int

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The aggregates in it."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Measure))

    @property
    def said(self) -> str:
        """The expression, normalised."""
        return "".join(
            piece if isinstance(piece, str) else quote(piece.name) if isinstance(piece, KeyUse) else piece.said
            for piece in self.pieces
        )


@dataclass(frozen=True)
class Selection:
    """The parts of a SELECT."""

    items: tuple[Key | Computed, ...]
    """In the user's order."""

    where: str
    """Its condition, or ''."""

    where_offset: int

    having: Computed | None = None
    """None: it has none."""

    unnested: Unnested | None = None
    """What its keys unnest."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """What events are grouped by."""
        return tuple(item for item in self.items if isinstance(item, Key))

    @property
    def computed(self) -> tuple[Computed, ...]:
        """The columns over aggregates."""
        return tuple(item for item in self.items if isinstance(item, Computed))

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every call of an aggregate, the condition's too."""
        columns = (*self.computed, *([self.having] if self.having else []))
        return tuple(measure for column in columns for measure in column.measures)

    @property
    def normalised(self) -> str:
        """The same for any spacing, comments, case of words, and spelling of GROUP BY."""
        lines = [f"{item.said} as {quote(item.name)}" for item in self.items]
        where = f"\nwhere {self.where}" if self.where else ""
        having = f"\nhaving {self.having.said}" if self.having else ""
        return "select " + ",\n  ".join(lines) + where + having


def bare_keys(items: Iterable[Key | Computed]) -> dict[str, str]:
    """The keys that are fields: their SQL to their names."""
    return {key.sql: key.name for key in items if isinstance(key, Key) and key.bare}
